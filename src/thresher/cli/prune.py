"""`thresher prune`: a mask for any checkpoint of a known model, or for the user's own."""

from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import nn
from torch.nn.functional import cross_entropy

from thresher.allocations import Allocation
from thresher.cli import options
from thresher.cli.factory import FactoryError, call_factory, one_line
from thresher.cli.layers import layer_rows
from thresher.cli.network import network
from thresher.cli.output import console, parse_shape, print_json
from thresher.cli.weights import load_weights_
from thresher.core.batch import Data
from thresher.core.errors import ArgumentError, ThresherError
from thresher.core.mask import Mask
from thresher.core.seeds import generator
from thresher.core.weights_file import write_weights
from thresher.criteria import Criterion
from thresher.data import Splits, load
from thresher.experiments import protocol
from thresher.experiments.method import allocation_of, criterion_of, pattern_of, schedule_of
from thresher.experiments.scoring import scoring_batches
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
    if data is not None and batches is not None:
        raise ArgumentError("--data and --batches both say what to read: give one")
    if weights_out is not None and (weights_out.suffix != ".safetensors" or weights_out.resolve() == out.resolve()):
        raise ArgumentError(f"--weights-out is a .safetensors file other than --out: got {weights_out}")
    splits = None if data is None else load(data, data_dir, seed=seed, download=not no_download)
    shape = None if input_shape is None else parse_shape(input_shape)
    if splits is not None and ":" not in model:  # a known model takes the form of the data
        shape, classes = shape or splits.input_shape, classes or splits.num_classes
    net = network(model, classes, shape, seed)
    if checkpoint is not None:
        load_weights_(net, checkpoint)
    name = method or "magnitude"
    criterion = criterion_of(name, cross_entropy, generator(seed, "random-pruning"))
    examples = _examples(criterion, name, splits, batches, score_examples, seed)
    shapes = pattern_of(pattern or "unstructured")
    mask = _found(
        net,
        criterion,
        sparsity=sparsity,
        data=examples,
        allocation=_allocation(allocation),
        pattern=shapes,
        schedule=schedule_of(name, schedule, rounds),
        protect=protect or (),
        on_collapse=on_collapse,
        example=None if shape is None else torch.ones((1, *shape)),
    )
    mask.save(out)
    if weights_out is not None:
        mask.apply_(net)
        write_weights(net, weights_out)
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


def _found(net: nn.Module, criterion: Criterion, **settings: Any) -> Mask:
    """The mask; what the user's own model or batches raise becomes one line."""
    try:
        return find_mask(net, criterion, **settings)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        if isinstance(error, ThresherError):
            raise
        raise FactoryError(
            f"the model does not take these inputs ({one_line(error)}): check --input-shape, --data or --batches"
        ) from error


def _allocation(name: str | None) -> Allocation | None:
    return None if name is None else allocation_of(name)


def _examples(
    criterion: Criterion, method: str, splits: Splits | None, batches: str | None, score_examples: int | None, seed: int
) -> Data | None:
    """The batches the criterion reads: the user's own, or drawn from a known data set; None if it reads none."""
    if not criterion.reads_data:
        return None
    if batches is not None:
        own: Data = call_factory(batches)
        return own
    if splits is None:
        raise ArgumentError(f"method '{method}' reads examples: give --data NAME or --batches package.module:function")
    name = splits.train.name.partition("/")[0]
    return scoring_batches(splits, protocol(name).get("batch_size", 100), score_examples, seed)
