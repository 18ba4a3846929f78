"""Data sets of other makers: tensors, arrays and PIL images come out the same."""

import numpy as np
import pytest
import torch
from torch.utils.data import IterableDataset, TensorDataset

from thresher.core.errors import ArgumentError, DataError
from thresher.data import from_torch

IMAGES = np.random.default_rng(0).integers(0, 256, (10, 5, 4, 3), np.uint8)  # [N, H, W, C]
LABELS = [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]
PLANES = torch.from_numpy(IMAGES.transpose(0, 3, 1, 2).copy())


def pil(image):
    from PIL import Image

    return Image.fromarray(image)


FORMS = {
    "tensor": lambda image: torch.from_numpy(image.transpose(2, 0, 1).copy()),
    "array": lambda image: image,
    "pil": pil,
}


@pytest.mark.parametrize("form", FORMS)
def test_images_of_every_form_are_the_same_bytes(form):
    pairs = [(FORMS[form](image), label) for image, label in zip(IMAGES, LABELS, strict=True)]
    splits = from_torch(pairs, pairs[:4], name="mine", validation=0)
    assert splits.train.name == "mine/train"
    assert splits.test.name == "mine/test"
    assert splits.train.inputs.dtype is torch.uint8
    assert splits.train.inputs.equal(PLANES)
    assert splits.test.inputs.equal(PLANES[:4])
    assert splits.train.targets.tolist() == LABELS
    assert splits.num_classes == 5


@pytest.mark.parametrize("form", ["array", "pil", "tensor"])
def test_a_grey_image_has_one_channel(form):
    grey = IMAGES[0, :, :, 0].copy()
    image = torch.from_numpy(grey) if form == "tensor" else FORMS[form](grey)
    splits = from_torch([(image, 0)], [(image, 0)], validation=0)
    assert splits.train.inputs.tolist() == [[grey.tolist()]]


def test_floats_and_vectors_become_float32():
    vectors = torch.randn(10, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    data = TensorDataset(vectors, torch.tensor(LABELS))
    splits = from_torch(data, data, num_classes=9, validation=0.2)
    assert splits.num_classes == 9
    assert splits.input_shape == (6,)
    assert splits.validation.inputs.equal(vectors.float()[splits.validation.indices])
    np.testing.assert_allclose(splits.mean, vectors.float()[splits.train.indices].double().mean(0), rtol=1e-12)


@pytest.mark.parametrize("label", [1, np.int64(1), np.uint8(1), torch.tensor(1), np.array(1)])
def test_takes_integers_of_every_make(label):
    assert from_torch([(IMAGES[0], label)], [(IMAGES[0], label)], validation=0).train.targets.tolist() == [1]


class Noisy:
    def __len__(self):
        return 10

    def __getitem__(self, index):
        return torch.rand(1, 2, 2), index % 2


def test_random_transforms_are_drawn_from_the_seed_and_the_global_state_stays():
    torch.manual_seed(3)
    state = torch.get_rng_state()
    first = from_torch(Noisy(), Noisy(), seed=1).train.inputs
    assert torch.get_rng_state().equal(state)
    torch.manual_seed(4)
    assert from_torch(Noisy(), Noisy(), seed=1).train.inputs.equal(first)
    assert not from_torch(Noisy(), Noisy(), seed=2).train.inputs.equal(first)


GOOD = (torch.zeros(1, 2, 2), 0)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (torch.zeros(1, 2, 2), r"custom/train\[1\] is a Tensor; expected an \(image, label\) pair"),
        ((torch.zeros(1, 2, 2), 0, "more"), r"custom/train\[1\] is a tuple"),
        ((torch.zeros(1, 2, 3), 0), r"\[1\] has torch.float32 of shape \(1, 2, 3\); the first has"),
        ((torch.zeros(1, 2, 2, dtype=torch.uint8), 0), r"\[1\] has torch.uint8 of shape"),
        ((torch.zeros(1, 2, 2, dtype=torch.int64), 0), r"\[1\] holds torch.int64; expected uint8 or floats"),
        ((torch.tensor(1.0), 0), r"\[1\] holds a single number"),
        (("image.png", 0), r"\[1\] holds a str that reads as"),
        ((np.zeros((2, 2), bool), 0), r"\[1\] holds a ndarray that reads as bool"),
        ((torch.zeros(1, 2, 2), 0.5), r"\[1\] has the label 0\.5; expected an integer"),
        ((torch.zeros(1, 2, 2), True), r"\[1\] has the label True"),
        ((torch.zeros(1, 2, 2), torch.tensor([0, 1])), r"\[1\] has the label tensor"),
        ((torch.zeros(1, 2, 2), -1), r"labels lie in \[0, 1\): example 1 has label -1"),
    ],
)
def test_names_the_item_that_does_not_fit(item, message):
    with pytest.raises(DataError, match=message):
        from_torch([GOOD, item], [GOOD], validation=0)


class Endless(IterableDataset):
    def __iter__(self):
        return iter([GOOD])


def test_refuses_what_has_no_length_or_no_examples():
    with pytest.raises(DataError, match=r"custom/train has no length: pass a map-style data set"):
        from_torch(Endless(), [GOOD], validation=0)
    with pytest.raises(DataError, match="custom/test holds no examples"):
        from_torch([GOOD], [], validation=0)
    with pytest.raises(ArgumentError, match="validation is a fraction"):
        from_torch([GOOD], [GOOD], validation=1.0)
