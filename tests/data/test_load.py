"""Every data set in every form it is published in, and what is said when it is not there."""

import io
import pickle
import tarfile

import numpy as np
import pytest
import torch

from thresher.core.errors import ArgumentError, DataError, UnknownNameError
from thresher.data import DATASETS, load

MNIST_TEST_IMAGES = "t10k-images-idx3-ubyte"


def assert_is_mnist(splits, arrays, name="mnist"):
    train_images, train_labels, test_images, test_labels = arrays.values()
    assert (splits.train.name, splits.test.name) == (f"{name}/train", f"{name}/test")
    np.testing.assert_array_equal(splits.train.inputs[:, 0], train_images)
    np.testing.assert_array_equal(splits.train.targets, train_labels)
    np.testing.assert_array_equal(splits.test.inputs[:, 0], test_images)
    np.testing.assert_array_equal(splits.test.targets, test_labels)
    assert splits.input_shape == (1, 3, 2)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("mnist", "."),
        ("mnist", "mnist"),
        ("mnist", "MNIST/raw"),
        ("fashion-mnist", "."),
        ("fashion-mnist", "fashion-mnist"),
        ("fashion-mnist", "FashionMNIST/raw"),
        ("idx", "."),
    ],
)
def test_finds_the_four_files_where_they_usually_lie(tmp_path, write_mnist, mnist_arrays, name, folder, zipped):
    write_mnist(tmp_path / folder, zipped)
    assert_is_mnist(load(name, tmp_path, validation=0, download=False), mnist_arrays, name)


def test_the_data_folder_may_come_from_the_environment(tmp_path, write_mnist, mnist_arrays, monkeypatch):
    write_mnist(tmp_path / "mnist")
    monkeypatch.setenv("THRESHER_DATA", str(tmp_path))
    assert_is_mnist(load("mnist", validation=0, download=False), mnist_arrays)


@pytest.mark.parametrize("variable", ["", None])
def test_the_data_folder_is_else_in_the_home(tmp_path, write_mnist, mnist_arrays, monkeypatch, variable):
    monkeypatch.setenv("HOME", str(tmp_path))
    if variable is None:
        monkeypatch.delenv("THRESHER_DATA", raising=False)
    else:
        monkeypatch.setenv("THRESHER_DATA", variable)
    write_mnist(tmp_path / ".cache" / "thresher" / "mnist")
    assert_is_mnist(load("mnist", validation=0, download=False), mnist_arrays)


@pytest.mark.parametrize(
    ("asked", "folder"),
    [
        ("fashion-mnist", "mnist"),
        ("fashion-mnist", "MNIST/raw"),
        ("mnist", "fashion-mnist"),
        ("mnist", "FashionMNIST/raw"),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_never_takes_one_mnist_for_the_other(tmp_path, write_mnist, monkeypatch, asked, folder, inside):
    write_mnist(tmp_path / folder)
    with pytest.raises(DataError, match=f"{asked} is not in"):
        load(asked, tmp_path / folder if inside else tmp_path, download=False)
    monkeypatch.chdir(tmp_path / folder)
    with pytest.raises(DataError, match=f"{asked} is not in .* which is named for another data set"):
        load(asked, ".", download=False)


@pytest.mark.parametrize(
    ("asked", "labels", "other"),
    [
        ("fashion-mnist", [5, 0, 4, 1, 9, 2, 1, 3, 1, 4, 0, 0], "MNIST"),
        ("mnist", [9, 0, 0, 3, 0, 2, 7, 2, 5, 5, 0, 0], "Fashion-MNIST"),
    ],
)
def test_refuses_the_published_labels_of_the_other(tmp_path, write_mnist, asked, labels, other):
    write_mnist(tmp_path, train_labels=np.array(labels, np.uint8))
    with pytest.raises(DataError, match=f"train-labels-idx1-ubyte holds the labels of {other}: name the folder"):
        load(asked, tmp_path, download=False)
    assert len(load("idx", tmp_path, validation=0, download=False).train) == 12


def test_refuses_the_real_mnist_as_fashion(shared_data, tmp_path):
    for path in (shared_data / "mnist").iterdir():
        (tmp_path / path.name).symlink_to(path)
    with pytest.raises(DataError, match="holds the labels of MNIST"):
        load("fashion-mnist", tmp_path, download=False)


def test_idx_takes_any_type_and_counts_classes_by_the_labels(tmp_path, write_mnist):
    images = np.random.default_rng(0).normal(size=(12, 2, 3, 4))
    write_mnist(
        tmp_path,
        train_images=images,
        t10k_images=images[:6].astype(np.int16),
        train_labels=np.arange(12).astype(np.int32),
        t10k_labels=np.full(6, 14, np.int8),
    )
    splits = load("idx", tmp_path, validation=0)
    assert splits.num_classes == 15
    assert splits.input_shape == (2, 3, 4)
    np.testing.assert_array_equal(splits.train.inputs, images.astype(np.float32))
    np.testing.assert_array_equal(splits.test.inputs, images[:6].astype(np.int16).astype(np.float32))
    np.testing.assert_allclose(splits.mean, images.astype(np.float32).mean((0, 2, 3), np.float64), rtol=1e-12)


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"train_labels": np.array([0] * 11 + [10], np.uint8)}, r"mnist/train: .*example 11 has label 10"),
        ({"t10k_labels": np.array([0, -1, 0, 0, 0, 0], np.int8)}, r"mnist/test: .*example 1 has label -1"),
        ({"train_labels": np.zeros(11, np.uint8)}, "holds 12 images but .*train-labels-idx1-ubyte 11 labels"),
        ({"train_labels": np.zeros(12, np.float32)}, r"has float32 of shape \(12,\); expected integers"),
        ({"train_labels": np.zeros((12, 1), np.uint8)}, r"of shape \(12, 1\); expected integers"),
        ({"train_images": np.zeros((12, 4), np.uint8)}, r"has shape \(12, 4\); expected \[N, H, W\]"),
        ({"t10k_images": np.zeros((6, 2, 2), np.uint8)}, "differ in shape or classes"),
        (
            {"train_images": np.zeros((0, 3, 2), np.uint8), "train_labels": np.zeros(0, np.uint8)},
            "mnist/train holds no examples",
        ),
    ],
)
def test_names_what_is_wrong_in_the_files(tmp_path, write_mnist, replaced, message):
    write_mnist(tmp_path, **replaced)
    with pytest.raises(DataError, match=message):
        load("mnist", tmp_path, download=False)


