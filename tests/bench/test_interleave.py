import gc

import pytest

from thresher.bench.interleave import interleave


class Bench:
    """A clock that only work moves, and a log of what ran."""

    def __init__(self):
        self.now = 0.0
        self.log = []

    def clock(self):
        return self.now

    def work(self, name, **seconds):
        """Phases that take `seconds` each; a list is used up call by call, its last entry for good."""
        return {phase: self.phase(f"{name}.{phase}", taken) for phase, taken in seconds.items()}

    def phase(self, label, taken):
        left = list(taken) if isinstance(taken, list) else [taken]

        def run():
            self.log.append(label)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return run


def test_each_phase_gets_its_own_time_and_total_is_their_sum():
    bench = Bench()
    works = {"a": bench.work("a", forward=1.0, backward=2.5), "b": bench.work("b", step=0.25)}
    samples = interleave(works, 4, clock=bench.clock)
    assert samples == {
        "a": [{"forward": 1.0, "backward": 2.5, "total": 3.5}] * 4,
        "b": [{"step": 0.25, "total": 0.25}] * 4,
    }


def test_contenders_take_turns_round_by_round():
    bench = Bench()
    works = {name: bench.work(name, step=1.0) for name in "abc"}
    interleave(works, 3, clock=bench.clock)
    # two warm-up calls each are steady at once; long calls have no lead
    assert bench.log == ["a.step"] * 2 + ["b.step"] * 2 + ["c.step"] * 2 + ["a.step", "b.step", "c.step"] * 3


def test_a_slow_spell_is_in_its_own_round_only():
    bench = Bench()
    works = {"a": bench.work("a", step=[1.0, 1.0, 1.0, 7.0, 1.0]), "b": bench.work("b", step=2.0)}
    samples = interleave(works, 3, clock=bench.clock)
    assert [sample["total"] for sample in samples["a"]] == [1.0, 7.0, 1.0]
    assert [sample["total"] for sample in samples["b"]] == [2.0, 2.0, 2.0]


def test_warm_up_goes_on_until_two_calls_are_alike():
    bench = Bench()
    interleave({"a": bench.work("a", step=[9.0, 5.0, 3.0, 2.9, 2.9])}, 1, clock=bench.clock)
    assert len(bench.log) == 4 + 1


def test_warm_up_that_never_settles_ends_after_ten_calls():
    bench = Bench()
    interleave({"a": bench.work("a", step=[1.0, 2.0] * 10)}, 1, clock=bench.clock)
    assert len(bench.log) == 10 + 1


def test_short_work_is_repeated_until_a_sample_is_long_enough_and_led_by_a_call_that_does_not_count():
    bench = Bench()
    # two to warm up, then a lead of 16 ms before eight calls of 1 / 4 ms: binary fractions, exact sums
    seconds = [2.0**-12] * 2 + [2.0**-6] + [2.0**-12]
    samples = interleave({"a": bench.work("a", step=seconds)}, 1, shortest=2.0**-9, clock=bench.clock)
    assert samples["a"] == [{"step": 2.0**-12, "total": 2.0**-12}]
    assert len(bench.log) == 2 + 1 + 8


def test_a_clock_too_coarse_to_see_the_work_is_no_error():
    bench = Bench()
    assert interleave({"a": bench.work("a", step=0.0)}, 2, clock=bench.clock)["a"] == [{"step": 0.0, "total": 0.0}] * 2


@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_rests_and_is_as_it_was_even_after_an_error(enabled):
    seen = []

    def run():
        seen.append(gc.isenabled())
        if len(seen) == 4:
            raise KeyboardInterrupt

    was = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with pytest.raises(KeyboardInterrupt):
            interleave({"a": {"step": run}}, 100)
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was else gc.disable)()
    assert seen == [False] * 4
