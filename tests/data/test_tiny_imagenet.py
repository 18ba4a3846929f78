"""Tiny-ImageNet in miniature: every image with its label, from folder and archive, and what is said of damage."""

import numpy as np
import pytest
import torch

from thresher.core.errors import DataError
from thresher.data import DATASETS, load
from thresher.data.content import Content
from thresher.data.tiny_imagenet import tiny_imagenet

ARCHIVE = "tiny-imagenet-200.zip"
FIRST = "n00000001"  # the class of label 0
ROUNDING = 3  # of colours turned to luminance and back, by three bytes each way


@pytest.fixture
def unpack(tmp_path, tiny_row, tiny_files):
    """Writes the files, some of them replaced or, where None, left out, and gives back the data folder."""

    def write(replaced=None, folder="tiny-imagenet-200"):
        for name, data in {**tiny_files, **(replaced or {})}.items():
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if data is not None:
                path.write_bytes(data)
        return tmp_path

    return write


def read(folder):
    return load("tiny-imagenet", folder, validation=0, download=False)


def assert_is_tiny_imagenet(splits, pictures):
    names = [f"train/n{c:08}/images/n{c:08}_{k}.JPEG" for c in (1, 2, 10) for k in range(12)]
    tested = [3, 0, 4, 1, 2]
    for part, expected in (
        (splits.train, [pictures[name] for name in names]),
        (splits.test, [pictures[f"val/images/val_{k}.JPEG"] for k in tested]),
    ):
        assert part.inputs.dtype is torch.uint8
        assert part.inputs.is_contiguous()
        error = part.inputs.numpy().astype(int) - np.stack(expected).transpose(0, 3, 1, 2).astype(int)
        assert np.abs(error).max() <= ROUNDING
    assert splits.train.targets.tolist() == [0] * 12 + [1] * 12 + [2] * 12
    # sorted: 1, 2, 10; the images 3, 0, 4, 1, 2 are of the classes 10, 2, 2, 1, 10
    assert splits.test.targets.tolist() == [2, 1, 1, 0, 2]
    assert (splits.num_classes, splits.input_shape) == (3, (3, 64, 64))


@pytest.mark.parametrize("folder", ["tiny-imagenet-200", "tiny-imagenet/tiny-imagenet-200", "tiny-imagenet", "."])
def test_reads_the_folder_where_it_usually_lies(unpack, tiny_pictures, folder):
    assert_is_tiny_imagenet(read(unpack(folder=folder)), tiny_pictures)


@pytest.mark.parametrize("folder", ["tiny-imagenet-200", "tiny-imagenet", "."])
def test_reads_the_archive_and_writes_nothing(tmp_path, tiny_row, tiny_files, tiny_pictures, zip_bytes, folder):
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / ARCHIVE).write_bytes(zip_bytes(tiny_files))
    before = sorted(tmp_path.rglob("*"))
    assert_is_tiny_imagenet(read(tmp_path), tiny_pictures)
    assert sorted(tmp_path.rglob("*")) == before


def test_grey_images_have_three_equal_planes(unpack):
    greys = read(unpack()).train.inputs[10::12]
    assert len(greys) == 3
    assert greys[:, 0].equal(greys[:, 1])
    assert greys[:, 0].equal(greys[:, 2])


def test_a_part_of_the_training_images_is_set_apart(unpack):
    splits = load("tiny-imagenet", unpack(), validation=0.25, download=False)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (27, 9, 5)
    assert splits.validation.name == "tiny-imagenet/train"


def test_expects_what_is_published():
    source = DATASETS["tiny-imagenet"]
    layout = source.layouts[0]
    assert source.num_classes == 200
    names = [f"n{k:08}" for k in range(200)]
    lines = [f"val_{k}.JPEG\t{names[k % 200]}\t0\t0\t63\t63" for k in range(10_000)]
    texts = {"wnids.txt": "\n".join(names), "val/val_annotations.txt": "\n".join(lines)}
    further = layout.further({name: Content(name, text.encode()) for name, text in texts.items()})
    assert len(further) == len(set(further)) == 110_000
    assert {"train/n00000199/images/n00000199_499.JPEG", "val/images/val_9999.JPEG"} <= set(further)


