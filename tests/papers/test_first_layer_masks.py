import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from thresher.core.errors import ArgumentError
from thresher.core.seeds import generator
from thresher.data import load
from thresher.initializers import VarianceScaling
from thresher.models import build
from thresher.papers.first_layer_masks import masks_by_batch, masks_by_class

SETTINGS = {"seed": 3, "data_dir": None, "download": False, "data": "digits"}


def network():
    model = build("lenet-300-100", num_classes=10, input_shape=(1, 8, 8), seed=3)
    VarianceScaling(1.0, "average").initialize_(model, generator(3, "initialization"))
    return model


def first_mask(model, images, labels, sparsity, power):
    """The first layer's mask from autograd and a sort of all scores; `power` of the weight that multiplies them."""
    weights = {name: p for name, p in model.named_parameters() if name.endswith("weight")}
    gradients = torch.autograd.grad(cross_entropy(model(images), labels), list(weights.values()))
    scores = [
        (g * w.detach() ** power).abs().flatten().numpy() for g, w in zip(gradients, weights.values(), strict=True)
    ]
    every = np.concatenate(scores)
    kept = np.argsort(-every, kind="stable")[: round((1 - sparsity) * len(every))]
    mask = np.zeros(len(every), bool)
    mask[kept] = True
    return mask[: scores[0].size].reshape(300, 64)


@pytest.mark.parametrize(("method", "power"), [("snip", 1), ("gradient", 0)])
def test_masks_by_class_against_a_sort_of_all_scores(method, power):
    found = masks_by_class(**SETTINGS, method=method, examples=20, sparsities=(0.5, 0.9))
    splits, model = load("digits", seed=3), network()
    pixels, labels = splits.train.inputs.double().flatten(1).numpy(), splits.train.targets
    # the statistics of the training pixels; inversion is 16 - pixel there
    mean, std = pixels.mean(), pixels.std()
    expected = {"class mean": [], "inverted": [], "inverted overlap": []}
    for label in range(10):
        members = (labels == label).nonzero().flatten()
        rows = members[torch.randperm(len(members), generator=generator(3, f"class-batch/{label}"))[:20]]
        masks = []
        for raw, centre in ((pixels[rows], mean), (16 - pixels[rows], 16 - mean)):
            images = torch.from_numpy((raw - centre) / std).float().view(-1, 1, 8, 8)
            masks.append(first_mask(model, images, labels[rows], 0.9, power))
        fractions = [mask.mean(0) for mask in masks]
        expected["class mean"].append(np.corrcoef(fractions[0], pixels[members].mean(0))[0, 1])
        expected["inverted"].append(np.corrcoef(*fractions)[0, 1])
        expected["inverted overlap"].append((masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum())
    assert found.keys() == {f"{name} {sparsity}" for name in expected for sparsity in (0.5, 0.9)}
    for name, numbers in expected.items():
        # float32 scores that are nearly equal may change places
        assert found[f"{name} 0.9"] == pytest.approx(np.mean(numbers), abs=0.01)


def test_inversion_leaves_the_pixels_of_snip_and_moves_those_of_the_signed_gradient():
    sparsities = (0.5,)
    snip, signed = (
        masks_by_class(**SETTINGS, method=method, examples=20, sparsities=sparsities)["inverted 0.5"]
        for method in ("snip", "signed-gradient")
    )
    assert snip > 0.8
    assert signed < 0.2


def test_more_examples_draw_the_mean_image():
    found = masks_by_batch(**{**SETTINGS, "sparsity": 0.9}, examples=(1, 0))
    splits, model = load("digits", seed=3), network()
    pixels = splits.train.inputs.double().flatten(1)
    images = ((pixels - pixels.mean()) / pixels.std(correction=0)).float().view(-1, 1, 8, 8)
    mask = first_mask(model, images, splits.train.targets, 0.9, 1)
    assert found["train mean 0"] == pytest.approx(np.corrcoef(mask.mean(0), pixels.mean(0))[0, 1], abs=0.02)
    assert found["train mean 0"] > found["train mean 1"]


def test_too_few_examples_of_a_class_are_refused():
    with pytest.raises(ArgumentError, match="500 examples of a class: digits/train has"):
        masks_by_class(**SETTINGS, method="snip", examples=500, sparsities=(0.5,))
