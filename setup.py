"""Builds the compiled kernels, once for each instruction set; everything else is in pyproject.toml.

Without a C++ compiler the package installs all the same and uses its reference path.
"""

import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# nothing here depends on the machine that builds: which set runs is decided on the machine that runs
_BY_FILE = {
    "kernels_avx512": ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma", "-mprefer-vector-width=512"],
    "kernels_avx2": ["-mavx2", "-mfma"],
    "kernels_portable": [],
}
_X86 = platform.machine().lower() in ("x86_64", "amd64")
_FLAGS = ["-O3", "-std=c++17", "-fvisibility=hidden", "-ffp-contract=fast", "-Wno-psabi"]
_OPENMP = ["-fopenmp"] if sys.platform == "linux" else []


class BuildKernels(build_ext):
    """build_ext with the flags of its instruction set for each source."""

    def build_extension(self, extension: Extension) -> None:
        special = [source for source in extension.sources if Path(source).stem in _BY_FILE]
        with ThreadPoolExecutor() as pool:  # each takes a while, in a process of its own
            for objects in pool.map(lambda source: self._compiled(source, extension), special):
                extension.extra_objects += objects
        extension.sources = [source for source in extension.sources if source not in special]
        super().build_extension(extension)

    def _compiled(self, source: str, extension: Extension) -> list[str]:
        flags = [*extension.extra_compile_args, *_BY_FILE[Path(source).stem]]
        return self.compiler.compile(
            [source], output_dir=self.build_temp, extra_postargs=flags, depends=extension.depends
        )


_SETS = ["avx512", "avx2", "portable"] if _X86 else ["portable"]
setup(
    ext_modules=[
        Extension(
            "thresher._kernels",
            sources=["csrc/module.cpp", *(f"csrc/kernels_{name}.cpp" for name in _SETS)],
            depends=[str(path) for path in sorted(Path("csrc").glob("*.[hi]*"))],
            extra_compile_args=[*_FLAGS, *_OPENMP],
            extra_link_args=_OPENMP,
            optional=True,
        )
    ],
    cmdclass={"build_ext": BuildKernels},
)
