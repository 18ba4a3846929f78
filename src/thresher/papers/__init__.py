"""Published tables and figures by name: what they printed, and how to make it again."""

from thresher.core.errors import unknown_name
from thresher.papers import (
    missing_the_mark_ablations,
    synflow_collapse_curves,
    thesis_figure_3_1,
    thesis_figure_3_2,
    thesis_figure_3_3,
    thesis_figure_3_4,
    thesis_figure_3_5,
    thesis_figure_3_6,
    thesis_figure_3_7,
    thesis_figure_4_1,
    thesis_figure_4_2,
    thesis_figure_4_4,
    thesis_figure_4_5,
    thesis_figure_4_6,
    thesis_figure_4_7,
    thesis_figure_4_8,
    thesis_table_3_1,
    thesis_table_3_2,
    thesis_table_3_3,
    thesis_table_3_4,
    thesis_table_4_1,
    thesis_table_4_2,
    thesis_table_4_3,
    thesis_table_4_4,
    thesis_table_4_5,
    thesis_table_4_6,
)
from thresher.papers.published import BUDGETS, Budget, PublishedTable
from thresher.papers.reproduce import recipes_of, reproduce
from thresher.papers.reproduction import Reproduction

PAPERS: dict[str, PublishedTable] = {
    "thesis/table-3.1": thesis_table_3_1.TABLE,
    "thesis/table-3.2": thesis_table_3_2.TABLE,
    "thesis/table-3.3": thesis_table_3_3.TABLE,
    "thesis/table-3.4": thesis_table_3_4.TABLE,
    "thesis/figure-3.1": thesis_figure_3_1.TABLE,
    "thesis/figure-3.2": thesis_figure_3_2.TABLE,
    "thesis/figure-3.3": thesis_figure_3_3.TABLE,
    "thesis/figure-3.4": thesis_figure_3_4.TABLE,
    "thesis/figure-3.5": thesis_figure_3_5.TABLE,
    "thesis/figure-3.6": thesis_figure_3_6.TABLE,
    "thesis/figure-3.7": thesis_figure_3_7.TABLE,
    "thesis/table-4.1": thesis_table_4_1.TABLE,
    "thesis/table-4.2": thesis_table_4_2.TABLE,
    "thesis/table-4.3": thesis_table_4_3.TABLE,
    "thesis/table-4.4": thesis_table_4_4.TABLE,
    "thesis/table-4.5": thesis_table_4_5.TABLE,
    "thesis/table-4.6": thesis_table_4_6.TABLE,
    "thesis/figure-4.1": thesis_figure_4_1.TABLE,
    "thesis/figure-4.2": thesis_figure_4_2.TABLE,
    "thesis/figure-4.4": thesis_figure_4_4.TABLE,
    "thesis/figure-4.5": thesis_figure_4_5.TABLE,
    "thesis/figure-4.6": thesis_figure_4_6.TABLE,
    "thesis/figure-4.7": thesis_figure_4_7.TABLE,
    "thesis/figure-4.8": thesis_figure_4_8.TABLE,
    "synflow/collapse-curves": synflow_collapse_curves.TABLE,
    "missing-the-mark/ablations": missing_the_mark_ablations.TABLE,
}

__all__ = [
    "BUDGETS",
    "PAPERS",
    "Budget",
    "PublishedTable",
    "Reproduction",
    "published_table",
    "recipes_of",
    "reproduce",
]


def published_table(name: str) -> PublishedTable:
    """The row of `PAPERS` called `name`; UnknownNameError, with the near miss, if there is none.

    >>> published_table("thesis/table-3.1").page
    'Table 3.1, page 34'
    """
    if name not in PAPERS:
        raise unknown_name("published table", name, PAPERS)
    return PAPERS[name]
