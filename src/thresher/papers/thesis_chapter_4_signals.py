"""Signals in the pruned perceptrons of chapter 4: what the cells of Table 4.1 and Figures 4.1 to 4.7 measure."""

import itertools
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from safetensors.torch import load_file
from torch.nn.functional import cross_entropy

from thresher.analysis import collapse
from thresher.analysis.jacobian import jacobian_singular_values
from thresher.core.seeds import generator
from thresher.criteria import SNIP, Magnitude
from thresher.data import load
from thresher.experiments import Recipe, run
from thresher.experiments.run_directory import RunDirectory
from thresher.experiments.scoring import scoring_batches
from thresher.experiments.starting_point import initialized, starting_point
from thresher.initializers import Normal
from thresher.models import build
from thresher.papers.computation import Computation
from thresher.papers.published import Budget, Cell, Claim, Computed, Work
from thresher.papers.thesis_chapter_4 import ALL_EXAMPLES, MNIST, training_loss_until
from thresher.procedures import prune
from thresher.procedures.orthogonality import orthogonality

STATISTICS = ("mean", "std", "max", "min")
SPARSITIES = (0.1, 0.3, 0.5, 0.7, 0.9)
LEARNING_CURVE = "training loss at 90 %"
# of the first so many iterations: there the curves are apart
EARLY = 1_000
LAYERS = range(1, 8)
_BATCH = 100
_SMOKE_EXAMPLES = 16

# as the chapter writes them, {initialisation}-{pruning}-{isometry}; LDI stands for the orthogonal initializer
METHODS: dict[str, dict[str, Any]] = {
    "LDI-Dense": {"method": "dense"},
    "LDI-CS-AI": {"method": "snip", "isometry": "frobenius"},
    "LDI-CS": {"method": "snip"},
    "LDI-Rand-AI": {"method": "random", "isometry": "frobenius"},
    "LDI-Rand": {"method": "random"},
    "VS-CS": {"method": "snip", "initializer": "glorot"},
}
# which trains faster, by Figure 4.2b and its text
ORDER = ("LDI-Dense", "LDI-CS-AI", "LDI-CS", "LDI-Rand")
_INITIALIZERS = {"relu": "orthogonal:relu", "leaky-relu": "orthogonal:relu"}


def scaled_gaussian(
    *,
    seed: int,
    data_dir: Path | str | None,
    download: bool,
    data: str,
    model: str,
    variance: float,
    sparsity: float,
    examples: int,
) -> dict[str, float]:
    """`model` with weights from N(0, variance): singular values of its Jacobian, and what SNIP makes of it.

    "log10 mean", "log10 std" and "log10 CN": decimal logarithms of the statistics of the dense network's Jacobian
    singular values, pooled over `examples` training examples (0: all); without the last where a singular value is 0.
    "sparsity LAYER": fraction of the layer's weights that global pruning on the whole training set removes.
    "disconnected": 1 if no path is left from input to output, else 0.
    Source: thesis section 4.3.1, Table 4.1.
    """
    splits = load(data, data_dir, seed=seed, download=download)
    net = build(model, num_classes=splits.num_classes, input_shape=splits.input_shape, seed=seed)
    Normal(math.sqrt(variance)).initialize_(net, generator(seed, "initialization"))
    values = jacobian_singular_values(net, scoring_batches(splits, _BATCH, examples, seed))
    scoring = scoring_batches(splits, _BATCH, ALL_EXAMPLES, seed)
    mask = prune(net, SNIP(cross_entropy), data=scoring, sparsity=sparsity, on_collapse="ignore")
    found = {"log10 mean": math.log10(values.mean), "log10 std": math.log10(values.std)}
    if values.min > 0:
        found["log10 CN"] = math.log10(values.condition_number)
    layers = {f"sparsity {name.split('.')[0]}": 1 - kept / mask[name].numel() for name, kept in mask.counts.items()}
    return {**found, **layers, "disconnected": float(collapse(net, mask).disconnected)}


