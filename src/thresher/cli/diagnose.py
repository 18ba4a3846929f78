"""`thresher diagnose`: why a sparse network trains slowly, before it is trained, and what repair changes."""

import json as json_format
from pathlib import Path
from typing import Annotated, Any

import typer
from torch.nn.functional import cross_entropy

from thresher.cli import options
from thresher.cli.factory import FactoryError, one_line
from thresher.cli.output import console, parse_shape, print_json
from thresher.cli.subject import Source, Subject, given, of_run, pruned, refuse
from thresher.core.errors import ArgumentError, ThresherError
from thresher.core.files import write_text_atomically
from thresher.core.weights_file import write_weights
from thresher.experiments.diagnosis import Diagnosis
from thresher.experiments.diagnosis import diagnose as look
from thresher.experiments.run import usable_device
from thresher.experiments.run_directory import RunDirectory
from thresher.initializers import INITIALIZER_NAMES
from thresher.report import diagnosis_sentences as sentences
from thresher.report.diagnosis_page import write_diagnosis
from thresher.report.diagnosis_table import diagnosis_table, layer_diagnosis_table

_LONG = ("layers", "collapse")
_BY_KNOWN_DATA = (
    "--method prunes fresh weights by known data (for anything else find the mask with thresher prune … --out "
    "mask.safetensors and pass it by --mask)"
)


def diagnose(
    path: Annotated[
        Path | None,
        typer.Argument(help="A run directory (looked at as training starts), or a checkpoint with --model."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="A known model, or your own: package.module:function.", rich_help_panel="What"),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(help="Its mask. Default for a checkpoint: what is not zero.", rich_help_panel="What"),
    ] = None,
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
    input_shape: Annotated[
        str | None,
        typer.Option(
            help="Without data: look at standard normal inputs of this shape, 3,32,32. What takes labels is left out.",
            rich_help_panel="What",
        ),
    ] = None,
    trained: Annotated[
        bool, typer.Option("--trained", help="Of a run, the trained weights instead.", rich_help_panel="What")
    ] = False,
    method: options.Method = None,
    sparsity: options.Sparsity = None,
    allocation: options.AllocationName = None,
    initializer: Annotated[
        str | None,
        typer.Option(
            help=f"Fresh weights: {', '.join(INITIALIZER_NAMES)}. Default: glorot.",
            rich_help_panel="Pruning",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="For fresh weights, random pruning and the choice of examples.")] = 0,
    examples: Annotated[int, typer.Option(help="How many training examples, or normal inputs, to look at.")] = 300,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Move the kept weights towards isometry and write the repaired checkpoint."),
    ] = False,
    device: options.Device = "cpu",
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for what is written. Default: diagnosis.", rich_help_panel="Output"),
    ] = None,
    json: options.Json = False,
) -> None:
    """Say where a pruned network loses its signal, which layers are starved, and what repair does.

    Writes diagnosis.html and diagnosis.json; with --repair also model.safetensors and mask.safetensors.

    Examples:

    * `thresher diagnose --data mnist --model lenet-300-100 --method random --sparsity 0.98 --repair`
    * `thresher diagnose runs/demo/snip --out runs/demo/snip/diagnosis`
    * `thresher diagnose model.safetensors --model lenet-300-100 --mask mask.safetensors --data mnist`
    * `thresher diagnose --model mynets:make --mask mask.safetensors --input-shape 3,32,32`
    """
    if examples < 1:
        raise ArgumentError(f"--examples is at least 1: got {examples}")
    looked_at = {"--data": data, "--batches": batches, "--input-shape": input_shape}
    chosen = [name for name, value in looked_at.items() if value is not None]
    if len(chosen) > 1:
        raise ArgumentError(f"{' and '.join(chosen)} each say what to look at: give one")
    folder = out or Path("diagnosis")
    if repair and (RunDirectory(folder).recipe_file.exists() or _is_read(folder, path, mask)):
        raise ArgumentError(f"--out {folder} holds a model or mask that --repair would overwrite: choose another")
    source = Source(
        data=data,
        data_dir=data_dir,
        download=not no_download,
        batches=batches,
        shape=None if input_shape is None else parse_shape(input_shape),
        examples=examples,
        device=usable_device(device),
    )
    if path is not None and path.is_dir():
        told: dict[str, object] = {"--model": model, "--mask": mask, **looked_at}
        told |= {"--method": method, "--sparsity": sparsity, "--allocation": allocation, "--initializer": initializer}
        refuse(told, f"{path} is a run, whose recipe says that already")
        subject = of_run(path, source, trained)
    elif trained:
        raise ArgumentError("--trained is for a run directory: a checkpoint is looked at as it is")
    elif method is not None:
        others = {"--batches": batches, "--input-shape": input_shape}
        refuse({"the checkpoint": path, "--mask": mask, **others}, _BY_KNOWN_DATA)
        subject = pruned(
            model,
            source,
            method=method,
            sparsity=sparsity,
            allocation=allocation,
            initializer=initializer,
            seed=seed,
        )
    else:
        refuse({"--sparsity": sparsity, "--allocation": allocation}, "nothing is pruned without --method")
        subject = given(path, model, mask, source, initializer=initializer, seed=seed)
    _present(_looked(subject, repair), subject, folder, json)


def _is_read(folder: Path, *paths: Path | None) -> bool:
    return any(path.resolve().parent == folder.resolve() for path in paths if path is not None)


def _looked(subject: Subject, repair: bool) -> Diagnosis:
    """The diagnosis; what the user's own model or batches raise becomes one line."""
    try:
        loss = cross_entropy if subject.labelled else None
        return look(subject.model, subject.mask, subject.data, loss=loss, repair=repair)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        if isinstance(error, ThresherError):
            raise
        raise FactoryError(
            f"the model does not take these inputs ({one_line(error)}): check --model, and --data, --batches or "
            "--input-shape"
        ) from error


def _present(diagnosis: Diagnosis, subject: Subject, folder: Path, json: bool) -> None:
    report: dict[str, Any] = {"subject": subject.words, **diagnosis.report}
    page = write_diagnosis(report, folder / "diagnosis.html")
    write_text_atomically(folder / "diagnosis.json", json_format.dumps(report, indent=2, allow_nan=False) + "\n")
    files = {"report": str(page)}
    if diagnosis.repaired is not None:
        files["checkpoint"] = str(write_weights(diagnosis.repaired, folder / "model.safetensors"))
        subject.mask.save(folder / "mask.safetensors")
        files["mask"] = str(folder / "mask.safetensors")
    if json:
        print_json({**{name: value for name, value in report.items() if name not in _LONG}, **files})
        return
    here = console(json)

    def say(*sentences: str) -> None:
        for sentence in sentences:
            here.print(sentence, markup=False, highlight=False)

    say(f"{subject.words}:", f"{sentences.headline(report)}.")
    here.print(diagnosis_table(report))
    here.print(layer_diagnosis_table(report))
    say(*sentences.where_lost(report), *sentences.starved(report))
    say(*sentences.slowdown(report), *sentences.repair(report))
    for what, file in files.items():
        here.print(f"{what}: {file}", markup=False, highlight=False, soft_wrap=True)
