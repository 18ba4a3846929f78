"""Run: a recipe in; a directory with its mask, model, metrics and result out."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from thresher.core.errors import ArgumentError
from thresher.core.files import write_text_atomically
from thresher.core.mask import Mask
from thresher.core.seeds import isolated_random_state
from thresher.core.touch import listen
from thresher.core.weights_file import write_weights
from thresher.data import Batches, Splits, Stream, load, with_shuffled_labels
from thresher.experiments.engine import choose_sparse_layers, equipped, read_sparse_layers, write_sparse_layers
from thresher.experiments.environment import environment
from thresher.experiments.recipe import Recipe
from thresher.experiments.result import result_of
from thresher.experiments.run_directory import RunDirectory, open_run
from thresher.experiments.starting_point import chosen_mask, initialized, made_ready_, scored_splits
from thresher.experiments.stopwatch import Stopwatch
from thresher.experiments.tally import Tally
from thresher.models import ImageClassifier
from thresher.ops import instruction_set
from thresher.rules import FixedMask
from thresher.training import Outcome, Progress, Stateful, train

_EVALUATION_BATCH = 1000


def run(
    recipe: Recipe,
    out: Path | str,
    *,
    data_dir: Path | str | None = None,
    resume: bool = False,
    device: torch.device | str = "cpu",
    download: bool = True,
    checkpoint_every: int = 1000,
    on_progress: Callable[[Progress], None] | None = None,
) -> dict[str, Any]:
    """The result of `recipe`, as a dict ready for JSON; everything it made is in the directory `out`.

    A finished run of the same recipe is not repeated: its stored result comes back. With `resume` an unfinished
    one continues from its last checkpoint to the bit-identical weights and metrics (same number of threads);
    where there is no checkpoint yet it starts from the beginning.

    Raises RunDirectoryError as `open_run` does, `training.Interrupted` on Ctrl-C once the checkpoint is written,
    and whatever reading the data, pruning and training raise; all are ThresherErrors.
    """
    device = usable_device(device)
    if recipe.engine == "sparse" and device.type != "cpu":
        raise ArgumentError(f"engine 'sparse' runs on the CPU: on {device} leave the engine out or use 'masked'")
    with open_run(out, recipe, resume) as directory:
        finished = directory.result()
        if finished is not None:
            return finished
        tally, pruning = Tally(), Stopwatch()
        here = environment(device)
        # dropout draws from torch's global generators: they start from the recipe's seed and come back after
        with listen(tally), isolated_random_state(recipe.seed):
            splits = load(recipe.data, data_dir, validation=recipe.validation, seed=recipe.seed, download=download)
            if recipe.batch_size > len(splits.train):
                raise ArgumentError(
                    f"batch_size is {recipe.batch_size}, but {splits.train.name} has {len(splits.train)} to train on"
                )
            model = initialized(recipe, splits, device)
            scored = scored_splits(recipe, splits, data_dir, download)
            with pruning:
                mask = _mask(recipe, model, scored, directory)
            sparse_layers = _sparse_layers(recipe, model, mask, directory)
            trained, rule = equipped(recipe, model, mask, sparse_layers)
            if sparse_layers:
                here["instruction_set"] = instruction_set()
            carry: dict[str, Stateful] = {"tally": tally, "pruning": pruning}
            if rule is not None:
                carry["rule"] = rule
            if recipe.labels == "shuffled":
                splits = with_shuffled_labels(splits, recipe.seed)
            outcome = _trained(recipe, trained, rule, splits, directory, carry, checkpoint_every, on_progress)
        model.load_state_dict(trained.state_dict())  # from sparse layers back to the dense ones of the same names
        result = result_of(recipe, model, mask, sparse_layers, outcome, tally, here, pruning.seconds)
        write_weights(model, directory.model_file, ("thresher-recipe", recipe.hash))
        write_text_atomically(directory.result_file, json.dumps(result, indent=2) + "\n")
        # the result is complete: nothing would resume from here
        directory.checkpoint_file.unlink(missing_ok=True)
        return result


def usable_device(device: torch.device | str) -> torch.device:
    """`device`, once a tensor could be made on it; raises ArgumentError where none can."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ArgumentError(f"device {str(device)!r} cannot be used here: {reason}; 'cpu' always can") from error
    return torch.device(device)


def _mask(recipe: Recipe, model: ImageClassifier, scored: Splits, directory: RunDirectory) -> Mask:
    """The run's mask, and `model` with the weights that training starts from.

    Where training is under way it is read from its file, and what scoring read is in the checkpoint; otherwise it
    is made, again if need be: a mask without a record of what it was chosen by is none.
    """
    if directory.checkpoint_file.exists():
        return Mask.load(directory.mask_file)
    mask = chosen_mask(recipe, model, scored)
    mask.save(directory.mask_file)
    made_ready_(recipe, model, mask)
    return mask


def _sparse_layers(recipe: Recipe, model: ImageClassifier, mask: Mask, directory: RunDirectory) -> tuple[str, ...]:
    """The names of the sparse layers: chosen once, since another machine or another hour may choose others."""
    if directory.checkpoint_file.exists():
        return read_sparse_layers(directory.engine_file, mask)
    sparse_layers = choose_sparse_layers(recipe, model, mask)
    write_sparse_layers(directory.engine_file, sparse_layers)
    return sparse_layers


def _trained(
    recipe: Recipe,
    model: nn.Module,
    rule: FixedMask | None,
    splits: Splits,
    directory: RunDirectory,
    carry: Mapping[str, Stateful],
    checkpoint_every: int,
    on_progress: Callable[[Progress], None] | None,
) -> Outcome:
    device = next(model.parameters()).device
    stream = Stream(splits.train, splits, recipe.batch_size, seed=recipe.seed, device=device, augment=recipe.augment)
    held_out = splits.validation
    return train(
        model,
        stream,
        recipe.plan(stream.steps_per_epoch, checkpoint_every),
        loss=cross_entropy,
        validation=None if held_out is None else Batches(held_out, splits, _EVALUATION_BATCH, device=device),
        test=Batches(splits.test, splits, _EVALUATION_BATCH, device=device),
        rule=rule,
        run_dir=directory.path,
        fingerprint=recipe.hash,
        resume=directory.checkpoint_file.exists(),
        carry=carry,
        on_progress=on_progress,
    )
