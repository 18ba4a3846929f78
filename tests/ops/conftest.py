"""Which kernels a test runs on."""

import sys
from importlib.util import find_spec

import pytest

from thresher.ops.native import INSTRUCTION_SETS, kernels


@pytest.fixture(params=INSTRUCTION_SETS)
def engine(request, monkeypatch):
    """Runs the test on each instruction set of this machine, and on the reference path."""
    if request.param == "reference":
        for name, module in list(sys.modules.items()):
            if name.startswith("thresher.ops.") and hasattr(module, "kernels"):
                monkeypatch.setattr(module, "kernels", lambda: None)
        yield request.param
        return
    native = kernels() if find_spec("thresher._kernels") else None
    if native is None or request.param not in native.available():
        pytest.skip(f"no {request.param} here")
    before = native.chosen()
    assert native.choose(request.param)
    yield request.param
    native.choose(before)
