import pytest

from thresher.core.errors import UnknownNameError
from thresher.papers.published import Cell, NotRun, Printed, PublishedTable, data_of, everywhere

NOTHING = everywhere(NotRun("why not"))


def table(*labels):
    return PublishedTable(
        name="a/b",
        title="",
        source="",
        page="",
        measured="",
        readings=(),
        departures=(),
        cells=tuple(Cell(row=row, column=column, work=NOTHING) for row, column in labels),
        seeds={"smoke": 1, "quick": 1, "full": 1},
    )


@pytest.mark.parametrize(
    ("printed", "band", "text"),
    [
        (Printed(value=1.7, decimals=1), (1.65, 1.75), "1.7"),
        (Printed(value=47.61, decimals=2), (47.605, 47.615), "47.61"),
        # 0.2 / sqrt(16) = 0.05
        (Printed(value=3.0, decimals=2, deviation=0.2, num_runs=16), (2.945, 3.055), "3.00 ± 0.20"),
        (Printed(value=3.0, decimals=2, deviation=0.2), (2.995, 3.005), "3.00 ± 0.20"),
        (Printed(value=3.5, decimals=2, extremes=(3.0, 4.0)), (2.995, 4.005), "3.00 to 4.00"),
        (Printed(value=3.0, decimals=2, extremes=(3.0, 3.0)), (2.995, 3.005), "3.00"),
    ],
)
def test_a_printed_number_means_half_its_last_digit_and_its_standard_error(printed, band, text):
    assert printed.band == pytest.approx(band, abs=1e-12)
    assert str(printed) == text


def test_cells_are_selected_by_row_column_or_both():
    paper = table(("SNIP 95 %", "LeNet-300-100"), ("SNIP 95 %", "LeNet-5-Caffe"), ("Reference", "LeNet-300-100"))
    chosen = {pattern: [c.label for c in paper.selected([pattern])] for pattern in ("snip*", "lenet-300-100")}
    assert chosen == {
        "snip*": ["SNIP 95 % / LeNet-300-100", "SNIP 95 % / LeNet-5-Caffe"],
        "lenet-300-100": ["SNIP 95 % / LeNet-300-100", "Reference / LeNet-300-100"],
    }
    assert [c.label for c in paper.selected(["Reference / LeNet-300-100"])] == ["Reference / LeNet-300-100"]
    assert paper.selected([]) == paper.cells
    with pytest.raises(UnknownNameError, match="did you mean 'Reference'"):
        paper.selected(["snip*", "Refrence"])


def test_a_table_of_nothing_reads_no_data():
    assert data_of(table(("a", "b")).cells, "full") == ()
