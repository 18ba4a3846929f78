"""Ctrl-C, as a real signal."""

import signal
import threading

import pytest

from thresher.training import Interrupted
from thresher.training.interruption import deferred_interrupt


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_in_a_process_of_its_own(toy, same, spawn, tmp_path, number):
    process = spawn(tmp_path / "stopped", "interrupted")
    assert process.stdout.readline() == "step 20\n"
    process.send_signal(number)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 3, said
    assert said.startswith("Interrupted stopped after step 20 of 40; ")
    outcome = toy.run(tmp_path / "stopped", resume=True, seed=9)
    assert outcome.rows == toy.run(tmp_path / "whole").rows
    assert same(toy.final_state(tmp_path / "stopped"), toy.final_state(tmp_path / "whole"))


def test_the_first_is_deferred_the_second_is_not_and_the_handler_comes_back():
    before = signal.getsignal(signal.SIGINT)
    with deferred_interrupt() as request:
        assert not request.made
        signal.raise_signal(signal.SIGINT)
        assert request.made
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_handler_comes_back_after_an_error(number):
    before = signal.getsignal(number)
    with deferred_interrupt():
        assert signal.getsignal(number) is not before
    assert signal.getsignal(number) is before
    with pytest.raises(ZeroDivisionError), deferred_interrupt():
        raise ZeroDivisionError
    assert signal.getsignal(number) is before


def test_where_it_is_ignored_it_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with deferred_interrupt() as request:
            signal.raise_signal(signal.SIGINT)
            assert not request.made
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_training_goes_on_without_a_handler(toy, tmp_path):
    steps = []
    thread = threading.Thread(target=lambda: steps.append(toy.run(tmp_path).steps))
    thread.start()
    thread.join()
    assert steps == [40]


def test_without_a_run_directory_ctrl_c_is_what_it_always_is(toy):
    with pytest.raises(KeyboardInterrupt):
        toy.run(None, on_progress=lambda progress: signal.raise_signal(signal.SIGINT))


class PressedSecond:
    """Batches whose second reading presses Ctrl-C first. (train() looks at them once before it defers Ctrl-C.)"""

    def __init__(self, examples):
        self.examples, self.readings = examples, 0

    def __iter__(self):
        self.readings += 1
        if self.readings == 2:
            signal.raise_signal(signal.SIGINT)
        return iter(self.examples)


def test_during_an_evaluation_the_row_is_measured_and_saved(toy, tmp_path):
    with pytest.raises(Interrupted) as caught:
        toy.run(tmp_path, test=PressedSecond(toy.examples(20, 2)))
    assert caught.value.step == 9
    assert [row["step"] for row in toy.final_state(tmp_path)["progress"]["rows"]] == [9]


class PressedWhileSaving:
    """A part of the checkpoint that presses Ctrl-C when the first one is made."""

    def state_dict(self):
        if not self.pressed:
            self.pressed = True
            signal.raise_signal(signal.SIGINT)
        return {}

    def load_state_dict(self, state):
        self.pressed = True

    pressed = False


def test_while_saving_at_an_evaluation_nothing_is_done_twice(toy, same, tmp_path):
    """Ctrl-C after the look at the request, with a row due at the same step: the boundary comes twice."""
    plan = toy.plan(evaluate_every=6)
    with pytest.raises(Interrupted) as caught:
        toy.run(tmp_path / "parts", plan=plan, carry={"presser": PressedWhileSaving()})
    assert caught.value.step == 6
    assert len((tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()) == 1
    toy.run(tmp_path / "parts", plan=plan, carry={"presser": PressedWhileSaving()}, resume=True, seed=9)
    pressed = PressedWhileSaving()
    pressed.pressed = True
    toy.run(tmp_path / "whole", plan=plan, carry={"presser": pressed})
    assert same(toy.final_state(tmp_path / "parts"), toy.final_state(tmp_path / "whole"))
