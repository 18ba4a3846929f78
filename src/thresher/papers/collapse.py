"""At which compression pruning at initialisation empties a layer."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from thresher.allocations import Global
from thresher.core.batch import Data
from thresher.core.prunable import prunable
from thresher.core.seeds import generator
from thresher.core.topk import kept_count
from thresher.criteria import SNIP, Criterion, GraSP, Magnitude, Random, SynFlow
from thresher.data import Batches, load
from thresher.initializers import VarianceScaling
from thresher.models import build
from thresher.procedures import prune
from thresher.schedules import Exponential

NOISE = "noise"
_BATCH = 250
_CLASSES = 100


def first_empty_layer(
    *,
    seed: int,
    data_dir: Path | str | None,
    download: bool,
    model: str,
    method: str,
    data: str,
    examples: int,
    exponents: tuple[float, ...],
) -> dict[str, float]:
    """The least of `exponents`, powers of ten, at which one-shot global pruning keeps nothing of some layer.

    As "first empty layer", log10 of the compression ratio; without that key if no exponent does. Weights are drawn
    by He et al.'s normal scheme; GraSP and SNIP read `examples` examples of `data` in evaluation mode, where "noise"
    is standard normal images under drawn labels: at initialisation labels only set the direction of the last
    layer's error.
    Source: Tanaka, Kunin, Yamins, Ganguli (2020), Figure 1 and their published results.
    """
    net = _network(model, seed)
    criteria: dict[str, Criterion] = {
        "random": Random(generator(seed, "random-pruning")),
        "magnitude": Magnitude(),
        "snip": SNIP(cross_entropy),
        "grasp": GraSP(cross_entropy, training=False),
    }
    criterion = criteria[method]
    batches = _examples(data, examples, seed, data_dir, download) if criterion.reads_data else None
    scores = criterion.scores(net, prunable(net), batches)
    emptied = next((exponent for exponent in sorted(exponents) if _emptied(scores, exponent)), None)
    return {} if emptied is None else {"first empty layer": emptied}


def least_kept(
    *,
    seed: int,
    data_dir: Path | str | None,
    download: bool,
    model: str,
    exponent: float,
    rounds: int,
) -> dict[str, float]:
    """Weights left in the emptiest layer after SynFlow prunes by 10^exponent in `rounds`, as "least kept"."""
    net = _network(model, seed)
    mask = prune(net, SynFlow(), sparsity=1 - 10**-exponent, schedule=Exponential(rounds), on_collapse="ignore")
    return {"least kept": min(mask.counts.values())}


def _network(model: str, seed: int) -> nn.Module:
    net = build(model, num_classes=_CLASSES, seed=seed)
    VarianceScaling(2.0, "in", "normal").initialize_(net, generator(seed, "initialization"))
    return net


def _emptied(scores: Mapping[str, Tensor], exponent: float) -> bool:
    total = sum(score.numel() for score in scores.values())
    return min(Global().counts(scores, kept_count(total, 1 - 10**-exponent)).values()) == 0


def _examples(data: str, count: int, seed: int, data_dir: Path | str | None, download: bool) -> Data:
    draws = generator(seed, "scoring-examples")
    if data != NOISE:
        splits = load(data, data_dir, seed=seed, download=download)
        rows = torch.randperm(len(splits.train), generator=draws)[:count]
        return list(Batches(splits.train.subset(rows), splits, min(_BATCH, count)))
    images = torch.randn((count, 3, 32, 32), generator=draws)
    labels = torch.randint(_CLASSES, (count,), generator=draws)
    return [(images[i : i + _BATCH], labels[i : i + _BATCH]) for i in range(0, count, _BATCH)]
