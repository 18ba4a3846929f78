"""Against numpy.quantile."""

import numpy as np
import pytest
import torch

from thresher.analysis.sensitivity import QUANTILES, sensitivity
from thresher.core import Mask
from thresher.core.errors import ArgumentError, MaskMismatchError


@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_quantiles_are_numpys(count):
    scores = torch.rand(count, generator=torch.Generator().manual_seed(count), dtype=torch.float64)
    found = sensitivity({"a": scores})["a"]
    np.testing.assert_allclose(found.quantiles, np.quantile(scores.numpy(), QUANTILES), rtol=1e-12)
    assert found.count == count


def test_only_kept_weights_count_and_shares_add_up():
    scores = {"a": torch.tensor([[1.0, 2.0], [3.0, 100.0]]), "b": torch.tensor([[6.0]]), "c": torch.tensor([[9.0]])}
    mask = Mask(
        {"a": torch.tensor([[True, True], [True, False]]), "b": torch.ones(1, 1).bool(), "c": torch.zeros(1, 1).bool()}
    )
    found = sensitivity(scores, mask, levels=(0.0, 0.5, 1.0))
    assert found["a"].quantiles == (1.0, 2.0, 3.0)
    assert (found["a"].count, found["a"].share, found["b"].share) == (3, 0.5, 0.5)
    assert (found["c"].count, found["c"].quantiles, found["c"].share) == (0, None, 0.0)


def test_scores_of_nothing_have_no_share():
    assert sensitivity({"a": torch.zeros(3)})["a"].share == 0.0


@pytest.mark.parametrize("levels", [(), (-0.1,), (0.5, 1.1), (float("nan"),)])
def test_levels_out_of_range_are_refused(levels):
    with pytest.raises(ArgumentError, match="levels are in"):
        sensitivity({"a": torch.ones(2)}, levels=levels)


def test_scores_without_a_mask_are_named():
    with pytest.raises(MaskMismatchError, match="b"):
        sensitivity({"a": torch.ones(2), "b": torch.ones(2)}, Mask({"a": torch.ones(2).bool()}))
