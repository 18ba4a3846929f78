import json

import pytest

from thresher.core.errors import FileFormatError
from thresher.papers.computation import Computation

CALLS = []


def measure(*, seed, data_dir, download, scale, name="x"):
    CALLS.append((seed, data_dir, download))
    return {name: scale * seed}


def other(*, seed, data_dir, download, scale):
    return {"other": scale}


@pytest.fixture(autouse=True)
def forget():
    CALLS.clear()


def test_numbers_are_computed_once_a_seed_and_read_afterwards(tmp_path):
    computation = Computation(measure, (("scale", 2.0),))
    assert computation.stored(tmp_path, 3) is None
    for _ in range(2):
        assert computation.run(tmp_path, 3, "data", False) == {"x": 6.0}
    assert computation.run(tmp_path, 4, None, True) == {"x": 8.0}
    assert CALLS == [(3, "data", False), (4, None, True)]
    assert computation.stored(tmp_path, 3) == {"x": 6.0}


def test_another_argument_or_function_is_another_file(tmp_path):
    two = Computation(measure, (("scale", 2.0),))
    files = {
        two.file(tmp_path, 0),
        two.file(tmp_path, 1),
        Computation(measure, (("scale", 3.0),)).file(tmp_path, 0),
        Computation(other, (("scale", 2.0),)).file(tmp_path, 0),
    }
    assert len(files) == 4
    assert Computation(measure, (("scale", 2.0),)).file(tmp_path, 0) == two.file(tmp_path, 0)


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"function": "measure"})])
def test_a_damaged_file_is_told_and_not_overwritten(tmp_path, text):
    computation = Computation(measure, (("scale", 2.0),))
    file = computation.file(tmp_path, 0)
    file.parent.mkdir(parents=True)
    file.write_text(text)
    with pytest.raises(FileFormatError, match="delete it"):
        computation.run(tmp_path, 0, None, False)
    assert file.read_text() == text
