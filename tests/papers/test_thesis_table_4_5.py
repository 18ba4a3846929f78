"""Table 4.5 runs where Fashion-MNIST is: in miniature, in the published files."""

import dataclasses
import gzip
import shutil
import struct

import numpy as np
import pytest

from thresher.experiments import run
from thresher.papers import PAPERS, reproduce
from thresher.papers.published import Trained

TABLE = PAPERS["thesis/table-4.5"]


def write_published(folder, seed):
    """The four gzipped IDX files, of 120 and 20 images: bright rows tell the classes, in an order that `seed` draws."""
    draws = np.random.default_rng(seed)
    folder.mkdir()
    for part, count in (("train", 120), ("t10k", 20)):
        labels = (draws.permutation(count) % 10).astype(np.uint8)
        images = draws.integers(0, 60, (count, 28, 28), np.uint8)
        images[np.arange(count), 2 * labels + seed] = 255
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = struct.pack(f">HBB{array.ndim}I", 0, 0x08, array.ndim, *array.shape)
            (folder / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(header + array.tobytes()))


@pytest.fixture
def data_dir(tmp_path):
    write_published(tmp_path / "mnist", 1)
    write_published(tmp_path / "fashion-mnist", 2)
    return tmp_path


def shortened(cell):
    work = cell.work["full"]
    return Trained(dataclasses.replace(work.recipe, budget="3it", evaluate_every="3it"), work.quantity)


def test_every_cell_is_trained_where_both_data_sets_are_there(data_dir):
    cells = tuple(dataclasses.replace(cell, work={"full": shortened(cell)}) for cell in TABLE.cells)
    table = dataclasses.replace(TABLE, cells=cells)
    found = reproduce(table, budget="full", seeds=1, store=data_dir / "runs", data_dir=data_dir, download=False)
    assert found.absent == {}
    for row in found.rows:
        assert 0.0 <= row.values[0] <= 100.0, row.cell.label
    assert {judgement.kind for judgement in found.judgements} & {"not run"} == set()


def test_the_mask_comes_from_the_data_set_that_is_pruned_on(data_dir):
    recipes = {}
    for row in ("F-MNIST → MNIST", "MNIST → MNIST", "MNIST → F-MNIST"):
        recipes[row] = shortened(TABLE.cell(row, "sup.")).recipe
    results = {
        row: run(recipe, data_dir / f"run {number}", data_dir=data_dir, download=False)
        for number, (row, recipe) in enumerate(recipes.items())
    }
    for row, result in results.items():
        pruned, trained = (name.replace("F-MNIST", "fashion-mnist").lower() for name in row.split(" → "))
        read = {(touch["purpose"], touch["dataset"].split("/")[0]) for touch in result["touches"]}
        assert ("snip", pruned) in read
        assert ("train", trained) in read
        assert ("snip", trained) not in read or pruned == trained


def test_without_fashion_mnist_its_cells_say_so_and_the_others_run(data_dir):
    shutil.rmtree(data_dir / "fashion-mnist")
    cells = [TABLE.cell(row, "sup.") for row in ("MNIST → MNIST", "F-MNIST → MNIST", "MNIST → F-MNIST")]
    table = dataclasses.replace(
        TABLE, cells=tuple(dataclasses.replace(cell, work={"full": shortened(cell)}) for cell in cells), claims=()
    )
    found = reproduce(table, budget="full", seeds=1, store=data_dir / "runs", data_dir=data_dir, download=False)
    assert set(found.absent) == {"fashion-mnist"}
    own, *others = found.rows
    assert own.values
    assert {row.verdict.words for row in others} == {"not run: no fashion-mnist"}
