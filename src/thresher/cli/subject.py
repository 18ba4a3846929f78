"""What is to be diagnosed: a run, a checkpoint with its mask, or fresh weights that are pruned on the fly."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from thresher.cli.factory import call_factory
from thresher.cli.network import network
from thresher.cli.weights import load_weights_
from thresher.core.batch import Data
from thresher.core.errors import ArgumentError, FileFormatError, unknown_name
from thresher.core.mask import Mask
from thresher.core.mask_file import is_mask_file
from thresher.core.prunable import prunable
from thresher.core.seeds import generator
from thresher.data import Splits, load
from thresher.experiments import Recipe, protocol
from thresher.experiments.run_directory import RunDirectory
from thresher.experiments.scoring import scoring_batches
from thresher.experiments.starting_point import starting_point
from thresher.initializers import INITIALIZERS


@dataclass(frozen=True)
class Subject:
    """What is looked at: in words, and as a model, a mask and examples."""

    words: str
    model: nn.Module
    mask: Mask
    data: Data


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where examples come from: a known data set and its folder, or the user's own batches; and how many."""

    data: str | None
    data_dir: Path | None
    download: bool
    batches: str | None
    examples: int

    def splits(self, name: str | None, validation: float, seed: int) -> Splits | None:
        """The data set called `name`, or None for None."""
        if name is None:
            return None
        return load(name, self.data_dir, validation=validation, seed=seed, download=self.download)

    def examined(self, splits: Splits | None, seed: int) -> Data:
        """The examples to look at: of `splits`, or the user's own."""
        if splits is not None:
            return scoring_batches(splits, min(100, self.examples), self.examples, seed)
        own: Data = call_factory(str(self.batches))
        return own


def of_run(path: Path, source: Source, trained: bool) -> Subject:
    """The network of the run at `path` as training starts from it, or as it ended.

    Raises FileFormatError if there is no run, or none that has ended.
    """
    directory = RunDirectory(path)
    recipe = directory.recipe()
    if recipe is None:
        raise FileFormatError(f"{path} is no run directory: there is no recipe.json in it")
    splits = source.splits(recipe.data, recipe.validation, recipe.seed)
    assert splits is not None
    stored = Mask.load(directory.mask_file) if directory.mask_file.exists() else None
    model, mask = starting_point(recipe, splits, stored)
    if trained:
        load_weights_(model, directory.model_file)
    words = f"{recipe.name}, {'trained' if trained else 'as training starts'}"
    return Subject(words, model, mask, source.examined(splits, recipe.seed))


def pruned(
    model: str | None,
    source: Source,
    *,
    method: str,
    sparsity: float | None,
    allocation: str | None,
    initializer: str | None,
    seed: int,
) -> Subject:
    """A known model with fresh weights, pruned as a run of the same words would; raises as `Recipe` does."""
    if model is None or source.data is None:
        raise ArgumentError("give --model and --data with --method, or a run directory")
    if ":" in model:
        raise ArgumentError("to diagnose your own model, find its mask with thresher prune and pass it by --mask")
    chosen = {"allocation": allocation, "initializer": initializer}
    recipe = Recipe(
        data=source.data,
        model=model,
        method=method,
        sparsity=sparsity or 0.0,
        seed=seed,
        **{**protocol(source.data), **{name: value for name, value in chosen.items() if value is not None}},
    )
    splits = source.splits(source.data, recipe.validation, seed)
    assert splits is not None
    net, mask = starting_point(recipe, splits)
    words = f"{model} on {source.data}, {method} at sparsity {recipe.sparsity:g}, seed {seed}"
    return Subject(words, net, mask, source.examined(splits, seed))


def given(
    path: Path | None, model: str | None, mask: Path | None, source: Source, *, initializer: str | None, seed: int
) -> Subject:
    """A checkpoint or fresh weights under a mask from a file; without one, what is not zero in the checkpoint is kept.

    Raises ArgumentError if the options do not say what is pruned or looked at, MaskMismatchError if the files are for
    another model, and FileFormatError for files that are none.
    """
    if model is None:
        what = "nothing" if path is None else f"{path}, which is no run directory,"
        raise ArgumentError(f"got {what} to diagnose without --model: name the model, or give a run directory")
    if source.data is None and source.batches is None:
        raise ArgumentError("a Jacobian is taken at examples: give --data NAME or --batches package.module:function")
    if path is None and mask is None:
        raise ArgumentError("what is pruned? give --mask FILE, a checkpoint, or --method and --sparsity")
    if path is not None and is_mask_file(path):
        raise ArgumentError(f"{path} is a mask: pass it by --mask, with --model for the network")
    if initializer is not None and initializer not in INITIALIZERS:
        raise unknown_name("initializer", initializer, INITIALIZERS)
    splits = source.splits(source.data, 0.1, seed)
    classes, shape = (splits.num_classes, splits.input_shape) if splits and ":" not in model else (None, None)
    net = network(model, classes, shape, seed)
    if path is not None:
        refuse({"--initializer": initializer}, "a checkpoint brings its own weights")
        load_weights_(net, path)
    elif initializer is not None or ":" not in model:
        INITIALIZERS[initializer or "glorot"].initialize_(net, generator(seed, "initialization"))
    found = Mask.load(mask) if mask is not None else Mask({n: p.detach() != 0 for n, p in prunable(net).items()})
    words = f"{path or model}" + ("" if mask is None else f" under {mask}")
    return Subject(words, net, found, source.examined(splits, seed))


def refuse(given: Mapping[str, object], reason: str) -> None:
    """Raise ArgumentError, with the `reason`, if any of the options has a value."""
    found = [name for name, value in given.items() if value is not None]
    if found:
        raise ArgumentError(f"{reason}: leave out {', '.join(found)}")
