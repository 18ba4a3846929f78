"""A study's table for the terminal."""

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from thresher.report.study_grid import Grid


def study_table(grid: Grid) -> Group:
    """`grid` for rich: its title, a table with the best entries bold, and the notes, which explain the flagged ones."""
    table = Table(box=box.SIMPLE)
    # a method's name is not cut in two, what is told beside it may go below
    longest = max((len(word) for label, _ in grid.rows for word in label.split()), default=0)
    table.add_column("method", overflow="fold", min_width=longest)
    for heading in grid.columns:
        table.add_column(heading, justify="right")
    for label, entries in grid.rows:
        texts = [Text("") if entry is None else Text(entry.text, "bold" if entry.strong else "") for entry in entries]
        table.add_row(Text(label), *texts)
    # as title and caption of the table they would be as narrow as it
    return Group(Text(grid.title, "bold"), table, Text("\n".join([f"{grid.measured}.", *grid.notes]), "dim"))
