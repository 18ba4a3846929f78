import math
import statistics

import pytest
import torch
from torch import nn

from thresher.core.errors import ArgumentError, NothingToPruneError
from thresher.initializers import INITIALIZERS, VarianceScaling

DISTRIBUTIONS = ["truncated-normal", "normal", "uniform"]

# fourth moment / variance² of each, in closed form: normal 3, uniform 9/5, and of the normal cut at ±2 from
# m2 = 1 - 2·2φ(2)/Z, m4 = 3 m2 - 2·8φ(2)/Z with Z the probability inside
_NORMAL = statistics.NormalDist()
_INSIDE = _NORMAL.cdf(2) - _NORMAL.cdf(-2)
_M2 = 1 - 4 * _NORMAL.pdf(2) / _INSIDE
KURTOSIS = {"normal": 3.0, "uniform": 1.8, "truncated-normal": (3 * _M2 - 16 * _NORMAL.pdf(2) / _INSIDE) / _M2**2}

# layer, parameter, gates stacked in it, fan in and fan out of one gate: all written down by hand
SHAPES = [
    (lambda: nn.Linear(150, 250), "weight", 1, 150, 250),
    (lambda: nn.Conv1d(32, 64, 5), "weight", 1, 32 * 5, 64 * 5),
    (lambda: nn.Conv2d(24, 36, (3, 5), stride=2, padding=1), "weight", 1, 24 * 15, 36 * 15),
    (lambda: nn.Conv3d(16, 24, 3), "weight", 1, 16 * 27, 24 * 27),
    (lambda: nn.RNN(150, 100), "weight_ih_l0", 1, 150, 100),
    (lambda: nn.LSTM(150, 100), "weight_ih_l0", 4, 150, 100),
    (lambda: nn.LSTM(15, 100), "weight_hh_l0", 4, 100, 100),
    (lambda: nn.LSTM(15, 150, proj_size=100), "weight_hr_l0", 1, 150, 100),
    (lambda: nn.LSTMCell(150, 100), "weight_ih", 4, 150, 100),
    (lambda: nn.GRU(15, 100, num_layers=2), "weight_ih_l1", 3, 100, 100),
    (lambda: nn.GRUCell(150, 100), "weight_ih", 3, 150, 100),
    (lambda: nn.MultiheadAttention(100, 2), "in_proj_weight", 3, 100, 100),
    (lambda: nn.MultiheadAttention(100, 2, kdim=150, vdim=50), "k_proj_weight", 1, 150, 100),
]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(model, initializer, seed=0):
    initializer.initialize_(model, seeded(seed))
    return model


def assert_variance(weight, variance, distribution):
    # five standard errors: of the mean, √(σ²/n), and of the variance, σ²·√((kurtosis - 1)/n)
    n = weight.numel()
    assert abs(weight.mean()) < 5 * math.sqrt(variance / n)
    assert abs(weight.var() / variance - 1) < 5 * math.sqrt((KURTOSIS[distribution] - 1) / n)


@pytest.mark.parametrize("fan", ["in", "out", "average"])
@pytest.mark.parametrize(("make", "name", "gates", "fan_in", "fan_out"), SHAPES)
def test_the_variance_of_each_gate_is_scale_over_fan(make, name, gates, fan_in, fan_out, fan):
    weight = dict(drawn(make(), VarianceScaling(1.5, fan)).named_parameters())[name].detach().double()
    for gate in weight.chunk(gates):
        variance = 1.5 / {"in": fan_in, "out": fan_out, "average": (fan_in + fan_out) / 2}[fan]
        assert_variance(gate, variance, "truncated-normal")


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_the_distribution_is_the_one_named(distribution):
    weight = drawn(nn.Linear(500, 1000), VarianceScaling(distribution=distribution)).weight.detach().double()
    sigma = 1 / math.sqrt(500)
    bound = {"normal": math.inf, "uniform": math.sqrt(3), "truncated-normal": 2 / math.sqrt(_M2)}[distribution] * sigma
    largest = weight.abs().max()
    assert largest <= bound * (1 + 1e-6)
    # of half a million draws some come near the bound, or beyond every other distribution's
    assert largest > (4 * sigma if distribution == "normal" else 0.99 * bound)
    assert_variance(weight, sigma**2, distribution)
    kurtosis = (weight**4).mean() / (weight**2).mean() ** 2
    assert kurtosis == pytest.approx(KURTOSIS[distribution], rel=0.03)


def test_the_table_holds_the_published_scales():
    assert {
        "lecun": VarianceScaling(1.0, "in", "truncated-normal"),
        "glorot": VarianceScaling(1.0, "average", "truncated-normal"),
        "he": VarianceScaling(2.0, "in", "truncated-normal"),
    } == {name: row for name, row in INITIALIZERS.items() if isinstance(row, VarianceScaling)}


def test_biases_are_zeroed_and_everything_else_is_left():
    net = nn.Sequential(
        nn.Embedding(5, 4),
        nn.Linear(4, 4),
        nn.LayerNorm(4),
        nn.BatchNorm1d(4),
        nn.MultiheadAttention(4, 2, add_bias_kv=True),
        nn.LSTM(4, 4),
        nn.Linear(4, 4),
    )
    for parameter in net.parameters():
        nn.init.constant_(parameter, 3.0)
    net[6].requires_grad_(False)
    identities = [id(p) for p in net.parameters()]
    drawn(net, VarianceScaling())
    assert [id(p) for p in net.parameters()] == identities
    left = {n for n, p in net.named_parameters() if bool((p == 3).all())}
    assert left == {"0.weight", "2.weight", "2.bias", "3.weight", "3.bias", "6.weight", "6.bias"}
    zero = {n for n, p in net.named_parameters() if bool((p == 0).all())}
    assert zero == {n for n, _ in net.named_parameters() if "bias" in n} - left
    assert net[3].running_var.tolist() == [1.0] * 4


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_the_weights_depend_on_the_generator_alone(distribution):
    initializer = VarianceScaling(distribution=distribution)
    torch.manual_seed(1)
    one = nn.Sequential(nn.Linear(20, 30), nn.LSTM(30, 10))
    two = nn.Sequential(nn.Linear(20, 30), nn.LSTM(30, 10))
    state = torch.get_rng_state()
    drawn(one, initializer)
    assert torch.equal(torch.get_rng_state(), state)
    drawn(two, initializer)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    drawn(two, initializer, seed=1)
    assert not torch.equal(one[0].weight, two[0].weight)


def test_a_shared_weight_is_drawn_once():
    net = nn.Sequential(nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False))
    net[1].weight = net[0].weight
    alone = nn.Linear(6, 6, bias=False)
    assert torch.equal(drawn(net, VarianceScaling())[1].weight, drawn(alone, VarianceScaling()).weight)


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_the_scale_is_positive(scale):
    with pytest.raises(ArgumentError, match="scale multiplies the variance and is positive: got"):
        VarianceScaling(scale)


def test_unknown_fans_and_distributions_are_named():
    with pytest.raises(ArgumentError, match="fan is 'in', 'out' or 'average': got 'fan_in'"):
        VarianceScaling(fan="fan_in")
    with pytest.raises(ArgumentError, match=r"distribution is .* got 'gaussian'"):
        VarianceScaling(distribution="gaussian")


def test_a_model_without_weights_is_an_error():
    with pytest.raises(NothingToPruneError):
        VarianceScaling().initialize_(nn.LayerNorm(3), seeded())
