"""Repair against a search over every mask of the same size."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.analysis import repaired
from thresher.core import Mask, generator
from thresher.core.errors import CollapseError, MaskMismatchError, NonFiniteError


def as_mask(bits, sizes):
    return Mask({f"w{i}": t for i, t in enumerate(torch.tensor(bits, dtype=torch.bool).split(sizes))})


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_result_is_the_best_of_all_repairs(data):
    sizes = data.draw(st.lists(st.integers(1, 3), min_size=2, max_size=4))
    n = sum(sizes)
    bits = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    values = torch.tensor(data.draw(st.permutations(range(n))), dtype=torch.float64)  # distinct: one best
    mask = as_mask(bits, sizes)
    scores = {f"w{i}": t for i, t in enumerate(values.split(sizes))}
    if mask.kept < len(sizes):
        with pytest.raises(CollapseError):
            repaired(mask, scores)
        return
    empty = {name for name, count in mask.counts.items() if not count}
    best, best_sum = None, -1.0
    for candidate in itertools.product([False, True], repeat=n):
        other = as_mask(candidate, sizes)
        added = {name: other.counts[name] for name in empty}
        only_removed = all(bool((other[name] <= mask[name]).all()) for name in mask if name not in empty)
        if other.kept != mask.kept or not all(other.counts.values()) or set(added.values()) - {1} or not only_removed:
            continue
        total = sum(float(scores[name][other[name]].sum()) for name in mask)
        if total > best_sum:
            best, best_sum = other, total
    assert repaired(mask, scores) == best


def test_ties_go_at_the_later_layer_and_the_higher_index():
    mask = Mask(
        {
            "a": torch.tensor([[True, True], [True, True]]),
            "b": torch.tensor([True, True, True]),
            "c": torch.zeros(2, 2, dtype=torch.bool),
        }
    )
    fixed = repaired(mask, {name: torch.ones(keep.shape) for name, keep in mask.items()})
    assert fixed["a"].all()
    assert fixed["b"].tolist() == [True, True, False]
    assert fixed["c"].tolist() == [[True, False], [False, False]]


def test_what_is_whole_comes_back_equal_and_the_argument_is_unchanged():
    g = generator(0, "scores")
    mask = Mask({"a": torch.tensor([True, False]), "b": torch.tensor([True]), "none": torch.ones(0, dtype=torch.bool)})
    scores = {name: torch.rand(keep.shape, generator=g) for name, keep in mask.items()}
    assert repaired(mask, scores) == mask
    broken = Mask({"a": torch.tensor([True, True]), "b": torch.tensor([False])})
    repaired(broken, {"a": torch.rand(2, generator=g), "b": torch.rand(1, generator=g)})
    assert broken.counts == {"a": 2, "b": 0}


def test_impossible_or_foreign_scores_are_refused():
    mask = Mask({"a": torch.tensor([True, False]), "b": torch.tensor([False, False])})
    with pytest.raises(CollapseError, match=r"at most 0\.5"):
        repaired(mask, {"a": torch.ones(2), "b": torch.ones(2)})
    with pytest.raises(MaskMismatchError):
        repaired(mask, {"a": torch.ones(2), "b": torch.ones(3)})
    with pytest.raises(NonFiniteError, match="b"):
        repaired(mask, {"a": torch.ones(2), "b": torch.tensor([1.0, float("nan")])})
