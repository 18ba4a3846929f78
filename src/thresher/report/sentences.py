"""What a run did and what became of its network, in sentences that a reader can hold against the numbers."""

import json
from collections.abc import Mapping
from typing import Any

from thresher.report.numbers import count, error_rate, fraction, share, told_apart

_METHODS = {
    "random": "Random pruning",
    "magnitude": "Magnitude pruning",
    "snip": "SNIP",
    "grasp": "GraSP",
    "synflow": "SynFlow",
}

# what the time of a step means depends on how the removed weights were held
_ENGINES = {
    "masked": "dense layers with the removed weights held at zero, so it is the time of dense layers",
    "sparse": "sparse layers, which store and multiply only the kept weights",
    "dense": "dense layers",
}


def headline(recipe: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """One sentence: what pruned which model to what, how it was trained, and the error at the end."""
    model, kept, prunable = recipe["model"], result["kept"], result["prunable"]
    if kept == prunable:
        done = f"{model} kept all of its {count(prunable)} prunable weights and was trained"
    else:
        method = str(recipe.get("method", "an unnamed method"))
        done = (
            f"{_METHODS.get(method.lower(), method)} kept {count(kept)} of {count(prunable)} weights "
            f"({share(result['sparsity'])} removed) of {model} and trained it"
        )
    epochs = f"{result['epochs']:.3g}" if result["epochs"] < 100 else f"{result['epochs']:.0f}"
    return (
        f"{done} on {recipe['data']} for {epochs} epoch{'' if epochs == '1' else 's'}: "
        f"{_ending(result['test_error_final_pct'])}{_warning(result)}"
    )


def _warning(result: Mapping[str, Any]) -> str:
    cut = result["kept"] and not result["collapse"]["effective_kept"]
    return "; no path from input to output is left, so it computes a constant" if cut else ""


def _ending(error: float | None) -> str:
    return "no test error was measured" if error is None else f"test error {error_rate(error)} at the end"


def engine_line(result: Mapping[str, Any]) -> str:
    """The engine that ran and, if any layers were sparse, how many of those that the mask is about.

    >>> layers = [{"name": "lstm.weight_ih_l0"}, {"name": "lstm.weight_hh_l0"}, {"name": "fc.weight"}]
    >>> engine_line({"engine": "sparse", "sparse_layers": ["lstm"], "layers": layers})
    'sparse, in 1 of 2 layers'
    """
    sparse = result.get("sparse_layers")
    if not sparse:
        return str(result["engine"])
    masked = {str(tensor["name"]).rpartition(".")[0] for tensor in result["layers"]}
    return f"{result['engine']}, in {len(sparse)} of {len(masked)} layers"


def timed_on(engine: str) -> str:
    """What a measured second was spent on, by engine; for a name that is not known, the name."""
    return f"measured on {_ENGINES.get(engine, f'the engine {engine}')}"


def connection(result: Mapping[str, Any]) -> list[str]:
    """Sentences on collapse: which layers kept nothing, and how many kept weights still carry a signal."""
    collapse, kept = result["collapse"], result["kept"]
    gone, effective = collapse["collapsed_layers"], collapse["effective_kept"]
    if not gone:
        said = ["No layer was emptied: each keeps at least one weight."]
    else:
        noun = "layer keeps" if len(gone) == 1 else "layers keep"
        said = [f"{len(gone)} {noun} nothing at all: {', '.join(map(str, gone))}."]
    if kept and not effective:
        return [*said, "No path from input to output leads through a kept weight: none of them has an effect."]
    if gone and effective:
        said.append(f"Input and output are still connected around {'it' if len(gone) == 1 else 'them'}.")
    idle = kept - effective
    if idle == 0:
        said.append(
            "Every kept weight lies on a path from input to output, so the effective sparsity, "
            f"{fraction(collapse['effective_sparsity'])}, is the sparsity."
        )
    else:
        effectively, nominally = told_apart(collapse["effective_sparsity"], result["sparsity"])
        said.append(
            f"{count(idle)} of the {count(kept)} kept weights lie on no path from input to output: they cost "
            "memory and carry no signal. Counting them as removed gives the effective sparsity, "
            f"{effectively} in place of {nominally}."
        )
    return said


def setting(value: object) -> str:
    """A value as its file spells it, without quotation marks; 'none' for null.

    >>> setting("momentum"), setting(0.1), setting(True), setting(None), setting([25000, 50000])
    ('momentum', '0.1', 'true', 'none', '[25000, 50000]')
    """
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
