"""Tables of a study as Markdown."""

import re
from collections.abc import Iterable

from thresher.report.study_grid import Entry, Grid


def markdown(grids: Iterable[Grid]) -> str:
    """One pipe table a grid, as GitHub and Pandoc read it, its notes below."""
    return "\n".join(_table(grid) for grid in grids)


def _table(grid: Grid) -> str:
    rows = [["method", *map(_escaped, grid.columns)], ["---", *("---:" for _ in grid.columns)]]
    rows += [[_escaped(label), *map(_cell, entries)] for label, entries in grid.rows]
    lines = [f"### {_escaped(grid.title)}", "", f"{_escaped(grid.measured)}.", ""]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    lines += ["", *(f"- {_escaped(note)}" for note in grid.notes)]
    return "\n".join(lines).rstrip() + "\n"


def _cell(entry: Entry | None) -> str:
    if entry is None:
        return ""
    return f"**{entry.text}**" if entry.strong else entry.text


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", text)
