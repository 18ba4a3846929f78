"""SparseLinear against ``nn.Linear`` with zeros, differentiated by autograd."""

import copy

import pytest
import torch
from torch import nn

from thresher.core import Mask
from thresher.core.errors import ArgumentError
from thresher.layers import SparseLinear


def pair(num_in, num_out, kept, bias=True, seed=0):
    """A dense layer with zeros, the sparse layer of the same weights, and the mask."""
    generator = torch.Generator().manual_seed(seed)
    dense = nn.Linear(num_in, num_out, bias=bias).double()
    keep = torch.rand(num_out, num_in, generator=generator) < kept
    sparse = SparseLinear.from_dense(dense, keep)
    with torch.no_grad():
        dense.weight[~keep] = 0
    return dense, sparse, keep


def assert_same(dense, sparse, keep, x):
    """Outputs and the gradients of input, kept weights and bias agree."""
    mine, theirs = x.detach().requires_grad_(), x.detach().requires_grad_()
    expected, found = dense(theirs), sparse(mine)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    weights = torch.randn(expected.shape, dtype=expected.dtype, generator=torch.Generator().manual_seed(7))
    (expected * weights).sum().backward()
    (found * weights).sum().backward()
    torch.testing.assert_close(mine.grad, theirs.grad, rtol=0, atol=1e-12)
    torch.testing.assert_close(sparse.weight.grad, dense.weight.grad[keep], rtol=0, atol=1e-12)
    if dense.bias is not None:
        torch.testing.assert_close(sparse.bias.grad, dense.bias.grad, rtol=0, atol=1e-12)


@pytest.mark.parametrize("num_examples", [1, 7, 127])
@pytest.mark.parametrize(
    ("num_in", "num_out", "kept"), [(9, 5, 0.3), (1, 4, 0.5), (6, 1, 0.5), (5, 4, 0.0), (5, 4, 1.0)]
)
@pytest.mark.parametrize("bias", [True, False])
def test_it_computes_what_the_dense_layer_does(num_examples, num_in, num_out, kept, bias):
    dense, sparse, keep = pair(num_in, num_out, kept, bias)
    assert_same(dense, sparse, keep, torch.randn(num_examples, num_in, dtype=torch.float64))


@pytest.mark.parametrize(
    "x",
    [
        torch.randn(9, dtype=torch.float64),
        torch.randn(2, 3, 9, dtype=torch.float64),
        torch.randn(9, 4, dtype=torch.float64).t(),
        torch.randn(4, 18, dtype=torch.float64)[:, ::2],
        torch.randn(1, 9, dtype=torch.float64).expand(4, 9),
    ],
    ids=["one example", "leading dimensions", "batch innermost", "every second", "expanded"],
)
def test_inputs_of_any_shape_and_strides(x):
    assert_same(*pair(9, 5, 0.4), x)


def test_only_kept_weights_are_stored_and_an_infinity_at_a_removed_one_is_not_seen():
    dense = nn.Linear(3, 2)
    sparse = SparseLinear.from_dense(dense, torch.tensor([[True, False, True], [False, False, True]]))
    assert [(name, p.shape) for name, p in sparse.named_parameters()] == [("weight", (3,)), ("bias", (2,))]
    assert sparse.weight.tolist() == [dense.weight[0, 0], dense.weight[0, 2], dense.weight[1, 2]]
    x = torch.tensor([[1.0, float("inf"), 2.0]])
    assert sparse(x).isfinite().all()


def test_a_kept_weight_of_zero_stays_kept_and_trains():
    dense = nn.Linear(2, 1)
    nn.init.zeros_(dense.weight)
    sparse = SparseLinear.from_dense(dense, torch.tensor([[True, False]]))
    sparse(torch.ones(3, 2)).sum().backward()
    assert sparse.weight.grad.tolist() == [3.0]


