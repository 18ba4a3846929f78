"""`thresher train`: prune at initialisation, train, report."""

import dataclasses
import shlex
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from thresher.cli import options
from thresher.cli.output import console, present
from thresher.core.errors import ArgumentError, FileFormatError
from thresher.experiments import Recipe, protocol, run
from thresher.experiments.method import SCORE_LOSSES
from thresher.experiments.run_directory import RunDirectory
from thresher.experiments.store import Store
from thresher.initializers import INITIALIZER_NAMES
from thresher.training import OPTIMIZERS, Interrupted, ProgressBar, keep_freed_memory

_EXAMPLES = """
Examples:

* `thresher train --data digits --model lenet-300-100 --method snip --sparsity 0.9`
* `thresher train --data mnist --data-dir ~/data --model lenet-5-caffe --method synflow --sparsity 0.98 --epochs 8`
* `thresher train --out runs/mine --resume` goes on with what an interruption left there
"""


def _panel(title: str, *names: str, **settings: Any) -> Any:
    return typer.Option(*names, rich_help_panel=title, **settings)


def train(
    data: options.DataName = None,
    data_dir: options.DataDir = None,
    model: Annotated[
        str | None, _panel("What", help="Model by the thesis's name: lenet-300-100, vgg-d, resnet-20, lstm-s …")
    ] = None,
    method: options.Method = None,
    sparsity: options.Sparsity = None,
    allocation: options.AllocationName = None,
    pattern: options.PatternName = None,
    schedule: options.ScheduleName = None,
    rounds: options.Rounds = None,
    protect: options.Protect = None,
    on_collapse: options.OnCollapseName = None,
    score_examples: Annotated[
        int | None, _panel("Pruning", help="Training examples the method reads; 0 is all. Default: one batch.")
    ] = None,
    score_loss: Annotated[
        str | None, _panel("Pruning", help=f"What is differentiated: {', '.join(SCORE_LOSSES)}. Default: labels.")
    ] = None,
    score_data: Annotated[
        str | None, _panel("Pruning", help="Score with this data set instead, of the same shape: transfer.")
    ] = None,
    isometry: Annotated[
        str | None, _panel("Pruning", help="Then make layers near orthogonal: frobenius, spectral. Default: none.")
    ] = None,
    perturb: Annotated[
        str | None, _panel("Pruning", help="Sanity check of the mask: shuffle within tensors, or invert scores.")
    ] = None,
    epochs: Annotated[
        int | None, _panel("Training", help="Passes over the training set. Default: MNIST 20, CIFAR 30, digits 60.")
    ] = None,
    steps: Annotated[int | None, _panel("Training", help="Optimizer steps, instead of --epochs.")] = None,
    batch_size: Annotated[int | None, _panel("Training", help="Default: 100, CIFAR 128, digits 32.")] = None,
    optimizer: Annotated[str | None, _panel("Training", help=f"{', '.join(OPTIMIZERS)}. Default: momentum.")] = None,
    learning_rate: Annotated[
        float | None, _panel("Training", "--learning-rate", "--lr", help="Default: 0.1, digits 0.05.")
    ] = None,
    momentum: Annotated[float | None, _panel("Training", help="For momentum and nesterov. Default: 0.9.")] = None,
    weight_decay: Annotated[float | None, _panel("Training", help="Default: 0.0005.")] = None,
    decay: Annotated[
        str | None, _panel("Training", help="Learning rate: constant, step, linear, cosine. Default: step.")
    ] = None,
    decay_every: Annotated[
        str | None, _panel("Training", help="For step: '25000it' or '5ep'. Default: a quarter of the budget.")
    ] = None,
    milestones: Annotated[
        str | None, _panel("Training", help="For step, instead: where the rate decays, such as 80ep,120ep.")
    ] = None,
    decay_factor: Annotated[float | None, _panel("Training", help="For step. Default: 0.1.")] = None,
    clip_norm: Annotated[float | None, _panel("Training", help="Bound on the gradient's norm.")] = None,
    augment: Annotated[
        bool | None, _panel("Training", "--augment/--no-augment", help="Flips and ±4 pixel shifts. Default: CIFAR.")
    ] = None,
    initializer: Annotated[
        str | None, _panel("Training", help=f"{', '.join(INITIALIZER_NAMES)}. Default: glorot.")
    ] = None,
    reinitialize: Annotated[bool | None, _panel("Training", help="Draw new weights after pruning.")] = None,
    reinitialize_by: Annotated[str | None, _panel("Training", help="Initializer of those. Default: the same.")] = None,
    labels: Annotated[str | None, _panel("Training", help="true, or shuffled: to be learnt by heart.")] = None,
    holding: Annotated[
        str | None, _panel("Training", help="Removed weights: prune, freeze, straight-through. Default: prune.")
    ] = None,
    evaluate_every: Annotated[
        str | None, _panel("Training", help="'500it' or '1ep'. Default: 1ep, digits 2ep.")
    ] = None,
    validation: Annotated[
        float | None, _panel("Training", help="Fraction of training examples held out. Default: 0.1.")
    ] = None,
    seed: Annotated[int | None, _panel("Training", help="Everything random follows from it. Default: 0.")] = None,
    engine: Annotated[
        str | None, _panel("Execution", help="auto, sparse, masked, dense. Default: auto, sparse where faster.")
    ] = None,
    device: options.Device = "cpu",
    threads: Annotated[int | None, _panel("Execution", min=1, help="Processor threads.")] = None,
    no_download: options.NoDownload = False,
    checkpoint_every: Annotated[int, _panel("Execution", min=1, help="Steps between checkpoints.")] = 1000,
    out: Annotated[Path | None, _panel("Output", help="Run directory. Default: runs/NAME by recipe.")] = None,
    resume: Annotated[bool, _panel("Output", "--resume", help="Go on from the last checkpoint.")] = False,
    json: options.Json = False,
) -> None:
    """Prune at initialisation, train what is left, and write a report.

    Without --method the network stays dense. A finished run is not repeated: its result is shown again. The run
    directory holds recipe.json, metrics.jsonl, mask and model (safetensors), result.json and report.html.
    """
    if epochs is not None and steps is not None:
        raise ArgumentError("--epochs and --steps both say how long to train: give one")
    given = {
        "data": data,
        "model": model,
        "method": method,
        "sparsity": sparsity,
        "allocation": allocation,
        "pattern": pattern,
        "schedule": schedule,
        "rounds": rounds,
        "protect": tuple(protect) if protect else None,
        "on_collapse": on_collapse,
        "score_examples": score_examples,
        "budget": _budget(epochs, steps),
        "batch_size": batch_size,
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "momentum": momentum,
        "weight_decay": weight_decay,
        "decay": decay,
        "decay_every": decay_every,
        "milestones": None if milestones is None else tuple(text.strip() for text in milestones.split(",")),
        "decay_factor": decay_factor,
        "clip_norm": clip_norm,
        "augment": augment,
        "initializer": initializer,
        "reinitialize": reinitialize,
        "reinitialize_by": reinitialize_by,
        "labels": labels,
        "perturb": perturb,
        "score_loss": score_loss,
        "score_data": score_data,
        "isometry": isometry,
        "holding": holding,
        "evaluate_every": evaluate_every,
        "validation": validation,
        "seed": seed,
        "engine": engine,
    }
    recipe = _recipe({name: value for name, value in given.items() if value is not None}, out, resume)
    keep_freed_memory()
    if threads is not None:
        torch.set_num_threads(threads)
    directory = Store.open().directory(recipe) if out is None else out
    try:
        with ProgressBar(f"{recipe.model} on {recipe.data}") as bar:
            result = run(
                recipe,
                directory,
                data_dir=data_dir,
                resume=resume,
                device=device,
                download=not no_download,
                checkpoint_every=checkpoint_every,
                on_progress=bar,
            )
    except Interrupted:
        place = [] if data_dir is None else ["--data-dir", str(data_dir)]  # where the data is, no recipe says
        again = shlex.join(["thresher", "train", "--out", str(directory), "--resume", *place])
        console(as_json=True).print(f"go on with: {again}", markup=False, highlight=False, soft_wrap=True)
        raise
    present(result, directory, json)


train.__doc__ = f"{train.__doc__}\n{_EXAMPLES}"


def _budget(epochs: int | None, steps: int | None) -> str | None:
    for name, count in (("--epochs", epochs), ("--steps", steps)):
        if count is not None and count < 1:
            raise ArgumentError(f"{name} is at least 1: got {count}")
    if epochs is not None:
        return f"{epochs}ep"
    return None if steps is None else f"{steps}it"


def _recipe(given: dict[str, Any], out: Path | None, resume: bool) -> Recipe:
    """The recipe the options mean: on resuming, the stored one, with which they must agree."""
    if resume and "data" not in given and "model" not in given:
        if out is None:
            raise ArgumentError("--resume needs to know which run: give --out, or the options it was started with")
        stored = RunDirectory(out).recipe()
        if stored is None:
            raise FileFormatError(f"there is no run to resume in {out}: recipe.json is not there")
        return dataclasses.replace(stored, **given)
    missing = [f"--{name}" for name in ("data", "model") if name not in given]
    if missing:
        raise ArgumentError(f"{' and '.join(missing)} missing: say what to train on what")
    return Recipe(**{**protocol(given["data"]), **given})
