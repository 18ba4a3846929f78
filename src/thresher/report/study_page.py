"""The report of a study: one HTML page that needs nothing but itself."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from thresher.core.errors import MissingExtraError
from thresher.core.files import write_text_atomically
from thresher.experiments.study_run import StudyRun
from thresher.experiments.summary import Cell, Summary
from thresher.report import numbers
from thresher.report.page import part_of_run_page
from thresher.report.study_figures import Figure, study_figures
from thresher.report.study_grid import comparisons_note, difference_grids, error_grids
from thresher.report.study_provenance import provenance_of
from thresher.report.study_published import Published, claims_told, verdicts
from thresher.report.study_sentences import study_sentences

_TEMPLATES = Path(__file__).parent
_MANY_RUNS = 25  # from which on their table scrolls on its own


@dataclass(frozen=True)
class _Line:
    """A run in the table of all."""

    run: StudyRun
    label: str
    error: float | None
    link: str | None
    words: str


def write_study_report(
    path: Path | str,
    title: str,
    summary: Summary | None,
    *,
    notes: Sequence[str] = (),
    published: Published | None = None,
) -> Path:
    """The path of the HTML page written there about the study `summary`.

    It says what the study shows and what went wrong, has the tables and figures, every run (with a link to its own
    report where there is one, relative to the page), and where the runs come from. `notes` are said under the title.
    With `published` a printed table stands beside our numbers, and there may be no summary (no run was needed).

    The page is whole or not written; it loads nothing, works offline and prints. Without matplotlib (extra
    'compare') the place of the figures names the extra. Raises RunDirectoryError if the operating system refuses to
    write. Cost: a second or two per block of the study, nearly all of it the figures.
    """
    return write_text_atomically(path, render(title, summary, Path(path).parent, notes, published))


def render(
    title: str,
    summary: Summary | None,
    folder: Path,
    notes: Sequence[str] = (),
    published: Published | None = None,
) -> str:
    """The page as text, its links relative to `folder`."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(
        {name: getattr(numbers, name) for name in ("count", "error_rate", "share", "times", "duration")}
    )
    environment.filters.update(size=_size, percent=_percent, decimals=_decimals)
    template = environment.from_string((_TEMPLATES / "study.html").read_text(encoding="utf-8"))
    lines = _lines(summary, folder)
    return template.render(
        title=title,
        notes=notes,
        published=published,
        verdicts=[said for said in (verdicts(published), claims_told(published)) if said] if published else [],
        summary=summary,
        sentences=study_sentences(summary) if summary else [],
        comparisons=comparisons_note(summary) if summary and summary.num_comparisons else "",
        tables=_tables(summary),
        figures=_figures(summary),
        lines=lines,
        troubled=[line for line in lines if line.words != "finished"],
        many_runs=len(lines) > _MANY_RUNS,
        provenance=provenance_of(summary.runs) if summary else None,
        style=part_of_run_page("style"),
        script=part_of_run_page("script"),
    )


def _tables(summary: Summary | None) -> list[dict[str, Any]]:
    """For each block its title, and its grids: errors, then differences to random and to dense."""
    if summary is None:
        return []
    differences = [grid for baseline in ("random", "dense") for grid in difference_grids(summary, baseline)]
    return [
        {"title": grid.title, "grids": [grid, *(other for other in differences if other.title == grid.title)]}
        for grid in error_grids(summary)
    ]


def _figures(summary: Summary | None) -> list[dict[str, Any]]:
    """For each block its title and figures; without matplotlib the line that names the extra."""
    if summary is None:
        return []
    try:
        found = study_figures(summary)
    except MissingExtraError as error:
        return [{"title": "", "figures": [{"svg": None, "words": str(error)}]}]
    return [
        {"title": f"{model} on {data}", "figures": [_drawn(figure) for figure in figures]}
        for (data, model), figures in found.items()
    ]


def _drawn(figure: Figure) -> dict[str, Any]:
    if figure.chart is None:
        return {"svg": None, "words": figure.reason}
    return {"svg": Markup(figure.chart.inline()), "words": figure.chart.caption, "wide": figure.chart.wide}


def _lines(summary: Summary | None, folder: Path) -> list[_Line]:
    if summary is None:
        return []
    return [_line(run, cell, summary.measure, folder) for cell in summary.cells for run in cell.runs]


def _line(run: StudyRun, cell: Cell, measure: str, folder: Path) -> _Line:
    if run.state == "failed" and run.failure is not None:
        words = f"{'diverged' if run.diverged else 'failed'}: {run.failure.get('message', 'no message was stored')}"
    elif run.state == "not run":
        words = "not run"
    else:
        said = [
            *(["finished without this error"] if run.error(measure) is None else []),
            *(["collapsed: " + str(run.result["collapse"].get("summary", ""))] if run.collapsed and run.result else []),
            *(["learned nothing: the error of guessing"] if run.at_chance(measure) else []),
        ]
        words = "; ".join(said) or "finished"
    return _Line(run, cell.label, run.error(measure), _link(run, folder), words)


def _link(run: StudyRun, folder: Path) -> str | None:
    if run.directory is None or not (run.directory / "report.html").is_file():
        return None
    relative = os.path.relpath(run.directory / "report.html", folder)
    return quote(Path(relative).as_posix())


def _size(num_bytes: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= size:
            return f"{num_bytes / size:.1f} {unit}"
    return f"{num_bytes} B"


def _percent(fraction: float) -> str:
    return f"{100.0 * fraction:g} %"


def _decimals(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
