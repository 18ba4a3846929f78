import math

import pytest
import torch
from torch import nn

from thresher.core.errors import MaskMismatchError
from thresher.core.mask import Mask
from thresher.initializers import Initialized, VarianceScaling
from thresher.procedures.density_scaling import scale_by_density_


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_each_layer_passes_on_as_much_as_without_the_mask():
    net = nn.Sequential(nn.Linear(400, 300), nn.Linear(300, 500)).double()
    VarianceScaling().initialize_(net, seeded())
    mask = Mask(
        {f"{i}.weight": torch.rand(net[i].weight.shape, generator=seeded(i)) < d for i, d in ((0, 0.1), (1, 0.5))}
    )
    before = [layer.weight.detach().clone() for layer in net]
    scale_by_density_(net, mask)
    for i, layer in enumerate(net):
        keep = mask[f"{i}.weight"]
        assert not layer.weight[~keep].any()
        ratio = layer.weight.detach()[keep] / before[i][keep]
        assert torch.allclose(ratio, torch.full_like(ratio, (keep.numel() / int(keep.sum())) ** 0.5))
        # E‖Wx‖² = ‖W‖²_F for white x: as of all weights, up to chance of the kept ones (five deviations)
        norms = layer.weight.detach().square().sum() / before[i].square().sum()
        assert norms.item() == pytest.approx(1, abs=5 * math.sqrt(2 / int(keep.sum())))


def test_rows_say_what_was_done_and_other_weights_stay():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))
    last = net[2].weight.detach().clone()
    bias = net[0].bias.detach().clone()
    keep = torch.tensor([[True, False], [False, False]])
    rows = scale_by_density_(net, Mask({"1.weight": torch.zeros(2, 2, dtype=torch.bool), "0.weight": keep}))
    assert rows == (Initialized("1.weight", "left", "no weight is kept"), Initialized("0.weight", "times 2 = 1/√0.25"))
    assert not net[1].weight.any()
    assert torch.equal(net[2].weight, last)
    assert torch.equal(net[0].bias, bias)


def test_a_removed_infinity_is_gone():
    layer = nn.Linear(2, 1)
    nn.init.constant_(layer.weight, math.inf)
    layer.weight.data[0, 0] = 1.0
    scale_by_density_(layer, Mask({"weight": torch.tensor([[True, False]])}))
    assert layer.weight.tolist() == [[pytest.approx(math.sqrt(2)), 0.0]]


def test_a_mask_of_another_model_is_refused():
    with pytest.raises(MaskMismatchError):
        scale_by_density_(nn.Linear(2, 2), Mask({"weight": torch.ones(3, 2, dtype=torch.bool)}))
