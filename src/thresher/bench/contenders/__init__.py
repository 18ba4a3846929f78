"""The table of contenders, and which of them are here."""

import importlib
import importlib.metadata
from collections.abc import Collection

from thresher.bench.contender import Contender, Unable
from thresher.bench.contenders.csr import CSR
from thresher.bench.contenders.dense import DENSE
from thresher.bench.contenders.onnxruntime import ONNXRUNTIME
from thresher.bench.contenders.sparselab import SPARSELAB
from thresher.bench.contenders.sparseprop import SPARSEPROP
from thresher.bench.contenders.thresher import THRESHER
from thresher.core.errors import unknown_name

CONTENDERS: dict[str, Contender] = {
    "dense": DENSE,
    "csr": CSR,
    "sparseprop": SPARSEPROP,
    "sparselab": SPARSELAB,
    "onnxruntime": ONNXRUNTIME,
    "thresher": THRESHER,
}
YARDSTICK, OURS = "dense", "thresher"


def present(named: Collection[str] = ()) -> tuple[dict[str, str], dict[str, str]]:
    """Contender → version of those that run, and contender → reason of those that are not installed.

    `named` are the ones to run, the yardstick (dense) and Thresher always among them; none named means all.
    Raises UnknownNameError for a name that is in no table, and Unable if one that was named cannot be imported.
    """
    for name in named:
        if name not in CONTENDERS:
            raise unknown_name("contender", name, CONTENDERS)
    versions, absent = {}, {}
    for name, contender in CONTENDERS.items():
        if named and name not in {*named, YARDSTICK, OURS}:
            continue
        package = contender.package or ("thresher" if name == OURS else "torch")
        try:
            importlib.import_module(package)
        except ImportError as error:
            absent[name] = f"{package} cannot be imported ({error}); help(thresher.bench) says how to install it"
            if name in named:
                raise Unable(f"--against {name}: {absent[name]}") from error
        else:
            versions[name] = importlib.metadata.version(package)
    return versions, absent
