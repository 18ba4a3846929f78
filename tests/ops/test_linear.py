"""The sparse linear layer against the masked dense one in float64."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thresher.core.errors import ArgumentError
from thresher.ops import Topology, is_batch_innermost, linear

BATCHES = [0, 1, 7, 16, 64, 127, 128, 129, 300]


class Problem:
    """Drawn leaves of the operation, and what the dense layer makes of the same numbers in float64."""

    def __init__(self, n, columns, rows, density, dtype=torch.float64, bias=True, seed=0):
        draw = torch.Generator().manual_seed(seed)

        def normal(*size):
            return torch.randn(*size, generator=draw, dtype=torch.float64).to(dtype)

        self.keep = torch.rand(rows, columns, generator=draw) < density
        self.keep[rows // 2 :: 3] = False
        self.topology = Topology.of(self.keep)
        self.x = normal(n, columns).requires_grad_()
        self.values = normal(int(self.keep.sum())).requires_grad_()
        self.bias = normal(rows).requires_grad_() if bias else None
        self.gradient = normal(n, rows)

    def leaves(self):
        return [leaf for leaf in (self.x, self.values, self.bias) if leaf is not None]

    def result(self):
        return linear(self.x, self.values, self.bias, self.topology)

    def expected(self, of=lambda t: t):
        """Result, and gradients of the leaves, in closed form, with `of` every number in place of itself."""
        x, values, g = (of(t.detach().double()) for t in (self.x, self.values, self.gradient))
        s = torch.zeros(self.keep.shape, dtype=torch.float64).masked_scatter(self.keep, values)
        y = x @ s.t() + (0 if self.bias is None else of(self.bias.detach().double()))
        return [y, g @ s, (g.t() @ x)[self.keep], g.sum(0)][: 1 + len(self.leaves())]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(
    n=st.sampled_from(BATCHES),
    columns=st.integers(0, 20),
    rows=st.integers(0, 20),
    density=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    bias=st.booleans(),
    seed=st.integers(0, 9),
)
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_result_and_gradients_are_those_of_the_masked_dense_layer(engine, dtype, n, columns, rows, density, bias, seed):
    problem = Problem(n, columns, rows, density, dtype, bias, seed)
    y = problem.result()
    assert is_batch_innermost(y)
    y.backward(problem.gradient)
    found = [y.detach(), *(leaf.grad for leaf in problem.leaves())]
    bound = 1e-6 if dtype is torch.float32 else 2e-15
    terms = [columns, rows, n, n]
    for came, right, size, num in zip(found, problem.expected(), problem.expected(torch.abs), terms, strict=False):
        assert came.shape == right.shape
        assert came.dtype is dtype
        assert ((came.double() - right).abs() <= bound * math.sqrt(num + 1) * size).all()


@pytest.mark.parametrize("n", [1, 3, 40])
def test_inference_gives_the_result_of_training(engine, n):
    problem = Problem(n, 40, 30, 0.4, torch.float32)
    with torch.inference_mode():
        y = problem.result()
    assert not y.requires_grad
    assert is_batch_innermost(y)
    assert torch.equal(y, problem.result())


@pytest.mark.parametrize("n", [1, 7, 16, 40])
@pytest.mark.parametrize("wanted", range(1, 8))
def test_only_the_gradients_asked_for_are_made(engine, n, wanted):
    problem = Problem(n, 9, 11, 0.4)
    for i, leaf in enumerate(problem.leaves()):
        leaf.requires_grad_(bool(wanted >> i & 1))
    problem.result().backward(problem.gradient)
    for leaf, expected in zip(problem.leaves(), problem.expected()[1:], strict=True):
        if leaf.requires_grad:
            torch.testing.assert_close(leaf.grad, expected, rtol=1e-13, atol=1e-13)
        else:
            assert leaf.grad is None


@pytest.mark.parametrize("n", [1, 2, 9])
def test_first_and_second_derivatives(engine, n):
    problem = Problem(n, 3, 4, 0.6)
    operation = lambda *leaves: linear(*leaves, problem.topology)  # noqa: E731
    assert torch.autograd.gradcheck(operation, problem.leaves())
    assert torch.autograd.gradgradcheck(operation, problem.leaves())


@pytest.mark.parametrize("x_strides", ["contiguous", "innermost", "expanded examples", "expanded features", "gaps"])
@pytest.mark.parametrize("gradient", ["expanded", "contiguous", "gaps"])
def test_any_strides_are_read(engine, x_strides, gradient):
    problem = Problem(33, 6, 5, 0.5)
    x = {
        "contiguous": lambda x: x.contiguous(),
        "innermost": lambda x: x.t().contiguous().t(),
        "expanded examples": lambda x: x[:1].expand(33, -1),
        "expanded features": lambda x: x[:, :1].expand(-1, 6),
        "gaps": lambda x: x.repeat_interleave(2, 1)[:, ::2],
    }[x_strides](problem.x.detach())
    problem.x = x.requires_grad_()
    y = problem.result()
    if gradient == "expanded":
        problem.gradient = torch.ones(33, 5, dtype=torch.float64)
        y.sum().backward()
    else:
        g = problem.gradient
        y.backward(g.contiguous() if gradient == "contiguous" else g.repeat_interleave(2, 0)[::2])
    for came, right in zip([y, *(leaf.grad for leaf in problem.leaves())], problem.expected(), strict=True):
        torch.testing.assert_close(came.detach(), right, rtol=1e-13, atol=1e-13)


def test_weights_with_gaps_are_read_where_they_lie(engine):
    problem = Problem(7, 40, 50, 0.5)
    values = torch.stack([problem.values.detach(), torch.full_like(problem.values, math.nan)], 1)[:, 0].requires_grad_()
    bias = torch.stack([problem.bias.detach(), torch.full_like(problem.bias, math.nan)], 1)[:, 0].requires_grad_()
    assert not values.is_contiguous()
    y = linear(problem.x, values, bias, problem.topology)
    y.backward(problem.gradient)
    for came, right in zip([y, problem.x.grad, values.grad, bias.grad], problem.expected(), strict=True):
        torch.testing.assert_close(came.detach(), right, rtol=1e-12, atol=1e-12)
    one_for_all = problem.bias.detach()[:1].expand(50)
    assert torch.equal(
        linear(problem.x, values, one_for_all, problem.topology),
        linear(problem.x, values, one_for_all.contiguous(), problem.topology),
    )


@pytest.mark.parametrize("leading", [(), (3,), (2, 3), (2, 0), (0, 3), (1, 1, 5)])
@pytest.mark.parametrize("columns", [4, 0])
def test_leading_dimensions_are_as_in_the_dense_layer(engine, leading, columns):
    problem = Problem(1, columns, 5, 0.5)
    x = torch.randn(*leading, columns, dtype=torch.float64)
    weight = torch.zeros(5, columns, dtype=torch.float64).masked_scatter(problem.keep, problem.values.detach())
    expected = F.linear(x, weight, problem.bias)
    torch.testing.assert_close(linear(x, problem.values, problem.bias, problem.topology), expected)


@pytest.mark.parametrize("special", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("n", [1, 16, 129])
def test_what_is_not_finite_goes_along_kept_connections_only(engine, special, n):
    problem = Problem(n, 7, 9, 0.4, torch.float32)
    problem.x.data[n // 2, 3] = special
    problem.gradient[n - 1, 2] = special
    y = problem.result()
    y.backward(problem.gradient)
    rows, columns = problem.keep.nonzero(as_tuple=True)
    hit = torch.zeros(n, 9, dtype=torch.bool)
    hit[n // 2, problem.keep[:, 3]] = True
    assert torch.equal(~y.isfinite(), hit)
    hit = torch.zeros(n, 7, dtype=torch.bool)
    hit[n - 1, problem.keep[2]] = True
    assert torch.equal(~problem.x.grad.isfinite(), hit)
    assert torch.equal(~problem.values.grad.isfinite(), (rows == 2) | (columns == 3))
    assert torch.equal(~problem.bias.grad.isfinite(), torch.arange(9) == 2)


def test_zeros_keep_their_meaning(engine):
    """A kept zero weight meets an infinity, a removed one does not; a row without connections is its bias."""
    topology = Topology.of(torch.tensor([[True, False], [False, True], [False, False]]))
    x = torch.tensor([[-0.0, math.inf]])
    y = linear(x, torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0, -2.0]), topology)
    assert y[0, 0] == 0.0
    assert y[0, 1].isnan()
    assert y[0, 2] == -2.0
    assert linear(x, torch.tensor([1.0, 0.0]), None, topology)[0, 2].signbit().item() is False


def test_results_are_the_same_bit_for_bit_for_every_number_of_threads(engine):
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 1):
            torch.set_num_threads(threads)
            problem = Problem(129, 80, 90, 0.5, torch.float32)
            y = problem.result()
            y.backward(problem.gradient)
            found.append([y.detach(), *(leaf.grad for leaf in problem.leaves())])
    finally:
        torch.set_num_threads(before)
    for others in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], others, strict=True))


def test_under_autocast_the_layer_stays_in_its_own_dtype():
    problem = Problem(8, 6, 5, 0.5, torch.float32)
    x = problem.x.detach().bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = linear(x, problem.values, problem.bias, problem.topology)
    assert y.dtype is torch.float32
    problem.x = x.float().detach()
    torch.testing.assert_close(y.detach().double(), problem.expected()[0], rtol=1e-5, atol=1e-5)
    y.backward(problem.gradient)
    assert x.grad.dtype is torch.bfloat16
    assert problem.values.grad.dtype is torch.float32


@pytest.mark.parametrize("changed", ["x", "values"])
def test_a_change_in_place_before_backward_is_noticed(changed):
    problem = Problem(8, 6, 5, 0.5)
    x = problem.x.detach().t().contiguous().t().requires_grad_()  # innermost: saved without a copy
    y = linear(x, problem.values, problem.bias, problem.topology)
    with torch.no_grad():
        {"x": x, "values": problem.values}[changed].mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda p: linear(p.x[:, 1:], p.values, p.bias, p.topology), "input is \\[..., 6\\], got \\[8, 5\\]"),
        (lambda p: linear(p.x[0, 0], p.values, p.bias, p.topology), "got \\[\\]"),
        (lambda p: linear(p.x, p.values[1:], p.bias, p.topology), "values"),
        (lambda p: linear(p.x, p.values[None], p.bias, p.topology), "values"),
        (lambda p: linear(p.x, p.values, p.bias[1:], p.topology), "bias"),
        (lambda p: linear(p.x, p.values, p.bias[:, None], p.topology), "bias"),
        (lambda p: linear(p.x, p.values, p.bias.float(), p.topology), "bias"),
        (lambda p: linear(p.x, p.values, p.bias.to("meta"), p.topology), "bias"),
        (lambda p: linear(p.x.float(), p.values, p.bias, p.topology), "torch.float32, the layer torch.float64"),
        (lambda p: linear(p.x.long(), p.values, p.bias, p.topology), "torch.int64, the layer torch.float64"),
        (lambda p: linear(p.x.half(), p.values.half(), None, p.topology), "float32 or float64: got torch.float16"),
        (lambda p: linear(p.x.cfloat(), p.values.cfloat(), None, p.topology), "got torch.complex64"),
        (lambda p: linear(p.x.to("meta"), p.values, p.bias, p.topology), "runs on the CPU: got an input on meta"),
        (lambda p: linear(p.x, p.values.to("meta"), p.bias, p.topology), "weights on meta"),
    ],
)
def test_arguments_that_do_not_fit_are_named(call, said):
    with pytest.raises(ArgumentError, match=said):
        call(Problem(8, 6, 5, 0.5))
