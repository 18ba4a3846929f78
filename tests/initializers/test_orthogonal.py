import math

import numpy as np
import pytest
import torch
from torch import nn

from thresher.analysis.mean_field import critical_gain
from thresher.core.errors import ArgumentError, UnknownNameError
from thresher.initializers import INITIALIZERS, Initialized, Orthogonal
from thresher.initializers.orthogonal import GAINS
from thresher.models.activation import activation_called


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(model, initializer=None, seed=0):
    rows = (initializer or Orthogonal()).initialize_(model, seeded(seed))
    return model, {row.name: row for row in rows}


@pytest.mark.parametrize(("rows", "columns"), [(7, 7), (5, 12), (12, 5), (1, 6), (6, 1)])
@pytest.mark.parametrize("gain", [1.0, 0.3])
def test_all_singular_values_are_the_gain(rows, columns, gain):
    net, _ = drawn(nn.Linear(columns, rows).double(), Orthogonal(gain))
    values = torch.linalg.svdvals(net.weight.detach())
    assert torch.allclose(values, torch.full((min(rows, columns),), gain, dtype=torch.float64), atol=1e-14)
    assert not net.bias.any()


# layer, parameter, maps stacked in it: by hand
@pytest.mark.parametrize(
    ("make", "name", "maps"),
    [
        (lambda: nn.LSTM(6, 5), "weight_ih_l0", 4),
        (lambda: nn.LSTM(6, 5), "weight_hh_l0", 4),
        (lambda: nn.LSTM(6, 5, proj_size=3), "weight_hr_l0", 1),
        (lambda: nn.GRUCell(6, 5), "weight_hh", 3),
        (lambda: nn.RNN(6, 5), "weight_hh_l0", 1),
        (lambda: nn.MultiheadAttention(6, 2), "in_proj_weight", 3),
        (lambda: nn.Conv2d(4, 8, 3), "weight", 1),
        (lambda: nn.Conv2d(4, 8, 3, groups=2), "weight", 2),
        (lambda: nn.Conv1d(8, 8, 3, groups=8), "weight", 8),
        (lambda: nn.ConvTranspose2d(4, 8, 3, groups=2), "weight", 2),
        (lambda: nn.Bilinear(3, 4, 5), "weight", 1),
    ],
)
def test_each_gate_projection_and_group_is_orthogonal_by_itself(make, name, maps):
    net, rows = drawn(make().double())
    parts = dict(net.named_parameters())[name].detach().chunk(maps)
    assert len(parts) == maps
    for part in parts:
        values = torch.linalg.svdvals(part.flatten(1))
        assert torch.allclose(values, torch.ones_like(values), atol=1e-14)
    assert all(not torch.equal(parts[0], part) for part in parts[1:])
    assert (f"each of {maps} maps" in rows[name].done) == (maps > 1)


def test_the_row_says_what_a_kernel_is_not():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5), nn.Flatten(), nn.Linear(5, 2))
    _, rows = drawn(net, Orthogonal("tanh"))
    assert rows == {
        "0.weight": Initialized("0.weight", "orthogonal, gain 1"),
        "1.weight": Initialized(
            "1.weight", "orthogonal, gain 1", "orthogonal as a matrix 5 × 36, not as a convolution"
        ),
        "4.weight": Initialized("4.weight", "orthogonal, gain 1"),
    }


def test_a_kernel_drawn_as_a_matrix_is_no_orthogonal_operator():
    net, _ = drawn(nn.Conv2d(8, 8, 3))
    values = torch.linalg.svdvals(torch.fft.fft2(net.weight.detach().double(), (16, 16)).permute(2, 3, 0, 1))
    assert values.max() > 1.3
    assert values.min() < 0.5


def test_matrices_are_uniform_among_the_orthogonal_ones():
    # of a uniform 3×3 rotation or reflection: the trace has mean 0 and variance 1, and either sign of the determinant
    # is as likely; without the sign correction of the QR factorization the mean trace is about -0.9
    generator = seeded()
    net = nn.Linear(3, 3, bias=False).double()
    traces, signs = [], []
    for _ in range(2000):
        Orthogonal().initialize_(net, generator)
        traces.append(net.weight.detach().trace())
        signs.append(torch.linalg.det(net.weight.detach()).sign())
    traces, signs = torch.stack(traces), torch.stack(signs)
    assert abs(traces.mean()) < 5 / math.sqrt(2000)
    assert traces.var().item() == pytest.approx(1, abs=0.15)
    assert abs(signs.mean()) < 5 / math.sqrt(2000)


@pytest.mark.parametrize("activation", GAINS)
def test_gains_are_the_critical_ones_of_mean_field(activation):
    assert GAINS[activation] == pytest.approx(critical_gain(activation), rel=1e-9)


def test_gains_in_closed_form_and_in_the_table():
    assert {name: round(gain, 6) for name, gain in GAINS.items()} == {
        "linear": 1.0,
        "tanh": 1.0,
        "relu": 1.414214,
        "leaky-relu": 1.38675,
    }
    assert (INITIALIZERS["orthogonal"], INITIALIZERS["orthogonal:relu"]) == (Orthogonal(1.0), Orthogonal("relu"))


def test_the_slope_of_leaky_relu_is_that_of_our_models():
    # E[φ'²] is the mean square of the slopes left and right of 0: gain² times it is 1
    function = activation_called("leaky-relu", "a model")().double()
    left, right = np.diff(function(torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)).numpy())
    assert GAINS["leaky-relu"] ** 2 * (left**2 + right**2) / 2 == pytest.approx(1, rel=1e-12)


def test_the_generator_alone_decides_and_the_dtype_stays():
    state = torch.get_rng_state()
    one, _ = drawn(nn.Linear(4, 4, dtype=torch.bfloat16))
    two, _ = drawn(nn.Linear(4, 4, dtype=torch.bfloat16))
    other, _ = drawn(nn.Linear(4, 4, dtype=torch.bfloat16), seed=1)
    torch.set_rng_state(state)
    assert one.weight.dtype == torch.bfloat16
    assert torch.equal(one.weight, two.weight)
    assert not torch.equal(one.weight, other.weight)


def test_norms_frozen_weights_and_identities_stay():
    net = nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 4), nn.Linear(4, 4))
    for parameter in net.parameters():
        nn.init.constant_(parameter, 3.0)
    net[1].requires_grad_(False)
    identities = [id(p) for p in net.parameters()]
    _, rows = drawn(net)
    assert list(rows) == ["2.weight"]
    assert [id(p) for p in net.parameters()] == identities
    assert {n for n, p in net.named_parameters() if bool((p == 3).all())} == {
        "0.weight",
        "0.bias",
        "1.weight",
        "1.bias",
    }


@pytest.mark.parametrize("gain", [0.0, -1.0, math.nan, math.inf])
def test_a_gain_is_positive(gain):
    with pytest.raises(ArgumentError, match="gain multiplies the singular values and is positive: got"):
        Orthogonal(gain)


def test_an_unknown_activation_is_named():
    with pytest.raises(UnknownNameError, match="unknown activation 'rellu': did you mean 'relu'"):
        Orthogonal("rellu")


def test_for_an_activation_without_a_row_it_says_where_its_gain_comes_from():
    with pytest.raises(UnknownNameError, match=r"'selu'.*pass the number that thresher\.analysis\.critical_gain finds"):
        Orthogonal("selu")
    gain = critical_gain("selu")
    assert Orthogonal(gain).initialize_(nn.Linear(2, 2), seeded())[0].done == f"orthogonal, gain {gain:.4g}"
