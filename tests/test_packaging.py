"""Building and shipping: every source goes along, nothing is tied to this machine, no compiler is no failure."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.skipif(not (ROOT / "setup.py").is_file(), reason="not a checkout")


@pytest.fixture
def checkout(tmp_path):
    """A copy of what a build reads, with an empty package."""
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "csrc", tmp_path / "csrc")
    (tmp_path / "src" / "thresher").mkdir(parents=True)
    (tmp_path / "src" / "thresher" / "__init__.py").write_text("", encoding="utf-8")
    return tmp_path


def setup(checkout, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "setup.py", *arguments],
        cwd=checkout,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def test_a_source_distribution_has_every_source_of_the_kernels(checkout):
    done = setup(checkout, "-q", "sdist")
    assert done.returncode == 0, done.stderr
    (archive,) = (checkout / "dist").glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        shipped = {Path(name).name for name in tar.getnames() if "/csrc/" in name}
    assert shipped == {path.name for path in (ROOT / "csrc").iterdir()}


def test_without_a_compiler_the_package_builds_all_the_same(checkout):
    nowhere = str(checkout / "no-compiler")
    done = setup(checkout, "build", CC=nowhere, CXX=nowhere, LDSHARED=nowhere, LDCXXSHARED=nowhere)
    assert done.returncode == 0, done.stderr
    assert "thresher._kernels" in done.stderr + done.stdout  # the failure is said
    assert list((checkout / "build").rglob("__init__.py"))
    assert not list(checkout.rglob("*.so"))


def test_nothing_is_compiled_for_the_building_machine_or_with_loose_arithmetic():
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    flags = {word.strip("\"',[]") for word in text.split() if word.strip("\"',[]").startswith("-")}
    assert "-mavx2" in flags
    assert not any(f in text for f in ("-march", "-mtune", "-Ofast", "fast-math", "-funsafe", "-ffinite", "-fassoc"))
