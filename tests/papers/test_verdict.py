import pytest

from thresher.experiments.interval import estimate
from thresher.papers.published import Printed
from thresher.papers.verdict import verdict

# t for a two-sided 95 % interval with 4 degrees of freedom, from a printed table
T4 = 2.776


@pytest.mark.parametrize(
    ("values", "kind", "distance"),
    [
        ([1.6, 1.9], "within", 0.0),  # 1.75 ± 1.9
        ([2.0, 2.1, 2.2, 2.1, 2.1], "outside", 2.1 - T4 * 0.0707107 / 5**0.5 - 1.75),
        ([1.2, 1.1, 1.0, 1.1, 1.1], "outside", 1.1 + T4 * 0.0707107 / 5**0.5 - 1.65),
        ([1.70], "no interval", 0.0),
        ([2.00], "no interval", 0.25),
        ([1.50], "no interval", -0.15),
        ([1.80, 1.80], "no interval", 0.05),
    ],
)
def test_the_distance_is_between_the_nearest_ends(values, kind, distance):
    found = verdict(Printed(value=1.7, decimals=1), estimate(values))
    assert found.kind == kind
    assert found.distance == pytest.approx(distance, abs=2e-4)
    assert ("off" in found.words or "outside by" in found.words) == (distance != 0.0)


def test_the_words_say_why_there_is_no_interval():
    printed = Printed(value=1.7, decimals=1)
    assert verdict(printed, estimate([1.7])).words == "one seed, no interval: meets it"
    assert verdict(printed, estimate([1.5, 1.5])).words == "all seeds alike, no interval: -0.15 off"
