import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from thresher.analysis.mean_field import ACTIVATIONS, _Moments, critical_gain, mean_field
from thresher.core.errors import ArgumentError, UnknownNameError

NUMPY = {
    "linear": lambda h: h,
    "tanh": np.tanh,
    "relu": lambda h: np.maximum(h, 0),
    "leaky-relu": lambda h: np.where(h > 0, h, 0.2 * h),
    "selu": lambda h: 1.0507009873554805 * np.where(h > 0, h, 1.6732632423543772 * np.expm1(np.minimum(h, 0))),
    "gelu": lambda h: h * np.vectorize(math.erf)(h / math.sqrt(2)) / 2 + h / 2,
}


@pytest.mark.parametrize("q", [1e-14, 1e-3, 1.0, 30.0, 1e8])
def test_expectations_are_those_of_closed_forms(q):
    # E[erf(√q z)²] = 2/π asin(2q/(1+2q)), its derivative by q, and E[erf'(√q z)²] = 4/π / √(1+4q) (Williams 1997)
    at = _Moments(torch.erf, (0.0,)).of(q)
    root = math.sqrt(1 + 4 * q)
    square = 2 / math.pi * math.atan2(2 * q, root)
    assert at.square == pytest.approx(square, rel=1e-12)
    assert at.derivative_square == pytest.approx(4 / math.pi / root, rel=1e-12)
    assert at.square_slope == pytest.approx(4 / math.pi / (1 + 2 * q) / root, rel=1e-10)
    for slope, name in ((0.0, "relu"), (0.2, "leaky-relu"), (1.0, "linear")):
        at = _Moments(name, (0.0,)).of(q)
        half = (1 + slope**2) / 2
        assert (at.square, at.derivative_square, at.square_slope) == pytest.approx((half * q, half, half), rel=1e-13)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_expectations_are_those_of_a_plain_sum(name):
    assert NUMPY.keys() == ACTIVATIONS.keys()
    z, dz = np.linspace(-9, 9, 36001, retstep=True)  # 0 is a point of it: the trapezoid rule is right there
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * dz
    for q in (0.5, 4.0):
        at = _Moments(name, (0.0,)).of(q)
        middle = (z[1:] + z[:-1]) / 2
        slopes = np.diff(NUMPY[name](math.sqrt(q) * z)) / (math.sqrt(q) * dz)
        weights = np.exp(-(middle**2) / 2) / math.sqrt(2 * math.pi) * dz
        assert at.square == pytest.approx(density @ NUMPY[name](math.sqrt(q) * z) ** 2, rel=1e-6)
        assert at.derivative_square == pytest.approx(weights @ slopes**2, rel=1e-6)
        up, down = (density @ NUMPY[name](math.sqrt(q * s) * z) ** 2 for s in (1.001, 0.999))
        assert at.square_slope == pytest.approx((up - down) / (0.002 * q), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "weight_std", "bias_std"),
    [
        ("tanh", 1.5, 0.3),
        ("tanh", 0.8, 0.1),
        ("relu", 1.2, 0.5),
        ("selu", 1.0, 0.0),
        ("selu", 1.1, 0.2),
        ("gelu", 1.2, 0.6),
    ],
)
def test_the_variance_is_where_the_recursion_ends(name, weight_std, bias_std):
    z, dz = np.linspace(-9, 9, 3601, retstep=True)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * dz
    q = 1.0
    for _ in range(400):
        q = weight_std**2 * density @ NUMPY[name](math.sqrt(q) * z) ** 2 + bias_std**2
    assert mean_field(name, weight_std, bias_std).variance == pytest.approx(q, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "weight_std", "bias_std"),
    [("tanh", 1.5, 0.3), ("relu", 1.3, 0.4), ("leaky-relu", 1.2, 0.4), ("selu", 1.0, 0.1), ("gelu", 1.3, 0.5)],
)
@pytest.mark.parametrize("sparsity", [0.0, 0.5])
def test_a_wide_random_network_does_what_is_said_of_it(name, weight_std, bias_std, sparsity):
    settled = mean_field(name, weight_std, bias_std, sparsity=sparsity)
    random = np.random.default_rng(0)
    width, depth, last = 800, 20, 6
    assert settled.slope ** (depth - last) < 0.1  # by then it has settled
    variances, factors = [], []
    for _ in range(3):
        x, direction = random.normal(size=(2, width, 1))
        for layer in range(depth):
            weights = random.normal(size=(width, width)) * weight_std / math.sqrt(width)
            weights *= random.random((width, width)) >= sparsity
            h = weights @ x + random.normal(size=(width, 1)) * bias_std
            x = NUMPY[name](h)
            slopes = (NUMPY[name](h + 1e-6) - NUMPY[name](h - 1e-6)) / 2e-6
            moved = slopes * (weights @ direction)
            if layer >= depth - last:
                variances.append((h**2).mean())
                factors.append((moved**2).sum() / (direction**2).sum())
            direction = moved
    # h² of 18 layers of 800 units each, two or three of which in a row are alike: 18·800/3 of them, five deviations
    assert np.mean(variances) == pytest.approx(settled.variance, rel=5 * math.sqrt(2 * 3 / (18 * 800)))
    assert np.mean(factors) == pytest.approx(settled.chi, rel=5 * math.sqrt(2 * 3 / (18 * 800)))


