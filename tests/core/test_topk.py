from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thresher.core.errors import ArgumentError, NonFiniteError
from thresher.core.topk import check_sparsity, kept_count, top_k

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int8, torch.int32, torch.int64]


@st.composite
def tied_scores(draw):
    """Values from so short a list that most tie, infinities and both zeros among them."""
    dtype = draw(st.sampled_from(DTYPES))
    values = [-2, -1, 0, 1, 2]
    if dtype.is_floating_point:
        values += [float("inf"), -float("inf"), -0.0, 0.5, 6e-8]
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    size = int(np.prod(shape))
    flat = draw(st.lists(st.sampled_from(values), min_size=size, max_size=size))
    return torch.tensor(flat, dtype=dtype).reshape(shape), draw(st.integers(0, size))


@given(tied_scores())
def test_it_is_numpys_stable_sort(drawn):
    scores, k = drawn
    flat = scores.double().numpy().ravel()
    best = np.lexsort((np.arange(flat.size), -flat))[:k]
    expected = np.zeros(flat.size, bool)
    expected[best] = True
    chosen = top_k(scores, k)
    assert chosen.dtype is torch.bool
    assert chosen.shape == scores.shape
    assert chosen.numpy().ravel().tolist() == expected.tolist()


def test_a_view_is_chosen_from_in_its_own_order():
    scores = torch.tensor([[1.0, 2.0, 2.0], [2.0, 0.0, 2.0]]).t()
    assert top_k(scores, 2).tolist() == [[False, True], [True, False], [False, False]]


def test_scores_that_carry_a_gradient_come_back_as_they_were():
    scores = torch.tensor([3.0, 1.0, 2.0], requires_grad=True)
    chosen = top_k(scores * 1.0, 2)
    assert chosen.tolist() == [True, False, True]
    assert not chosen.requires_grad
    assert scores.tolist() == [3.0, 1.0, 2.0]


@pytest.mark.parametrize("k", [-1, 4])
def test_k_must_be_a_possible_count(k):
    with pytest.raises(ArgumentError, match=rf"k for fc\.weight is a count in \[0, 3\]: got {k}"):
        top_k(torch.zeros(3), k, "fc.weight")


@pytest.mark.parametrize("k", [0, 1, 3])
def test_nan_is_never_ranked(k):
    with pytest.raises(NonFiniteError, match=r"2 of 3 scores of fc\.weight are NaN"):
        top_k(torch.tensor([torch.nan, 1.0, torch.nan]), k, "fc.weight")


@given(st.integers(0, 10**7), st.integers(0, 2**10 - 1))
def test_the_kept_count_of_an_exact_fraction_is_rounded_half_to_even(total, numerator):
    exact = (1 - Fraction(numerator, 2**10)) * total
    assert kept_count(total, numerator / 2**10) == round(exact)


@pytest.mark.parametrize(
    ("total", "sparsity", "kept"), [(1, 0.5, 0), (3, 0.5, 2), (5, 0.5, 2), (7, 0.5, 4), (2, 0.25, 2), (6, 0.25, 4)]
)
def test_halves_go_to_the_even_kept_count(total, sparsity, kept):
    assert kept_count(total, sparsity) == kept


@given(st.integers(0, 10**9), st.integers(0, 9999))
def test_the_kept_count_of_a_decimal_is_the_nearest_whole_number(total, numerator):
    exact = (1 - Fraction(numerator, 10**4)) * total
    assert abs(kept_count(total, numerator / 10**4) - exact) <= Fraction(1, 2)


@given(st.integers(0, 10**6), st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_more_sparsity_never_keeps_more(total, a, b):
    low, high = sorted([a, b])
    assert 0 <= kept_count(total, high) <= kept_count(total, low) <= total


@pytest.mark.parametrize(
    "wrong", [1.0, 1, -0.1, -1e-300, float("nan"), float("inf"), -float("inf"), True, False, "0.9", None, [0.9]]
)
def test_sparsity_is_in_0_to_1(wrong):
    with pytest.raises(ArgumentError, match=r"rate is the fraction of weights removed, in \[0, 1\): got") as caught:
        check_sparsity(wrong, "rate")
    assert repr(wrong) in str(caught.value)
    with pytest.raises(ArgumentError, match="sparsity is the fraction"):
        kept_count(10, wrong)


def test_a_percentage_is_recognised():
    for percentage in (90, 99.5):
        with pytest.raises(ArgumentError, match="percentage"):
            check_sparsity(percentage)


@pytest.mark.parametrize("fine", [0, 0.0, -0.0, 0.5, 1 - 2**-53, np.float64(0.9)])
def test_what_is_in_range_comes_back_as_a_float(fine):
    assert check_sparsity(fine) == fine
    assert isinstance(check_sparsity(fine), float)
