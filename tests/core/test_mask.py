import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from thresher.core import Mask
from thresher.core.errors import ArgumentError, MaskMismatchError

sides = st.lists(st.integers(0, 5), max_size=4)


@st.composite
def masks(draw, count=1):
    """`count` masks over the same names and shapes, as NumPy arrays."""
    shapes = draw(st.lists(sides, max_size=3))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return [{f"l{i}.weight": random.random(shape) < 0.6 for i, shape in enumerate(shapes)} for _ in range(count)]


def mask_of(arrays):
    return Mask({name: torch.from_numpy(np.asarray(array)) for name, array in arrays.items()})


def joined(arrays):
    return np.concatenate([np.zeros(0, bool), *(np.ravel(array) for array in arrays.values())])


@given(masks())
def test_counts_are_those_of_numpy(drawn):
    (arrays,) = drawn
    mask, flat = mask_of(arrays), joined(arrays)
    assert (mask.kept, mask.total) == (flat.sum(), flat.size)
    assert mask.counts == {name: array.sum() for name, array in arrays.items()}
    assert mask.sparsity == pytest.approx(np.mean(~flat) if flat.size else 0.0)
    for name, array in arrays.items():
        assert mask.sparsities[name] == pytest.approx(np.mean(~array) if array.size else 0.0)


@given(masks(count=2))
def test_overlap_and_hamming_are_those_of_numpy(drawn):
    a, b = (mask_of(arrays) for arrays in drawn)
    flat_a, flat_b = (joined(arrays) for arrays in drawn)
    either = np.union1d(np.flatnonzero(flat_a), np.flatnonzero(flat_b)).size
    both = np.intersect1d(np.flatnonzero(flat_a), np.flatnonzero(flat_b)).size
    assert a.overlap(b) == b.overlap(a) == pytest.approx(both / either if either else 1.0)
    assert a.hamming(b) == b.hamming(a) == np.count_nonzero(flat_a != flat_b)
    assert (a == b) == bool((flat_a == flat_b).all())
    assert a & b == mask_of({name: drawn[0][name] * drawn[1][name] for name in drawn[0]})


def test_equality_is_of_names_shapes_and_bits_in_any_order():
    x, y = torch.tensor([True, False]), torch.tensor([[True, False]])
    assert Mask({"a": x, "b": y}) == Mask({"b": y, "a": x})
    assert Mask({"a": x}) != Mask({"b": x})
    assert Mask({"a": x}) != Mask({"a": y})
    assert Mask({"a": x}) != Mask({"a": ~x})
    assert Mask({"a": x}) != Mask({"a": x, "b": y})
    assert Mask({"a": x}) != {"a": x}


def test_a_mask_has_no_hash_since_it_is_equal_by_content():
    with pytest.raises(TypeError, match="unhashable"):
        hash(Mask({}))


def test_copies_and_pickles_are_equal_and_apart():
    mask = Mask({"a": torch.tensor([True, False])})
    for twin in (copy.deepcopy(mask), pickle.loads(pickle.dumps(mask)), mask.to("cpu")):
        assert twin == mask
        assert twin["a"].data_ptr() != mask["a"].data_ptr()


def test_the_tensors_it_was_made_from_may_change_without_the_mask():
    source = torch.tensor([True, False])
    mask = Mask({"a": source})
    source.fill_(False)
    assert mask.kept == 1


def test_a_mask_cannot_be_assigned_to():
    mask = Mask({"a": torch.tensor([True])})
    with pytest.raises(TypeError, match="assignment"):
        mask["a"] = torch.tensor([False])
    with pytest.raises(TypeError, match="deletion"):
        del mask["a"]


@pytest.mark.parametrize("wrong", [torch.ones(2), torch.ones(2, dtype=torch.uint8), [True], np.ones(2, bool)])
def test_only_bool_tensors_make_a_mask(wrong):
    with pytest.raises(ArgumentError, match=r"bool tensors: fc\.weight came as"):
        Mask({"fc.weight": wrong})


def test_the_full_mask_keeps_every_weight():
    net = nn.Linear(3, 2)
    mask = Mask.full(dict(net.named_parameters()))
    assert mask.counts == {"weight": 6, "bias": 2}
    assert mask.sparsity == 0.0
    assert not mask["weight"].requires_grad


@pytest.mark.parametrize("value", [torch.inf, -torch.inf, torch.nan, 3.0])
def test_apply_zeroes_whatever_the_removed_weights_hold(value):
    net = nn.Linear(2, 2, bias=False)
    parameter = net.weight
    kept = torch.tensor([[True, False], [False, True]])
    with torch.no_grad():
        net.weight[~kept] = value
    before = net.weight[kept].tolist()
    Mask({"weight": kept}).apply_(net)
    assert net.weight is parameter
    assert net.weight[~kept].tolist() == [0.0, 0.0]
    assert net.weight[kept].tolist() == before


def test_apply_reaches_a_tied_tensor_under_either_name():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    Mask({"1.weight": torch.tensor([[True, False], [True, True]])}).apply_(net)
    assert net[0].weight[0, 1] == 0.0


def test_a_mask_for_another_model_names_everything_that_is_wrong_and_changes_nothing():
    net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    before = copy.deepcopy(net.state_dict())
    mask = Mask({n: torch.zeros(s, dtype=torch.bool) for n, s in {"0.weight": (2, 3), "1.weight": (2, 4)}.items()})
    mask = Mask({**mask, "fc.weight": torch.ones(1, dtype=torch.bool)})
    with pytest.raises(MaskMismatchError) as caught:
        mask.apply_(net)
    message = str(caught.value)
    assert "fc.weight is not in Sequential" in message
    assert "1.weight is (2, 4) in the mask, (2, 2) in Sequential" in message
    assert "0.weight" not in message
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


@pytest.mark.parametrize("operation", [Mask.overlap, Mask.hamming, Mask.__and__, Mask.require_like])
def test_masks_are_compared_only_where_names_and_shapes_agree(operation):
    ones = torch.ones(2, dtype=torch.bool)
    mask = Mask({"a": ones})
    with pytest.raises(MaskMismatchError, match="a is not in"):
        operation(mask, Mask({"b": ones}))
    with pytest.raises(MaskMismatchError, match="only the other mask has: b"):
        operation(mask, Mask({"a": ones, "b": ones}))
    with pytest.raises(MaskMismatchError, match=r"a is \(2,\) in the mask, \(2, 1\) in"):
        operation(mask, Mask({"a": ones[:, None]}))


def test_a_shuffled_mask_has_the_counts_and_other_places():
    bits = {"a": torch.arange(600).view(20, 30) < 100, "b": torch.zeros(5) > 0, "c": torch.ones(3) > 0}
    mask = Mask(bits)
    shuffled = mask.shuffled(torch.Generator().manual_seed(0))
    assert shuffled.counts == mask.counts
    assert {name: keep.shape for name, keep in shuffled.items()} == {name: keep.shape for name, keep in mask.items()}
    # 100 of 600 places drawn evenly: each row of 30 expects 5, and the kept ones were all in the first four
    assert shuffled["a"].sum(1).max() < 15
    assert shuffled == mask.shuffled(torch.Generator().manual_seed(0))
    assert shuffled != mask.shuffled(torch.Generator().manual_seed(1))
