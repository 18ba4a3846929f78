"""Which kernels are chosen, and what is said where there are none."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from types import SimpleNamespace

import pytest
import torch

import thresher
from thresher.core.errors import ArgumentError
from thresher.ops import Topology, conv2d, instruction_set, linear
from thresher.ops import native as module
from thresher.ops.native import INSTRUCTION_SETS, compiled, kernels

built = pytest.mark.skipif(find_spec("thresher._kernels") is None, reason="the compiled kernels are not built here")
choose = compiled.__wrapped__  # without the memory of the first answer

# What a process computes by itself: one sparse step of each kind, printed as exact numbers.
WORKER = """
import sys, warnings
if "hide" in sys.argv:
    sys.modules["thresher._kernels"] = None
import torch
from thresher.ops import Topology, conv2d, instruction_set, linear
draw = torch.Generator().manual_seed(0)
def normal(*size): return torch.randn(*size, generator=draw, dtype=torch.float64)
found = []
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    for _ in range(2):
        name = instruction_set()
        topology = Topology.of(torch.rand(19, 23, generator=draw) < 0.3)
        leaves = [normal(37, 23), normal(topology.kept), normal(19)]
        taps = Topology.of(torch.rand(6, 18, generator=draw) < 0.4)
        leaves += [normal(21, 4, 6, 5), normal(taps.kept), normal(6)]
        for leaf in leaves: leaf.requires_grad_()
        x, values, bias, image, kernel, offset = leaves
        flat = linear(x, values, bias, topology)
        maps = conv2d(image, kernel, offset, taps, (3, 3), (2, 1), (1, 0), (1, 1), 2)
        (flat.square().sum() + maps.square().sum()).backward()
        found += [t.detach().contiguous() for t in (flat, maps, *(leaf.grad for leaf in leaves))]
torch.save((name, [str(w.message) for w in said if w.category is RuntimeWarning], found), sys.argv[1])
"""


def run(path, *arguments, **environment):
    path.write_text(WORKER, encoding="utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(
        [sys.executable, str(path), str(path.with_suffix(".pt")), *arguments],
        env=environment,
        capture_output=True,
        text=True,
    )
    return done, torch.load(path.with_suffix(".pt")) if done.returncode == 0 else None


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    done, found = run(tmp_path_factory.mktemp("reference") / "worker.py", THRESHER_INSTRUCTION_SET="reference")
    assert done.returncode == 0, done.stderr
    assert found[:2] == ("reference", [])
    return found[2]


@built
@pytest.mark.parametrize("name", INSTRUCTION_SETS[:-1])
def test_every_set_of_this_machine_equals_the_reference(tmp_path, reference, name):
    if name not in kernels().available():
        pytest.skip(f"no {name} here")
    done, found = run(tmp_path / "worker.py", THRESHER_INSTRUCTION_SET=name)
    assert done.returncode == 0, done.stderr
    assert found[:2] == (name, [])
    for came, expected in zip(found[2], reference, strict=True):
        torch.testing.assert_close(came, expected, rtol=1e-12, atol=1e-12)


def test_without_the_kernels_the_reference_runs_and_says_so_once(tmp_path, reference):
    done, found = run(tmp_path / "worker.py", "hide", THRESHER_INSTRUCTION_SET="")
    assert done.returncode == 0, done.stderr
    name, said, results = found
    assert name == "reference"
    assert len(said) == 1
    assert "C++ compiler" in said[0]
    for came, expected in zip(results, reference, strict=True):
        assert torch.equal(came, expected)


@built
def test_the_best_set_of_the_machine_is_chosen_unless_one_is_named(monkeypatch):
    native = kernels()
    assert native.available() == [name for name in INSTRUCTION_SETS if name in native.available()]
    assert native.available()[-1] == "portable"
    if not os.environ.get("THRESHER_INSTRUCTION_SET"):
        assert instruction_set() == native.available()[0]
    assert not native.choose("sse9")
    assert native.chosen() == instruction_set()


def test_an_unknown_set_is_named_with_those_there_are(monkeypatch):
    monkeypatch.setenv("THRESHER_INSTRUCTION_SET", "avx3")
    with pytest.raises(ArgumentError, match="avx512, avx2, portable, reference: got 'avx3'"):
        choose()


def test_a_set_this_machine_has_not_is_refused(monkeypatch):
    old = SimpleNamespace(choose=lambda name: name == "portable", available=lambda: ["portable"])
    monkeypatch.setitem(sys.modules, "thresher._kernels", old)
    monkeypatch.setenv("THRESHER_INSTRUCTION_SET", "avx512")
    with pytest.raises(ArgumentError, match="avx512, but this machine has portable"):
        choose()
    monkeypatch.setenv("THRESHER_INSTRUCTION_SET", "portable")
    assert choose() is old


def test_a_named_set_without_the_kernels_is_refused_not_replaced(monkeypatch):
    monkeypatch.delattr(thresher, "_kernels", raising=False)
    monkeypatch.setitem(sys.modules, "thresher._kernels", None)
    monkeypatch.setenv("THRESHER_INSTRUCTION_SET", "portable")
    with pytest.raises(ArgumentError, match="the kernels are not built"):
        choose()
    monkeypatch.setenv("THRESHER_INSTRUCTION_SET", "reference")
    assert choose() is None
    monkeypatch.delenv("THRESHER_INSTRUCTION_SET")
    assert choose() is None
    monkeypatch.setattr(module, "compiled", choose)
    with pytest.warns(RuntimeWarning, match="install a C\\+\\+ compiler"):
        assert kernels.__wrapped__() is None
    monkeypatch.setenv("THRESHER_INSTRUCTION_SET", "reference")
    assert kernels.__wrapped__() is None  # asked for, so nothing is said


@built
@pytest.mark.parametrize("arguments", [(), (4,), (4, 1, 2), (4, 1, *range(10)), (4, 1, "a"), (4.5, 1)])
def test_calls_with_other_arguments_are_errors_before_any_address_is_used(arguments):
    with pytest.raises(TypeError):
        kernels().spmm(*arguments)


def test_threads_of_python_run_at_once_without_disturbing_each_other():
    topology = Topology.of(torch.rand(24, 18) < 0.3)
    x, values = torch.randn(40, 2, 8, 8), torch.randn(topology.kept)
    flat = Topology.of(torch.rand(31, 29) < 0.3)
    z, weights = torch.randn(40, 29), torch.randn(flat.kept)

    def both(_):
        return conv2d(x, values, None, topology, (3, 3)), linear(z, weights, None, flat)

    expected = both(0)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(both, range(40)):
            assert torch.equal(found[0], expected[0])
            assert torch.equal(found[1], expected[1])
