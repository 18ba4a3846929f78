"""SynFlow's collapse curves: at which compression pruning at initialisation empties a layer of VGG-16."""

from thresher.papers.collapse import NOISE, first_empty_layer, least_kept
from thresher.papers.computation import Computation
from thresher.papers.published import Budget, Cell, Claim, Computed, Printed, PublishedTable, Work

_EXPONENTS = tuple(i / 4 for i in range(4, 25))  # 10^1.0 to 10^6.0, the grid of the published results
_FIRST = "first empty layer, log10 of compression"
_LEAST = "weights in the emptiest layer at 10^5"
# least and greatest of three runs
_PRINTED = {"random": (3.0, 4.0), "magnitude": (3.0, 3.0), "snip": (3.75, 4.0), "grasp": (3.75, 4.0)}


def _first_empty(method: str) -> dict[Budget, Work]:
    reads_data = method in ("snip", "grasp")

    def computed(model: str, data: str, examples: int) -> Computed:
        arguments = (
            ("model", model), ("method", method), ("data", data), ("examples", examples), ("exponents", _EXPONENTS)
        )  # fmt: skip
        needed = data if reads_data and data != NOISE else None
        computation = Computation(first_empty_layer, arguments, data=needed)
        return Computed(computation, "first empty layer", "no layer is emptied up to 10^6")

    return {
        "smoke": computed("resnet-20", NOISE, 16),
        "quick": computed("vgg16", NOISE, 200),
        "full": computed("vgg16", "cifar-100", 1000),
    }


def _synflow() -> dict[Budget, Work]:
    def computed(model: str, exponent: float, rounds: int) -> Computed:
        arguments = (("model", model), ("exponent", exponent), ("rounds", rounds))
        return Computed(Computation(least_kept, arguments), "least kept")

    whole = computed("vgg16", 5.0, 100)
    return {"smoke": computed("resnet-20", 3.0, 10), "quick": whole, "full": whole}


TABLE = PublishedTable(
    name="synflow/collapse-curves",
    title="Compression at which pruning at initialisation first empties a layer of VGG-16",
    source=(
        "H. Tanaka, D. Kunin, D. Yamins, S. Ganguli, Pruning neural networks without any data by iteratively "
        "conserving synaptic flow, NeurIPS 2020; numbers from the results in the authors' repository, CIFAR-100, "
        "three runs"
    ),
    page="Figure 1; stored results of the runs by compression",
    measured="log10 of the compression ratio, in steps of 0.25; for SynFlow the weights that its emptiest layer keeps",
    readings=(
        "weights drawn by He et al.'s normal scheme, biases zero; VGG-16 with a head of 100 classes",
        "SNIP and GraSP read 10 examples a class in one shot, in evaluation mode",
        "SynFlow prunes in 100 rounds; there no layer was empty up to 10^6.0 in two runs, and one at 10^6.0 in the "
        "third. A weight for each layer is left at 10^6.02 at most",
    ),
    departures=(
        "quick scores SNIP and GraSP with 200 images of normal noise under drawn labels, full with 1,000 of CIFAR-100",
        "only the masks are looked at: nothing is trained",
    ),
    cells=(
        *(
            Cell(
                row=method,
                column=_FIRST,
                printed=Printed(value=(low + high) / 2, decimals=2, extremes=(low, high)),
                work=_first_empty(method),
            )
            for method, (low, high) in _PRINTED.items()
        ),
        Cell(row="synflow", column=_LEAST, work=_synflow()),
    ),
    seeds={"smoke": 1, "quick": 3, "full": 3},
    claims=(Claim(text="SynFlow empties no layer at compression 10^5", cell=("synflow", _LEAST), above=0.0),),
)
