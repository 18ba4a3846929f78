"""A checkpoint is whole, ours and for this recipe, or it is refused in one line."""

import io
import pickle
import tarfile
import zipfile

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from thresher.core.errors import FileFormatError
from thresher.training import load_checkpoint, save_checkpoint


def parts(seed=0, features=4):
    torch.manual_seed(seed)
    model = nn.Linear(features, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, features)).sum().backward()
    optimizer.step()
    return {"model": model, "optimizer": optimizer}


def states(of):
    return {name: part.state_dict() for name, part in of.items()}


@pytest.fixture
def saved(tmp_path):
    return save_checkpoint(tmp_path / "checkpoint.pt", parts(), "recipe a")


def refused(path, message, fingerprint="recipe a", fresh=None):
    """Loading raises one line that matches, and leaves every part as it was."""
    fresh = fresh or parts(1)
    before = pickle.dumps(states(fresh))
    with pytest.raises(FileFormatError, match=message) as caught:
        load_checkpoint(path, fresh, fingerprint)
    assert "\n" not in str(caught.value)
    assert pickle.dumps(states(fresh)) == before


def test_a_round_trip_gives_every_part_its_state(saved, same):
    fresh = parts(1)
    load_checkpoint(saved, fresh, "recipe a")
    assert same(states(fresh), states(parts()))


def test_cut_short_at_every_kind_of_place(saved, tmp_path):
    whole = saved.read_bytes()
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        starts = [entry.header_offset for entry in archive.infolist()]
    ends = {0, 1, 3, 4, 21, 22, 30, len(whole) // 2, *range(len(whole) - 24, len(whole))}
    for start in starts:
        ends |= {start, start + 10, start + 64, start + 65}
    path = tmp_path / "cut.pt"
    for end in sorted(ends):
        path.write_bytes(whole[: min(end, len(whole) - 1)])
        refused(path, "not a readable checkpoint .*move it away")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused_or_changes_nothing(saved, tmp_path, same, place, bit):
    content = bytearray(saved.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path = tmp_path / "flipped.pt"
    path.write_bytes(content)
    fresh = parts(1)
    try:
        load_checkpoint(path, fresh, "recipe a")
    except FileFormatError:
        return
    assert same(states(fresh), states(parts()))


def test_another_recipe(saved):
    refused(saved, r"written by another recipe \(recipe a; this run is recipe b\)", fingerprint="recipe b")


def test_no_file_and_a_directory(tmp_path):
    refused(tmp_path / "none.pt", "there is no checkpoint at .*without resuming")
    refused(tmp_path, "not a readable checkpoint")


def test_files_of_other_kinds(tmp_path):
    path = tmp_path / "checkpoint.pt"
    contents = [b"", b"\n", b"{}", b"\x80\x02.", pickle.dumps({"format": "thresher-checkpoint-1"}), bytes(1000)]
    for content in contents:
        path.write_bytes(content)
        refused(path, "not a readable checkpoint")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "a")
    refused(path, "not a readable checkpoint")
    with tarfile.open(path, "w"):
        pass
    refused(path, "not a readable checkpoint")
    for content in ({"a": 1}, [1, 2], torch.ones(3), nn.Linear(2, 2).state_dict()):
        torch.save(content, path)
        refused(path, "is a torch file but no checkpoint of a run")


class Explosive:
    def __reduce__(self):
        return exec, ("raise SystemExit('executed')",)


def test_nothing_in_the_file_is_executed(tmp_path):
    path = tmp_path / "checkpoint.pt"
    torch.save({"format": "thresher-checkpoint-1", "fingerprint": "recipe a", "parts": Explosive()}, path)
    refused(path, "not a readable checkpoint")


def test_incomplete_content(tmp_path):
    path = tmp_path / "checkpoint.pt"
    torch.save({"format": "thresher-checkpoint-1", "fingerprint": "recipe a"}, path)
    refused(path, "a torch file but no checkpoint")


def test_other_parts_and_parts_that_do_not_fit(saved):
    refused(
        saved, "holds the state of model, optimizer, but this run consists of model", fresh={"model": nn.Linear(4, 2)}
    )
    with pytest.raises(FileFormatError, match=r"the state of the model does not fit: .*Linear"):
        load_checkpoint(saved, parts(features=5), "recipe a")
    wrong = {**parts(), "optimizer": torch.optim.SGD([{"params": [torch.ones(1)]}, {"params": [torch.ones(1)]}], 0.1)}
    with pytest.raises(FileFormatError, match="the state of the optimizer does not fit"):
        load_checkpoint(saved, wrong, "recipe a")


def test_a_save_that_fails_leaves_the_one_before(saved, same):
    class Unsaveable:
        def state_dict(self):
            return {"generator": (i for i in range(3))}

        def load_state_dict(self, state):
            raise AssertionError

    with pytest.raises(TypeError, match="generator"):
        save_checkpoint(saved, {**parts(), "more": Unsaveable()}, "recipe a")
    assert [path.name for path in saved.parent.iterdir()] == ["checkpoint.pt"]
    fresh = parts(1)
    load_checkpoint(saved, fresh, "recipe a")
    assert same(states(fresh), states(parts()))
