"""A method is a file, a row of its family's table, a test file and a citation: one never without the others."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

import thresher
from thresher.allocations import ALLOCATIONS
from thresher.criteria import CRITERIA
from thresher.initializers import INITIALIZERS
from thresher.patterns import PATTERNS
from thresher.rules import RULES
from thresher.schedules import SCHEDULES

SOURCE, TESTS = Path(thresher.__file__).parent, Path(__file__).parent

TABLES = {
    "criteria": CRITERIA,
    "allocations": ALLOCATIONS,
    "patterns": PATTERNS,
    "schedules": SCHEDULES,
    "initializers": INITIALIZERS,
    "rules": RULES,
}
# files that are no method: the family's protocol, and what several of its methods share
SUPPORT = {
    "criteria": {"criterion", "inverted", "loss_gradient", "positive_twin", "unlabelled"},
    "allocations": {"allocation", "apportion"},
    "patterns": {"pattern"},
    "schedules": {"schedule"},
    "initializers": {"initializer"},
    "rules": set(),
}


def method_of(row):
    """The class behind a row, which holds a class or, where only arguments differ, an instance."""
    return row if inspect.isclass(row) else type(row)


def file_of(method):
    return method.__module__.rsplit(".", 1)[1]


ROWS = [pytest.param(family, row, id=f"{family}/{name}") for family in TABLES for name, row in TABLES[family].items()]


@pytest.mark.parametrize("family", TABLES)
def test_every_file_is_a_row_or_named_as_support(family):
    files = {path.stem for path in (SOURCE / family).glob("*.py")} - {"__init__"}
    rows = {file_of(method_of(row)) for row in TABLES[family].values()}
    assert rows & SUPPORT[family] == set()
    assert files == rows | SUPPORT[family]


@pytest.mark.parametrize("family", TABLES)
def test_names_are_lowercase_and_each_means_something_else(family):
    assert all(re.fullmatch(r"[a-z]+([-:][a-z]+)*", name) for name in TABLES[family])
    rows = list(TABLES[family].values())
    assert all(a != b for i, a in enumerate(rows) for b in rows[:i])


@pytest.mark.parametrize(("family", "row"), ROWS)
def test_every_row_is_of_its_family_and_exported(family, row):
    method = method_of(row)
    assert method.__module__ == f"thresher.{family}.{file_of(method)}"
    package = importlib.import_module(f"thresher.{family}")
    assert method.__name__ in package.__all__
    assert getattr(package, method.__name__) is method


@pytest.mark.parametrize(("family", "row"), ROWS)
def test_every_row_has_a_test_file(family, row):
    path = TESTS / family / f"test_{file_of(method_of(row))}.py"
    assert path.is_file(), f"no {path.relative_to(TESTS.parent)}"
    assert re.search(r"^def test_|^    def test_", path.read_text(encoding="utf-8"), re.M)


@pytest.mark.parametrize(("family", "row"), ROWS)
def test_every_method_cites_its_source(family, row):
    method = method_of(row)
    text = " ".join((method.__doc__ or "").split())
    assert re.search(r"Source: .*\b(19|20)\d\d\b", text), f"no source with a year in {family}/{file_of(method)}.py"
