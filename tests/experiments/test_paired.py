import numpy as np
import pytest
from scipy import stats

from thresher.experiments.paired import compare


@pytest.mark.parametrize("seed", range(40))
def test_the_verdict_is_that_of_scipys_paired_test(seed):
    source = np.random.default_rng(seed)
    common = source.normal(5.0, 2.0, 4)
    ours, theirs = common + source.normal(-0.4, 0.3, 4), common + source.normal(0.0, 0.3, 4)
    found = compare(dict(enumerate(ours)), dict(enumerate(theirs)), "dense")
    test = stats.ttest_rel(ours, theirs)
    wanted = "no difference shown" if test.pvalue > 0.05 else "better" if test.statistic < 0 else "worse"
    assert found.verdict == wanted
    assert found.difference.interval == pytest.approx(tuple(test.confidence_interval(0.95)), rel=1e-9)


def test_the_forty_draws_above_come_to_more_than_one_verdict():
    verdicts = set()
    for seed in range(40):
        source = np.random.default_rng(seed)
        common = source.normal(5.0, 2.0, 4)
        pair = common + source.normal(-0.4, 0.3, 4), common + source.normal(0.0, 0.3, 4)
        verdicts.add(stats.ttest_rel(*pair).pvalue > 0.05)
    assert verdicts == {True, False}


def test_pairs_are_equal_seeds_and_nothing_else():
    ours, theirs = {5: 1.0, 0: 2.0, 9: 7.0}, {0: 1.5, 3: 100.0, 5: 3.0}
    found = compare(ours, theirs, "random")
    differences = [ours[a] - theirs[b] for a in ours for b in theirs if a == b]
    assert found.n == len(differences) == 2
    assert found.difference.mean == np.mean(differences)
    assert (found.difference.minimum, found.difference.maximum) == (min(differences), max(differences))
    assert found.against == "random"


def test_a_larger_error_is_worse_and_swapping_turns_the_verdict():
    low, high = {0: 1.0, 1: 1.1, 2: 1.3}, {0: 4.0, 1: 4.2, 2: 4.1}
    assert compare(high, low, "a").verdict == "worse"
    assert compare(low, high, "a").verdict == "better"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        pytest.param({0: 1.0}, {1: 9.0}, id="no pair"),
        pytest.param({0: 1.0}, {0: 9.0}, id="one pair"),
        pytest.param({0: 1.0, 1: 2.0, 2: 3.0}, {0: 2.0, 1: 3.0, 2: 4.0}, id="differences all equal"),
        pytest.param({0: 1.0, 1: 2.0}, {0: 1.0, 1: 2.0}, id="no difference"),
    ],
)
def test_without_an_interval_nothing_is_shown(ours, theirs):
    assert compare(ours, theirs, "dense").verdict == "no difference shown"


def test_no_shared_seed_is_no_difference():
    found = compare({0: 1.0}, {1: 2.0}, "dense")
    assert (found.n, found.difference) == (0, None)
