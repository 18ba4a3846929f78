"""The sparse convolution against torch's masked dense one in float64."""

import math
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thresher.core.errors import ArgumentError
from thresher.ops import Topology, conv2d, is_batch_innermost

BATCHES = [0, 1, 3, 7, 16, 127, 129]


class Problem:
    """Drawn leaves of the operation, and what the dense convolution makes of the same numbers in float64."""

    def __init__(
        self, n=2, channels=(2, 3), image=(5, 5), kernel=(3, 3), stride=(1, 1), padding=(0, 0), dilation=(1, 1),
        groups=1, density=0.5, dtype=torch.float64, bias=True, seed=0,
    ):  # fmt: skip
        draw = torch.Generator().manual_seed(seed)

        def normal(*size):
            return torch.randn(*size, generator=draw, dtype=torch.float64).to(dtype)

        ins, outs = channels  # per group
        self.keep = torch.rand(outs * groups, ins, *kernel, generator=draw) < density
        self.topology = Topology.of(self.keep.flatten(1))
        self.geometry = (stride, padding, dilation, groups)
        self.kernel = kernel
        self.x = normal(n, ins * groups, *image).requires_grad_()
        self.values = normal(int(self.keep.sum())).requires_grad_()
        self.bias = normal(outs * groups).requires_grad_() if bias else None
        sides = [
            (size + 2 * p - d * (k - 1) - 1) // s + 1
            for size, k, s, p, d in zip(image, kernel, stride, padding, dilation, strict=True)
        ]
        self.gradient = normal(n, outs * groups, *sides)

    def leaves(self):
        return [leaf for leaf in (self.x, self.values, self.bias) if leaf is not None]

    def result(self):
        return conv2d(self.x, self.values, self.bias, self.topology, self.kernel, *self.geometry)

    def expected(self, of=lambda t: t):
        """Result and gradients of the leaves by autograd, with `of` every number in place of itself."""
        x, values = (of(t.detach().double()).requires_grad_() for t in (self.x, self.values))
        bias = None if self.bias is None else of(self.bias.detach().double()).requires_grad_()
        weight = torch.zeros(self.keep.shape, dtype=torch.float64).masked_scatter(self.keep, values)
        y = F.conv2d(x, weight, bias, *self.geometry)
        y.backward(of(self.gradient.double()))
        return [y.detach(), x.grad, values.grad, *([] if bias is None else [bias.grad])]

    def terms(self):
        """How many products each of `expected` sums, at most."""
        n, _, height, width = self.gradient.shape
        return [self.keep[0].numel(), self.keep.numel(), n * height * width, n * height * width]

    def compare(self, bound):
        y = self.result()
        assert is_batch_innermost(y)
        y.backward(self.gradient)
        found = [y.detach(), *(leaf.grad for leaf in self.leaves())]
        for came, right, size, num in zip(found, self.expected(), self.expected(torch.abs), self.terms(), strict=False):
            assert came.shape == right.shape
            assert came.dtype is self.x.dtype
            assert ((came.double() - right).abs() <= bound * math.sqrt(num + 1) * size).all()


@st.composite
def geometries(draw):
    small, pair = st.integers(1, 3), lambda of: st.tuples(of, of)
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    kernel, stride, dilation = draw(pair(st.integers(1, 4))), draw(pair(small)), draw(pair(small))
    padding = draw(pair(st.integers(0, 5)))
    # at least as large as the kernel needs with its padding, so often smaller than the kernel
    image = tuple(
        max(d * (k - 1) + 1 - 2 * p, 1) + draw(st.integers(0, 6))
        for k, d, p in zip(kernel, dilation, padding, strict=True)
    )
    channels = (draw(st.integers(1, 4)), draw(st.integers(1, 5)))
    return {
        "channels": channels, "image": image, "kernel": kernel, "stride": stride, "padding": padding,
        "dilation": dilation, "groups": groups,
    }  # fmt: skip


