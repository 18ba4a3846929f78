"""Freed memory kept for the next use: in a process of its own, for it is told once and for all."""

import os
import subprocess
import sys

import pytest

from thresher.core import memory
from thresher.core.memory import keep_freed_memory

# without torch, whose own memory at the end of the heap would hide whether that end is given back
PROGRAM = """
import ctypes, importlib.util, resource, sys
if sys.argv[1] == "keep":
    specification = importlib.util.spec_from_file_location("memory", sys.argv[2])
    memory = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(memory)
    assert memory.keep_freed_memory() and memory.keep_freed_memory()
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
library.malloc.argtypes = [ctypes.c_size_t]
library.free.argtypes = [ctypes.c_void_p]
def step():
    pieces = [library.malloc(size << 20) for size in (5, 80)]  # glibc itself maps any above 32 MiB anew
    for piece, size in zip(pieces, (5, 80)):
        ctypes.memset(piece, 1, size << 20)
        library.free(piece)
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 10)
"""


def page_faults(mode):
    """New pages per step of a program that frees 85 MiB after each."""
    command = [sys.executable, "-c", PROGRAM, mode, memory.__file__]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif("CS_GNU_LIBC_VERSION" not in os.confstr_names, reason="the C library is not glibc")
def test_kept_memory_is_not_mapped_anew():
    assert page_faults("keep") < page_faults("give back") / 10


def test_elsewhere_it_says_that_it_can_not(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "confstr_names", {})
    assert keep_freed_memory() is False


def test_importing_changes_nothing():
    program = (
        "import ctypes\n"
        "def deadly(*_): raise AssertionError\n"
        "loaded = ctypes.CDLL(None)\n"
        "class Library:\n"
        "    def __init__(self, name): pass\n"
        "    def __getattr__(self, name): return deadly if name == 'mallopt' else getattr(loaded, name)\n"
        "import torch\n"
        "ctypes.CDLL = Library\n"
        "import thresher, thresher.cli.main, thresher.core.memory\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
