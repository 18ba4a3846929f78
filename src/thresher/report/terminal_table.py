"""A study's table for the terminal."""

from rich import box
from rich.table import Table
from rich.text import Text

from thresher.report.study_grid import Grid


def study_table(grid: Grid) -> Table:
    """`grid` as a rich table: best entries bold, flagged ones explained below."""
    table = Table(box=box.SIMPLE, title=Text(grid.title), title_justify="left", caption_justify="left")
    table.caption = Text("\n".join([f"{grid.measured}.", *grid.notes]))
    table.add_column("method", overflow="fold")
    for heading in grid.columns:
        table.add_column(heading, justify="right")
    for label, entries in grid.rows:
        texts = [Text("") if entry is None else Text(entry.text, "bold" if entry.strong else "") for entry in entries]
        table.add_row(Text(label), *texts)
    return table
