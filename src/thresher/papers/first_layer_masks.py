"""Which pixels keep their connections: the survivors in a first layer, beside the images that chose them."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from thresher.core.batch import Data
from thresher.core.errors import ArgumentError
from thresher.core.mask import Mask
from thresher.core.seeds import generator
from thresher.criteria import SNIP, Criterion, GradientMagnitude
from thresher.data import Batches, Dataset, Splits, load
from thresher.experiments.scoring import scoring_batches
from thresher.initializers import INITIALIZERS
from thresher.models import build
from thresher.papers.computation import Computation
from thresher.papers.published import Budget, Computed, Work
from thresher.papers.signed_gradient import SignedGradient
from thresher.procedures import prune

CRITERIA: dict[str, Criterion] = {
    "snip": SNIP(cross_entropy),
    "gradient": GradientMagnitude(cross_entropy, times_weight=False),
    "signed-gradient": SignedGradient(),
}
# from the first to the last row of the figures, which name these two
SPARSITIES = (0.1, 0.3, 0.5, 0.7, 0.9)
DATA = {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST"}
# what the two functions measure
CLASS_MEAN, INVERTED, INVERTED_OVERLAP, TRAIN_MEAN = "class mean", "inverted", "inverted overlap", "train mean"


def masks_by_class(
    *,
    seed: int,
    data_dir: Path | str | None,
    download: bool,
    data: str,
    method: str,
    examples: int,
    sparsities: tuple[float, ...],
) -> dict[str, float]:
    """LeNet-300-100 pruned on `examples` images of one class, and on the same images inverted; means over classes.

    The survivor image of a mask is the fraction of the first layer's connections that each pixel keeps. By
    sparsity, as "NAME SPARSITY" (correlations over pixels in [-1, 1], undefined ones left out):
    "class mean": of the survivor image with the mean of all training images of the class;
    "inverted": of the survivor images of the images and their inversions;
    "inverted overlap": kept by both first-layer masks / kept by either.

    Weights are Glorot's, those of `experiments.run` for the same seed. Source: thesis section 3.5.4, appendix 3.A.
    """
    splits = load(data, data_dir, seed=seed, download=download)
    model = _network(splits, seed)
    sums: dict[str, list[float]] = {}
    for label in range(splits.num_classes):
        members = splits.train.subset((splits.train.targets == label).nonzero().flatten())
        if len(members) < examples:
            raise ArgumentError(f"{examples} examples of a class: {members.name} has {len(members)} of class {label}")
        order = torch.randperm(len(members), generator=generator(seed, f"class-batch/{label}"))[:examples]
        images, labels = next(iter(Batches(members.subset(order), splits, examples)))
        typical = _mean_image(members)
        for sparsity in sparsities:
            # pixels in [0, 1] turned into 1 - pixel, their mean with them: normalised, that is a change of sign
            original, inverted = (
                _first_layer(model, method, [(inputs, labels)], sparsity) for inputs in (images, -images)
            )
            found = {
                CLASS_MEAN: _correlation(_survivors(original), typical),
                INVERTED: _correlation(_survivors(original), _survivors(inverted)),
                INVERTED_OVERLAP: Mask({"first": original}).overlap(Mask({"first": inverted})),
            }
            for name, number in found.items():
                if number is not None:
                    sums.setdefault(f"{name} {sparsity:g}", []).append(number)
    return {name: sum(numbers) / len(numbers) for name, numbers in sums.items()}


def masks_by_batch(
    *,
    seed: int,
    data_dir: Path | str | None,
    download: bool,
    data: str,
    sparsity: float,
    examples: tuple[int, ...],
) -> dict[str, float]:
    """Correlation of the survivor image with the mean training image, as "train mean EXAMPLES"; 0 examples is all.

    LeNet-300-100 pruned by SNIP on so many examples of all classes, those of `experiments.run` for the same seed.
    Source: thesis section 3.5.5, Figure 3.3.
    """
    splits = load(data, data_dir, seed=seed, download=download)
    model = _network(splits, seed)
    typical = _mean_image(splits.train)
    found = {}
    for count in examples:
        batches = list(scoring_batches(splits, 100, count, seed))
        number = _correlation(_survivors(_first_layer(model, "snip", batches, sparsity)), typical)
        if number is not None:
            found[f"{TRAIN_MEAN} {count}"] = number
    return found


def _network(splits: Splits, seed: int) -> nn.Module:
    model = build("lenet-300-100", num_classes=splits.num_classes, input_shape=splits.input_shape, seed=seed)
    INITIALIZERS["glorot"].initialize_(model, generator(seed, "initialization"))
    return model


def _first_layer(model: nn.Module, method: str, data: Data, sparsity: float) -> Tensor:
    return prune(model, CRITERIA[method], data=data, sparsity=sparsity, on_collapse="ignore")["fc1.weight"]


def _survivors(keep: Tensor) -> Tensor:
    return keep.double().mean(0)


def _mean_image(dataset: Dataset) -> Tensor:
    return dataset.inputs.flatten(1).double().mean(0)


def _correlation(a: Tensor, b: Tensor) -> float | None:
    """Pearson's, None where one of the images is constant."""
    a, b = a - a.mean(), b - b.mean()
    size = float(a.norm() * b.norm())
    return float(a @ b) / size if size > 0 else None


def works_by_class(data: str, method: str, quantity: str, sparsity: float) -> dict[Budget, Work]:
    """What a cell of Figures 3.2, 3.5 and 3.6 computes: it costs seconds, so quick is the whole figure."""
    key = f"{quantity} {sparsity:g}"

    def computed(source: str, examples: int) -> Computed:
        arguments = (("data", source), ("method", method), ("examples", examples), ("sparsities", SPARSITIES))
        return Computed(Computation(masks_by_class, arguments, data=source), key, "no pixel differs from another")

    whole = computed(data, 100)
    return {"smoke": computed("digits", 20), "quick": whole, "full": whole}
