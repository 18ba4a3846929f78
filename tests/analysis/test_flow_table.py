"""Every name in the table is one that torch calls something, so that no rule waits for a misspelt call."""

import pytest
import torch
import torch.nn.functional as F

from thresher.analysis.flow_table import CONSTANTS, RULES
from thresher.analysis.tracing import plain_name


@pytest.mark.parametrize("name", sorted(RULES.keys() | CONSTANTS))
def test_name(name):
    if name.startswith("."):
        assert plain_name(getattr(torch.Tensor, name[1:]).__get__) == name
        return
    found = [
        getattr(owner, spelling)
        for owner in (torch, torch.Tensor, F, torch._C._nn)
        for spelling in (name, f"{name}_", f"_{name}", f"__{name}__")
        if spelling in dir(owner)
    ]
    assert name in [plain_name(f) for f in found if callable(f)]
