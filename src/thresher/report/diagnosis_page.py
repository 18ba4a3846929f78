"""The page of a diagnosis: one HTML file that needs nothing but itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from thresher.core.errors import MissingExtraError
from thresher.core.files import write_text_atomically
from thresher.report import diagnosis_sentences as sentences
from thresher.report import numbers
from thresher.report.diagnosis_table import measured, networks
from thresher.report.page import part_of_run_page

_TEMPLATES = Path(__file__).parent
_MANY_LAYERS = 25


def write_diagnosis(report: Mapping[str, Any], path: Path | str) -> Path:
    """`path`, holding the page about the `report` of a diagnosis; `report["subject"]` says what was looked at.

    The page is whole or not written; it loads nothing and works offline. Without matplotlib (extra 'report') the
    figures' places name the extra. Raises RunDirectoryError if the operating system refuses to write.
    """
    return write_text_atomically(path, render_diagnosis(report))


def render_diagnosis(report: Mapping[str, Any]) -> str:
    """The page of `report` as text."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update({name: getattr(numbers, name) for name in ("count", "fraction", "share")})
    environment.filters.update(number=sentences.number, status=sentences.status)
    template = environment.from_string((_TEMPLATES / "diagnosis.html").read_text(encoding="utf-8"))
    return template.render(
        report=report,
        headline=sentences.headline(report),
        answers={
            "Where is the signal lost?": sentences.where_lost(report),
            "Is a layer starved or dead?": sentences.starved(report),
            "How much slower does it start?": sentences.slowdown(report),
            "What does repair change?": sentences.repair(report),
        },
        networks=networks(report),
        figure_names=measured(report),
        figures=_figures(report),
        many_layers=len(report["layers"]) > _MANY_LAYERS,
        style=part_of_run_page("style"),
    )


def _figures(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    try:
        from thresher.report import diagnosis_figures
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        return [{"svg": None, "words": str(MissingExtraError("this figure", "report"))}]
    drawn = [
        (
            diagnosis_figures.layer_isometry(report),
            "How much each layer, with its activation, passes on of a small change, on average over all directions; a "
            "cross at the edge is nothing at all.",
        ),
        (
            diagnosis_figures.norms_by_depth(report),
            "Sizes of what layers return (before their activation) and, where there are labels, of the loss's gradient "
            "by that. Level lines carry signals and errors whatever the depth; slopes are lost or blown up.",
        ),
    ]
    return [{"svg": Markup(svg), "words": words} for svg, words in drawn if svg is not None]
