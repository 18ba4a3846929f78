"""Maxima against the windows of torch's own pools."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from thresher.analysis import collapse
from thresher.core import Mask, generator

POOLS = [
    (lambda x: F.max_pool1d(x, 2), (2, 7)),
    (lambda x: F.max_pool1d(x, 3, stride=2, padding=1, ceil_mode=True), (2, 8)),
    (lambda x: F.max_pool2d(x, 2), (2, 5, 6)),
    (lambda x: F.max_pool2d(x, (3, 2), stride=(2, 3), padding=(1, 0), ceil_mode=True), (2, 6, 7)),
    (lambda x: F.max_pool2d(x, 2, stride=1, dilation=2), (2, 5, 5)),
    (lambda x: F.max_pool2d(x, 2, return_indices=True)[0], (2, 4, 4)),
    (lambda x: torch.max_pool2d(x, 3, 2), (2, 5, 5)),
    (lambda x: torch.max_pool2d(x, 2), (2, 5, 5)),
    (lambda x: F.max_pool3d(x, 2, stride=1), (1, 3, 3, 2)),
    (lambda x: F.adaptive_max_pool2d(x, 2), (2, 5, 4)),
    (lambda x: F.adaptive_max_pool1d(x, 3), (2, 7)),
    (lambda x: x.amax((-1, -2)), (2, 3, 3)),
    (lambda x: x.max(-1).values, (2, 3, 3)),
    (lambda x: torch.max(x, 1, keepdim=True)[0], (3, 3, 2)),
    (lambda x: x.max().reshape(1), (2, 3)),
    (lambda x: x.logsumexp(1), (2, 3)),
    (lambda x: torch.maximum(x[:, 0], x[:, 1]), (2, 3)),
    (lambda x: torch.max(x[:, 0], x[:, 1]), (2, 3)),
]


class Scaled(nn.Module):
    """One prunable factor per input value, the pool, and one factor per pooled value."""

    def __init__(self, pool, shape):
        super().__init__()
        self.pool = pool
        self.inside = nn.Parameter(torch.ones(shape))
        self.outside = nn.Parameter(torch.ones(pool(torch.ones(1, *shape)).shape[1:] if shape else ()))

    def forward(self, x):
        return self.pool(x * self.inside) * self.outside


@pytest.mark.parametrize("case", range(len(POOLS)))
def test_a_value_counts_where_a_window_that_is_read_holds_it(case):
    pool, shape = POOLS[case]
    model = Scaled(pool, shape)
    g = generator(case, "mask")
    mask = Mask({n: torch.rand(p.shape, generator=g) < 0.5 for n, p in model.named_parameters()})
    inside, outside = (keep.flatten() for keep in mask.values())
    # which inputs each output sees: raise one input at a time above the others
    seen = torch.stack([
        (pool(torch.eye(len(inside))[i].reshape(1, *shape)) > pool(torch.zeros(1, *shape))).flatten()
        for i in range(len(inside))
    ])  # fmt: skip
    joined = seen & inside[:, None] & outside
    found = collapse(model, mask, torch.ones(1, *shape))
    assert found.effective["inside"].flatten().tolist() == joined.any(1).tolist()
    assert found.effective["outside"].flatten().tolist() == joined.any(0).tolist()
    assert found.notes == ()
