"""torch.compile without a graph break, and torch.export, of a sparse network."""

import io

import pytest
import torch
from torch import nn

import thresher as th
from thresher.core import Mask
from thresher.layers import sparsify


@pytest.fixture
def net():
    torch.manual_seed(0)
    dense = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(36, 8), nn.BatchNorm1d(8), nn.Linear(8, 3),
    )  # fmt: skip
    masks = {n: torch.rand(p.shape) < 0.4 for n, p in th.prunable(dense, biases=True).items()}
    return sparsify(dense, Mask(masks), "always")


def test_one_graph_forward_and_backward(net):
    x = torch.randn(5, 2, 6, 6)
    expected = net.eval()(x)
    expected.square().sum().backward()
    gradients = {name: p.grad for name, p in net.named_parameters()}
    net.zero_grad()
    torch.compiler.reset()
    found = torch.compile(net, fullgraph=True, backend="aot_eager")(x)
    torch.testing.assert_close(found, expected)
    found.square().sum().backward()
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name])


@pytest.mark.parametrize("strict", [True, False])
def test_an_exported_program_is_saved_and_computes_the_same(net, strict):
    x = torch.randn(5, 2, 6, 6)
    program = torch.export.export(net.eval(), (x,), strict=strict)
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    buffer.seek(0)
    for each in (program, torch.export.load(buffer)):
        torch.testing.assert_close(each.module()(x), net(x))


def test_functional_calls_take_the_named_parameters(net):
    x = torch.randn(5, 2, 6, 6)
    net.eval()
    doubled = {name: 2 * p.detach() for name, p in net.named_parameters()}
    expected = torch.func.functional_call(net, doubled, (x,))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter *= 2
    torch.testing.assert_close(net(x), expected)