def test_the_known_critical_points():
    tanh = mean_field("tanh", 1.0)
    assert tanh.variance == 0.0
    assert (tanh.chi, tanh.phase, tanh.depth_scale) == (pytest.approx(1, abs=1e-12), "critical", math.inf)
    relu = mean_field("relu", math.sqrt(2))
    assert (relu.variance, relu.chi, relu.slope) == pytest.approx((1, 1, 1), abs=1e-12)
    assert mean_field("linear", 1.0).phase == "critical"
    # σ_b² = 0.05, σ_w² = 1.76 of Schoenholz et al. (2017) and Xiao et al. (2018)
    assert critical_gain("tanh", math.sqrt(0.05)) ** 2 == pytest.approx(1.76, abs=0.005)
    # SELU has the fixed point 1 at σ_w = 1 by construction, with E[φ'²] = 1.0716 there (Klambauer et al. 2017)
    selu = mean_field("selu", 1.0)
    assert (selu.variance, selu.chi) == pytest.approx((1, 1.0716), abs=5e-5)


def test_the_half_stable_point_of_swish():
    # C_b, C_W and K* of Roberts, Yaida, Hanin (2022), section 5.3.4, where χ and the slope are both 1
    weight, bias, variance = 1.98800468, 0.55514317, 14.32017362
    at = _Moments(F.silu, (0.0,)).of(variance)
    assert weight * at.square + bias == pytest.approx(variance, rel=1e-8)
    assert (weight * at.derivative_square, weight * at.square_slope) == pytest.approx((1, 1), abs=1e-8)


@pytest.mark.parametrize(
    ("name", "weight_std", "bias_std"), [("linear", 1.0, 0.1), ("relu", 1.5, 0.0), ("gelu", 2.0, 0.1)]
)
def test_without_a_fixed_point_the_variance_is_infinite(name, weight_std, bias_std):
    assert mean_field(name, weight_std, bias_std).variance == math.inf


@pytest.mark.parametrize(("name", "weight_std"), [("tanh", 0.5), ("relu", 1.0), ("gelu", 1.3), ("linear", 0.9)])
def test_signals_that_die_out_have_the_slope_at_zero(name, weight_std):
    settled = mean_field(name, weight_std)
    at_zero = {"tanh": 1.0, "relu": 0.5, "gelu": 0.25, "linear": 1.0}[name]
    assert settled.variance == 0.0
    assert (settled.chi, settled.slope) == pytest.approx((weight_std**2 * at_zero,) * 2, rel=1e-6)
    assert settled.phase == "ordered"


def test_depth_scales():
    settled = mean_field("tanh", 1.5, 0.3)
    assert settled.depth_scale == pytest.approx(1 / abs(math.log(settled.chi)))
    assert settled.variance_depth_scale == pytest.approx(-1 / math.log(settled.slope))
    assert settled.phase == "chaotic"


