"""Everything that a study leaves in its folder: the page, the tables in four formats, the figures in two."""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

from thresher.core.errors import MissingExtraError, RunDirectoryError
from thresher.core.files import write_text_atomically
from thresher.experiments.summary import Summary
from thresher.report.csv_table import study_csv
from thresher.report.json_table import study_document
from thresher.report.latex_table import latex
from thresher.report.markdown_table import markdown
from thresher.report.study_figures import write_study_figures
from thresher.report.study_grid import difference_grids, error_grids
from thresher.report.study_page import write_study_report


def write_study(folder: Path | str, title: str, summary: Summary, *, notes: Sequence[str] = ()) -> Path:
    """The path of study.html, written into `folder` with study.csv, .json, .md, .tex and the figures (SVG, PDF).

    `notes` are said under the title of the page. Without matplotlib (extra 'compare') there are no figures, and the
    page says so.
    Raises RunDirectoryError if the folder cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunDirectoryError(f"cannot write to {folder}: {error.strerror or error}; choose another --out") from error
    grids = [*error_grids(summary), *difference_grids(summary, "random"), *difference_grids(summary, "dense")]
    write_text_atomically(folder / "study.csv", study_csv(summary))
    write_text_atomically(folder / "study.json", json.dumps(study_document(summary), indent=2) + "\n")
    write_text_atomically(folder / "study.md", markdown(grids))
    write_text_atomically(folder / "study.tex", latex(grids))
    with contextlib.suppress(MissingExtraError):  # the page has the line that names the extra
        write_study_figures(folder / "figures", summary)
    return write_study_report(folder / "study.html", title, summary, notes=notes)
