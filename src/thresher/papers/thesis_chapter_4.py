"""How chapter 4 of Lee's thesis trains (appendix 4.B), and our reading of what it leaves open."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from thresher.papers.published import Quantity
from thresher.papers.training_protocol import TrainingProtocol

SOURCE = (
    "N. Lee, Toward Efficient Deep Learning with Sparse Neural Networks, DPhil thesis, University of Oxford (2020); "
    "first in N. Lee, T. Ajanthan, S. Gould, P. Torr, A Signal Propagation Perspective for Pruning Neural Networks at "
    "Initialization, ICLR 2020"
)

MNIST = TrainingProtocol(
    data="mnist",
    batch_size=100,
    iterations=80_000,
    decay_every=20_000,
    initializer="orthogonal",
    evaluate_every=1000,
)
CIFAR = replace(MNIST, data="cifar-10", batch_size=128, iterations=100_000, decay_every=25_000, augment=True)
# "when computing connection sensitivity, we always use all examples in the training set"
ALL_EXAMPLES = 0

# rows of Tables 4.2 and 4.3
INITIALIZATIONS: dict[str, dict[str, Any]] = {
    "VS-L": {"initializer": "lecun"},
    "VS-G": {"initializer": "glorot"},
    "VS-H": {"initializer": "he"},
    "LDI": {"initializer": "block-orthogonal"},
    "LDI-AI": {"initializer": "block-orthogonal", "isometry": "frobenius"},
}
# at quick, on CIFAR-10: reading all takes longer than the training
FEW_EXAMPLES = 1_280

SCORING = "the whole training set scores, a tenth of it set apart for validation"
TRAINING = (
    "80,000 iterations of batches of 100 on MNIST and 100,000 of 128 on CIFAR-10, learning rate 0.1 divided by 10 "
    "every 20,000 (CIFAR: 25,000); the momentum, 0.9, and the weight decay, 0.0005 on every parameter, are those of "
    "chapter 3"
)
LOWEST = "the lowest of the test errors at every 1,000th iteration, as the thesis records it"
BIASES = (
    "biases are neither scored nor pruned; the authors' code does both. Sparsity is a fraction of the weights alone"
)
LDI = "LDI: block-orthogonal convolutions and orthogonal linear layers of gain 1"
VGG = "VGG16 is VGG-C, which is what the authors' code builds and what the orthogonality scores of Table 4.2 fit"
RESNET = (
    "the shortcuts of the ResNets are padded with zeros (option A of He et al.); where the image shrinks theirs take "
    "averages of 2 × 2 pixels, ours every second pixel"
)
ISOMETRY = (
    "isometry is enforced by projections and conjugate gradients, which come nearer to it than the thesis's gradient "
    "descent"
)
SHORTEN = "hours on two cores: budget full trains it for 100,000 iterations, --steps N with that budget for fewer"
NO_PRETRAINING = "no recipe trains a network, prunes it by magnitude and trains on what is left"


def lowest_test_error(result: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> float | None:
    """The lowest test error of all evaluations, in percent: what the chapter reports.

    >>> lowest_test_error({}, [{"test_error_pct": 3.0}, {"test_error_pct": 2.5}, {"test_error_pct": 2.6}])
    2.5
    """
    return min((row["test_error_pct"] for row in rows if row["test_error_pct"] is not None), default=None)


def training_loss_until(step: int) -> Quantity:
    """The mean training loss of the updates up to `step`, for runs that are evaluated at equal distances.

    >>> rows = [{"step": s, "train_loss": loss} for s, loss in ((500, 2.0), (1000, 1.0), (1500, 0.5))]
    >>> training_loss_until(1000)({}, rows)
    1.5
    """

    def quantity(result: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> float | None:
        losses = [row["train_loss"] for row in rows if row["step"] <= step]
        return sum(losses) / len(losses) if losses else None

    return quantity
