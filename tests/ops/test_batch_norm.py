"""Batch normalization on the batch-innermost layout equals torch's, values, gradients and running statistics."""

import pytest
import torch
from torch import nn

from thresher import ops
from thresher.layers.normalization import InnermostBatchNorm1d, InnermostBatchNorm2d

SHAPES = [(7, 5, 6, 3), (1, 2, 3, 5), (33, 4, 1, 1), (128, 3, 8, 9), (19, 6), (2, 1)]


def pair(shape, dtype, **options):
    """torch's layer and ours with the same random parameters, and one input for both."""
    generator = torch.Generator().manual_seed(sum(shape))
    theirs = (nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d)(shape[1], **options).to(dtype)
    ours = (InnermostBatchNorm2d if len(shape) == 4 else InnermostBatchNorm1d)(shape[1], **options).to(dtype)
    if theirs.affine:
        with torch.no_grad():
            theirs.weight.uniform_(0.5, 2.0, generator=generator)
            theirs.bias.uniform_(-1.0, 1.0, generator=generator)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(shape, dtype=torch.float64, generator=generator) * 3 + 10  # a mean that float32 has to cope with
    return theirs, ours, x.to(dtype)


def stepped(layer, x):
    x = x.detach().requires_grad_()
    y = layer(x)
    (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)).sum().backward()
    return y.detach(), x.grad, *(p.grad for p in layer.parameters())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "options", [{}, {"affine": False}, {"momentum": None}, {"track_running_stats": False}, {"eps": 0.1}], ids=str
)
def test_a_training_step_equals_torch(shape, options):
    theirs, ours, x = pair(shape, torch.float64, **options)
    for _ in range(2):  # twice: the running statistics go on from the first
        expected, found = stepped(theirs, x), stepped(ours, ops.batch_innermost(x))
        for one, other in zip(expected, found, strict=True):
            torch.testing.assert_close(other, one, rtol=1e-10, atol=1e-10)
        assert ops.is_batch_innermost(found[0])
    for key, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[key], value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES[:4])
def test_single_precision_is_as_close_to_double_as_torch_is(shape):
    exact = stepped(*pair(shape, torch.float64)[::2])
    theirs, ours, x = pair(shape, torch.float32)
    for truth, one, other in zip(exact, stepped(theirs, x), stepped(ours, ops.batch_innermost(x)), strict=True):
        scale = truth.abs().max().clamp_min(1)
        assert (other - truth).abs().max() <= 2 * (one - truth).abs().max() + 1e-6 * scale


def test_evaluation_uses_the_running_statistics():
    theirs, ours, x = pair((7, 5, 6, 3), torch.float64)
    stepped(theirs, x), stepped(ours, ops.batch_innermost(x))
    torch.testing.assert_close(ours.eval()(ops.batch_innermost(x)), theirs.eval()(x))


def test_one_number_a_channel_is_refused_as_torch_refuses_it():
    with pytest.raises(ValueError, match="more than 1 value"):
        InnermostBatchNorm1d(3)(torch.zeros(1, 3))


def test_nan_and_infinity_spoil_their_channel_only():
    x = torch.randn(9, 3, generator=torch.Generator().manual_seed(0))
    x[4, 1], x[5, 2] = float("nan"), float("inf")
    y, _, _ = ops.batch_norm(ops.batch_innermost(x), None, None, 1e-5)
    assert y[:, 0].isfinite().all()
    assert y[:, 1].isnan().all()
    assert not y[:, 2].isfinite().any()


def test_threads_change_nothing():
    x = ops.batch_innermost(torch.randn(64, 8, 20, 20, generator=torch.Generator().manual_seed(0)))
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            layer = InnermostBatchNorm2d(8)
            results.append(stepped(layer, x))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))
