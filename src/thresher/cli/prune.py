"""`thresher prune`: a mask for any checkpoint of a known model, or for the user's own."""

from pathlib import Path
from typing import Annotated

import torch
import typer
from safetensors.torch import save_file
from torch import nn
from torch.nn.functional import cross_entropy

from thresher.allocations import Allocation
from thresher.cli import options
from thresher.cli.factory import call_factory, model_from_factory
from thresher.cli.layers import layer_rows
from thresher.cli.output import console, parse_shape, print_json
from thresher.cli.weights import load_weights_
from thresher.core.batch import Data
from thresher.core.errors import ArgumentError
from thresher.core.files import write_atomically
from thresher.core.seeds import generator
from thresher.data import load
from thresher.experiments import protocol
from thresher.experiments.method import allocation_of, criterion_of, pattern_of, reads_data, schedule_of
from thresher.experiments.scoring import scoring_batches
from thresher.models import build
from thresher.procedures import prune as find_mask
from thresher.report import layer_table


def prune(
    model: Annotated[
        str, typer.Option(help="A known model (lenet-300-100, resnet-20 …) or your own: package.module:function.")
    ],
    out: Annotated[Path, typer.Option(help="The mask's file.", rich_help_panel="Output")] = Path("mask.safetensors"),
    checkpoint: Annotated[
        Path | None, typer.Option(help="Weights to prune: .safetensors or .pt. Default: fresh ones by --seed.")
    ] = None,
    method: options.Method = "magnitude",
    sparsity: options.Sparsity = None,
    allocation: options.AllocationName = None,
    pattern: options.PatternName = None,
    schedule: options.ScheduleName = None,
    rounds: options.Rounds = None,
    protect: options.Protect = None,
    on_collapse: options.OnCollapseName = "warn",
    data: options.DataName = None,
    data_dir: options.DataDir = None,
    no_download: options.NoDownload = False,
    batches: Annotated[
        str | None,
        typer.Option(
            help="Your own batches: package.module:function returning (inputs, targets) pairs.",
            rich_help_panel="What",
        ),
    ] = None,
    score_examples: Annotated[
        int | None, typer.Option(help="Examples of --data to read; 0 is all. Default: one batch.")
    ] = None,
    classes: Annotated[int | None, typer.Option(help="Outputs of a known model. Default: as published.")] = None,
    input_shape: Annotated[
        str | None, typer.Option(help="Input of the model, as 3x32x32. Default: as published.")
    ] = None,
    weights_out: Annotated[
        Path | None, typer.Option(help="Also write the pruned weights (.safetensors).", rich_help_panel="Output")
    ] = None,
    seed: Annotated[int, typer.Option(help="For fresh weights, random pruning and the choice of examples.")] = 0,
    json: options.Json = False,
) -> None:
    """Choose which weights of a model go, and write the mask.

    Examples:

    * `thresher prune --model lenet-300-100 --checkpoint model.safetensors --sparsity 0.9`
    * `thresher prune --model mynets:make --method synflow --sparsity 0.99 --input-shape 3x64x64`
    * `thresher prune --model resnet-20 --method snip --data cifar-10 --sparsity 0.95 --allocation erk`
    """
    shape = None if input_shape is None else parse_shape(input_shape)
    net = _network(model, classes, shape, data, seed)
    if checkpoint is not None:
        load_weights_(net, checkpoint)
    name = method or "magnitude"
    criterion = criterion_of(name, cross_entropy, generator(seed, "random-pruning"))
    examples = _examples(name, data, data_dir, batches, score_examples, seed, not no_download)
    shapes = pattern_of(pattern or "unstructured")
    mask = find_mask(
        net,
        criterion,
        sparsity=sparsity,
        data=examples,
        allocation=_allocation(allocation),
        pattern=shapes,
        schedule=schedule_of(name, schedule, rounds),
        protect=protect or (),
        on_collapse=on_collapse,  # type: ignore[arg-type]  # any other word is refused by name
        example=None if shape is None else torch.ones((1, *shape)),
    )
    mask.save(out)
    if weights_out is not None:
        mask.apply_(net)
        weights = {key: tensor.contiguous() for key, tensor in net.state_dict().items()}
        write_atomically(weights_out, lambda file: save_file(weights, file))
    rows = layer_rows(net, mask, shape)
    if json:
        print_json({"mask": str(out), "sparsity": mask.sparsity, "kept": mask.kept, "prunable": mask.total, **rows})
        return
    here = console(json)
    here.print(layer_table(rows["layers"]))
    if rows["collapse"] is not None:
        here.print(rows["collapse"], markup=False, highlight=False)
    here.print(
        f"kept {mask.kept:,} of {mask.total:,} weights (sparsity {mask.sparsity:.4f}): {out}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _network(model: str, classes: int | None, shape: tuple[int, ...] | None, data: str | None, seed: int) -> nn.Module:
    if ":" in model:
        if classes is not None:
            raise ArgumentError("--classes is for known models: your factory decides that itself")
        return model_from_factory(model)
    return build(model, num_classes=classes, input_shape=shape, seed=seed)


def _allocation(name: str | None) -> Allocation | None:
    return None if name is None else allocation_of(name)


def _examples(
    method: str,
    data: str | None,
    data_dir: Path | None,
    batches: str | None,
    score_examples: int | None,
    seed: int,
    download: bool,
) -> Data | None:
    """The batches the criterion reads: the user's own, or drawn from a known data set; None if it reads none."""
    if data is not None and batches is not None:
        raise ArgumentError("--data and --batches both say what to read: give one")
    if batches is not None:
        own: Data = call_factory(batches)
        return own
    if not reads_data(method):
        return None
    if data is None:
        raise ArgumentError(f"method '{method}' reads examples: give --data NAME or --batches package.module:function")
    splits = load(data, data_dir, seed=seed, download=download)
    return scoring_batches(splits, protocol(data).get("batch_size", 100), score_examples, seed)