IMAGE = f"train/{FIRST}/images/{FIRST}_7.JPEG"
TEST_IMAGE = "val/images/val_2.JPEG"
LINES = "val_0.JPEG\tn00000002\t0\t0\t1\t1\nval_1.JPEG\tn00000001\t0\t0\t1\t1\n"


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({IMAGE: None}, rf"cannot read .*{FIRST}_7\.JPEG: No such file"),
        ({TEST_IMAGE: None}, r"cannot read .*val_2\.JPEG: No such file"),
        ({IMAGE: b""}, rf"{FIRST}_7\.JPEG is not a JPEG image: get"),
        ({TEST_IMAGE: b"<html>moved</html>"}, r"val_2\.JPEG is not a JPEG image: get"),
        ({"wnids.txt": b""}, r"wnids\.txt names 0 classes, 0 different ones; expected 3"),
        ({"wnids.txt": b"n00000001\nn00000002\n"}, r"wnids\.txt names 2 classes, 2 different ones; expected 3"),
        ({"wnids.txt": b"n00000001\n" * 3}, r"wnids\.txt names 3 classes, 1 different ones; expected 3"),
        ({"wnids.txt": b"n00000001\n../../../etc\n"}, r"wnids\.txt, line 2: '\.\./\.\./\.\./etc' is no class"),
        ({"wnids.txt": b"n00000001\n\xff\xfe\n"}, r"wnids\.txt, line 2: .* is no class"),
        ({"val/val_annotations.txt": b""}, r"has 0 lines, for 0 different images; expected 5"),
        ({"val/val_annotations.txt": LINES.encode()}, r"has 2 lines, for 2 different images; expected 5"),
        (
            {"val/val_annotations.txt": b"".join(b"val_%d.JPEG\tn00000001\n" % k for k in (0, 1, 2, 3, 4, 0))},
            "has 6 lines, for 5 different images; expected 5",
        ),
        (
            {"val/val_annotations.txt": (LINES + LINES + "val_0.JPEG\tn00000002\n").encode()},
            "has 5 lines, for 2 different",
        ),
        ({"val/val_annotations.txt": f"{LINES}val_2.JPEG\tn0000".encode()}, r"line 3: 'val_2\.JPEG\\tn0000' does not"),
        ({"val/val_annotations.txt": f"{LINES}val_2.JPEG n00000001".encode()}, "line 3: .* does not begin"),
        ({"val/val_annotations.txt": f"{LINES}val_2.JPEG\tn00000009\t0".encode()}, "line 3: .* class that wnids.txt"),
        ({"val/val_annotations.txt": f"../../x.JPEG\tn00000001\n{LINES}".encode()}, "line 1: .* does not begin"),
    ],
)
def test_names_the_file_that_is_wrong(unpack, replaced, message):
    with pytest.raises(DataError, match=message):
        read(unpack(replaced))


def test_names_an_image_that_breaks_off(unpack, tiny_files):
    with pytest.raises(DataError, match=rf"{FIRST}_7\.JPEG is a damaged JPEG image \(.*truncated"):
        read(unpack({IMAGE: tiny_files[IMAGE][:-100]}))


@pytest.mark.parametrize("shape", [(64, 63, 3), (32, 64), (1, 1, 3)])
def test_names_an_image_of_another_size(unpack, jpeg_bytes, shape):
    with pytest.raises(DataError, match=rf"val_2\.JPEG has {shape[1]}×{shape[0]} pixels; expected 64×64"):
        read(unpack({TEST_IMAGE: jpeg_bytes(np.zeros(shape, np.uint8))}))


def test_names_an_image_that_the_archive_lacks(tmp_path, tiny_row, tiny_files, zip_bytes):
    some = {name: data for name, data in tiny_files.items() if name not in (IMAGE, TEST_IMAGE)}
    (tmp_path / ARCHIVE).write_bytes(zip_bytes(some))
    with pytest.raises(DataError, match=rf"zip does not hold \S+/{IMAGE}, \S+/{TEST_IMAGE} as regular files"):
        read(tmp_path)


def test_the_miniature_is_the_published_row_in_all_but_its_counts(tiny_row):
    published = tiny_imagenet()
    assert tiny_row.remote == published.remote
    assert tiny_row.layouts[0].folders == published.layouts[0].folders
    assert tiny_row.layouts[0].archive == ARCHIVE == next(iter(published.remote.md5))