@pytest.mark.parametrize("bias_std", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("name", ["tanh", "selu"])
def test_the_critical_gain_is_critical_at_any_sparsity(name, bias_std):
    dense = critical_gain(name, bias_std)
    for sparsity in (0.0, 0.9):
        gain = critical_gain(name, bias_std, sparsity=sparsity)
        assert gain == pytest.approx(dense / math.sqrt(1 - sparsity), rel=1e-12)
        assert mean_field(name, gain, bias_std, sparsity=sparsity).chi == pytest.approx(1, abs=1e-9)


def test_closed_forms_of_the_critical_gain():
    assert critical_gain("linear") == pytest.approx(1, rel=1e-12)
    assert critical_gain("relu") == pytest.approx(math.sqrt(2), rel=1e-12)
    assert critical_gain("leaky-relu") == pytest.approx(math.sqrt(2 / 1.04), rel=1e-12)
    assert critical_gain(lambda h: F.leaky_relu(h, 0.5)) == pytest.approx(math.sqrt(2 / 1.25), rel=1e-12)
    assert critical_gain(torch.erf) == pytest.approx(math.sqrt(math.pi) / 2, rel=1e-12)  # erf'(0) = 2/√π


@pytest.mark.parametrize(("name", "bias_std"), [("relu", 0.1), ("linear", 0.1), ("gelu", 0.0)])
def test_where_nothing_is_critical_it_says_so(name, bias_std):
    with pytest.raises(ArgumentError, match=f"no weight_std makes χ₁ = 1 for {name} with bias_std={bias_std}"):
        critical_gain(name, bias_std)


def test_kinks_are_named_or_missed():
    # hard tanh: E[φ²] = ∫_{-1}^{1} + P(|h| > 1), E[φ'²] = P(|h| < 1), by the error function
    settled = mean_field(F.hardtanh, 1.5, 0.2, kinks=[-1, 1])
    q = settled.variance
    inside = math.erf(1 / math.sqrt(2 * q))
    square = q * inside - 2 * math.sqrt(q / (2 * math.pi)) * math.exp(-1 / (2 * q)) + 1 - inside
    assert settled.chi == pytest.approx(2.25 * inside, rel=1e-12)
    assert 2.25 * square + 0.04 == pytest.approx(q, rel=1e-12)
    with pytest.raises(ArgumentError, match=r"near -1\.51: name every kink"):
        mean_field(F.hardtanh, 1.5, 0.2)
    with pytest.raises(ArgumentError, match="name every kink"):
        mean_field(F.relu6, 1.0)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (torch.sign, "a function that jumps has no mean-field gradient"),
        (lambda h: (h > 0) * (h + 1), "a function that jumps"),
        (lambda h: h.detach(), "requires_grad=False"),
        (lambda h: h.sum(), r"it gave \[\] for"),
        (lambda h: 3.0, "for a tensor it gave a float"),
        (lambda h: None, "for a tensor it gave a NoneType"),
        (3, "a name or an elementwise function: got 3"),
        (torch.sqrt, "not finite"),
        (lambda h: h**9, None),
        (lambda h: h**20, "too steep: at variance .* is beyond float64"),
        (torch.sinh, "too steep: at variance"),
        (lambda h: 1e200 * h, "too steep: at variance 1 its mean square"),
        (torch.exp, None),
    ],
)
def test_functions_that_will_not_do(function, said):
    if said is None:
        assert 0 < mean_field(function, 0.3).chi < math.inf
        return
    with pytest.raises(ArgumentError, match=said):
        mean_field(function, 1.0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"weight_std": 0.0}, "weight_std is positive"),
        ({"weight_std": math.nan}, "weight_std is positive"),
        ({"weight_std": 1.0, "bias_std": -0.1}, "bias_std not negative"),
        ({"weight_std": 1e200}, "their squares are finite: got 1e.200"),
        ({"weight_std": 1.0, "bias_std": 1e200}, "their squares are finite"),
        ({"weight_std": "x"}, "weight_std is a number: got 'x'"),
        ({"weight_std": None}, "weight_std is a number: got None"),
        ({"weight_std": 1.0, "bias_std": "x"}, "bias_std is a number: got 'x'"),
        ({"weight_std": 1.0, "sparsity": "x"}, "sparsity is a number: got 'x'"),
        ({"weight_std": 1.0, "sparsity": 1.0}, r"sparsity is the fraction removed, in \[0, 1\)"),
    ],
)
def test_arguments_out_of_range(arguments, said):
    with pytest.raises(ArgumentError, match=said):
        mean_field("tanh", **arguments)


def test_the_numbers_of_numpy_are_numbers():
    assert mean_field("tanh", np.float32(1.5), np.float64(0.25)) == mean_field("tanh", 1.5, 0.25)


def test_the_closed_form_holds_as_far_as_float64_reaches():
    # E[sinh(√q z)²] = (e^2q - 1)/2 and E[cosh(√q z)²] = (e^2q + 1)/2
    at = _Moments(torch.sinh, (0.0,)).of(4.0)
    assert (at.square, at.derivative_square) == pytest.approx(((math.exp(8) - 1) / 2, (math.exp(8) + 1) / 2), rel=1e-9)


def test_names_and_sparsity_of_the_gain_are_checked():
    with pytest.raises(ArgumentError, match="bias_std is a number: got 'x'"):
        critical_gain("tanh", "x")
    with pytest.raises(ArgumentError, match=r"bias_std not negative.*got 1\.0 and -1\.0"):
        critical_gain("tanh", -1.0)
    with pytest.raises(UnknownNameError, match="did you mean 'tanh'"):
        mean_field("tahn", 1.0)
    with pytest.raises(ArgumentError, match="sparsity is the fraction removed"):
        critical_gain("tanh", sparsity=-0.1)
