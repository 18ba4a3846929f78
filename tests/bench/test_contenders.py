import copy
import sys

import pytest
import torch
from torch import nn

from thresher.bench.agreement import Expected, answers, require_agreement
from thresher.bench.contender import Unable, laid_out
from thresher.bench.contenders import CONTENDERS, present
from thresher.bench.contenders.csr import CSRLinear
from thresher.core.errors import UnknownNameError
from thresher.core.mask import Mask
from thresher.core.prunable import prunable


def perceptron():
    return nn.Sequential(nn.Linear(24, 32), nn.ReLU(), nn.Linear(32, 16))


def convolutional():
    first, second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 3, stride=2, padding=1)
    return nn.Sequential(first, nn.ReLU(), second, nn.Flatten(), nn.Linear(256, 10))


NETWORKS = {"perceptron": (perceptron, (24,)), "convolutional": (convolutional, (3, 8, 8))}


def masked(build, density=0.15):
    torch.manual_seed(0)
    model = build()
    generator = torch.Generator().manual_seed(1)
    keep = {name: torch.rand(p.shape, generator=generator) < density for name, p in prunable(model).items()}
    mask = Mask(keep)
    mask.apply_(model)
    return model, mask


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", CONTENDERS)
def test_every_variant_computes_the_same_or_says_that_it_cannot(name, network):
    contender = CONTENDERS[name]
    if contender.package is not None:
        pytest.importorskip(contender.package)
    build, shape = NETWORKS[network]
    model, mask = masked(build)
    before = copy.deepcopy(model.state_dict())
    inputs = torch.randn(32, *shape)
    agreed, unable = [], []
    for variant_name, variant in contender.variants.items():
        if variant.kind == "layer":
            continue
        laid = laid_out(inputs, variant.layout)
        try:
            module = variant.build(model, mask, laid)
        except Unable as reason:
            unable.append(str(reason))
            continue
        for train in (True, False) if contender.trains else (False,):
            require_agreement(answers(module, laid, train), Expected.of(model, inputs, train))
        agreed.append(variant_name)
    linear_only = network == "convolutional" and name in ("csr", "sparselab")
    assert bool(agreed) != linear_only
    assert set(unable) <= {"linear layers only", "no convolution"}
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])


@pytest.mark.parametrize("name", ["csr", "thresher", "sparseprop"])
def test_sparse_contenders_hold_kept_weights_only(name):
    contender = CONTENDERS[name]
    if contender.package is not None:
        pytest.importorskip(contender.package)
    model, mask = masked(NETWORKS["perceptron"][0])
    module = next(iter(contender.variants.values())).build(model, mask, torch.randn(32, 24))
    assert sum(p.numel() for p in module.parameters()) == mask.kept + 32 + 16


@pytest.mark.parametrize("keep", ["drawn", "none", "all", "one row", "one column"])
@pytest.mark.parametrize("bias", [True, False])
def test_compressed_rows_equal_the_masked_layer_in_float64(keep, bias):
    torch.manual_seed(0)
    linear = nn.Linear(9, 6, bias=bias, dtype=torch.float64)
    bits = torch.zeros(6, 9, dtype=torch.bool)
    if keep == "drawn":
        bits = torch.rand(6, 9) < 0.3
    elif keep == "all":
        bits[:] = True
    elif keep == "one row":
        bits[4] = True
    elif keep == "one column":
        bits[:, 7] = True
    layer = CSRLinear(copy.deepcopy(linear), bits)
    with torch.no_grad():
        linear.weight.masked_fill_(~bits, 0.0)
    one = torch.randn(5, 9, dtype=torch.float64, requires_grad=True)
    other = one.detach().clone().requires_grad_()
    towards = torch.randn(5, 6, dtype=torch.float64)
    expected, came = linear(one), layer(other)
    torch.testing.assert_close(came, expected, rtol=1e-12, atol=1e-12)
    expected.backward(towards)
    came.backward(towards)
    torch.testing.assert_close(other.grad, one.grad, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(layer.values.grad, linear.weight.grad[bits], rtol=1e-12, atol=1e-12)
    if bias:
        torch.testing.assert_close(layer.bias.grad, linear.bias.grad)


def test_what_is_not_installed_is_absent_with_a_reason(monkeypatch):
    monkeypatch.setitem(sys.modules, "sparseprop", None)
    versions, absent = present()
    assert {"dense", "csr", "thresher"} <= versions.keys()
    assert "sparseprop" not in versions
    assert "sparseprop cannot be imported" in absent["sparseprop"]
    assert "install" in absent["sparseprop"]


def test_what_is_named_and_not_installed_is_an_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "sparselab", None)
    with pytest.raises(Unable, match="--against sparselab: sparselab cannot be imported"):
        present(["csr", "sparselab"])


def test_what_is_not_named_is_not_even_looked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "sparselab", None)
    versions, absent = present(["csr"])
    assert list(versions) == ["dense", "csr", "thresher"]
    assert versions["dense"] == torch.__version__.partition("+")[0] or versions["dense"] == torch.__version__
    assert absent == {}


def test_a_typo_gets_the_near_miss():
    with pytest.raises(UnknownNameError, match="did you mean 'sparseprop'"):
        present(["sparesprop"])
