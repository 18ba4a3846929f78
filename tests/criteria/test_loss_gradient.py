"""What is refused before a gradient is taken, and tied and unused weights."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from thresher.core.errors import ArgumentError, DataError, NonFiniteError
from thresher.core.prunable import prunable
from thresher.criteria import SNIP, GradientMagnitude, GraSP

EACH = pytest.mark.parametrize("make", [SNIP, GraSP, GradientMagnitude])


@EACH
def test_a_vector_of_losses_is_refused(make, tanh_net, points):
    with pytest.raises(ArgumentError, match=r"shape \(5,\).*one number.*mean"):
        make(lambda out, y: cross_entropy(out, y, reduction="none")).scores(tanh_net, prunable(tanh_net), points)


@EACH
def test_a_python_number_is_refused(make, tanh_net, points):
    with pytest.raises(ArgumentError, match="float; expected a tensor of one number"):
        make(lambda out, y: cross_entropy(out, y).item()).scores(tanh_net, prunable(tanh_net), points)


@EACH
def test_a_loss_that_autograd_cannot_follow_is_refused(make, tanh_net, points):
    with pytest.raises(ArgumentError, match="detach"):
        make(lambda out, y: cross_entropy(out.detach(), y)).scores(tanh_net, prunable(tanh_net), points)


@EACH
@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_refused(make, factor, tanh_net, points):
    with pytest.raises(NonFiniteError, match=f"loss is {factor} on a batch of 5 examples"):
        make(lambda out, y: cross_entropy(out, y) * factor).scores(tanh_net, prunable(tanh_net), points)


@EACH
@pytest.mark.parametrize(
    "batch", [torch.zeros(5, 4), (torch.zeros(5, 4),), {"x": 1}, (torch.zeros(0, 4), torch.zeros(0))]
)
def test_what_is_no_batch_is_refused(make, batch, tanh_net):
    with pytest.raises(DataError):
        make(cross_entropy).scores(tanh_net, prunable(tanh_net), [batch])


@EACH
def test_one_element_of_any_shape_is_a_number(make, tanh_net, points):
    weights = prunable(tanh_net)
    plain = make(cross_entropy).scores(tanh_net, weights, points)
    shaped = make(lambda out, y: cross_entropy(out, y).view(1, 1)).scores(tanh_net, weights, points)
    assert all(torch.equal(plain[n], shaped[n]) for n in weights)


class Tied(nn.Module):
    """One matrix used twice, one never."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4, bias=False)
        self.b = nn.Linear(4, 4, bias=False)
        self.b.weight = self.a.weight
        self.unused = nn.Linear(2, 2)
        self.out = nn.Linear(4, 3)

    def forward(self, x):
        return self.out(torch.tanh(self.b(torch.tanh(self.a(x)))))


@EACH
def test_a_shared_weight_is_scored_once_through_all_its_uses_and_an_unused_one_with_zero(make, points):
    torch.manual_seed(0)
    net = Tied().double()
    weights = prunable(net)
    assert list(weights) == ["a.weight", "unused.weight", "out.weight"]
    scores = make(cross_entropy).scores(net, weights, points)
    assert scores["unused.weight"].eq(0).all()
    assert scores["a.weight"].ne(0).all()
    if make is SNIP:
        x, y = (torch.cat(parts) for parts in zip(*points, strict=True))
        cross_entropy(net(x), y).backward()
        torch.testing.assert_close(scores["a.weight"], (net.a.weight * net.a.weight.grad).detach().abs())
