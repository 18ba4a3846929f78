"""Run: a recipe in; a directory with its mask, model, metrics and result out."""

import json
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy

from thresher.core.files import write_atomically, write_text_atomically
from thresher.core.mask import Mask
from thresher.core.prunable import prunable
from thresher.core.seeds import generator, isolated_random_state
from thresher.core.touch import listen
from thresher.data import Batches, Splits, Stream, load
from thresher.experiments.environment import environment
from thresher.experiments.method import allocation_of, criterion_of, pattern_of, reads_data, schedule_of
from thresher.experiments.recipe import Recipe
from thresher.experiments.result import result_of
from thresher.experiments.run_directory import RunDirectory, open_run
from thresher.experiments.scoring import scoring_batches
from thresher.experiments.tally import Tally
from thresher.initializers import INITIALIZERS
from thresher.models import ImageClassifier, build
from thresher.procedures import prune
from thresher.rules import FixedMask
from thresher.training import Outcome, Progress, train

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
    with open_run(out, recipe, resume) as directory:
        finished = directory.result()
        if finished is not None:
            return finished
        tally = Tally()
        here = environment(torch.device(device))
        # dropout draws from torch's global generators: they start from the recipe's seed and come back after
        with listen(tally), isolated_random_state(recipe.seed):
            splits = load(recipe.data, data_dir, validation=recipe.validation, seed=recipe.seed, download=download)
            model = _initialized(recipe, splits).to(device)
            start = perf_counter()
            mask = _mask(recipe, model, splits, directory, resume)
            seconds_pruning = perf_counter() - start
            outcome = _trained(recipe, model, mask, splits, directory, tally, resume, checkpoint_every, on_progress)
        result = result_of(recipe, model, mask, outcome, tally, here, seconds_pruning)
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
        write_atomically(
            directory.model_file,
            # one entry of metadata: several are written in an order of their own, and the file would not repeat
            lambda file: save_file(weights, file, {"thresher-recipe": recipe.hash}),
        )
        write_text_atomically(directory.result_file, json.dumps(result, indent=2) + "\n")
        # the result is complete: nothing would resume from here
        directory.checkpoint_file.unlink(missing_ok=True)
        return result


def _initialized(recipe: Recipe, splits: Splits) -> ImageClassifier:
    model = build(recipe.model, num_classes=splits.num_classes, input_shape=splits.input_shape, seed=recipe.seed)
    INITIALIZERS[recipe.initializer].initialize_(model, generator(recipe.seed, "initialization"))
    return model


def _mask(recipe: Recipe, model: ImageClassifier, splits: Splits, directory: RunDirectory, resume: bool) -> Mask:
    """The run's mask, from its file if it resumes; `model` then has the weights that training starts from."""
    if resume and directory.mask_file.exists():
        mask = Mask.load(directory.mask_file)
    elif recipe.method == "dense":
        mask = Mask.full(prunable(model))
    else:
        mask = prune(
            model,
            criterion_of(recipe.method, cross_entropy, generator(recipe.seed, "random-pruning")),
            data=_examples(recipe, splits, next(model.parameters()).device),
            sparsity=recipe.sparsity,
            allocation=allocation_of(recipe.allocation),
            pattern=pattern_of(recipe.pattern),
            schedule=schedule_of(recipe.method, recipe.schedule, recipe.rounds),
            protect=recipe.protect,
            on_collapse=recipe.on_collapse,
        )
    mask.save(directory.mask_file)
    if recipe.reinitialize:
        INITIALIZERS[recipe.initializer].initialize_(model, generator(recipe.seed, "reinitialization"))
    return mask


def _examples(recipe: Recipe, splits: Splits, device: torch.device) -> Batches | None:
    if not reads_data(recipe.method):
        return None
    return scoring_batches(splits, recipe.batch_size, recipe.score_examples, recipe.seed, device)


def _trained(
    recipe: Recipe,
    model: ImageClassifier,
    mask: Mask,
    splits: Splits,
    directory: RunDirectory,
    tally: Tally,
    resume: bool,
    checkpoint_every: int,
    on_progress: Callable[[Progress], None] | None,
) -> Outcome:
    device = next(model.parameters()).device
    stream = Stream(splits.train, splits, recipe.batch_size, seed=recipe.seed, device=device, augment=recipe.augment)
    held_out = splits.validation
    rule = None if recipe.method == "dense" else FixedMask(mask, recipe.holding)
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
        resume=resume and directory.checkpoint_file.exists(),
        carry={"tally": tally, **({"rule": rule} if rule is not None else {})},
        on_progress=on_progress,
    )
