"""Thesis Table 3.4: SNIP on Tiny-ImageNet."""

from dataclasses import replace

from thresher.papers.before_and_after import before_and_after
from thresher.papers.published import NotRun, PublishedTable
from thresher.papers.thesis_protocol import CIFAR, DEPARTURES, INITIALIZER, OPTIMIZER, REINITIALIZE, SOURCE

# section 3.5 sets up MNIST and CIFAR only; what differs from CIFAR is chapter 4's, which trains on this data too
_PROTOCOL = replace(CIFAR, data="tiny-imagenet", batch_size=200, iterations=100_000, decay_every=25_000)

# model: the table's name, sparsity in percent, error before and after pruning
_ROWS: dict[str, tuple[str, float, float, float]] = {
    "alexnet-s": ("AlexNet-s", 90.0, 62.52, 65.27),
    "alexnet-b": ("AlexNet-b", 90.0, 62.76, 65.54),
    "vgg-c": ("VGG-C", 95.0, 56.49, 57.48),
    "vgg-d": ("VGG-D", 95.0, 56.85, 57.00),
    "vgg-like": ("VGG-like", 95.0, 54.86, 55.73),
}
_QUICK = {"alexnet-s": 100, "alexnet-b": 100}
_TOO_SLOW = NotRun("one step takes seconds on two cores: budget full trains it, on Tiny-ImageNet, for 100,000")


TABLE = PublishedTable(
    name="thesis/table-3.4",
    title="Pruning results of SNIP on Tiny-ImageNet, before and after pruning",
    source=SOURCE,
    page="Table 3.4, page 44",
    measured="test error on Tiny-ImageNet after the last step, %",
    readings=(
        "chapter 3 does not say how Tiny-ImageNet is trained: batches of 200, 100,000 iterations and a learning rate "
        "of 0.1 divided by 10 every 25,000 are those of chapter 4",
        f"optimizer '{OPTIMIZER}', weight decay 0.0005 on every parameter, biases included, flips and shifts up to 4 "
        "pixels: those of chapter 3, the latter given for CIFAR",
        f"weights of initializer '{INITIALIZER}', "
        + ("drawn anew after pruning" if REINITIALIZE else "the same for scoring and training"),
        "one batch scores: 200 examples",
        "the published validation images are the test set, and a tenth of the training set is set apart",
        "the first convolution has twice its stride for CIFAR: 4 in the AlexNets, 2 in the VGGs",
    ),
    departures=(
        *DEPARTURES,
        "quick trains the AlexNets for 100 steps, which compares nothing but that they train; the VGGs not at all",
    ),
    cells=tuple(
        cell
        for model, printed in _ROWS.items()
        for cell in before_and_after(_PROTOCOL, model, printed, _QUICK, _TOO_SLOW)
    ),
    seeds={"smoke": 1, "quick": 1, "full": 3},
)