def test_the_dense_layer_and_the_sparse_share_nothing():
    dense = nn.Linear(3, 2)
    before = copy.deepcopy(dense.state_dict())
    sparse = SparseLinear.from_dense(dense, torch.ones(2, 3, dtype=torch.bool))
    back = sparse.to_dense()
    with torch.no_grad():
        for parameter in sparse.parameters():
            parameter.fill_(5)
    for layer in (dense, back):
        assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())


def test_to_dense_is_the_plain_layer_with_zeros_and_draws_no_random_number():
    dense, sparse, _ = pair(4, 3, 0.5)
    sparse.eval()
    sparse.bias.requires_grad_(False)
    state = torch.get_rng_state()
    back = sparse.to_dense()
    assert torch.equal(torch.get_rng_state(), state)
    assert type(back) is nn.Linear
    assert torch.equal(back.weight, dense.weight)
    assert torch.equal(back.bias, dense.bias)
    assert (back.weight.requires_grad, back.bias.requires_grad, back.training) == (True, False, False)
    assert (back.in_features, back.out_features) == (4, 3)


def test_frozen_weights_stay_frozen_and_evaluation_mode_stays():
    dense = nn.Linear(3, 2).eval()
    dense.weight.requires_grad_(False)
    sparse = SparseLinear.from_dense(dense, torch.ones(2, 3, dtype=torch.bool))
    assert (sparse.weight.requires_grad, sparse.bias.requires_grad, sparse.training) == (False, True, False)
    sparse(torch.ones(1, 3)).sum().backward()
    assert sparse.weight.grad is None


def test_a_mask_does_as_well_as_a_tensor():
    dense, keep = nn.Linear(3, 2), torch.tensor([[True, False, True], [False, False, True]])
    assert torch.equal(SparseLinear.from_dense(dense, Mask({"weight": keep})).keep_of("weight"), keep)


def test_repr_tells_sizes_and_sparsity():
    _, sparse, _ = pair(4, 5, 1.0, bias=False)
    assert repr(sparse) == "SparseLinear(in_features=4, out_features=5, bias=False, kept=20, sparsity=0)"
    quarter = SparseLinear.from_dense(nn.Linear(2, 2), torch.tensor([[True, False], [False, False]]))
    assert "bias=True, kept=1, sparsity=0.75" in repr(quarter)


def test_what_is_no_linear_layer_and_a_mask_of_another_shape_are_refused():
    with pytest.raises(ArgumentError, match=r"made from an nn\.Linear: got Conv2d"):
        SparseLinear.from_dense(nn.Conv2d(1, 1, 1), torch.ones(1, 1, dtype=torch.bool))
    with pytest.raises(ArgumentError, match=r"keep of weight is a bool tensor .*\[2, 3\].*got torch.bool \[3, 2\]"):
        SparseLinear.from_dense(nn.Linear(3, 2), torch.ones(3, 2, dtype=torch.bool))
    with pytest.raises(ArgumentError, match=r"got torch\.float32"):
        SparseLinear.from_dense(nn.Linear(3, 2), torch.ones(2, 3))


def test_autocast_computes_in_the_layers_own_precision():
    _, sparse, _ = pair(6, 4, 0.5)
    sparse.float()
    x = torch.randn(5, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = sparse(x.bfloat16())
    assert inside.dtype == torch.float32
    assert torch.equal(inside, sparse(x.bfloat16().float()))


def test_half_precision_is_refused_in_words():
    _, sparse, _ = pair(6, 4, 0.5)
    with pytest.raises(ArgumentError, match="float32 or float64"):
        sparse.bfloat16()(torch.randn(5, 6).bfloat16())


def test_another_device_is_refused_in_words_that_say_what_works_there():
    _, sparse, _ = pair(6, 4, 0.5)
    with pytest.raises(ArgumentError, match=r"runs on the CPU.*FixedMask"):
        sparse.to("meta")(torch.randn(5, 6, dtype=torch.float64, device="meta"))
