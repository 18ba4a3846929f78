"""The kernels by themselves, in buffers of exact size, under the address and undefined-behaviour sanitizers."""

import platform
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SANITIZED = ["-O0", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
# each set takes its time to build: the widest of this machine, and what runs everywhere
AVX512 = ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma"]
AVX2 = ["-mavx2", "-mfma"]

pytestmark = [
    pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ here"),
    pytest.mark.skipif(not (ROOT / "csrc").is_dir(), reason="the sources of the kernels are not here"),
]


def compiled(folder, name, source, *flags):
    target = folder / f"{name}.o"
    command = ["g++", "-std=c++17", "-fopenmp", "-ffp-contract=fast", "-Wno-psabi", "-I", str(ROOT / "csrc"), *flags]
    done = subprocess.run([*command, "-c", str(source), "-o", str(target)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return str(target)


def sets_here():
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split() if Path("/proc/cpuinfo").is_file() else []
    if platform.machine() not in ("x86_64", "AMD64"):
        return {}
    if {"avx512f", "avx512dq", "avx512bw", "avx512vl"} <= set(flags):
        return {"avx512": AVX512}
    return {"avx2": AVX2} if "avx2" in flags else {}


def test_drawn_shapes_equal_plain_loops_and_stay_in_their_buffers(tmp_path):
    sets = {**sets_here(), "portable": []}
    has = [f"-DHAVE_{name.upper()}" for name in sets]
    works = subprocess.run(
        ["g++", "-fsanitize=address,undefined", "-x", "c++", "-", "-o", str(tmp_path / "probe")],
        input="int main() { return 0; }",
        capture_output=True,
        text=True,
    )
    if works.returncode:
        pytest.skip(f"g++ has no sanitizers here: {works.stderr[:200]}")
    driver = Path(__file__).with_name("kernels_driver.cpp")
    sources = {name: (ROOT / "csrc" / f"kernels_{name}.cpp", flags) for name, flags in sets.items()}
    with ThreadPoolExecutor(2) as pool:
        objects = [
            pool.submit(compiled, tmp_path, name, source, *SANITIZED, *flags)
            for name, (source, flags) in {**sources, "driver": (driver, has)}.items()
        ]
    linked = subprocess.run(
        ["g++", *SANITIZED, "-fopenmp", *(o.result() for o in objects), "-o", str(tmp_path / "driver")],
        capture_output=True,
        text=True,
    )
    assert linked.returncode == 0, linked.stderr
    done = subprocess.run([str(tmp_path / "driver"), "300"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "all equal\n"), (done.stdout + done.stderr)[:4000]


@pytest.mark.skipif(shutil.which("nm") is None, reason="no nm here")
def test_no_function_of_ours_is_shared_between_instruction_sets(tmp_path):
    """The linker keeps one copy of a function that several sets define, maybe the one the machine cannot run."""
    portable = compiled(tmp_path, "portable", ROOT / "csrc" / "kernels_portable.cpp", "-O0")
    names = subprocess.run(["nm", "--defined-only", portable], capture_output=True, text=True, check=True).stdout
    weak = [line.split()[-1] for line in names.splitlines() if line.split()[-2] in "WVu"]
    assert any("8portable" in name for name in weak)
    assert [name for name in weak if "thresher" in name and "8portable" not in name] == []
