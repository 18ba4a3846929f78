"""ERK against the densities of RigL's formula, published shapes and drawn ones."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thresher.allocations import ERK

LENET_300_100 = {"fc1": (300, 784), "fc2": (100, 300), "fc3": (10, 100)}
LENET_5_CAFFE = {"conv1": (20, 1, 5, 5), "conv2": (50, 20, 5, 5), "fc1": (500, 800), "fc2": (10, 500)}

# from the formula of google-research/rigl, sparse_utils.get_mask_init_fn's erdos_renyi_kernel, to six places
TABLE = [
    (LENET_300_100, 26620, [0.079568, 0.230189, 1.0]),
    (LENET_300_100, 13310, [0.038484, 0.111334, 0.918507]),
    (LENET_300_100, 5324, [0.015394, 0.044534, 0.367403]),
    (LENET_5_CAFFE, 43050, [1.0, 0.087072, 0.088433, 1.0]),
]


@pytest.mark.parametrize(("shapes", "kept", "densities"), TABLE)
def test_the_densities_of_rigls_formula(shapes, kept, densities):
    counts = ERK().counts({name: torch.zeros(shape) for name, shape in shapes.items()}, kept)
    assert sum(counts.values()) == kept
    for (name, shape), density in zip(shapes.items(), densities, strict=True):
        size = math.prod(shape)
        # one weight for rounding, half a unit of the table's last place
        assert abs(counts[name] - density * size) < 1 + 0.5e-6 * size, name


def densities_by_rigl(shapes, kept):
    """RigL's loop: raise ε until nobody exceeds 1, making the densest tensors dense, one kind at a time."""
    raw = {name: sum(shape) / math.prod(shape) for name, shape in shapes.items()}
    dense = set()
    while True:
        size = {name: math.prod(shape) for name, shape in shapes.items()}
        budget = kept - sum(size[name] for name in dense)
        weighted = sum(raw[name] * size[name] for name in shapes if name not in dense)
        epsilon = budget / weighted if weighted else 0.0
        highest = max((raw[name] for name in shapes if name not in dense), default=0.0)
        if highest * epsilon <= 1 + 1e-12:
            return {name: 1.0 if name in dense else min(1.0, epsilon * raw[name]) for name in shapes}
        dense |= {name for name in shapes if raw[name] == highest}


@given(data=st.data())
def test_every_count_is_within_one_weight_of_rigls_density(data):
    dims = st.lists(st.integers(1, 12), min_size=1, max_size=4)
    shapes = {f"t{i}": tuple(shape) for i, shape in enumerate(data.draw(st.lists(dims, min_size=1, max_size=5)))}
    total = sum(math.prod(shape) for shape in shapes.values())
    kept = data.draw(st.integers(0, total))
    counts = ERK().counts({name: torch.zeros(shape) for name, shape in shapes.items()}, kept)
    assert sum(counts.values()) == kept
    for name, density in densities_by_rigl(shapes, kept).items():
        assert abs(counts[name] - density * math.prod(shapes[name])) < 1 + 1e-6, name


def test_empty_tensors_and_scalars_do_not_stop_it():
    assert ERK().counts({"empty": torch.zeros(0, 5), "a": torch.zeros(4, 4)}, 8) == {"empty": 0, "a": 8}
    assert ERK().counts({"scalar": torch.zeros(()), "a": torch.zeros(4, 4)}, 17) == {"scalar": 1, "a": 16}
    assert ERK().counts({"scalar": torch.zeros(())}, 1) == {"scalar": 1}


def test_a_tensor_that_has_lost_weights_passes_its_share_on():
    scores = {"a": torch.zeros(10, 10), "b": torch.zeros(10, 10)}
    scores["a"].view(-1)[20:] = -math.inf
    assert ERK().counts(scores, 100) == {"a": 20, "b": 80}
