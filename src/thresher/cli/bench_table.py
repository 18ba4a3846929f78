"""What `thresher bench` measured, for the terminal."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from thresher.bench.contenders import OURS, YARDSTICK
from thresher.report.numbers import ABSENT, duration, share, times

_WIDE = 0.25  # (upper - lower quartile) / median of a speedup from which on it is uncertain


def speedup_table(document: Mapping[str, Any]) -> Table:
    """Contenders down, sparsities across, for each thing measured: seconds of dense torch, speedups of the others.

    Below Thresher's: the quartiles, its share of the machine's multiply-add peak, and what training holds in memory
    (parameters, gradients, optimizer state, indices) as a fraction of dense. Slower than dense is red. The last
    column is the sparsity at which a contender is as fast as dense, if that lies between two that were measured.
    """
    sparsities = document["plan"]["sparsities"]
    table = Table(box=box.SIMPLE)
    table.add_column("")
    for heading in (*(f"{100 * sparsity:g} %" for sparsity in sparsities), "crossover"):
        table.add_column(heading, justify="right", no_wrap=True)
    blocks: dict[tuple[Any, ...], dict[float, Mapping[str, Any]]] = defaultdict(dict)
    for row in document["rows"]:
        blocks[row["case"], row["what"], row["batch"]][row["sparsity"]] = row["contenders"]
    crossings = {(c["case"], c["what"], c["batch"], c["contender"]): c["sparsity"] for c in document["crossovers"]}
    for block, by_sparsity in blocks.items():
        case, what, batch = block
        table.add_section()
        table.add_row(Text(f"{case}\n{what}, batch {batch}", style="bold"))
        for name in document["versions"]:
            columns = [by_sparsity.get(sparsity, {}).get(name) for sparsity in sparsities]
            if any(columns):
                crossing = crossings.get((*block, name))
                last = "" if crossing is None else f"{100 * crossing:.1f} %"
                table.add_row(f"  {name}", *(_cell(name, column) for column in columns), last)
            if name == OURS:
                _add_details(table, columns)
    return table


def _cell(name: str, contender: Mapping[str, Any] | None) -> Text:
    if contender is None:
        return Text(ABSENT)
    if name == YARDSTICK:
        return Text(duration(contender["seconds"]["median"]))
    median = contender["speedup"]["median"]
    return Text(times(median), style="red" if median < 1 else "")


def _add_details(table: Table, columns: Sequence[Mapping[str, Any] | None]) -> None:
    details: dict[str, Callable[[Mapping[str, Any]], str | None]] = {
        "quartiles": lambda c: f"{c['speedup']['lower_quartile']:.3g}–{c['speedup']['upper_quartile']:.3g}",
        "of peak": lambda c: share(round(c["peak_share"], 4)),
        "bytes": lambda c: c["bytes"] and f"{c['bytes']['ratio']:.3f}",
    }
    for label, detail in details.items():
        cells = [None if column is None else detail(column) for column in columns]
        if any(cells):
            table.add_row(f"    {label}", *(cell or ABSENT for cell in cells), style="dim")


def notes(document: Mapping[str, Any]) -> list[str]:
    """What the table does not say: the machine, who is absent and why, and how sure the figures are."""
    machine = document["environment"]
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    peak = document["multiply_add_peak"] / 1e9
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads, kernels for "
        f"{machine['instruction_set']}; dense peak {peak:,.0f} billion float32 multiply-adds a second",
        f"versions: {versions}",
        "dense is the better of contiguous and channels-last, every contender the best of its ways; "
        "times as fast as dense, medians of ratios within rounds",
    ]
    lines += [f"not measured: {name}: {reason}" for name, reason in document["absent"].items()]
    refused: dict[tuple[str, str], list[str]] = {}
    for row in document["rows"]:
        for name, reason in row["absent"].items():
            cases = refused.setdefault((name, reason), [])
            cases += [row["case"]] if row["case"] not in cases else []
    lines += [f"not measured: {name} on {', '.join(cases)}: {reason}" for (name, reason), cases in refused.items()]
    uncertain = sum(_uncertain(row["contenders"]) for row in document["rows"])
    if uncertain:
        lines.append(
            f"{uncertain} of {len(document['rows'])} rows are uncertain: the quartiles of a speedup lie more than "
            f"{_WIDE:.0%} of it apart. Was the machine busy with something else?"
        )
    if not document["complete"]:
        lines.append("stopped before the end: this is what had been measured")
    return lines


def _uncertain(contenders: Mapping[str, Any]) -> bool:
    speedups = [contender["speedup"] for name, contender in contenders.items() if name != YARDSTICK]
    return any(s["upper_quartile"] - s["lower_quartile"] > _WIDE * s["median"] for s in speedups)
