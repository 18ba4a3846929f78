"""Code as people write it: in place, detached, sliced, masked, and what the tracer cannot follow."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from thresher.analysis import collapse
from thresher.core import Mask, ThresherError

FIRST = torch.tensor([[True, False, False], [False, False, False], [False, True, True], [False, False, False]])
SECOND = torch.tensor([[True, True, False, False], [False, False, False, True]])
# unit 0 is on a path; 1 and 3 have no input; 2 has no output; so output 1 has no input
EXPECTED = {"first.weight": [[0, 0]], "second.weight": [[0, 0]]}


class Between(nn.Module):
    """Two linear layers with `middle` between them, [1, 4] → [1, 4]."""

    def __init__(self, middle):
        super().__init__()
        self.first, self.second, self.middle = nn.Linear(3, 4), nn.Linear(4, 2), middle

    def forward(self, x):
        return self.second(self.middle(self.first(x)))


def in_place(x):
    y = x * 2
    y += 1
    y.mul_(3).sub_(1)
    F.relu(y, inplace=True)
    y.clamp_(0, 6)
    return y


def into_a_buffer(x):
    out = torch.zeros(1, 4)
    for i in range(x.shape[1]):
        out[:, i] = x[:, i]
    return out


def copied_and_erased(x):
    out, rest = torch.ones(1, 4), x.clone()
    out.copy_(x, True)
    rest.zero_()
    return out + rest + rest.fill_(3)


def without_gradient(x):
    with torch.no_grad():
        return x.detach().data * 1


def reshaped(x):
    x = x.reshape(1, 2, 2).transpose(1, 2).flatten(1).view(1, 2, 2).mT.reshape(1, 4)
    a, b = x.chunk(2, 1)
    return torch.cat([*a.split(1, 1), *b.unbind(1)[:0], b], dim=1).squeeze(0)[None, ...]


def iterated(x):
    return torch.stack(list(x[0])).unsqueeze(0).expand(3, 4).mean(0, keepdim=True)


def with_constants(x):
    padded = F.pad(x, (1, 1), value=1.0)[:, 1:-1]
    joined = torch.cat([torch.ones(1, 2), padded, x.new_ones(1, 1)], 1)[:, 2:6]
    return joined + torch.ones_like(x) - torch.arange(4.0) + torch.zeros_like(x) * x


def chosen(x):
    keep = torch.tensor([[True, True, True, True]])
    x = torch.where(keep, x, torch.tensor(5.0)) + torch.where(~keep, x, 1.0)
    return x.where(keep, 0.0).masked_fill(~keep, 1.0)


def compared(x):
    assert x.shape == (1, 4)
    assert x.dim() == len(x.size()) == 2
    assert x.dtype.is_floating_point
    return x * (x > -1) if x.numel() else x


def activated(x):
    for f in (torch.tanh, F.gelu, F.silu, torch.sigmoid, F.hardswish, F.elu, torch.exp, torch.neg, torch.abs):
        x = f(x)
    return F.normalize((x / 2 - 1) ** 2) / torch.tensor(3.0)


def by_scalars(x):
    return 1 - (2 / (1 + x)) + x / 3 + 3 * x


class Straight(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.sign()

    @staticmethod
    def backward(ctx, g):
        return g


MIDDLES = [
    in_place, into_a_buffer, copied_and_erased, without_gradient, reshaped, iterated, with_constants, chosen,
    compared, activated, by_scalars,
]  # fmt: skip


@pytest.mark.parametrize("middle", MIDDLES)
def test_element_by_element_code_changes_nothing(middle):
    found = collapse(Between(middle), Mask({"first.weight": FIRST, "second.weight": SECOND}))
    assert {name: keep.nonzero().tolist() for name, keep in found.effective.items()} == EXPECTED
    assert found.units_without_input == {"first.weight": (1, 3), "second.weight": (1,)}
    assert found.units_without_output == {"first.weight": (2,), "second.weight": ()}
    assert found.notes == ()


@pytest.mark.parametrize("middle", MIDDLES)
def test_that_code_runs_on_real_values_too(middle):
    assert torch.isfinite(Between(middle)(torch.rand(1, 3))).all()


def test_erased_and_overwritten_values_carry_nothing():
    def overwritten(x):
        x = x * 1
        x[:, 0] = 7.0
        return x

    found = collapse(Between(overwritten), Mask({"first.weight": FIRST, "second.weight": SECOND}))
    assert found.disconnected
    assert found.units_without_output["first.weight"] == (0, 2)


@pytest.mark.parametrize(
    "middle",
    [
        lambda x: x.clone().zero_(),
        lambda x: (x * 1).fill_(2),
        lambda x: F.pad(x, (4, 0), value=1.0)[:, :4],
        lambda x: x.masked_fill(mask=torch.ones(4, dtype=torch.bool), value=3.0),
        lambda x: torch.where(torch.zeros(4, dtype=torch.bool), x, 1.0),
        lambda x: torch.cat([torch.ones(1, 4), x], 1)[:, :4],
        lambda x: x * 0 + 1,
    ],
)
def test_constants_carry_nothing(middle):
    found = collapse(Between(middle), Mask({"first.weight": FIRST, "second.weight": SECOND}))
    assert found.disconnected
    assert found.units_without_input["second.weight"] == (0, 1)
    assert found.units_without_output["first.weight"] == (0, 1, 2, 3)


def test_one_hot_tokens():
    class Letters(nn.Module):
        def __init__(self):
            super().__init__()
            self.read = nn.Linear(3, 2)

        def forward(self, tokens):
            return self.read(F.one_hot(tokens.clamp(max=2), 3).float())

    mask = Mask({"read.weight": torch.tensor([[True, False, True], [False, False, False]])})
    found = collapse(Letters(), mask, torch.zeros(1, 5, dtype=torch.int64))
    assert found.effective == mask
    assert found.notes == ()


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda x: x.cumprod(1), "cumprod"),
        (lambda x: torch.fft.fft(x).real, "fft_fft"),
        (lambda x: (x.erfinv_(), x)[1], "erfinv"),
    ],
)
def test_an_unknown_function_connects_everything_and_is_named(function, name):
    found = collapse(Between(function), Mask({"first.weight": FIRST, "second.weight": SECOND}))
    assert found.effective["first.weight"].equal(FIRST)
    assert found.effective["second.weight"].equal(SECOND)
    assert found.units_without_input["second.weight"] == ()
    assert found.notes == (f"{name} has no rule: taken to connect everything with everything",)
    assert found.notes[0] in found.describe()
    nothing = Mask({"first.weight": torch.zeros(4, 3, dtype=torch.bool), "second.weight": SECOND})
    assert collapse(Between(function), nothing).disconnected


def test_weights_inside_an_unknown_function_count_as_used():
    class Distances(nn.Module):
        def __init__(self):
            super().__init__()
            self.centres = nn.Parameter(torch.randn(5, 3))

        def forward(self, x):
            return torch.cdist(x, self.centres)

    mask = Mask({"centres": torch.eye(5, 3, dtype=torch.bool)})
    assert collapse(Distances(), mask, torch.ones(1, 3)).effective == mask


def test_weights_computed_from_masked_ones_are_noted():
    class Standardised(nn.Linear):
        def forward(self, x):
            return F.linear(x, self.weight - self.weight.mean(1, keepdim=True), self.bias)

    found = collapse(Standardised(2, 2), Mask({"weight": torch.eye(2, dtype=torch.bool)}))
    assert len(found.notes) == 1
    assert "computed from masked weights" in found.notes[0]


@pytest.mark.parametrize("middle", [Straight.apply, lambda x: x + Straight.apply(x)])
def test_a_custom_autograd_function_is_followed_through_its_forward(middle):
    found = collapse(Between(middle), Mask({"first.weight": FIRST, "second.weight": SECOND}))
    assert {name: keep.nonzero().tolist() for name, keep in found.effective.items()} == EXPECTED
    assert found.notes == ()


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_compiled_code_is_out_of_sight():
    @torch.jit.script
    def doubled(x: torch.Tensor) -> torch.Tensor:
        return 2 * x

    mask = Mask({"first.weight": FIRST, "second.weight": SECOND})
    with pytest.raises(ThresherError, match="TorchScript"):
        collapse(Between(doubled), mask)
    beside = collapse(Between(lambda x: x + doubled(x)), mask)
    assert {name: keep.nonzero().tolist() for name, keep in beside.effective.items()} == EXPECTED
    assert len(beside.notes) == 1
    assert "out of sight" in beside.notes[0]
