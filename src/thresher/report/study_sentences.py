"""What a study shows, in sentences that a reader can hold against its tables: what went wrong first."""

from collections.abc import Iterable, Sequence
from typing import Literal

from thresher.experiments.paired import Comparison
from thresher.experiments.summary import Block, Cell, Summary


def study_sentences(summary: Summary) -> list[str]:
    """Failures and collapse, then each block: who is better than random, who is not told apart from dense, the best."""
    return [_counted(summary), *(sentence for block in summary.blocks for sentence in _of_block(block))]


def _counted(summary: Summary) -> str:
    cells, n = summary.cells, len(summary.runs)
    counts = (
        (sum(cell.num_failed - cell.num_diverged for cell in cells), "failed"),
        (sum(cell.num_diverged for cell in cells), "diverged"),
        (sum(cell.num_not_run for cell in cells), "not run"),
        (sum(cell.num_unmeasured for cell in cells), "finished without the error"),
        (sum(cell.num_collapsed for cell in cells), "collapsed"),
        (sum(cell.num_at_chance for cell in cells), "learned nothing"),
    )
    said = [f"{count} {words}" for count, words in counts if count]
    runs = "1 run" if n == 1 else f"{n} runs"
    if not said:
        return f"All {runs} finished; none collapsed, none diverged." if n > 1 else "The run finished."
    return (
        f"Of {runs}, {_joined(said)}. Errors of runs that collapsed or learned nothing are in the means as they are; "
        "failed ones have no error and are counted beside them."
    )


def _of_block(block: Block) -> list[str]:
    cells = [cell for cell in block.cells if cell.recipe.sparsity]
    where = f"On {block.model} with {block.data}"
    against = [
        ("random pruning", [(cell, pair) for cell in cells if (pair := cell.against_random)]),
        ("the dense network", [(cell, pair) for cell in cells if (pair := cell.against_dense)]),
    ]
    said = []
    for name, pairs in against:
        parts = [
            _part(pairs, "better", f"shown to be better than {name}"),
            _part(pairs, "worse", f"shown to be worse than {name}"),
            _part(pairs, "no difference shown", f"not told apart from {name}"),
        ]
        found = [f"{where}, {part}." for part in parts if part]
        said += found
        if cells and not pairs:
            said.append(f"{where}, nothing is held against {name}: the study has none that are trained alike.")
    return said


def _part(
    pairs: Sequence[tuple[Cell, Comparison]],
    verdict: Literal["better", "worse", "no difference shown"],
    words: str,
) -> str:
    places: dict[str, list[str]] = {}
    for cell, pair in sorted(pairs, key=lambda one: one[0].recipe.sparsity):
        if pair.verdict == verdict:
            places.setdefault(cell.label, []).append(f"{100.0 * cell.recipe.sparsity:g}")
    if not places:
        return ""
    listed = [f"{label} (at {_joined(sparsities)} %)" for label, sparsities in places.items()]
    return f"{words}: {', '.join(listed)}"


def _joined(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