def propagation(
    *,
    seed: int,
    data_dir: Path | str | None,
    download: bool,
    data: str,
    model: str,
    initializer: str,
    method: str,
    isometry: str,
    sparsities: tuple[float, ...],
    examples: int,
) -> dict[str, float]:
    """Statistics of the Jacobian singular values of the network that training starts from, as "STATISTIC SPARSITY".

    STATISTIC is one of `STATISTICS`. Pooled over `examples` training examples (0: all); the whole training set scores.
    Source: thesis section 4.4, Figure 4.2a.
    """
    splits = load(data, data_dir, seed=seed, download=download)
    fields: dict[str, Any] = {"initializer": initializer, "method": method, "isometry": isometry}
    found = {}
    for sparsity in sparsities:
        recipe = Recipe(
            data=data,
            model=model,
            sparsity=sparsity,
            score_examples=ALL_EXAMPLES,
            on_collapse="ignore",
            seed=seed,
            **fields,
        )
        net, mask = starting_point(recipe, splits)
        values = jacobian_singular_values(net, scoring_batches(splits, _BATCH, examples, seed), mask=mask)
        found.update({f"{name} {sparsity:g}": getattr(values, name) for name in STATISTICS})
    return found


def magnitude_after_training(
    *,
    seed: int,
    data_dir: Path | str | None,
    download: bool,
    data: str,
    model: str,
    initializer: str,
    learning_rate: float,
    steps: int,
    sparsities: tuple[float, ...],
    examples: int,
) -> dict[str, float]:
    """Statistics of the Jacobian singular values of a trained network pruned by magnitude, as "STATISTIC SPARSITY".

    STATISTIC is one of `STATISTICS`. The dense network is trained for `steps` by plain SGD and pruned globally in one
    shot; sparsity 0 is the trained network. "STATISTIC initial" is of the network before it was trained. Pooled over
    `examples` training examples (0: all).
    Cost: the training, which is not kept. Source: thesis appendix 4.B, Figure 4.6.
    """
    fields: dict[str, Any] = {"data": data, "initializer": initializer, "learning_rate": learning_rate, "seed": seed}
    recipe = MNIST.recipe(model, steps, {"optimizer": "sgd", **fields})
    with TemporaryDirectory() as folder:
        run(recipe, folder, data_dir=data_dir, download=download)
        weights = load_file(RunDirectory(Path(folder)).model_file)
    splits = load(data, data_dir, validation=recipe.validation, seed=seed, download=download)
    seen = scoring_batches(splits, _BATCH, examples, seed)
    net = initialized(recipe, splits)
    measured = {"initial": jacobian_singular_values(net, seen)}
    net.load_state_dict(weights)
    for sparsity in sparsities:
        mask = prune(net, Magnitude(), sparsity=sparsity, on_collapse="ignore")
        measured[f"{sparsity:g}"] = jacobian_singular_values(net, seen, mask=mask)
    return {f"{name} {key}": getattr(values, name) for key, values in measured.items() for name in STATISTICS}


def orthogonality_score(
    *,
    seed: int,
    data_dir: Path | str | None,
    download: bool,
    data: str,
    model: str,
    initializer: str,
    isometry: str,
    examples: int,
) -> dict[str, float]:
    """The score of `model` pruned by SNIP at 90 % on `examples` training examples, as "orthogonality score".

    The mean over layers of ‖WW^T - I‖ with the identity of the outputs. Source: thesis section 4.5.1, Table 4.2.
    """
    splits = load(data, data_dir, seed=seed, download=download)
    fields: dict[str, Any] = {"initializer": initializer, "isometry": isometry}
    recipe = Recipe(
        data=data,
        model=model,
        method="snip",
        sparsity=0.9,
        score_examples=examples,
        on_collapse="ignore",
        seed=seed,
        **fields,
    )
    layers = orthogonality(*starting_point(recipe, splits)).layers
    return {"orthogonality score": sum(layer.score_on_outputs for layer in layers) / len(layers)}


def gaussian_works(activation: str, variance: float) -> dict[Budget, Computation]:
    """`scaled_gaussian` at 90 %; the singular values of all examples take seconds, so quick is as full."""

    def computation(data: str, examples: int) -> Computation:
        arguments = (
            ("data", data),
            ("model", f"mlp-7-{activation}"),
            ("variance", variance),
            ("sparsity", 0.9),
            ("examples", examples),
        )
        return Computation(scaled_gaussian, arguments, data=data)

    whole = computation("mnist", ALL_EXAMPLES)
    return {"smoke": computation("digits", _SMOKE_EXAMPLES), "quick": whole, "full": whole}


def initializer_of(activation: str) -> str:
    """The initializer that gives perceptrons of this activation layerwise isometry."""
    return _INITIALIZERS.get(activation, "orthogonal")


