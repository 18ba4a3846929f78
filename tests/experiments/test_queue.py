import multiprocessing
import sqlite3
import threading

import pytest

from thresher.core.errors import ArgumentError, MixedCodeError, UnknownNameError
from thresher.experiments.heartbeat import heartbeat
from thresher.experiments.point import Attempt, Point
from thresher.experiments.points import grid
from thresher.experiments.queue import Queue

BASE = {"data": "digits", "model": "lenet-300-100"}
ONE, TWO, THREE = RECIPES = grid(BASE, seed=(0, 1, 2))


@pytest.fixture
def opened(tmp_path):
    """Opens queues on one file, and closes them."""
    queues = []

    def open_queue(*, code="a", **settings):
        queues.append(Queue(tmp_path / "queue.db", code=code, **settings))
        return queues[-1]

    yield open_queue
    for queue in queues:
        queue.close()


def states(queue):
    """seed → the states of its attempts, in order."""
    return {p.recipe.seed: [attempt.state for attempt in p.attempts] for p in queue.points().values()}


def fall_silent(tmp_path, claim, seconds=1000):
    """The worker of `claim` was last heard of `seconds` ago, by the database's clock."""
    with sqlite3.connect(tmp_path / "queue.db") as connection:
        changed = connection.execute(
            "UPDATE trial_heartbeats SET heartbeat = datetime(heartbeat, ?) WHERE trial_id = ?",
            (f"-{seconds} seconds", claim.id),
        ).rowcount
    connection.close()
    assert changed == 1


def test_points_are_handed_out_once_in_order_and_end(opened):
    queue, other = opened(), opened()
    assert queue.enqueue(RECIPES) == 3
    first, second = queue.claim(), other.claim()
    assert [first.recipe, second.recipe] == [ONE, TWO]
    queue.finish(first, 1.25)
    other.fail(second, "NonFiniteError: the loss is nan")
    third = queue.claim()
    assert third.recipe == THREE
    assert other.claim() is None
    queue.finish(third, float("nan"))
    assert states(other) == {0: ["finished"], 1: ["failed"], 2: ["finished"]}
    assert queue.claim() is None


def test_what_was_given_back_comes_before_what_was_not_begun(opened):
    queue = opened()
    queue.enqueue(RECIPES)
    dead, stopped = queue.claim(), queue.claim()
    queue.abandon(dead)  # it may have been the point's fault
    queue.give_back(stopped)
    assert [queue.claim().recipe for _ in RECIPES] == [TWO, THREE, ONE]


def test_queueing_twice_adds_nothing_and_more_seeds_add_the_new_ones(opened):
    queue, other = opened(), opened()
    assert queue.enqueue((ONE, TWO, ONE)) == 2
    assert other.enqueue((ONE, TWO)) == 0
    queue.finish(queue.claim(), 1.0)
    assert other.enqueue(RECIPES) == 1
    assert states(queue) == {0: ["finished"], 1: ["waiting"], 2: ["waiting"]}


def test_finished_and_failed_points_are_run_again_only_when_asked(opened):
    queue = opened()
    queue.enqueue(RECIPES)
    queue.finish(queue.claim(), 1.0)
    queue.fail(queue.claim(), "it did")
    assert queue.enqueue(RECIPES, again=True) == 2
    assert queue.enqueue(RECIPES, again=True) == 0
    claims = [queue.claim() for _ in range(3)]
    assert [claim.recipe for claim in claims] == [THREE, ONE, TWO]
    assert queue.claim() is None
    for claim in claims:
        queue.finish(claim, 1.0)
    assert states(queue) == {0: ["finished", "finished"], 1: ["failed", "finished"], 2: ["finished"]}


def test_studies_in_one_database_know_nothing_of_each_other(opened):
    one, other = opened(study="one"), opened(study="other")
    one.enqueue([ONE])
    assert other.claim() is None
    assert other.enqueue([ONE]) == 1
    assert one.claim().recipe == other.claim().recipe == ONE


def test_a_study_that_is_not_there_is_not_made_unless_asked(opened):
    opened(study="lenets")
    for _ in range(2):
        with pytest.raises(UnknownNameError, match="unknown study 'lenet': did you mean 'lenets'"):
            opened(study="lenet", create=False)
    assert opened(study="lenets", create=False).points() == {}


def test_two_that_see_the_same_entry_wait_get_it_once(opened, monkeypatch):
    queue, other = opened(), opened()
    queue.enqueue([ONE])
    seen = other.points()  # before the first has taken it
    assert queue.claim() is not None
    monkeypatch.setattr(other, "points", lambda: seen)
    assert other._take(lambda recipe: True) is None
    assert states(queue) == {0: ["running"]}


def test_two_that_see_the_same_entry_wait_and_one_has_finished_it(opened, monkeypatch):
    queue, other = opened(), opened()
    queue.enqueue([ONE])
    seen = other.points()
    queue.finish(queue.claim(), 1.0)
    monkeypatch.setattr(other, "points", lambda: seen)
    assert other._take(lambda recipe: True) is None
    assert states(queue) == {0: ["finished"]}


