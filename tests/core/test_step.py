import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thresher.core import Step
from thresher.core.errors import ArgumentError

counts = st.integers(0, 10**12)


@given(counts, counts, st.integers(1, 10**6))
def test_a_step_reads_back_and_counts_its_iterations(epochs, iterations, steps_per_epoch):
    step = Step(epochs, iterations)
    assert Step.parse(str(step)) == step
    assert Step.parse(f" {step}\n") == step
    assert step.at(steps_per_epoch) == sum([epochs * steps_per_epoch, iterations])
    assert hash(copy.deepcopy(step)) == hash(step)


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("500it", Step(0, 500)),
        ("3ep", Step(3, 0)),
        ("3ep50it", Step(3, 50)),
        ("0it", Step()),
        ("0ep0it", Step()),
        ("007it", Step(0, 7)),
    ],
)
def test_the_three_forms(text, step):
    assert Step.parse(text) == step


@pytest.mark.parametrize(("step", "text"), [(Step(), "0it"), (Step(3), "3ep"), (Step(3, 50), "3ep50it")])
def test_the_shortest_form_is_written(step, text):
    assert str(step) == text


@pytest.mark.parametrize(
    "text", ["", " ", "5", "it", "ep", "50it3ep", "-5it", "1.5ep", "3 ep", "3ep 50it", "3ep50", "3EP", "1e3it", "5it;"]
)
def test_any_other_form_is_an_error_that_shows_the_three(text):
    with pytest.raises(ArgumentError, match="'500it', '3ep' or '3ep50it'") as caught:
        Step.parse(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("counts", [(-1, 0), (0, -1)])
def test_a_step_is_not_negative(counts):
    with pytest.raises(ArgumentError, match="not negative"):
        Step(*counts)
