"""What computes with a run's mask: truly sparse layers, and a rule that holds the mask in the layers left dense."""

import json
from collections.abc import Collection, Iterable
from pathlib import Path

from torch import nn

from thresher.core.errors import FileFormatError
from thresher.core.files import write_text_atomically
from thresher.core.mask import Mask
from thresher.core.prunable import device_of
from thresher.experiments.recipe import Recipe
from thresher.layers import SparseLayer, sparsify
from thresher.rules import FixedMask


def choose_sparse_layers(recipe: Recipe, model: nn.Module, mask: Mask) -> tuple[str, ...]:
    """The names of the layers under `mask` that become truly sparse, in the model's order.

    Engine "sparse": all that can; "auto": those that `sparsify` expects to be faster so on this machine, none on
    another device than the CPU or where removed weights are computed with or trained; otherwise none.
    Cost: a copy of the model; for "auto" a forward pass, and whatever its cost model has to measure.
    """
    if recipe.engine not in ("auto", "sparse") or recipe.method == "dense" or recipe.holding != "prune":
        return ()
    if recipe.engine == "auto" and device_of(mask.parameters_of(model)).type != "cpu":
        return ()
    chosen = sparsify(model, mask, "auto" if recipe.engine == "auto" else "always", batch=recipe.batch_size)
    return tuple(name for name, module in chosen.named_modules() if isinstance(module, SparseLayer))


def equipped(
    recipe: Recipe, model: nn.Module, mask: Mask, sparse_layers: Collection[str]
) -> tuple[nn.Module, FixedMask | None]:
    """What is trained, and the rule that holds the part of `mask` that is outside `sparse_layers`, if there is one.

    That is `model` itself if no layer is sparse, otherwise a copy in which exactly `sparse_layers` are.
    """
    if recipe.method == "dense":
        return model, None
    stored = Mask({name: keep for name, keep in mask.items() if _layer(name) in sparse_layers})
    held = Mask({name: keep for name, keep in mask.items() if _layer(name) not in sparse_layers})
    trained = sparsify(model, stored, "always") if stored else model
    return trained, FixedMask(held, recipe.holding) if held else None


def engine_of(recipe: Recipe, sparse_layers: Collection[str]) -> str:
    """The engine that runs: "dense" without a mask, "sparse" with at least one sparse layer, or "masked"."""
    return "dense" if recipe.method == "dense" else "sparse" if sparse_layers else "masked"


def write_sparse_layers(path: Path, sparse_layers: Iterable[str]) -> None:
    """Write the names to `path`: what "auto" chose here and now, a resumed run has to find again."""
    write_text_atomically(path, json.dumps({"sparse_layers": list(sparse_layers)}) + "\n")


def read_sparse_layers(path: Path, mask: Mask) -> tuple[str, ...]:
    """What `write_sparse_layers` wrote; FileFormatError if it is not there, or names a layer without a mask."""
    try:
        names = json.loads(path.read_text(encoding="utf-8"))["sparse_layers"]
        unknown = set(names) - {_layer(name) for name in mask}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileFormatError(
            f"{path} does not say which layers of this run are sparse ({error}): move the directory away to start anew"
        ) from error
    if unknown:
        raise FileFormatError(
            f"{path} names layers that the mask beside it has not ({', '.join(sorted(map(str, unknown)))}): move the "
            "directory away to start anew"
        )
    return tuple(names)


def _layer(parameter: str) -> str:
    return parameter.rpartition(".")[0]