def _take_all(path, start, taken):
    with Queue(path, code="a") as queue:
        start.wait()
        while (claim := queue.claim()) is not None:
            taken.put(claim.recipe.seed)
    taken.put(None)


def test_processes_that_take_at_the_same_time_share_nothing(opened, tmp_path):
    """The whole test of SQLite's transactions: with those that Python begins, two get the same entry."""
    recipes = grid(BASE, seed=range(40))
    opened().enqueue(recipes)
    spawn = multiprocessing.get_context("spawn")
    start, taken = spawn.Barrier(4), spawn.Queue()
    workers = [spawn.Process(target=_take_all, args=(tmp_path / "queue.db", start, taken)) for _ in range(4)]
    for worker in workers:
        worker.start()
    seeds, ended = [], 0
    while ended < 4:
        seed = taken.get(timeout=60)
        ended += seed is None
        seeds += [] if seed is None else [seed]
    for worker in workers:
        worker.join()
    assert sorted(seeds) == list(range(40))


def _queue_all(path, start, number):
    with Queue(path, code="a") as queue:
        start.wait()
        queue.enqueue(grid(BASE, seed=range(number)))


def test_processes_that_start_the_same_study_at_once_do_every_point_once(opened, tmp_path):
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(3)
    starters = [spawn.Process(target=_queue_all, args=(tmp_path / "queue.db", start, 8)) for _ in range(3)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
        assert starter.exitcode == 0
    queue = opened()
    seeds = []
    while (claim := queue.claim()) is not None:
        seeds.append(claim.recipe.seed)
    assert sorted(seeds) == list(range(8))


def queue_twice(queue, other, monkeypatch):
    """Both look before either has queued the point."""
    empty = other.points()
    assert queue.enqueue([ONE]) == 1
    with monkeypatch.context() as patch:
        patch.setattr(other, "points", lambda: empty)
        assert other.enqueue([ONE]) == 1
    assert states(queue) == {0: ["waiting", "waiting"]}


def test_of_two_entries_of_a_point_only_the_first_is_worked(opened, monkeypatch):
    queue, other = opened(), opened()
    queue_twice(queue, other, monkeypatch)
    claim = queue.claim()
    assert other.claim() is None
    assert states(queue) == {0: ["running", "waiting"]}
    queue.finish(claim, 1.0)
    assert queue.claim() is None


def test_a_second_entry_is_worked_once_the_first_is_dead(opened, monkeypatch, tmp_path):
    queue, other = opened(), opened()
    queue_twice(queue, other, monkeypatch)
    queue.abandon(queue.claim())
    claim = other.claim()
    assert (claim.recipe, claim.abandoned) == (ONE, 1)
    assert states(queue) == {0: ["abandoned", "running"]}


def test_a_second_entry_is_left_once_the_first_has_finished(opened, monkeypatch):
    queue, other = opened(), opened()
    queue_twice(queue, other, monkeypatch)
    queue.finish(queue.claim(), 1.0)
    assert other.claim() is None
    assert states(queue) == {0: ["finished", "waiting"]}


def test_the_point_of_a_silent_worker_goes_to_another(opened, tmp_path):
    queue, other = opened(), opened()
    queue.enqueue([ONE])
    claim = queue.claim()
    assert other.claim() is None
    fall_silent(tmp_path, claim, 110)  # grace is 120 s
    assert other.claim() is None
    fall_silent(tmp_path, claim, 20)
    successor = other.claim()
    assert (successor.recipe, successor.abandoned) == (ONE, 1)
    assert states(queue) == {0: ["abandoned", "running"]}
    # the first was not dead after all; what it has to say is of no consequence
    queue.finish(claim, 1.0)
    queue.fail(claim, "too late")
    assert states(queue) == {0: ["abandoned", "running"]}
    other.finish(successor, 1.0)
    assert queue.claim() is None


def test_silence_is_looked_for_only_when_nothing_waits(opened, tmp_path):
    queue = opened()
    queue.enqueue((ONE, TWO))
    fall_silent(tmp_path, queue.claim())
    assert queue.claim().recipe == TWO
    assert queue.claim().recipe == ONE


def test_a_worker_killed_right_after_taking_an_entry_is_missed(opened, tmp_path, monkeypatch):
    """The first heartbeat comes before the claim; an entry without one is never stale to Optuna."""
    queue, other = opened(), opened()
    queue.enqueue([ONE])

    take = queue._storage.set_trial_state_values

    def killed(*arguments):
        take(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(queue._storage, "set_trial_state_values", killed)
    with pytest.raises(KeyboardInterrupt):
        queue.claim()
    assert states(other) == {0: ["running"]}
    fall_silent(tmp_path, other.points()[ONE.hash].attempts[0])
    assert other.claim().recipe == ONE


def test_two_that_find_the_same_silent_worker_have_one_successor(opened, tmp_path):
    queue, other, third = opened(), opened(), opened()
    queue.enqueue([ONE])
    fall_silent(tmp_path, queue.claim())
    append = other._append

    def both_at_once(recipe, **settings):
        third._append(recipe)
        append(recipe, **settings)

    other._append = both_at_once
    assert other.claim() is not None
    assert third.claim() is None
    assert states(queue) == {0: ["abandoned", "running", "waiting"]}


def test_a_death_between_failing_and_queueing_again_loses_nothing(opened, tmp_path):
    queue, other, third = opened(), opened(), opened()
    queue.enqueue([ONE])
    fall_silent(tmp_path, queue.claim())

    def killed(*_):
        raise KeyboardInterrupt

    other._append = killed
    with pytest.raises(KeyboardInterrupt):
        other.claim()
    assert states(queue) == {0: ["abandoned"]}
    assert third.claim().recipe == ONE


def test_a_death_while_giving_back_loses_nothing(opened):
    queue, other = opened(), opened()
    queue.enqueue([ONE])
    claim = queue.claim()

    def killed(*_):
        raise KeyboardInterrupt

    queue._append = killed
    with pytest.raises(KeyboardInterrupt):
        queue.give_back(claim)
    assert states(other) == {0: ["returned"]}
    again = other.claim()
    assert (again.recipe, again.abandoned) == (ONE, 0)


def test_a_death_between_marking_and_ending_keeps_the_mark(opened, tmp_path):
    queue, other = opened(), opened()
    queue.enqueue([ONE])
    claim = queue.claim()
    queue._storage.set_trial_user_attr(claim.id, "outcome", "failed")
    fall_silent(tmp_path, claim)
    assert other.claim() is None
    assert states(other) == {0: ["failed"]}


def test_what_is_not_free_is_left_out(opened):
    queue = opened()
    queue.enqueue((ONE, TWO))
    assert queue.claim(free=lambda recipe: recipe != ONE).recipe == TWO
    assert queue.claim(free=lambda recipe: recipe != ONE) is None
    assert states(queue) == {0: ["waiting"], 1: ["running"]}


def test_a_heartbeat_keeps_a_claim_alive(opened, tmp_path):
    queue, other = opened(grace=2), opened(grace=2)
    queue.enqueue([ONE])
    claim = queue.claim()
    fall_silent(tmp_path, claim)
    beaten = threading.Event()
    record = queue._storage.record_heartbeat
    queue._storage.record_heartbeat = lambda entry: (record(entry), beaten.set())
    with queue.beating(claim):
        assert beaten.wait(60)
    assert other.claim() is None
    fall_silent(tmp_path, claim)
    assert other.claim() is not None


def test_a_heartbeat_survives_errors_and_ends():
    beats, ended, enough = [], [], threading.Event()

    def beat():
        beats.append(1)
        if len(beats) == 3:
            enough.set()
        raise RuntimeError("the server is away")

    with heartbeat(beat, 0.001, lambda: ended.append(threading.current_thread())):
        assert enough.wait(60)
        assert not ended
    (thread,) = ended
    assert not thread.is_alive()


def test_another_version_of_the_code_is_refused_unless_allowed_and_then_marked(opened):
    queue = opened()
    queue.enqueue((ONE, TWO))
    with pytest.raises(
        MixedCodeError, match=r"'study' was begun by another version of the code.*allow_mixed_code=True"
    ):
        opened(code="b")
    other = opened(code="b", allow_mixed_code=True)
    other.finish(other.claim(), 1.0)
    queue.finish(queue.claim(), 1.0)
    assert [trial.user_attrs.get("code") for trial in queue._study.get_trials()] == ["b", None]
    assert states(opened(allow_mixed_code=True)) == {0: ["finished"], 1: ["finished"]}


@pytest.mark.parametrize("settings", [{"grace": 1}, {"study": ""}])
def test_what_makes_no_queue_is_refused(opened, settings):
    with pytest.raises(ArgumentError):
        opened(**settings)


def test_foreign_entries_in_the_study_are_left_alone(opened):
    queue = opened()
    import optuna

    queue._study.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.WAITING))
    queue.enqueue([ONE])
    assert queue.claim().recipe == ONE
    assert queue.claim() is None


def attempts(*entries):
    return tuple(
        Attempt(number, number, state.removesuffix("+"), state.endswith("+")) for number, state in enumerate(entries)
    )


@pytest.mark.parametrize(
    ("entries", "state", "following", "abandoned"),
    [
        (["waiting"], "waiting", 0, 0),
        (["waiting", "running"], "running", 0, 0),
        (["abandoned", "running", "waiting"], "running", 1, 1),
        (["abandoned", "returned"], "lost", None, 1),
        (["finished", "running"], "finished", None, 0),
        (["waiting", "failed"], "failed", None, 0),
        (["finished", "waiting+"], "waiting", 1, 0),
        (["abandoned", "failed", "abandoned+", "running"], "running", 3, 1),
        (["running", "waiting+"], "waiting", 1, 0),
        (["finished", "abandoned+"], "lost", None, 1),
    ],
)
def test_what_a_point_has_come_to(entries, state, following, abandoned):
    point = Point(ONE, attempts(*entries))
    assert (point.state, point.abandoned) == (state, abandoned)
    assert (point.next and point.next.number) == following
