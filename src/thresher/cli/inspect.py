"""`thresher inspect`: what is in a mask, a checkpoint or a run."""

from pathlib import Path
from typing import Annotated, Any

import typer

from thresher.cli import options
from thresher.cli.layers import layer_rows, mask_rows
from thresher.cli.network import network
from thresher.cli.output import console, parse_shape, print_json
from thresher.cli.weights import read_weights
from thresher.core.errors import FileFormatError
from thresher.core.mask import Mask
from thresher.core.mask_file import is_mask_file
from thresher.experiments.run_directory import RunDirectory
from thresher.report import layer_table, result_table


def inspect(
    path: Annotated[Path, typer.Argument(help="A mask or checkpoint file, or a run directory.")],
    model: Annotated[
        str | None,
        typer.Option(help="The model it is for (a name or package.module:function): adds costs and what is cut off."),
    ] = None,
    classes: Annotated[int | None, typer.Option(help="Outputs of a known model.")] = None,
    input_shape: Annotated[str | None, typer.Option(help="Input of the model, as 3x32x32.")] = None,
    json: options.Json = False,
) -> None:
    """Show the layer table of a mask or a checkpoint, or the result of a run.

    In a checkpoint, a weight counts as removed if it is exactly zero. Nothing in the file is executed.

    Examples:

    * `thresher inspect mask.safetensors --model lenet-300-100`
    * `thresher inspect runs/demo/snip`
    * `thresher inspect model.pt --json`
    """
    here = console(json)
    if path.is_dir():
        result = _result(path)
        if json:
            print_json(result)
            return
        here.print(result_table(result))
        here.print(layer_table(result["layers"]))
        here.print(result["collapse"]["summary"], markup=False, highlight=False)
        return
    mask, kind = _mask(path)
    shape = None if input_shape is None else parse_shape(input_shape)
    rows: dict[str, Any] = {"layers": mask_rows(mask), "cost": None, "collapse": None}
    if model is not None:
        net = network(model, classes, shape)
        mask.parameters_of(net)
        rows = layer_rows(net, mask, shape)
    if json:
        print_json({"kind": kind, "sparsity": mask.sparsity, "kept": mask.kept, "total": mask.total, **rows})
        return
    here.print(layer_table(rows["layers"]))
    here.print(
        f"{kind}: {mask.kept:,} of {mask.total:,} weights kept, sparsity {mask.sparsity:.4f}",
        markup=False,
        highlight=False,
    )
    if rows["cost"] is not None:
        speedup = rows["cost"]["theoretical_speedup"]
        here.print(f"theoretical speedup {speedup:.2f}× (multiply-adds, not a measured time)", highlight=False)
    if rows["collapse"] is not None:
        here.print(rows["collapse"], markup=False, highlight=False)


def _result(path: Path) -> dict[str, Any]:
    directory = RunDirectory(path)
    result = directory.result()
    if result is None:
        state = "an unfinished run: --resume it" if directory.recipe_file.exists() else "no run directory"
        raise FileFormatError(f"{path} has no result.json; it is {state}")
    return result


def _mask(path: Path) -> tuple[Mask, str]:
    if is_mask_file(path):
        return Mask.load(path), "mask"
    weights = read_weights(path)
    nonzero = {n: t != 0 for n, t in weights.items() if t.is_floating_point() and t.dim() > 1}
    if not nonzero:
        raise FileFormatError(f"{path} holds no weight of two dimensions or more")
    return Mask(nonzero), "checkpoint"
