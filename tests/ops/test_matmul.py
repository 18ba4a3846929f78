"""Products with a sparse matrix against dense ones in float64."""

import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thresher.core.errors import ArgumentError
from thresher.ops import Topology, sddmm, spmm, spmm_transposed

BATCHES = [0, 1, 3, 7, 16, 64, 127, 128, 129, 200]
SIZES = st.tuples(st.integers(0, 20), st.integers(0, 20), st.sampled_from(BATCHES))


def problem(sizes, density, seed, dtype=torch.float64):
    """(keep, topology, values, x, y): float64 twins of what the kernels get have the same numbers."""
    rows, columns, n = sizes
    draw = torch.Generator().manual_seed(seed)
    keep = torch.rand(rows, columns, generator=draw) < density
    keep[rows // 2 :: 3] = False  # whole rows too
    values, x, y = (
        torch.randn(*size, generator=draw, dtype=torch.float64).to(dtype)
        for size in [(int(keep.sum()),), (columns, n), (rows, n)]
    )
    return keep, Topology.of(keep), values, x, y


def dense(keep, values):
    return torch.zeros(keep.shape, dtype=torch.float64).masked_scatter(keep, values.double())


def close(found, expected, magnitude, terms):
    """Within the issue's 1e-6·√terms of the sum of the terms' sizes, in float32; 1e-14 in float64."""
    bound = (1e-6 if found.dtype == torch.float32 else 2e-15) * math.sqrt(max(terms, 1))
    return found.shape == expected.shape and bool(((found.double() - expected).abs() <= bound * magnitude).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(sizes=SIZES, density=st.sampled_from([0.0, 0.1, 0.5, 1.0]), seed=st.integers(0, 9))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_products_are_those_of_the_dense_matrix(engine, dtype, sizes, density, seed):
    keep, topology, values, x, y = problem(sizes, density, seed, dtype)
    s, x64, y64 = dense(keep, values), x.double(), y.double()
    assert close(spmm(values, topology, x), s @ x64, s.abs() @ x64.abs(), keep.shape[1])
    assert close(spmm_transposed(values, topology, y), s.t() @ y64, s.t().abs() @ y64.abs(), keep.shape[0])
    sampled, sizes_of = (y64 @ x64.t())[keep], (y64.abs() @ x64.abs().t())[keep]
    assert close(sddmm(y, x, topology), sampled, sizes_of, x.shape[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [1, 2, 4, 5, 13])
@pytest.mark.parametrize("kept", [1, 15, 16, 17, 64, 65, 100, 200])
def test_rows_of_any_length_meet_few_examples(engine, dtype, n, kept):
    """Entries by the vector and one by one, in the whole sums and in what is left of them."""
    keep, _, _, x, _ = problem((19, 200, n), 0.0, 6, dtype)
    draw = torch.Generator().manual_seed(kept)
    keep.scatter_(1, torch.rand(19, 200, generator=draw).argsort(1)[:, :kept], True)
    keep[7] = False
    topology, values = Topology.of(keep), torch.randn(int(keep.sum()), generator=draw, dtype=dtype)
    s, x64 = dense(keep, values), x.double()
    assert close(spmm(values, topology, x), s @ x64, s.abs() @ x64.abs(), kept)
    turned = s.t()[keep.t()].to(dtype)
    assert close(spmm_transposed(turned, Topology.of(keep.t()), x), s @ x64, s.abs() @ x64.abs(), kept)


@pytest.mark.parametrize("strides", ["transposed", "expanded", "gaps"])
def test_any_strides_are_read(engine, strides):
    keep, topology, values, x, _ = problem((6, 5, 9), 0.5, 0)
    values = values.repeat_interleave(2)[::2]
    if strides == "transposed":
        x = x.t().contiguous().t()
    elif strides == "expanded":
        x = x[:, :1].expand(-1, 9)
    else:
        x = x.repeat_interleave(2, 1)[:, ::2]
    torch.testing.assert_close(spmm(values, topology, x), dense(keep, values) @ x, rtol=1e-13, atol=1e-13)
    y = x.new_ones(1, 1).expand(6, 9)
    torch.testing.assert_close(sddmm(y, x, topology), (y @ x.t())[keep], rtol=1e-13, atol=1e-13)


def test_first_and_second_derivatives(engine):
    _, topology, values, x, y = problem((4, 3, 2), 0.6, 1)
    for leaf in (values, x, y):
        leaf.requires_grad_()
    for operation, leaves in [
        (lambda v, x: spmm(v, topology, x), (values, x)),
        (lambda v, y: spmm_transposed(v, topology, y), (values, y)),
        (lambda y, x: sddmm(y, x, topology), (y, x)),
    ]:
        assert torch.autograd.gradcheck(operation, leaves)
        assert torch.autograd.gradgradcheck(operation, leaves)


@pytest.mark.parametrize("wanted", ["values", "x"])
def test_only_the_gradient_asked_for_is_made(engine, wanted):
    keep, topology, values, x, y = problem((6, 5, 9), 0.5, 2)
    {"values": values, "x": x}[wanted].requires_grad_()
    spmm(values, topology, x).mul(y).sum().backward()
    expected = (y @ x.t())[keep] if wanted == "values" else dense(keep, values).t() @ y
    found = values.grad if wanted == "values" else x.grad
    torch.testing.assert_close(found, expected.detach(), rtol=1e-13, atol=1e-13)
    assert (x if wanted == "values" else values).grad is None


@pytest.mark.parametrize("special", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("n", [1, 16, 129])
def test_what_is_not_finite_goes_along_kept_entries_only(engine, special, n):
    keep, topology, values, x, y = problem((8, 7, n), 0.4, 3, torch.float32)
    x[2, n // 2], y[1, n - 1] = special, special
    hit = torch.zeros(8, n, dtype=torch.bool)
    hit[keep[:, 2], n // 2] = True
    assert torch.equal(~spmm(values, topology, x).isfinite(), hit)
    hit = torch.zeros(7, n, dtype=torch.bool)
    hit[keep[1], n - 1] = True
    assert torch.equal(~spmm_transposed(values, topology, y).isfinite(), hit)
    rows, columns = keep.nonzero(as_tuple=True)
    assert torch.equal(~sddmm(y, x, topology).isfinite(), (rows == 1) | (columns == 2))


@pytest.mark.parametrize("sizes", [(90, 80, 129), (300, 250, 1), (300, 250, 3)], ids=str)
def test_results_are_the_same_bit_for_bit_for_every_number_of_threads(engine, sizes):
    _, topology, values, x, y = problem(sizes, 0.5, 4, torch.float32)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 1):
            torch.set_num_threads(threads)
            found.append([spmm(values, topology, x), spmm_transposed(values, topology, y), sddmm(y, x, topology)])
    finally:
        torch.set_num_threads(before)
    for others in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], others, strict=True))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda t, v, x, y: spmm(v, t, y), "dense matrix is \\[5, n\\], got \\[6, 9\\]"),
        (lambda t, v, x, y: spmm(v, t, x[:, 0]), "got \\[5\\]"),
        (lambda t, v, x, y: spmm(v[1:], t, x), "entries are kept"),
        (lambda t, v, x, y: spmm(v[None], t, x), "entries are kept"),
        (lambda t, v, x, y: spmm(v.float(), t, x), "torch.float64, the layer torch.float32"),
        (lambda t, v, x, y: spmm(v.half(), t, x.half()), "float32 or float64: got torch.float16"),
        (lambda t, v, x, y: spmm(v, t, x.to("meta")), "runs on the CPU: got an input on meta"),
        (lambda t, v, x, y: spmm(v.to("meta"), t, x), "weights on meta"),
        (lambda t, v, x, y: spmm_transposed(v, t, x), "dense matrix is \\[6, n\\], got \\[5, 9\\]"),
        (lambda t, v, x, y: sddmm(y[1:], x, t), "y is \\[6, 9\\], got \\[5, 9\\]"),
        (lambda t, v, x, y: sddmm(y[:, 1:], x, t), "y is \\[6, 9\\], got \\[6, 8\\]"),
        (lambda t, v, x, y: sddmm(y, x[1:], t), "dense matrix is \\[5, n\\], got \\[4, 9\\]"),
    ],
)
def test_arguments_that_do_not_fit_are_named(call, said):
    _, topology, values, x, y = problem((6, 5, 9), 0.5, 5)
    with pytest.raises(ArgumentError, match=said):
        call(topology, values, x, y)
