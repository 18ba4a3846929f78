"""Measured once: the file, what is wrong with it, and what changes the machine."""

import json
import logging

import pytest
import torch
from filelock import FileLock, Timeout
from torch import nn

from thresher.layers import remembered_costs as module
from thresher.layers.calibration import Probe
from thresher.layers.calls import Call
from thresher.layers.cost_model import LayerCost
from thresher.layers.remembered_costs import remembered_costs


def probe(width):
    return Probe(nn.Linear(width, 2), Call(torch.Size([1, width]), torch.Size([1, 2]), True), 32)


def cost(width):
    return LayerCost(width / 3, 0.1, 1e-9 / 3, 2.0, 3.0)


class Machine:
    """Stands for the measuring: a cost by the layer's width, and what was asked for."""

    def __init__(self):
        self.asked = []

    def __call__(self, probes):
        self.asked.append([probe.layer.in_features for probe in probes])
        return [cost(probe.layer.in_features) for probe in probes]


@pytest.fixture
def machine(monkeypatch, tmp_path):
    found = Machine()
    monkeypatch.setattr(module, "measured", found)
    monkeypatch.setattr(module, "_SEEN", {})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return found


def forget(monkeypatch):
    """As in a new process."""
    monkeypatch.setattr(module, "_SEEN", {})
    module._say_once.cache_clear()


def the_file(tmp_path):
    (path,) = (tmp_path / "thresher").glob("*.json")
    return path


def test_what_is_known_is_not_measured_again(machine, monkeypatch, tmp_path):
    assert remembered_costs([probe(3), probe(4), probe(3)]) == [cost(3), cost(4), cost(3)]
    assert machine.asked == [[3, 4]]
    the_file(tmp_path).unlink()
    assert remembered_costs([probe(4)]) == [cost(4)]  # from memory
    assert machine.asked == [[3, 4]]
    assert remembered_costs([]) == []


def test_another_process_finds_it_exactly_and_adds_its_own(machine, monkeypatch, tmp_path):
    remembered_costs([probe(3)])
    forget(monkeypatch)
    assert remembered_costs([probe(3), probe(5)]) == [cost(3), cost(5)]
    forget(monkeypatch)
    assert remembered_costs([probe(5), probe(3)]) == [cost(5), cost(3)]
    assert machine.asked == [[3], [5]]


@pytest.mark.parametrize("changed", ["threads", "instruction_set", "torch", "thresher", "kernels", "processor"])
def test_whatever_changes_the_costs_has_them_measured_again(machine, monkeypatch, changed):
    here = module._machine()
    remembered_costs([probe(3)])
    monkeypatch.setattr(module, "_machine", lambda: here | {changed: "another"})
    remembered_costs([probe(3)])
    monkeypatch.setattr(module, "_machine", lambda: here)
    forget(monkeypatch)
    remembered_costs([probe(3)])
    assert machine.asked == [[3], [3]]


def test_threads_are_those_of_the_moment(monkeypatch):
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        assert module._machine()["threads"] == threads + 1
    finally:
        torch.set_num_threads(threads)
    assert module._machine()["threads"] == threads


def bad_files(found):
    name = next(iter(found["costs"]))
    yield "empty", b""
    yield "cut short", json.dumps(found).encode()[:-9]
    yield "no text", b"\xff\xfe\x00"
    yield "not an object", b"[1, 2]"
    yield "nothing in it", b"{}"
    yield "another machine", json.dumps(found | {"machine": {"processor": "another"}}).encode()
    yield "costs are a list", json.dumps(found | {"costs": [1]}).encode()
    for what, seconds in {
        "too few": [1.0, 2.0],
        "too many": [1.0] * 6,
        "words": ["fast"] * 5,
        "a number": 3,
        "negative": [1.0, 1.0, -1.0, 1.0, 1.0],
        "not a number": [float("nan")] * 5,
        "infinite": [float("inf")] * 5,
    }.items():
        yield what, json.dumps(found | {"costs": {name: seconds}}).encode()


def test_a_file_that_cannot_be_read_counts_as_none_and_is_replaced(machine, monkeypatch, tmp_path):
    remembered_costs([probe(3)])
    good = the_file(tmp_path).read_bytes()
    for number, (what, content) in enumerate(bad_files(json.loads(good)), start=1):
        the_file(tmp_path).write_bytes(content)
        forget(monkeypatch)
        assert remembered_costs([probe(3)]) == [cost(3)], what
        assert len(machine.asked) == 1 + number, what
        assert the_file(tmp_path).read_bytes() == good, what


def test_where_nothing_can_be_written_it_works_and_says_so_once(machine, monkeypatch, tmp_path, caplog):
    (tmp_path / "thresher").write_text("a file where the folder should be")
    forget(monkeypatch)
    with caplog.at_level(logging.WARNING):
        assert remembered_costs([probe(3)]) == [cost(3)]
        assert remembered_costs([probe(3), probe(4)]) == [cost(3), cost(4)]
    assert machine.asked == [[3], [4]]  # kept in memory all the same
    (record,) = caplog.records
    assert "every process has to measure its layers anew (XDG_CACHE_HOME moves the folder)" in record.getMessage()


def test_the_folder_is_the_one_of_the_specification(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for given, root in {
        str(tmp_path / "cache"): tmp_path / "cache",
        "": tmp_path / "home" / ".cache",
        "relative/path": tmp_path / "home" / ".cache",
    }.items():
        monkeypatch.setenv("XDG_CACHE_HOME", given)
        assert module._path("machine").parent == root / "thresher"


def test_nobody_else_measures_meanwhile(machine, monkeypatch, tmp_path):
    def measured(probes):
        with pytest.raises(Timeout):
            FileLock(module._path(json.dumps(module._machine(), sort_keys=True)).with_suffix(".lock")).acquire(
                timeout=0
            )
        return machine(probes)

    monkeypatch.setattr(module, "measured", measured)
    remembered_costs([probe(3)])
    assert machine.asked == [[3]]
    FileLock(module._path(json.dumps(module._machine(), sort_keys=True)).with_suffix(".lock")).acquire(timeout=0)


def test_a_real_layer_is_measured_and_remembered(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "_SEEN", {})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (found,) = remembered_costs([probe(3)])
    assert found.dense > 0
    forget(monkeypatch)
    assert remembered_costs([probe(3)]) == [found]
