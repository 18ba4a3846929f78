"""What sparsity wins in seconds: Thresher beside dense torch and its rivals, interleaved in one process.

Dense torch and torch's own compressed rows (CSR) always run. The others run where they are installed; none of them
is needed, and none is among Thresher's dependencies. Into the environment that holds torch and Thresher:

    pip install setuptools wheel pybind11
    pip install --no-build-isolation sparseprop==0.1.14
    pip install sparselab==0.2.2
    pip install onnxruntime onnx onnxscript

SparseProp is compiled on installation for the very processor it is compiled on (g++ with OpenMP); its set-up asks the
`python3` that comes first on PATH for pybind11, so the environment has to be activated. A copy compiled elsewhere,
pip's cache included, may end the process with an illegal instruction. SparseProp and SparseLab run on torch's OpenMP
threads, having been imported after it. ONNX Runtime takes part in inference only, with threads of its own, as many as
torch has; torch exports to it through onnxscript.

>>> list(CASES)[:2], list(CONTENDERS)[-1]
(['linear-1024', 'conv-64@32'], 'thresher')
"""

from thresher.bench.cases import CASES, Case, selected
from thresher.bench.contender import Contender, Unable, Variant
from thresher.bench.contenders import CONTENDERS, present
from thresher.bench.crossover import crossover
from thresher.bench.entrants import Heat
from thresher.bench.suite import SCHEMA, Plan, bench

__all__ = [
    "CASES",
    "CONTENDERS",
    "SCHEMA",
    "Case",
    "Contender",
    "Heat",
    "Plan",
    "Unable",
    "Variant",
    "bench",
    "crossover",
    "present",
    "selected",
]
