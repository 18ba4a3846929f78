"""The report of a run: one HTML page that needs nothing but itself."""

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from thresher.core.files import write_text_atomically
from thresher.report import numbers, sentences
from thresher.report.figures import draw_figures
from thresher.report.record import Record, read_record

_MANY_LAYERS = 25  # from which on their table scrolls on its own


def write_report(run_dir: Path | str) -> Path:
    """The path of report.html, written into the finished run's directory `run_dir`.

    The page is whole or not written; it loads nothing, works offline and prints. Equal files give equal bytes
    (for one version of matplotlib). Without matplotlib (extra 'report') the figures' places name the extra.
    Raises RunDirectoryError if there is no finished run or no leave to write, and FileFormatError, naming the
    file and field, if one is absent, cut short or of another run. Cost: a second or two, nearly all of it the
    figures, and memory for the mask.
    """
    record = read_record(run_dir)
    return write_text_atomically(Path(run_dir) / "report.html", render(record))


def part_of_run_page(element: str) -> Markup:
    """What run.html has between the tags of `element`, "style" or "script": all pages look and sort alike."""
    page = (Path(__file__).parent / "run.html").read_text(encoding="utf-8")
    return Markup(re.findall(f"<{element}>(.*?)</{element}>", page, re.DOTALL)[0])  # the package's own file


def render(record: Record) -> str:
    """The report of `record` as the text of an HTML page."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(
        {name: getattr(numbers, name) for name in ("count", "error_rate", "share", "fraction", "times", "duration")}
    )
    environment.filters.update(setting=sentences.setting, unbroken=_unbroken, shape=_shape)
    template = environment.from_string((Path(__file__).parent / "run.html").read_text(encoding="utf-8"))
    figures = {
        key: {"svg": None if drawing.svg is None else Markup(drawing.svg), "words": drawing.words}
        for key, drawing in draw_figures(record).items()
    }
    result = record.result
    return template.render(
        headline=sentences.headline(record.recipe, result),
        connection=sentences.connection(result),
        engine_line=sentences.engine_line(result),
        timed_on=sentences.timed_on(result["engine"]),
        recipe=record.recipe,
        result=result,
        cut_units=_cut_units(result["collapse"]),
        figures=figures,
        num_evaluations=len(record.rows),
        many_layers=len(result["layers"]) > _MANY_LAYERS,
    )


def _cut_units(collapse: dict[str, Any]) -> list[tuple[str, int, int]]:
    """Layer, units without input, units without output, for layers that have either."""
    no_input, no_output = collapse["units_without_input"], collapse["units_without_output"]
    rows = [(name, no_input.get(name, 0), no_output.get(name, 0)) for name in {**no_input, **no_output}]
    return [row for row in rows if row[1] or row[2]]


def _unbroken(text: str) -> str:
    """`text` with numbers and their signs kept on one line."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def _shape(sizes: list[int]) -> str:
    return " × ".join(map(str, sizes))
