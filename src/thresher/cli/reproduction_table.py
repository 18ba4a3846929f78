"""A reproduction for the terminal: ours beside theirs, and what is known to differ."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from thresher.papers import BUDGETS, PAPERS
from thresher.papers.cost import Cost, cost_of
from thresher.papers.published import data_of
from thresher.report.numbers import ABSENT

_STYLES = {
    "within": "green",
    "holds": "green",
    "outside": "red",
    "does not hold": "red",
    "not run": "dim",
    "not compared": "dim",
}
_BUDGET_NOTES = {
    "smoke": " (other data, four steps: nothing to compare)",
    "quick": " (shorter runs or fewer seeds)",
    "full": "",
}
_LONGEST_WORD = 16  # of a label, that is not broken on a narrow terminal
_NARROW = (0, 1, 0, 0)  # or tables do not fit into 80 columns
_UNITS = (("days", 86_400), ("h", 3_600), ("min", 60))


def reproduction_table(document: Mapping[str, Any]) -> Table:
    """One line a cell: the printed number, our mean ± deviation over n seeds, its 95 % interval, the verdict.

    Why a cell was not run or compared is in the footnotes.
    """
    table = Table(
        box=box.SIMPLE,
        padding=_NARROW,
        title=Text(f"{document['table']}: {document['title']}"),
        title_justify="left",
    )
    for label in ("row", "column"):
        longest = max((len(word) for row in document["rows"] for word in row[label].split()), default=0)
        table.add_column("", overflow="fold", min_width=min(longest, _LONGEST_WORD))
    for heading in ("printed", "ours", "n", "95 % interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold", min_width=10)
    before = None
    for row in document["rows"]:
        printed, ours, verdict = row["printed"], row["ours"], row["verdict"]
        table.add_row(
            Text(row["row"] if row["row"] != before else ""),
            Text(row["column"]),
            ABSENT if printed is None else printed["words"],
            *_ours(ours),
            Text(
                verdict["kind"] if verdict["kind"] in ("not run", "not compared") else verdict["words"],
                style=_STYLES.get(verdict["kind"], ""),
            ),
        )
        before = row["row"]
    return table


def claims_table(document: Mapping[str, Any]) -> Table:
    """One line a claim: the statement, our number for it, and whether it holds."""
    table = Table(box=box.SIMPLE)
    table.add_column("what the paper says", overflow="fold")
    for heading in ("ours", "n", "95 % interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for claim in document["claims"]:
        verdict = claim["verdict"]
        table.add_row(Text(claim["text"]), *_ours(claim["ours"]), Text(verdict, style=_STYLES.get(verdict, "")))
    return table


def _ours(ours: Mapping[str, Any] | None) -> tuple[str, str, str]:
    if ours is None:
        return ABSENT, "", ""
    spread = "" if ours["deviation"] is None else f" ± {ours['deviation']:.2f}"
    interval = ABSENT if ours["interval"] is None else "{:.2f} to {:.2f}".format(*ours["interval"])
    return f"{ours['mean']:.2f}{spread}", str(ours["n"]), interval


def footnotes(document: Mapping[str, Any]) -> list[str]:
    """Where the numbers are from, at which budget ours were made, what was not run, every reading and departure."""
    verdicts = [row["verdict"] for row in document["rows"]]
    missing = Counter(verdict["words"] for verdict in verdicts if verdict["kind"] in ("not run", "not compared"))
    seeds = f"{document['seeds']} seed{'' if document['seeds'] == 1 else 's'}"
    return [
        f"printed: {document['source']}, {document['page']}",
        f"measured: {document['measured']}",
        f"budget {document['budget']}{_BUDGET_NOTES[document['budget']]}, {seeds}; ours is mean ± standard deviation",
        *(f"{words} ({count} of {len(verdicts)} cells)" for words, count in missing.items()),
        *(f"no {name}: {reason}" for name, reason in document["absent_data"].items()),
        *(f"reading: {reading}" for reading in document["readings"]),
        *(f"departure: {departure}" for departure in document["departures"]),
    ]


def papers_list() -> list[Text]:
    """Two lines for every published table: its name and title; its data, and how long two cores are at it, roughly."""
    lines = []
    for name, paper in PAPERS.items():
        lines.append(Text.assemble((name, "bold"), f"  {paper.title}"))
        costs = [f"{budget} {_cost(cost_of(paper.cells, budget, paper.seeds[budget]))}" for budget in BUDGETS]
        lines.append(Text("    " + "; ".join([", ".join(data_of(paper.cells, "full")) or "no data", *costs]), "dim"))
    return lines


def _cost(cost: Cost) -> str:
    """What is run, and how long it takes two cores, roughly."""
    if not cost.runs and not cost.computations:
        return "nothing"
    unit, size = next(((u, s) for u, s in _UNITS if cost.seconds >= 2 * s), ("s", 1))
    return f"{f'{cost.runs} runs, ' if cost.runs else ''}{cost.seconds / size:,.0f} {unit}"