def pickled(rows, key):
    return pickle.dumps({b"data": np.ascontiguousarray(rows[:, 2:]), key: rows[:, 1].tolist()}, protocol=2)


CIFAR_FORMS = {
    "cifar-10 binary": ("cifar-10-binary.tar.gz", "cifar-10-batches-bin", lambda rows: rows[:, 1:].tobytes()),
    "cifar-10 python": ("cifar-10-python.tar.gz", "cifar-10-batches-py", lambda rows: pickled(rows, b"labels")),
    "cifar-100 binary": ("cifar-100-binary.tar.gz", "cifar-100-binary", lambda rows: rows.tobytes()),
    "cifar-100 python": ("cifar-100-python.tar.gz", "cifar-100-python", lambda rows: pickled(rows, b"fine_labels")),
}


def cifar_files(form, rows):
    archive, inside, encode = CIFAR_FORMS[form]
    ending = ".bin" if "binary" in form else ""
    if form.startswith("cifar-100"):
        files = {f"train{ending}": rows[:20], f"test{ending}": rows[20:]}
    else:
        files = {f"data_batch_{k + 1}{ending}": rows[4 * k : 4 * k + 4] for k in range(5)}
        files[f"test_batch{ending}"] = rows[20:]
    return archive, inside, {name: encode(part) for name, part in files.items()}


