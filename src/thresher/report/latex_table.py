"""Tables of a study as LaTeX, in the style of booktabs."""

from collections.abc import Iterable

from thresher.report.study_grid import Entry, Grid

_SPECIAL = {
    "\\": r"\textbackslash{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "−": r"$-$",
    "–": "--",
    "×": r"$\times$",
    "†": r"\textsuperscript{$\dagger$}",  # \textdagger would ask for a font that small installations lack
    "\N{NO-BREAK SPACE}": "~",
}


def latex(grids: Iterable[Grid]) -> str:
    """One floating table a grid; the document needs \\usepackage{booktabs} and nothing else."""
    head = "% needs \\usepackage{booktabs}\n"
    return head + "\n".join(_table(grid) for grid in grids)


def _table(grid: Grid) -> str:
    lines = [
        r"\begin{table}",
        r"\centering",
        r"\footnotesize",  # three sparsities with their intervals are as wide as an article's page
        r"\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{_escaped(grid.title)}. {_escaped(grid.measured)}. {_escaped(' '.join(grid.notes))}}}",
        rf"\begin{{tabular}}{{l{'r' * len(grid.columns)}}}",
        r"\toprule",
        _row(["method", *map(_escaped, grid.columns)]),
        r"\midrule",
        *(_row([_escaped(label), *map(_cell, entries)]) for label, entries in grid.rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _row(cells: Iterable[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _cell(entry: Entry | None) -> str:
    if entry is None:
        return ""
    text = _escaped(entry.text)
    return rf"{{\bfseries\boldmath {text}}}" if entry.strong else text


def _escaped(text: str) -> str:
    return "".join(_SPECIAL.get(letter, letter) for letter in text)
