"""Squared norms of single examples' gradients against autograd, one example at a time, in float64."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thresher.core.errors import ArgumentError
from thresher.ops import Topology, conv2d_example_norms, linear_example_norms

BATCHES = [0, 1, 3, 7, 16, 33, 127, 129]


def drawn(seed, dtype, *sizes):
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(*size, generator=draw, dtype=torch.float64).to(dtype) for size in sizes]


def by_autograd(layer, keep, x, gradient):
    """Σ over kept weights of each example's squared gradient of `layer(x, weight)`, whose weight has keep's shape."""
    norms = []
    for one, g in zip(x.double(), gradient.double(), strict=True):
        weight = torch.zeros(keep.shape, dtype=torch.float64, requires_grad=True)
        (by_weight,) = torch.autograd.grad(layer(one[None], weight), weight, g[None])
        norms.append(by_weight[keep].square().sum().item())
    return torch.tensor(norms, dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(
    n=st.sampled_from(BATCHES),
    middle=st.sampled_from([(), (), (3,), (2, 4)]),
    columns=st.integers(0, 12),
    rows=st.integers(0, 12),
    density=st.sampled_from([0.0, 0.2, 1.0]),
    seed=st.integers(0, 9),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_linear_layer(engine, dtype, n, middle, columns, rows, density, seed):
    keep = torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed)) < density
    x, gradient = drawn(seed, dtype, (n, *middle, columns), (n, *middle, rows))
    found = linear_example_norms(x, gradient, Topology.of(keep))
    assert found.dtype is dtype
    assert not found.requires_grad
    expected = by_autograd(F.linear, keep, x, gradient)
    # the terms are squares, so nothing cancels but within the sum over the middle
    size = by_autograd(F.linear, keep, x.abs(), gradient.abs())
    bound = (4e-6 if dtype is torch.float32 else 1e-14) * math.sqrt(max(keep.numel(), 1))
    assert ((found.double() - expected).abs() <= bound * size).all()


@st.composite
def geometries(draw):
    pair = lambda of: draw(st.tuples(of, of))  # noqa: E731
    kernel, dilation, padding = pair(st.integers(1, 3)), pair(st.integers(1, 2)), pair(st.integers(0, 3))
    image = tuple(
        max(d * (k - 1) + 1 - 2 * p, 1) + draw(st.integers(0, 5))
        for k, d, p in zip(kernel, dilation, padding, strict=True)
    )
    return kernel, image, (pair(st.integers(1, 3)), padding, dilation, draw(st.sampled_from([1, 1, 2])))


def compare_convolution(n, channels, kernel, image, geometry, density, seed, dtype):
    ins, outs = channels
    groups = geometry[-1]
    keep = torch.rand(outs * groups, ins, *kernel, generator=torch.Generator().manual_seed(seed)) < density
    like = F.conv2d(torch.empty(1, ins * groups, *image), torch.empty(keep.shape), None, *geometry)
    x, gradient = drawn(seed, dtype, (n, ins * groups, *image), (n, *like.shape[1:]))
    topology = Topology.of(keep.flatten(1))
    found = conv2d_example_norms(x, gradient, topology, kernel, *geometry)
    assert found.dtype is dtype
    layer = lambda one, weight: F.conv2d(one, weight, None, *geometry)  # noqa: E731
    expected, size = by_autograd(layer, keep, x, gradient), by_autograd(layer, keep, x.abs(), gradient.abs())
    bound = (4e-6 if dtype is torch.float32 else 1e-14) * math.sqrt(max(keep.numel(), 1))
    assert ((found.double() - expected).abs() <= bound * size).all()
    innermost = [t.movedim(0, -1).contiguous().movedim(-1, 0) for t in (x, gradient)]
    torch.testing.assert_close(conv2d_example_norms(*innermost, topology, kernel, *geometry), found)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(
    n=st.sampled_from(BATCHES),
    channels=st.tuples(st.integers(1, 3), st.integers(1, 4)),
    drawn_geometry=geometries(),
    density=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 9),
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_convolution(engine, dtype, n, channels, drawn_geometry, density, seed):
    compare_convolution(n, channels, *drawn_geometry, density, seed, dtype)


@pytest.mark.parametrize("n", [3, 17])
def test_a_convolution_in_tiles(engine, n):
    """Large enough that the sums of a weight are put aside between tiles, of rows that do not divide the image."""
    geometry = ((2, 1), (1, 1), (1, 1), 1)
    compare_convolution(n, (40, 24), (3, 3), (47, 20), geometry, 0.05, 0, torch.float64)


def test_only_kept_connections_are_met(engine):
    keep = torch.tensor([[True, False], [False, True]])
    x = torch.tensor([[1.0, math.inf], [2.0, 3.0]])
    gradient = torch.tensor([[5.0, 0.5], [math.nan, 1.0]])
    found = linear_example_norms(x, gradient, Topology.of(keep))
    assert found[0].isinf()
    assert found[1].isnan()
    only_first = Topology.of(torch.tensor([[True, False], [False, False]]))
    assert linear_example_norms(x, gradient, only_first)[0] == 25.0
    image = x[:, :, None, None]
    assert conv2d_example_norms(image, gradient[:, :, None, None], only_first, (1, 1))[0] == 25.0


def test_results_are_the_same_bit_for_bit_for_every_number_of_threads(engine):
    if engine == "reference":
        pytest.skip("torch's own products sum in another order with more threads")
    flat = Topology.of(torch.rand(90, 80, generator=torch.Generator().manual_seed(0)) < 0.5)
    taps = Topology.of(torch.rand(12, 72, generator=torch.Generator().manual_seed(0)) < 0.5)
    x, g, image, maps = drawn(0, torch.float32, (129, 80), (129, 90), (129, 8, 9, 9), (129, 12, 7, 7))
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 1):
            torch.set_num_threads(threads)
            found.append((linear_example_norms(x, g, flat), conv2d_example_norms(image, maps, taps, (3, 3))))
    finally:
        torch.set_num_threads(before)
    for others in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], others, strict=True))


@pytest.mark.parametrize(
    ("x", "gradient"), [((4, 5), (4, 7)), ((4, 6), (3, 7)), ((4, 6), (4, 2, 7)), ((4, 2, 6), (4, 3, 7)), ((6,), (7,))]
)
def test_linear_shapes_that_do_not_fit_are_named(x, gradient):
    with pytest.raises(ArgumentError, match=r"x is \[N, ..., 6\] and the gradient \[N, ..., 7\]"):
        linear_example_norms(torch.zeros(x), torch.zeros(gradient), Topology.of(torch.ones(7, 6) > 0))


@pytest.mark.parametrize(
    ("x", "gradient", "said"),
    [
        ((4, 3, 5, 5), (4, 2, 3, 3), "\\[N, 2, H, W\\], got \\[4, 3, 5, 5\\]"),
        ((4, 2, 5), (4, 2, 3, 3), "got \\[4, 2, 5\\]"),
        ((4, 2, 5, 5), (4, 2, 3, 4), "is \\[4, 2, 3, 3\\], got \\[4, 2, 3, 4\\]"),
        ((4, 2, 5, 5), (3, 2, 3, 3), "got \\[3, 2, 3, 3\\]"),
        ((4, 2, 2, 5), (4, 2, 0, 3), "is \\[4, 2, 0, 3\\]"),
    ],
)
def test_shapes_of_a_convolution_that_do_not_fit_are_named(x, gradient, said):
    with pytest.raises(ArgumentError, match=said):
        conv2d_example_norms(torch.zeros(x), torch.zeros(gradient), Topology.of(torch.ones(2, 18) > 0), (3, 3))


def test_dtypes_that_do_not_fit_are_named():
    with pytest.raises(ArgumentError, match=r"torch.float64, the layer torch.float32"):
        linear_example_norms(torch.zeros(2, 1).double(), torch.zeros(2, 1), Topology.of(torch.ones(1, 1) > 0))