@pytest.mark.parametrize("form", CIFAR_FORMS)
@pytest.mark.parametrize("place", ["itself", "usual", "named", "archive", "named archive"])
def test_finds_cifar_in_every_published_form(tmp_path, cifar_rows, form, place):
    name = form.split()[0]
    archive, inside, files = cifar_files(form, cifar_rows)
    if "archive" in place:
        path = tmp_path / (name if "named" in place else ".") / archive
        path.parent.mkdir(exist_ok=True)
        with tarfile.open(path, "w:gz") as tar:
            # the published archives do not hold the batches in order
            for file, data in reversed(files.items()):
                info = tarfile.TarInfo(f"{inside}/{file}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    else:
        folder = tmp_path / {"itself": ".", "usual": inside, "named": f"{name}/{inside}"}[place]
        folder.mkdir(parents=True, exist_ok=True)
        for file, data in files.items():
            (folder / file).write_bytes(data)
    splits = load(name, tmp_path, validation=0, download=False)
    np.testing.assert_array_equal(splits.train.inputs.flatten(1), cifar_rows[:20, 2:])
    np.testing.assert_array_equal(splits.test.inputs.flatten(1), cifar_rows[20:, 2:])
    np.testing.assert_array_equal(splits.train.targets, cifar_rows[:20, 1])
    np.testing.assert_array_equal(splits.test.targets, cifar_rows[20:, 1])
    assert splits.input_shape == (3, 32, 32)
    assert splits.num_classes == int(name.removeprefix("cifar-"))


def test_refuses_a_cifar_label_out_of_range(tmp_path, cifar_rows):
    rows = cifar_rows.copy()
    rows[5, 1] = 10
    _, _, files = cifar_files("cifar-10 binary", rows)
    for file, data in files.items():
        (tmp_path / file).write_bytes(data)
    with pytest.raises(DataError, match=r"cifar-10/train: labels lie in \[0, 10\): example 5 has label 10"):
        load("cifar-10", tmp_path, download=False)


def test_real_images_are_the_right_way_up_and_of_the_right_colours(tmp_path, shared_data):
    image_module = pytest.importorskip("PIL.Image")
    with np.load(shared_data / "cifar10-jpeg" / "test.npz") as archive:
        blob, offsets, labels = archive["jpeg"].tobytes(), archive["offset"], archive["label"]
    pictures = [image_module.open(io.BytesIO(blob[offsets[i] : offsets[i + 1]])) for i in range(12)]
    planes = [b"".join(band.tobytes() for band in picture.split()) for picture in pictures]
    rows = [bytes([label]) + plane for label, plane in zip(labels, planes, strict=False)]
    for k, name in enumerate(["test_batch", *[f"data_batch_{k}" for k in range(1, 6)]]):
        (tmp_path / f"{name}.bin").write_bytes(b"".join(rows[2 * k : 2 * k + 2]))
    splits = load("cifar-10", tmp_path, validation=0, download=False)
    for i in range(10):
        for x, y in [(0, 0), (31, 0), (5, 20)]:
            assert tuple(splits.train.inputs[i, :, y, x].tolist()) == pictures[i + 2].getpixel((x, y))
    assert splits.train.targets.tolist() == labels[2:12].tolist()


def test_digits_are_those_of_scikit_learn():
    published = pytest.importorskip("sklearn.datasets").load_digits()
    splits = load("digits", "/nowhere", validation=0)
    inputs = torch.cat([splits.train.inputs, splits.test.inputs])
    assert inputs.dtype is torch.uint8
    np.testing.assert_array_equal(inputs[:, 0], published.images)
    np.testing.assert_array_equal(torch.cat([splits.train.targets, splits.test.targets]), published.target)
    assert (len(splits.train), len(splits.test)) == (1437, 360)


def test_the_seed_draws_the_validation_split():
    first, second = (load("digits", seed=seed).validation.indices for seed in (0, 1))
    assert not first.equal(second)
    assert first.equal(load("digits", seed=0).validation.indices)


def test_a_validation_example_keeps_its_published_index(shared_data):
    whole = load("mnist", shared_data, validation=0)
    parts = load("mnist", shared_data, seed=4)
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (54000, 6000, 10000)
    for part in (parts.train, parts.validation):
        assert part.name == "mnist/train"
        assert part.inputs.equal(whole.train.inputs[part.indices])
        assert part.targets.equal(whole.train.targets[part.indices])


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar-10", "cifar-100", "tiny-imagenet"])
def test_says_what_is_looked_for_where_and_where_to_get_it(tmp_path, name):
    with pytest.raises(DataError) as caught:
        load(name, tmp_path, download=False)
    message, source = str(caught.value), DATASETS[name]
    assert message.startswith(f"{name} is not in {tmp_path}: ")
    assert source.remote.base_url in message
    assert all(file in message for file in source.remote.md5)
    for layout in source.layouts:
        assert all(file in message for file in layout.names)
        assert all(str(tmp_path / folder) in message for folder in layout.folders)
    assert "THRESHER_DATA" in message
    assert list(tmp_path.iterdir()) == []


def test_says_which_of_the_files_are_missing(tmp_path, write_mnist):
    write_mnist(tmp_path / "mnist")
    (tmp_path / "mnist" / MNIST_TEST_IMAGES).unlink()
    with pytest.raises(DataError, match=rf"{tmp_path}/mnist lacks only {MNIST_TEST_IMAGES}\)"):
        load("mnist", tmp_path, download=False)


def test_a_folder_of_the_name_of_a_file_is_no_file(tmp_path):
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
    with pytest.raises(DataError, match="cifar-100 is not in"):
        load("cifar-100", tmp_path, download=False)


def test_refuses_a_data_folder_that_cannot_be_one(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"data_dir is a folder: .*file is a file"):
        load("mnist", tmp_path / "file")
    with pytest.raises(DataError, match=r"cannot look for data in x+: File name too long"):
        load("mnist", "x" * 5000)


def test_refuses_bad_arguments_before_it_opens_a_file(tmp_path):
    with pytest.raises(UnknownNameError, match=r"unknown data set 'cifar10': did you mean 'cifar-10'\? Known: mnist, "):
        load("cifar10", tmp_path)
    with pytest.raises(ArgumentError, match="validation is a fraction"):
        load("mnist", tmp_path, validation=1.5)


def test_every_row_is_cited():
    for name, source in DATASETS.items():
        assert name == "idx" or any(year in source.citation for year in ("1998", "2009", "2015", "2017")), name