CORNERS = [
    {"image": (1, 1), "kernel": (4, 3), "padding": (3, 2)},
    {"image": (2, 3), "kernel": (2, 2), "padding": (4, 4), "dilation": (5, 4)},
    {"image": (9, 8), "kernel": (1, 2), "stride": (3, 4)},
    {"image": (4, 5), "kernel": (1, 1)},
    {"image": (1, 33), "kernel": (1, 5), "padding": (0, 2)},
    {"image": (1, 40), "kernel": (1, 3), "stride": (1, 2), "dilation": (1, 3)},
    {"channels": (1, 1), "image": (6, 6), "kernel": (3, 3), "groups": 5, "padding": (1, 1)},
    {"channels": (1, 2), "image": (5, 7), "kernel": (3, 2), "groups": 4},
    {"image": (3, 3), "kernel": (3, 3), "padding": (5, 5), "stride": (2, 3)},
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(
    geometry=geometries(),
    n=st.sampled_from(BATCHES),
    density=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    bias=st.booleans(),
    seed=st.integers(0, 9),
)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_result_and_gradients_are_those_of_the_masked_dense_convolution(
    engine, dtype, geometry, n, density, bias, seed
):
    Problem(n, density=density, bias=bias, seed=seed, dtype=dtype, **geometry).compare(
        1e-6 if dtype is torch.float32 else 2e-15
    )


@pytest.mark.parametrize("geometry", CORNERS, ids=str)
@pytest.mark.parametrize("n", [1, 17])
def test_corner_cases(engine, geometry, n):
    Problem(n, density=0.7, **geometry).compare(2e-15)


@pytest.mark.parametrize(
    ("n", "channels", "image", "kernel", "stride", "density"),
    [
        (9, (40, 24), (18, 18), (3, 3), (1, 1), 0.1),  # wider than a cache: blocks of channels, tiles of positions
        (3, (3, 8), (70, 65), (5, 5), (2, 2), 0.3),
        (33, (96, 64), (4, 4), (3, 3), (1, 1), 0.05),
        (16, (64, 2), (34, 34), (3, 3), (2, 1), 1.0),
        (1, (9, 7), (60, 61), (3, 3), (1, 1), 0.3),  # lines of an image one after another, in stretches
        (2, (5, 9), (67, 50), (5, 2), (2, 3), 0.3),
        (3, (40, 33), (18, 18), (3, 3), (1, 1), 0.1),
    ],
)
def test_layers_that_are_worked_on_in_tiles(engine, n, channels, image, kernel, stride, density):
    Problem(n, channels, image, kernel, stride, (1, 1), density=density, dtype=torch.float32).compare(1e-6)


@pytest.mark.parametrize("n", [1, 3, 17])
def test_inference_gives_the_result_of_training(engine, n):
    problem = Problem(n, padding=(1, 1), dtype=torch.float32)
    with torch.inference_mode():
        y = problem.result()
    assert not y.requires_grad
    assert is_batch_innermost(y)
    assert torch.equal(y, problem.result())


@pytest.mark.parametrize("n", [1, 7, 16])
@pytest.mark.parametrize("wanted", range(1, 8))
def test_only_the_gradients_asked_for_are_made(engine, n, wanted):
    problem = Problem(n, padding=(1, 1))
    for i, leaf in enumerate(problem.leaves()):
        leaf.requires_grad_(bool(wanted >> i & 1))
    problem.result().backward(problem.gradient)
    for leaf, expected in zip(problem.leaves(), problem.expected()[1:], strict=True):
        if leaf.requires_grad:
            torch.testing.assert_close(leaf.grad, expected, rtol=1e-12, atol=1e-12)
        else:
            assert leaf.grad is None


@pytest.mark.parametrize("geometry", [CORNERS[0], CORNERS[2], CORNERS[7]], ids=str)
def test_gradients_are_the_derivatives(engine, geometry):
    problem = Problem(2, **geometry)
    operation = lambda *leaves: conv2d(*leaves, problem.topology, problem.kernel, *problem.geometry)  # noqa: E731
    assert torch.autograd.gradcheck(operation, problem.leaves())


def test_a_second_derivative_is_refused_not_wrong():
    problem = Problem()
    (by_x,) = torch.autograd.grad(problem.result().square().sum(), problem.x, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        by_x.sum().backward()


@pytest.mark.parametrize("strides", ["contiguous", "innermost", "channels last", "expanded", "gaps"])
@pytest.mark.parametrize("gradient", ["expanded", "contiguous", "channels last"])
def test_any_strides_are_read(engine, strides, gradient):
    problem = Problem(17, padding=(1, 1))
    x = problem.x.detach()
    problem.x = {
        "contiguous": x.contiguous(),
        "innermost": x.movedim(0, -1).contiguous().movedim(-1, 0),
        "channels last": x.contiguous(memory_format=torch.channels_last),
        "expanded": x[:1, :, :1].expand(x.shape),
        "gaps": x.repeat_interleave(2, 3)[..., ::2],
    }[strides].requires_grad_()
    y = problem.result()
    if gradient == "expanded":
        problem.gradient = torch.ones_like(problem.gradient)
        y.sum().backward()
    else:
        last = gradient == "channels last"
        y.backward(problem.gradient.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format))
    for came, right in zip([y, *(leaf.grad for leaf in problem.leaves())], problem.expected(), strict=True):
        torch.testing.assert_close(came.detach(), right, rtol=1e-12, atol=1e-12)


def test_weights_with_gaps_are_read_where_they_lie(engine):
    problem = Problem(7, (8, 40), padding=(1, 1))
    values, bias = (
        torch.stack([t.detach(), torch.full_like(t, math.nan)], 1)[:, 0].requires_grad_()
        for t in (problem.values, problem.bias)
    )
    y = conv2d(problem.x, values, bias, problem.topology, problem.kernel, *problem.geometry)
    y.backward(problem.gradient)
    for came, right in zip([y, problem.x.grad, values.grad, bias.grad], problem.expected(), strict=True):
        torch.testing.assert_close(came.detach(), right, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("special", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
@pytest.mark.parametrize("n", [1, 3, 17])
def test_what_is_not_finite_goes_along_kept_weights_only(engine, special, stride, n):
    """By loops over what each weight sees. The result: exactly there. The values' gradient: the whole weights of a
    filter or a channel at most, since what lies outside of an image is a zero that takes part."""
    problem = Problem(n, (3, 4), (7, 6), (3, 2), stride, density=0.3, dtype=torch.float32)
    problem.x.data[n // 3, 1, 2, 3] = special
    problem.gradient[n - 1, 2, 1, 1] = special
    y = problem.result()
    y.backward(problem.gradient)
    by_y, by_x = torch.zeros(y.shape, dtype=torch.bool), torch.zeros(problem.x.shape, dtype=torch.bool)
    surely = torch.zeros(problem.keep.shape, dtype=torch.bool)
    for (o, c, h, w), i, j in product(problem.keep.nonzero().tolist(), *(range(side) for side in y.shape[2:])):
        row, column = i * stride[0] + h, j * stride[1] + w
        if (c, row, column) == (1, 2, 3):
            by_y[n // 3, o, i, j] = surely[o, c, h, w] = True
        if (o, i, j) == (2, 1, 1):
            by_x[n - 1, c, row, column] = surely[o, c, h, w] = True
    assert torch.equal(~y.isfinite(), by_y)
    assert torch.equal(~problem.x.grad.isfinite(), by_x)
    found = torch.zeros(problem.keep.shape, dtype=torch.bool).masked_scatter(
        problem.keep, ~problem.values.grad.isfinite()
    )
    perhaps = torch.zeros_like(problem.keep)
    perhaps[:, 1], perhaps[2] = True, True
    assert (found & surely).equal(surely)
    assert not (found & ~perhaps).any()
    assert torch.equal(~problem.bias.grad.isfinite(), torch.arange(4) == 2)


@pytest.mark.parametrize("n", [1, 3, 33])
def test_results_are_the_same_bit_for_bit_for_every_number_of_threads(engine, n):
    if engine == "reference":
        pytest.skip("torch's own products sum in another order with more threads")
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 1):
            torch.set_num_threads(threads)
            problem = Problem(n, (16, 20), (12, 11), padding=(1, 1), dtype=torch.float32)
            y = problem.result()
            y.backward(problem.gradient)
            found.append([y.detach(), *(leaf.grad for leaf in problem.leaves())])
    finally:
        torch.set_num_threads(before)
    for others in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], others, strict=True))


def test_a_layer_without_filters(engine):
    problem = Problem(4, (3, 0), padding=(1, 1))
    y = problem.result()
    assert y.shape == (4, 0, 5, 5)
    y.sum().backward()
    assert torch.equal(problem.x.grad, torch.zeros_like(problem.x))


def test_a_layer_without_channels_is_refused(engine):
    with pytest.raises(ArgumentError, match="no channel"):
        Problem(4, (0, 3)).result()


def test_under_autocast_the_layer_stays_in_its_own_dtype():
    problem = Problem(4, dtype=torch.float32)
    problem.x = problem.x.detach().bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = problem.result()
    assert y.dtype is torch.float32
    torch.testing.assert_close(y.detach().double(), problem.expected()[0], rtol=1e-5, atol=1e-5)
    y.sum().backward()
    assert problem.x.grad.dtype is torch.bfloat16
    assert problem.values.grad.dtype is torch.float32


def test_a_change_in_place_before_backward_is_noticed():
    for changed in ("x", "values"):
        problem = Problem()
        x = problem.x.detach().movedim(0, -1).contiguous().movedim(-1, 0).requires_grad_()
        problem.x = x
        y = problem.result()
        with torch.no_grad():
            {"x": x, "values": problem.values}[changed].mul_(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"x": lambda x: x[0]}, "input is \\[N, C, H, W\\], got \\[2, 5, 5\\]"),
        ({"x": lambda x: x[:, 1:]}, "the input has 2 channels, got \\[2, 1, 5, 5\\]"),
        ({"x": lambda x: x[..., :2]}, "is smaller than the kernel"),
        ({"x": lambda x: x.float()}, "torch.float32, the layer torch.float64"),
        ({"x": lambda x: x.to("meta")}, "got an input on meta"),
        ({"values": lambda v: v[1:]}, "values"),
        ({"values": lambda v: v[None]}, "values"),
        ({"values": lambda v: v.to("meta")}, "weights on meta"),
        ({"bias": lambda b: b[1:]}, "bias"),
        ({"bias": lambda b: b[:, None]}, "bias"),
        ({"bias": lambda b: b.float()}, "bias"),
        ({"kernel_size": lambda _: (2, 2)}, "columns"),
        ({"kernel_size": lambda _: (0, 3)}, "1 or more"),
        ({"stride": lambda _: (0, 1)}, "1 or more"),
        ({"dilation": lambda _: (1, 0)}, "1 or more"),
        ({"padding": lambda _: (-1, 0)}, "0 or more"),
        ({"groups": lambda _: 0}, "1 or more"),
        ({"groups": lambda _: 2}, "the input has 4 channels"),
    ],
)
def test_arguments_that_do_not_fit_are_named(change, said):
    problem = Problem()
    names = ("stride", "padding", "dilation", "groups")
    arguments = {
        "x": problem.x, "values": problem.values, "bias": problem.bias, "topology": problem.topology,
        "kernel_size": problem.kernel, **dict(zip(names, problem.geometry, strict=True)),
    }  # fmt: skip
    for name, f in change.items():
        arguments[name] = f(arguments[name])
    with pytest.raises(ArgumentError, match=said):
        conv2d(**arguments)


def test_filters_that_groups_cannot_share_are_named():
    with pytest.raises(ArgumentError, match="3 filters cannot be shared among 2 groups"):
        conv2d(torch.zeros(1, 2, 3, 3), torch.zeros(3), None, Topology.of(torch.ones(3, 1) > 0), (1, 1), groups=2)
