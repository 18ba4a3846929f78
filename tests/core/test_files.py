import os
import stat
import subprocess
import sys
import textwrap

import pytest

from thresher.core.errors import RunDirectoryError
from thresher.core.files import write_atomically, write_text_atomically


def test_the_file_appears_whole_and_alone(tmp_path):
    target = tmp_path / "new" / "folders" / "result.txt"
    assert write_text_atomically(target, "σ = 0.9\n") == target
    assert target.read_bytes() == "σ = 0.9\n".encode()
    assert [p.name for p in target.parent.iterdir()] == ["result.txt"]


def test_an_older_file_is_there_until_the_new_one_is_whole(tmp_path):
    target = tmp_path / "result.txt"
    target.write_text("old")
    seen = []

    def write(temporary):
        temporary.write_text("new")
        seen.append((temporary.parent, target.read_text()))

    write_atomically(str(target), write)
    assert seen == [(tmp_path, "old")]
    assert target.read_text() == "new"


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError("x")])
def test_a_failure_leaves_the_older_file_and_nothing_else(tmp_path, failure):
    target = tmp_path / "result.txt"
    target.write_text("old")

    def write(temporary):
        temporary.write_text("half of the n")
        raise failure

    expected = RunDirectoryError if isinstance(failure, OSError) else type(failure)
    with pytest.raises(expected):
        write_atomically(target, write)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_error_says_which_file_and_why(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(RunDirectoryError, match=r"cannot write .*file/result\.txt: .*what was there before is unto"):
        write_text_atomically(tmp_path / "file" / "result.txt", "x")
    assert (tmp_path / "file").read_text() == "not a folder"


def test_a_folder_in_the_way_is_an_error_and_stays(tmp_path):
    target = tmp_path / "result.txt"
    (target / "inside").mkdir(parents=True)
    with pytest.raises(RunDirectoryError, match="cannot write"):
        write_text_atomically(target, "x")
    assert list(tmp_path.iterdir()) == [target]
    assert list(target.iterdir()) == [target / "inside"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits on file size are POSIX")
def test_a_write_that_the_system_cuts_short_leaves_the_older_file(tmp_path):
    target = tmp_path / "result.txt"
    target.write_text("old")
    script = """
        import resource, signal, sys
        from thresher.core.errors import RunDirectoryError
        from thresher.core.files import write_text_atomically
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            write_text_atomically(sys.argv[1], "x" * 10_000)
        except RunDirectoryError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), target], capture_output=True, text=True, check=True
    )
    assert f"cannot write {target}: File too large" in done.stdout
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_the_file_is_as_readable_as_any_its_owner_makes(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        target = write_text_atomically(tmp_path / "result.txt", "x")
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert stat.S_IMODE(target.stat().st_mode) == mode
