"""What a Dataset refuses, and what a subset remembers."""

import pytest
import torch

from thresher.core.errors import ArgumentError, DataError
from thresher.data import Dataset

IMAGES = torch.arange(4 * 3, dtype=torch.uint8).reshape(4, 1, 3, 1)
LABELS = torch.tensor([2, 0, 1, 2])


def test_numbers_its_examples_in_the_published_order():
    data = Dataset("toy/train", IMAGES, LABELS, 3)
    assert data.indices.tolist() == [0, 1, 2, 3]
    assert data.input_shape == (1, 3, 1)
    assert len(data) == 4


def test_a_subset_of_a_subset_keeps_name_and_published_indices():
    part = Dataset("toy/train", IMAGES, LABELS, 3).subset(torch.tensor([3, 1, 0])).subset(torch.tensor([2, 0]))
    assert part.name == "toy/train"
    assert part.indices.tolist() == [0, 3]
    assert part.targets.tolist() == [2, 2]
    assert part.inputs.equal(IMAGES[[0, 3]])


def test_an_empty_subset_is_a_data_set():
    assert len(Dataset("toy", IMAGES, LABELS, 3).subset(torch.empty(0, dtype=torch.int64))) == 0


@pytest.mark.parametrize("rows", [torch.tensor([4]), torch.tensor([-1]), torch.tensor([True]), torch.tensor([[0]])])
def test_refuses_rows_that_are_not_there(rows):
    with pytest.raises(ArgumentError, match="rows"):
        Dataset("toy", IMAGES, LABELS, 3).subset(rows)


@pytest.mark.parametrize(("bad", "value"), [(1, 3), (2, -1), (3, 255)])
def test_names_the_first_label_out_of_range_by_its_published_index(bad, value):
    labels = LABELS.clone()
    labels[bad] = value
    with pytest.raises(DataError, match=rf"toy: labels lie in \[0, 3\): example {bad + 10} has label {value}"):
        Dataset("toy", IMAGES, labels, 3, indices=torch.arange(10, 14))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"targets": LABELS[:3]}, "4 inputs but 3 targets"),
        ({"indices": torch.arange(5)}, "4 inputs but 5 indices"),
        ({"indices": torch.empty(0, dtype=torch.int64)}, "4 inputs but 0 indices"),
        ({"targets": LABELS.int()}, r"targets are \[N\] int64: got torch.int32"),
        ({"targets": LABELS[:, None]}, r"of shape \(4, 1\)"),
        ({"inputs": IMAGES.long()}, "uint8 or floating: got torch.int64"),
        ({"inputs": IMAGES[:, 0, 0, 0]}, r"got shape \(4,\)"),
        ({"num_classes": 0}, "num_classes is at least 1: got 0"),
    ],
)
def test_refuses_what_is_no_data_set(fields, message):
    with pytest.raises(DataError, match=message):
        Dataset(**{"name": "toy", "inputs": IMAGES, "targets": LABELS, "num_classes": 3} | fields)
