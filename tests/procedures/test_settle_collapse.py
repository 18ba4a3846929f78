"""Empty layers and cut networks: warned of, refused, repaired or ignored, as asked."""

import warnings

import pytest
import torch
from torch import nn

from thresher.core.errors import CollapseError
from thresher.core.mask import Mask
from thresher.criteria import Magnitude
from thresher.procedures import CollapseWarning, prune
from thresher.schedules import Linear, OneShot


@pytest.fixture
def thin():
    """A chain whose middle layer goes first: weights a thousandth of the others'."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))
    with torch.no_grad():
        net[2].weight.mul_(1e-3)
    return net


def test_an_empty_layer_is_warned_of_at_the_callers_line(thin):
    with pytest.warns(CollapseWarning, match=r"empty layers: 2\.weight") as caught:
        mask = prune(thin, Magnitude(), sparsity=0.7)
    assert mask.counts["2.weight"] == 0
    assert mask.kept == 48
    assert caught[0].filename == __file__


def test_it_can_be_refused(thin):
    with pytest.raises(CollapseError, match=r"2\.weight.*on_collapse='repair'"):
        prune(thin, Magnitude(), sparsity=0.7, on_collapse="raise")


def test_it_can_be_ignored(thin):
    assert prune(thin, Magnitude(), sparsity=0.7, on_collapse="ignore").counts["2.weight"] == 0


@pytest.mark.filterwarnings("ignore::thresher.procedures.CollapseWarning")  # one weight does not make a path
@pytest.mark.parametrize("schedule", [OneShot(), Linear(4)])
def test_repair_gives_back_the_best_weight_and_keeps_the_total(thin, schedule):
    mask = prune(thin, Magnitude(), sparsity=0.7, schedule=schedule, on_collapse="repair")
    assert mask.kept == 48
    best = thin[2].weight.detach().abs().argmax()
    assert mask["2.weight"].flatten().nonzero().flatten().tolist() == [best]
    collapsed = prune(thin, Magnitude(), sparsity=0.7, schedule=schedule, on_collapse="ignore")
    gone = {n: collapsed[n] & ~mask[n] for n in mask}
    assert sum(int(g.sum()) for g in gone.values()) == 1  # the smallest of all that were kept
    smallest = min(
        p.detach().abs()[collapsed[n]].min() for n, p in collapsed.parameters_of(thin).items() if n[0] != "2"
    )
    assert (
        max(p.detach().abs()[gone[n]].max() for n, p in mask.parameters_of(thin).items() if gone[n].any()) == smallest
    )


@pytest.mark.filterwarnings("ignore::thresher.procedures.CollapseWarning")
def test_repair_takes_nothing_from_a_protected_tensor(thin):
    with torch.no_grad():
        thin[0].weight.mul_(0.1)  # the worst scores of all are now in the protected tensor
    mask = prune(thin, Magnitude(), sparsity=0.5, protect=["first"], on_collapse="repair")
    assert mask.counts == {"0.weight": 64, "2.weight": 1, "4.weight": 15}


@pytest.mark.filterwarnings("ignore::thresher.procedures.CollapseWarning")
def test_repair_does_not_bring_back_what_the_starting_mask_removed(thin):
    start = Mask({
        "0.weight": torch.ones(8, 8).bool(), "2.weight": torch.zeros(8, 8).bool(), "4.weight": torch.ones(4, 8).bool(),
    })  # fmt: skip
    mask = prune(thin, Magnitude(), sparsity=0.7, start=start, on_collapse="repair")
    assert mask.kept == 48
    assert (mask & start) == mask


def by_score(values):
    class Given:
        def scores(self, model, weights, data=None, example=None):
            return {name: value.clone() for name, value in values.items()}

    return Given()


def test_a_cut_without_an_empty_layer_is_found():
    # the first layer feeds unit 0, the second reads unit 1
    net = nn.Sequential(nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    criterion = by_score({"0.weight": torch.tensor([[2.0], [1.0]]), "2.weight": torch.tensor([[1.0, 2.0]])})
    with pytest.warns(CollapseWarning, match="no path"):
        mask = prune(net, criterion, sparsity=0.5)
    assert mask.counts == {"0.weight": 1, "2.weight": 1}
    with pytest.warns(CollapseWarning, match="no path"):
        assert prune(net, criterion, sparsity=0.5, on_collapse="repair") == mask  # nothing is empty


def test_a_mask_with_paths_is_silent(thin):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prune(thin, Magnitude(), sparsity={"0.weight": 0.5, "2.weight": 0.5, "4.weight": 0.5})


def test_without_an_input_shape_empty_layers_are_still_found():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(12, 4))
    with torch.no_grad():
        net[0].weight.mul_(1e-3)
    with pytest.warns(CollapseWarning, match=r"nothing left: 0\.weight"):
        prune(net, Magnitude(), sparsity=0.6)
    with pytest.warns(CollapseWarning, match=r"empty layers: 0\.weight"):
        prune(net, Magnitude(), sparsity=0.6, example=torch.zeros(1, 2, 4, 4))
