"""All charts of a study, block by block, or where one cannot be drawn the line that says why."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from thresher.core.errors import MissingExtraError
from thresher.experiments.summary import Block, Summary

if TYPE_CHECKING:
    from thresher.report.study_chart import Chart


@dataclass(frozen=True)
class Figure:
    """A chart, or None and the reason."""

    chart: "Chart | None"
    reason: str = ""


def study_figures(summary: Summary, log_density: bool = True) -> dict[tuple[str, str], list[Figure]]:
    """(data, model) → its figures: error against sparsity, theoretical and measured speedup; layers; learning curves.

    log_density: see `error_against_sparsity`. Raises MissingExtraError without matplotlib (extra 'compare').
    """
    try:
        from thresher.report.study_chart import looks
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        raise MissingExtraError("a figure", "compare") from None
    found = looks(label for block in summary.blocks for label in block.labels)
    return {(block.data, block.model): _figures(block, found, log_density) for block in summary.blocks}


def write_study_figures(folder: Path | str, summary: Summary, log_density: bool = True) -> list[Path]:
    """The paths of the SVG and PDF files written into `folder`, two for each chart that can be drawn."""
    charts = [figure.chart for figures in study_figures(summary, log_density).values() for figure in figures]
    return [path for chart in charts if chart is not None for path in chart.write(Path(folder))]


def _figures(block: Block, looks: "dict[str, dict[str, object]]", log_density: bool) -> list[Figure]:
    from thresher.report import study_errors, study_layers, study_learning

    measured = study_errors.error_against_measured_speedup(block, looks)
    none = f"No pruned run of {block.model} on {block.data} is finished with an error"
    return [
        Figure(study_errors.error_against_sparsity(block, looks, log_density), f"{none}."),
        Figure(study_errors.error_against_theoretical_speedup(block, looks), f"{none} and a theoretical speedup."),
        Figure(None, measured) if isinstance(measured, str) else Figure(measured),
        Figure(study_layers.layer_sparsities(block, looks), f"{none}: no layers to compare."),
        Figure(study_learning.learning_curves(block, looks), "No run left a metrics.jsonl to read."),
    ]
