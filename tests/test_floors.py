"""Imports go downward only: a floor never sees the ones above it, nor its neighbours, nor the other tower."""

import ast
from pathlib import Path

import pytest

import thresher

SOURCE = Path(thresher.__file__).parent

# package → (floor, tower). The towers stand side by side on floors 2 and 3; below and above there is one house.
FLOORS = {
    "_kernels": (0, "both"),  # compiled
    "core": (0, "both"),
    "ops": (1, "both"),
    "criteria": (2, "methods"),
    "allocations": (2, "methods"),
    "patterns": (2, "methods"),
    "schedules": (2, "methods"),
    "initializers": (2, "methods"),
    "rules": (2, "methods"),
    "analysis": (2, "methods"),
    "layers": (2, "methods"),
    "procedures": (3, "methods"),
    "data": (2, "shell"),
    "models": (2, "shell"),
    "training": (3, "shell"),
    "experiments": (4, "both"),
    "bench": (4, "both"),
    "papers": (5, "both"),
    "report": (5, "both"),
    "cli": (6, "both"),
}
TOPS = {"__init__", "__main__", "cli"}


def imported(text, package):
    """Every module under thresher that the source `text`, of the dotted `package`, imports, wherever it does."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = parts[: len(parts) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "thresher")


def fault(here, module):
    """Why the package `here` may not import `module`, or None if it may."""
    there = module.split(".")[1] if "." in module else ""
    if here == there:
        return None
    if there not in FLOORS:
        return f"{module} is the top of the house"
    (floor, tower), (other_floor, other_tower) = FLOORS[here], FLOORS[there]
    if other_floor > floor:
        return f"{there} is above {here}"
    if other_floor == floor:
        return f"{there} is on the floor of {here}"
    if "both" not in (tower, other_tower) and tower != other_tower:
        return f"{there} is in the other tower than {here}"
    return None


def faults(text, here):
    """What is wrong with the imports of the source `text` in the top-level package `here`."""
    return [f for f in (fault(here, module) for module in imported(text, f"thresher.{here}")) if f]


def sources():
    for path in sorted(SOURCE.rglob("*.py")):
        relative = path.relative_to(SOURCE).with_suffix("")
        if relative.parts[0] not in TOPS:
            yield relative


def test_there_are_sources_to_read():
    assert len(list(sources())) > 30


def test_every_package_has_a_floor():
    assert {relative.parts[0] for relative in sources()} <= FLOORS.keys()


@pytest.mark.parametrize("relative", list(sources()), ids=str)
def test_imports_go_downward(relative):
    text = (SOURCE / relative).with_suffix(".py").read_text(encoding="utf-8")
    package = ".".join(["thresher", *relative.parts[:-1]])
    assert [f for f in (fault(relative.parts[0], module) for module in imported(text, package)) if f] == []


@pytest.mark.parametrize(
    ("here", "text"),
    [
        ("core", "from thresher.criteria import SNIP"),
        ("core", "import thresher.rules.fixed_mask"),
        ("core", "import numpy, thresher.rules as r"),
        ("criteria", "def f():\n    from thresher.procedures.prune import prune"),
        ("criteria", "class A:\n    if True:\n        import thresher.cli"),
        ("criteria", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from thresher.procedures import prune"),
        ("criteria", "from thresher import procedures"),
        ("criteria", "from ..procedures import prune"),
        ("criteria", "from .. import procedures"),
        ("experiments", "from thresher.report import write_report"),
        ("core", "import thresher"),
        ("core", "from thresher import SNIP"),
        ("report", "import thresher.__main__"),
    ],
)
def test_a_planted_upward_import_is_caught(here, text):
    assert len(faults(text, here)) == 1


@pytest.mark.parametrize(
    ("here", "text"),
    [
        ("criteria", "from thresher.allocations import Global"),
        ("models", "import thresher.data.dataset"),
        ("models", "from thresher import data"),
        ("report", "def f():\n    from thresher.papers import thesis"),
        ("procedures", "from thresher.training import train"),
        ("training", "from thresher.procedures import prune"),
        ("procedures", "from thresher.models import build"),
        ("training", "from thresher.rules import FixedMask"),
        ("data", "from thresher.patterns import Block"),
    ],
)
def test_a_planted_sideways_import_is_caught(here, text):
    assert len(faults(text, here)) == 1


@pytest.mark.parametrize(
    ("here", "text"),
    [
        ("core", "import json, torch\nfrom thresher.core.errors import ArgumentError"),
        ("criteria", "from . import snip\nfrom .snip import SNIP\nfrom thresher.ops import spmm"),
        ("procedures", "from thresher.allocations import Global\nfrom thresher import core"),
        ("training", "from thresher.data import load"),
        ("experiments", "from thresher.training import train\nfrom thresher.procedures import prune"),
        ("report", "from thresher.analysis import cost\nfrom thresher.models import build"),
        ("core", "import thresher_of_another_house\ntext = 'import thresher.cli'"),
    ],
)
def test_downward_imports_are_let_through(here, text):
    assert faults(text, here) == []
