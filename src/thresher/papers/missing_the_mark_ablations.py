"""The sanity checks of Missing the Mark: shuffle the mask, draw new weights, invert the scores."""

from typing import Any

from thresher.papers.published import Cell, Claim, NotRun, PublishedTable
from thresher.papers.training_protocol import TrainingProtocol

_METHODS = ("magnitude", "snip", "grasp", "synflow")
_VARIANTS: dict[str, dict[str, Any]] = {
    "unmodified": {},
    "shuffled": {"perturb": "shuffle"},
    "reinitialized": {"reinitialize": True},
    "inverted": {"perturb": "invert"},
}
_EXAMPLES = 100  # ten a class
_HARMLESS = 0.5  # points of error

_LENET = TrainingProtocol(
    data="mnist",
    batch_size=128,
    iterations=40 * 422,
    weight_decay=0.0,
    optimizer="sgd",
)
_RESNET = TrainingProtocol(
    data="cifar-10",
    batch_size=128,
    iterations=160 * 352,
    milestones=(80 * 352, 120 * 352),
    weight_decay=1e-4,
    augment=True,
)
_TOO_SLOW = NotRun("sixteen ResNets take too long for quick: only SNIP's are trained there, for an epoch")


def _row(network: str, method: str) -> str:
    return f"{network}, {method}"


def _cells(network: str, method: str) -> tuple[Cell, ...]:
    works = {}
    for variant, changes in _VARIANTS.items():
        fields = {"score_examples": _EXAMPLES, "initializer": "he", **changes}
        if network == "LeNet-300-100":
            works[variant] = _LENET.work("lenet-300-100", method, 0.95, quick=3_000, **fields)
        else:
            quick = 352 if method == "snip" else _TOO_SLOW
            works[variant] = _RESNET.work("resnet-20", method, 0.9, quick=quick, **fields)
    return tuple(Cell(row=_row(network, method), column=variant, work=work) for variant, work in works.items())


_NETWORKS = ("LeNet-300-100", "ResNet-20")

TABLE = PublishedTable(
    name="missing-the-mark/ablations",
    title="Sanity checks of pruning at initialisation: shuffled masks, new weights, inverted scores",
    source=(
        "J. Frankle, G. K. Dziugaite, D. M. Roy, M. Carbin, Pruning Neural Networks at Initialization: Why are We "
        "Missing the Mark?, ICLR 2021"
    ),
    page="section 5",
    measured="test error after the last step, %: LeNet-300-100 on MNIST at 95 %, ResNet-20 on CIFAR-10 at 90 %",
    readings=(
        "ResNet-20: 160 epochs of 352 batches of 128, momentum 0.9, learning rate 0.1 divided by 10 after 80 and 120 "
        "epochs, weight decay 0.0001, flips and shifts; LeNet-300-100: 40 epochs of batches of 128 by plain SGD at "
        "rate 0.1, without weight decay",
        "ten examples a class score; SynFlow prunes in 100 rounds, the others in one",
        "weights drawn by He et al.'s scheme; 'reinitialized' draws them anew after pruning",
        f"'does not hurt' is read as an error at most {_HARMLESS} points higher",
    ),
    departures=(
        "no number is quoted, only the statements of the abstract; one sparsity stands for the paper's many",
        "a tenth of the training set is set apart for validation",
        "the examples that score are drawn from the whole training set, not class by class",
        "pruning after training, the yardstick of the paper, is not here yet",
        "quick trains LeNet-300-100 for 3,000 steps, and ResNet-20 for one epoch with SNIP alone",
    ),
    cells=tuple(cell for network in _NETWORKS for method in _METHODS for cell in _cells(network, method)),
    seeds={"smoke": 1, "quick": 2, "full": 5},
    claims=(
        *(
            Claim(
                text=f"{network}: {variant} {method} is no worse than unmodified (within {_HARMLESS} points)",
                cell=(_row(network, method), variant),
                minus=(_row(network, method), "unmodified"),
                below=_HARMLESS,
            )
            for network in _NETWORKS
            for method in _METHODS
            for variant in ("shuffled", "reinitialized")
        ),
    ),
)
