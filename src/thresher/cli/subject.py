"""What is to be diagnosed: a run, a checkpoint with its mask, or fresh weights that are pruned on the fly."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from thresher.cli.factory import call_factory
from thresher.cli.network import network
from thresher.cli.weights import load_weights_
from thresher.core.batch import Data
from thresher.core.errors import ArgumentError, FileFormatError
from thresher.core.mask import Mask
from thresher.core.mask_file import is_mask_file
from thresher.core.prunable import prunable
from thresher.core.seeds import generator
from thresher.data import Splits, load
from thresher.experiments import Recipe, protocol
from thresher.experiments.run_directory import RunDirectory
from thresher.experiments.scoring import scoring_batches
from thresher.experiments.starting_point import starting_point
from thresher.initializers import initializer_of

_BATCH = 100


@dataclass(frozen=True)
class Subject:
    """What is looked at: in words, and as a model, a mask and examples, which may have no labels."""

    words: str
    model: nn.Module
    mask: Mask
    data: Data
    labelled: bool = True


@dataclass(frozen=True, kw_only=True)
class Source:
    """What to look at: a known data set and its folder, the user's own batches, or normal inputs of a shape.

    Of the first and the last `examples` many; all are on `device`.
    """

    data: str | None
    data_dir: Path | None
    download: bool
    batches: str | None
    shape: tuple[int, ...] | None
    examples: int
    device: torch.device

    def splits(self, name: str | None, validation: float, seed: int) -> Splits | None:
        """The data set called `name`, or None for None."""
        if name is None:
            return None
        return load(name, self.data_dir, validation=validation, seed=seed, download=self.download)

    def examined(self, splits: Splits | None, seed: int) -> Data:
        """The examples to look at: of `splits`, standard normal ones, or the user's own."""
        if splits is not None:
            return scoring_batches(splits, min(_BATCH, self.examples), self.examples, seed, self.device)
        if self.shape is not None:
            drawn = torch.randn((self.examples, *self.shape), generator=generator(seed, "normal-inputs"))
            parts = torch.split(drawn.to(self.device), _BATCH)
            return [(part, torch.zeros(len(part), device=self.device)) for part in parts]
        own: Data = call_factory(str(self.batches))
        # on the CPU, where no device was asked for, they are read as they come
        return own if self.device.type == "cpu" or not isinstance(own, Iterable) else _moved(own, self.device)


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
    model, mask = starting_point(recipe, splits, stored, device=source.device)
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
    net, mask = starting_point(recipe, splits, device=source.device)
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
    if source.data is None and source.batches is None and source.shape is None:
        raise ArgumentError(
            "a Jacobian is taken at examples: give --data NAME or --batches package.module:function, or --input-shape "
            "3,32,32 for standard normal inputs"
        )
    if path is None and mask is None:
        raise ArgumentError("what is pruned? give --mask FILE, a checkpoint, or --method and --sparsity")
    if path is not None and is_mask_file(path):
        raise ArgumentError(f"{path} is a mask: pass it by --mask, with --model for the network")
    fresh = initializer_of(initializer or "glorot")
    splits = source.splits(source.data, 0.1, seed)
    classes, shape = (splits.num_classes, splits.input_shape) if splits and ":" not in model else (None, source.shape)
    net = network(model, classes, shape, seed)
    if path is not None:
        refuse({"--initializer": initializer}, "a checkpoint brings its own weights")
        load_weights_(net, path)
    elif initializer is not None or ":" not in model:
        fresh.initialize_(net, generator(seed, "initialization"))
    found = Mask.load(mask) if mask is not None else Mask({n: p.detach() != 0 for n, p in prunable(net).items()})
    words = f"{path or model}" + ("" if mask is None else f" under {mask}")
    if source.shape is not None:
        words += f", on standard normal inputs of {' × '.join(map(str, source.shape))} without labels"
    net = net.to(source.device)
    return Subject(words, net, found, source.examined(splits, seed), labelled=source.shape is None)


def _moved(batches: Data, device: torch.device) -> Data:
    """The batches with their tensors on `device`; what is no pair of tensors goes on to whoever checks that."""
    for batch in batches:
        pair = isinstance(batch, tuple | list) and len(batch) == 2 and all(isinstance(part, Tensor) for part in batch)
        yield (batch[0].to(device), batch[1].to(device)) if pair else batch


def refuse(given: Mapping[str, object], reason: str) -> None:
    """Raise ArgumentError, with the `reason`, if any of the options has a value."""
    found = [name for name, value in given.items() if value is not None]
    if found:
        raise ArgumentError(f"{reason}: leave out {', '.join(found)}")
