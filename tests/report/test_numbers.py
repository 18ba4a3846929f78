import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thresher.report import numbers

fractions = st.floats(0, 1, allow_subnormal=False)


@given(fractions)
def test_a_share_reads_0_or_100_only_if_it_is(value):
    text = numbers.share(value)
    number = float(text.removesuffix(" %"))
    assert (number in (0.0, 100.0)) == (value in (0.0, 1.0)) or not 1e-8 < value < 1 - 1e-8
    assert number == pytest.approx(100 * value, abs=0.0501)


@given(fractions)
def test_a_fraction_reads_0_or_1_only_if_it_is(value):
    text = numbers.fraction(value)
    assert (float(text) in (0.0, 1.0)) == (value in (0.0, 1.0)) or not 1e-8 < value < 1 - 1e-8
    assert float(text) == pytest.approx(value, abs=0.000501)


@given(fractions, fractions)
def test_fractions_told_apart_keep_their_order(one, other):
    first, second = map(float, numbers.told_apart(one, other))
    if abs(one - other) > 1e-8:
        assert (first < second) == (one < other)
    assert first == pytest.approx(one, abs=0.000501)


@given(st.integers(-(10**18), 10**18))
def test_a_count_loses_no_digit(value):
    if abs(value) < 2**53:
        assert int(numbers.count(value).replace(",", "")) == value
    assert re.fullmatch(r"-?\d{1,3}(,\d{3})*", numbers.count(value))


@given(st.floats(1e-6, 599.0))
def test_a_duration_is_right_to_three_digits(seconds):
    number, unit = numbers.duration(seconds).split(" ")
    size = {"s": 1.0, "ms": 1e-3, "µs": 1e-6}[unit]
    assert float(number.replace(",", "")) * size == pytest.approx(seconds, rel=0.0051)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.00 µs"),
        (0.0011, "1.10 ms"),
        (61.2, "61.2 s"),
        (1200, "20 min"),
        (3599, "1 h 0 min"),
        (90000, "25 h 0 min"),
    ],
)
def test_durations_by_hand(seconds, text):
    assert numbers.duration(seconds) == text


@pytest.mark.parametrize("write", [numbers.count, numbers.error_rate, numbers.times, numbers.duration])
def test_what_is_no_number_is_said_in_words(write):
    assert write(None) == "–"
    assert write(math.nan) == "not a number"
    assert write(math.inf) == "∞"


@pytest.mark.parametrize(("ratio", "text"), [(999.96, "1,000×"), (9.996, "10.00×"), (1, "1.00×"), (0.5, "0.500×")])
def test_a_factor_is_never_written_with_an_exponent(ratio, text):
    assert numbers.times(ratio) == text
