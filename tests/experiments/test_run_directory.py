import dataclasses
import subprocess
import sys

import pytest

from thresher.core.errors import FileFormatError, RunDirectoryError
from thresher.experiments.run_directory import RunDirectory, open_run


def test_a_directory_in_use_by_another_process_is_refused(small, tmp_path):
    holder = (
        "import sys; from filelock import FileLock; lock = FileLock(sys.argv[1]); lock.acquire();"
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path / ".lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RunDirectoryError, match="in use by another process"), open_run(tmp_path, small, False):
            pass
        other.stdin.close()
    with open_run(tmp_path, small, False) as directory:
        assert directory.recipe() == small


def test_another_recipe_is_refused_and_the_differences_listed(small, tmp_path):
    with open_run(tmp_path, small, False) as directory:
        directory.checkpoint_file.write_bytes(b"")
    other = dataclasses.replace(small, seed=5, sparsity=0.8)
    with pytest.raises(RunDirectoryError, match=r"sparsity: 0\.9 there, 0\.8 here; seed: 0 there, 5 here"):
        open_run(tmp_path, other, False).__enter__()
    assert RunDirectory(tmp_path).recipe() == small


def test_a_directory_with_other_files_is_refused(small, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunDirectoryError, match=r"thesis\.tex"), open_run(tmp_path, small, False):
        pass
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_path_that_cannot_be_a_directory_is_refused(small, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunDirectoryError, match="cannot write"), open_run(tmp_path / "file" / "run", small, False):
        pass


def test_an_unfinished_run_needs_resume(small, tmp_path):
    with open_run(tmp_path, small, False) as directory:
        directory.checkpoint_file.write_bytes(b"")
    with pytest.raises(RunDirectoryError, match="--resume"), open_run(tmp_path, small, False):
        pass
    with open_run(tmp_path, small, True):
        pass


def test_a_broken_result_is_named(tmp_path):
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(FileFormatError, match=r"result\.json"):
        RunDirectory(tmp_path).result()


def test_a_run_that_was_refused_before_it_trained_binds_nobody(small, tmp_path):
    with open_run(tmp_path, small, False):
        pass
    other = dataclasses.replace(small, seed=5)
    with open_run(tmp_path, other, False) as directory:
        assert directory.recipe() == other


def test_a_recipe_that_is_no_text_is_named(tmp_path):
    (tmp_path / "recipe.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileFormatError, match=r"recipe\.json"):
        RunDirectory(tmp_path).recipe()