def column(statistic: str, sparsity: float) -> str:
    """The label of a cell of `signal_cells`."""
    return f"{statistic} JSV at {100 * sparsity:g} %"


def row(activation: str, method: str) -> str:
    """The label of a cell of `signal_cells` or `training_cells`."""
    return f"{activation}, {method}"


def signal_cells(activation: str, statistics: Iterable[str]) -> tuple[Cell, ...]:
    """The network of 7 layers before and after pruning: 1,000 examples at quick, all of them at full."""
    cells = []
    for name, fields in METHODS.items():
        sparsities = (0.0,) if fields["method"] == "dense" else SPARSITIES
        works: dict[Budget, Computation] = {
            "smoke": _propagation(activation, fields, sparsities, "digits", _SMOKE_EXAMPLES),
            "quick": _propagation(activation, fields, sparsities, "mnist", 1_000),
            "full": _propagation(activation, fields, sparsities, "mnist", ALL_EXAMPLES),
        }
        for statistic, sparsity in itertools.product(statistics, sparsities):
            cells.append(
                Cell(
                    row=row(activation, name),
                    column=column(statistic, sparsity),
                    work=computed(works, f"{statistic} {sparsity:g}"),
                )
            )
    return tuple(cells)


def computed(works: Mapping[Budget, Computation], key: str, otherwise: str = "undefined here") -> dict[Budget, Work]:
    """The same number of the computation of each budget."""
    return {budget: Computed(computation, key, otherwise) for budget, computation in works.items()}


def _propagation(
    activation: str, fields: Mapping[str, Any], sparsities: tuple[float, ...], data: str, examples: int
) -> Computation:
    arguments: dict[str, Any] = {
        "data": data,
        "model": f"mlp-7-{activation}",
        "initializer": initializer_of(activation),
        "isometry": "none",
        "sparsities": sparsities,
        "examples": examples,
        **fields,
    }
    return Computation(propagation, tuple(arguments.items()), data=data)


def signal_claims(activation: str) -> tuple[Claim, ...]:
    """What section 4.4 says of the means, at the ends of the range."""
    last = column("mean", SPARSITIES[-1])
    falls = (
        Claim(
            text=f"{activation}: the singular values of {method} fall as sparsity rises",
            cell=(row(activation, method), last),
            minus=(row(activation, method), column("mean", SPARSITIES[0])),
            below=0.0,
        )
        for method in ("LDI-CS", "LDI-Rand")
    )
    higher = (
        Claim(text=text, cell=(row(activation, more), last), minus=(row(activation, less), last), above=0.0)
        for more, less, text in (
            ("LDI-CS", "LDI-Rand", f"{activation}: they fall faster under random pruning"),
            ("LDI-CS-AI", "LDI-CS", f"{activation}: isometry brings those of LDI-CS back up"),
            ("LDI-Rand-AI", "LDI-Rand", f"{activation}: isometry brings those of LDI-Rand back up"),
        )
    )
    return (*falls, *higher)


def training_cells(
    activation: str, *, methods: Iterable[str] = METHODS, early: int = EARLY, **changes: Any
) -> tuple[Cell, ...]:
    """The mean training loss of the first `early` iterations; quick stops there, with the rate it has then."""
    cells = []
    for name in methods:
        fields = {
            "initializer": initializer_of(activation),
            "score_examples": ALL_EXAMPLES,
            "optimizer": "sgd",
            "decay_every": f"{MNIST.decay_every}it",
            "evaluate_every": "500it",
            "sparsity": 0.0 if METHODS[name]["method"] == "dense" else 0.9,
            **changes,
            **METHODS[name],
        }
        work = MNIST.work(f"mlp-7-{activation}", quick=early, quantity=training_loss_until(early), **fields)
        cells.append(Cell(row=row(activation, name), column=LEARNING_CURVE, work=work))
    return tuple(cells)


def training_claims(activation: str) -> tuple[Claim, ...]:
    """Each of `ORDER` trains faster than the next, and isometry speeds up random pruning."""
    pairs = (*itertools.pairwise(ORDER), ("LDI-CS-AI", "LDI-Rand-AI"), ("LDI-Rand-AI", "LDI-Rand"))
    return tuple(
        Claim(
            text=f"{activation}: {faster} trains faster than {slower}",
            cell=(row(activation, faster), LEARNING_CURVE),
            minus=(row(activation, slower), LEARNING_CURVE),
            below=0.0,
        )
        for faster, slower in pairs
    )
