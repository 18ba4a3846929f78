"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from thresher.allocations import ALLOCATIONS
from thresher.data import DATASETS
from thresher.experiments import METHODS
from thresher.experiments.summary import MEASURES
from thresher.schedules import SCHEDULES


def _names(table: object) -> str:
    return ", ".join(name for name in table if name not in ("per-tensor", "dense"))  # type: ignore[attr-defined]


DataName: TypeAlias = Annotated[
    str | None, typer.Option("--data", help=f"Data set: {_names(DATASETS)}.", rich_help_panel="What")
]
DataDir: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar="THRESHER_DATA",
        help="Folder the data files are in, or are downloaded to. Default: ~/.cache/thresher.",
        rich_help_panel="What",
    ),
]
NoDownload: TypeAlias = Annotated[
    bool, typer.Option("--no-download", help="Fail if data files are absent.", rich_help_panel="What")
]
Method: TypeAlias = Annotated[
    str | None, typer.Option(help=f"Who chooses what goes: {_names(METHODS)}.", rich_help_panel="Pruning")
]
Sparsity: TypeAlias = Annotated[
    float | None,
    typer.Option(help="Fraction of prunable weights removed, in [0, 1): 0.95.", rich_help_panel="Pruning"),
]
AllocationName: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--allocation",
        help=f"Who gets how many: {_names(ALLOCATIONS)}. Default: global.",
        rich_help_panel="Pruning",
    ),
]
PatternName: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--pattern",
        help="What goes together: unstructured, channel, block:4x4, or n:m as 2:4. Default: unstructured.",
        rich_help_panel="Pruning",
    ),
]
ScheduleName: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--schedule",
        help=f"Sparsity by round: {_names(SCHEDULES)}. Default: the method's own.",
        rich_help_panel="Pruning",
    ),
]
Rounds: TypeAlias = Annotated[
    int | None, typer.Option(help="In how many rounds. Default: the method's own.", rich_help_panel="Pruning")
]
Protect: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(help="Leave dense: first, last, a name or pattern; repeatable.", rich_help_panel="Pruning"),
]
OnCollapseName: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--on-collapse", help="If a layer is emptied: warn, raise, repair, ignore.", rich_help_panel="Pruning"
    ),
]
Epochs: TypeAlias = Annotated[
    int | None, typer.Option(min=1, help="Default: as `thresher train`.", rich_help_panel="What")
]
Steps: TypeAlias = Annotated[int | None, typer.Option(min=1, help="Instead of epochs.", rich_help_panel="What")]
Settings: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Any other field of the recipe, FIELD=VALUE; repeatable: learning_rate=0.05.",
        rich_help_panel="What",
    ),
]
Measure: TypeAlias = Annotated[str, typer.Option(help=f"Which error: {', '.join(MEASURES)}.", rich_help_panel="What")]
StorePath: TypeAlias = Annotated[
    Path, typer.Option("--store", help="Folder of runs; what is there is not run again.", rich_help_panel="Execution")
]
Storage: TypeAlias = Annotated[
    str | None,
    typer.Option(
        envvar="THRESHER_STORAGE",
        help="postgresql://USER:PASSWORD@HOST/DATABASE for workers on many machines. Default: a file in --store. "
        "Asked again for 60 s at the start, for 600 s later on.",
        rich_help_panel="Execution",
    ),
]
StudyName: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--study",
        help="Its name, for `thresher work --study`. Default: made of what it runs.",
        rich_help_panel="Execution",
    ),
]
AllowMixedCode: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--allow-mixed-code",
        help="Go on with what another version of the code began.",
        rich_help_panel="Execution",
    ),
]
Again: TypeAlias = Annotated[
    bool, typer.Option("--again", help="Run anew what has failed.", rich_help_panel="Execution")
]
Workers: TypeAlias = Annotated[int, typer.Option(min=1, help="Processes on this machine.", rich_help_panel="Execution")]
ThreadsOfEach: TypeAlias = Annotated[
    int | None, typer.Option("--threads", min=1, help="Processor threads of each.", rich_help_panel="Execution")
]
Json: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Last line of standard output: one JSON object.", rich_help_panel="Output")
]
Device: TypeAlias = Annotated[str, typer.Option(help="cpu or cuda.", rich_help_panel="Execution")]
