import os
import pwd
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import pytest

from thresher.core.errors import ArgumentError, DataError, NonFiniteError, RunDirectoryError
from thresher.experiments import run
from thresher.experiments.points import grid
from thresher.experiments.queue import Queue
from thresher.experiments.run_directory import open_run
from thresher.experiments.store import Store
from thresher.experiments.worker import work
from thresher.training import Interrupted

CHEAP = {
    "data": "digits",
    "model": "lenet-300-100",
    "budget": "6it",
    "batch_size": 32,
    "evaluate_every": "6it",
    "validation": 0.0,
}
GRACE = 3
CODE = "the same for all"  # somebody may be writing at the code while the workers run


class Postgres:
    """A PostgreSQL server of Debian's package in a folder of its own, reached by a socket in it."""

    def __init__(self, programs, folder, user):
        self.programs, self.folder, self.user = programs, folder, user
        self.url = f"postgresql://postgres@/postgres?host={folder}"

    def call(self, program, *words):
        subprocess.run(
            [self.programs / program, "-D", self.folder / "data", *words],
            user=self.user,
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=60,
        )

    def start(self):
        settings = f"-k {self.folder} -c listen_addresses='' -c fsync=off -c timezone=Asia/Kolkata"
        self.call("pg_ctl", "start", "-w", "-l", self.folder / "log", "-o", settings)

    def stop(self):
        self.call("pg_ctl", "stop", "-w", "-m", "immediate")


@pytest.fixture(scope="module")
def postgres():
    pytest.importorskip("psycopg", reason="the extra 'postgres' is not installed")
    found = shutil.which("pg_ctl")
    installed = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not installed:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    user = None
    folder = Path(tempfile.mkdtemp(prefix="thresher-postgres-"))
    if os.getuid() == 0:  # as which it refuses to run
        user = next(
            entry.pw_name for name in ("postgres", "nobody") for entry in pwd.getpwall() if entry.pw_name == name
        )
        shutil.chown(folder, user)
    server = Postgres(installed[-1], folder, user)
    try:
        server.call("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Workers:
    """What the processes of workers.py say, line by line, as (pid, what, words)."""

    def __init__(self, store, url, number, study="study"):
        script = Path(__file__).with_name("workers.py")
        self.process = subprocess.Popen(
            [sys.executable, script, store, str(url), str(number), str(GRACE), study, CODE],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.lines = []

    def __iter__(self):
        for line in self.process.stdout:
            pid, what, *words = line.split()
            self.lines.append((int(pid), what, words))
            yield self.lines[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        _, errors = self.process.communicate()
        print(errors)


def check_everything_was_done_once(recipes, store, queue, lines):
    assert [recipe.name for recipe in recipes if store.result(recipe) is None] == []
    assert {point.state for point in queue.points().values()} == {"finished"}
    assert len(queue.points()) == len(recipes)
    done = [words[0] for _, what, words in lines if what == "done"]
    assert len(done) == len(set(done))
    workers_of = defaultdict(list)
    for pid, what, words in lines:
        if what == "step" and (not workers_of[words[0]] or workers_of[words[0]][-1] != pid):
            workers_of[words[0]].append(pid)
    # nobody comes back to a point that another has worked on since
    assert all(len(pids) == len(set(pids)) for pids in workers_of.values())
    assert len(workers_of) == len(recipes)
    return done


def killed_at_random(store, url, recipes, kills, seed):
    with Queue(url, grace=GRACE, code=CODE) as queue:
        assert queue.enqueue(recipes) == len(recipes)
    draw = random.Random(seed)
    pids, killed, pause, stopped, stopper = set(), set(), 0, None, None
    with Workers(store.path, url, 4) as workers:
        for pid, what, words in workers:
            pids.add(pid)
            pause -= 1
            victims = sorted(pids - killed)
            if what == "stopped":
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
                stopped, stopper = words[0], pid
            elif kills and pause < 0 and len(victims) > 1:
                victim = draw.choice(victims)
                os.kill(victim, signal.SIGKILL)
                killed.add(victim)
                kills -= 1
                pause = draw.randrange(10, 60)
        assert workers.process.wait(timeout=60) == 0
    assert kills == 0
    with Queue(url, code=CODE) as queue:
        done = check_everything_was_done_once(recipes, store, queue, workers.lines)
    # a result whose worker was killed before it could say so is the only one that nobody claims
    assert len(recipes) - len(killed) <= len(done) <= len(recipes)
    steps = [(pid, int(words[1])) for pid, what, words in workers.lines if what == "step" and words[0] == stopped]
    end = max(place for place, (pid, _) in enumerate(steps) if pid == stopper)
    # whoever else had it before or after may have been hit at random
    assert steps[end][1] == 5
    assert steps[end + 1][1] == 5  # from the checkpoint after the fourth update
    assert steps[-1][1] == 6


def test_killed_workers_lose_nothing_and_repeat_nothing_on_sqlite(tmp_path):
    store = Store.open(tmp_path / "runs")
    recipes = grid(CHEAP, seed=range(200))
    killed_at_random(store, store.queue_file, recipes, 12, seed=0)


def test_killed_workers_lose_nothing_and_repeat_nothing_on_postgresql(tmp_path, postgres):
    store = Store.open(tmp_path / "runs")
    recipes = grid(CHEAP, seed=range(200))
    killed_at_random(store, postgres.url, recipes, 12, seed=1)


def test_a_database_that_is_away_in_the_middle_loses_nothing(tmp_path, postgres):
    store = Store.open(tmp_path / "runs")
    recipes = grid(CHEAP, seed=range(1, 41))
    with Queue(postgres.url, "outage", grace=GRACE, code=CODE) as queue:
        queue.enqueue(recipes)
    started = False
    with Workers(store.path, postgres.url, 2, "outage") as workers:
        for _, what, words in workers:
            if what == "done" and sum(what == "done" for _, what, _ in workers.lines) == 10:
                postgres.stop()
            if what == "say" and not started and "not answer" in " ".join(words):
                started = True
                postgres.start()
        assert workers.process.wait(timeout=60) == 0
    with Queue(postgres.url, "outage", code=CODE) as queue:
        check_everything_was_done_once(recipes, store, queue, workers.lines)
    said = [(pid, " ".join(words)) for pid, what, words in workers.lines if what == "say"]
    for pid in {pid for pid, _ in said}:  # once per outage
        assert [("answers again" in line) for other, line in said if other == pid] == [False, True]


def test_heartbeats_are_kept_in_a_zone_whose_clock_never_jumps(postgres):
    with Queue(postgres.url, "zone", code=CODE) as queue, queue._storage.engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW timezone").scalar() == "UTC"


@pytest.fixture
def store(tmp_path):
    return Store.open(tmp_path / "runs")


@pytest.fixture
def queue(store):
    with Queue(store.queue_file, code=CODE) as queue:
        yield queue


def test_what_a_worker_does_is_what_run_does(store, queue, tmp_path):
    recipes = grid(CHEAP, seed=(0, 1))
    queue.enqueue(recipes)
    events = []
    done = work(store, queue, on_event=events.append)
    assert (done.finished, done.failed) == (2, 0)
    assert [(event.kind, event.recipe) for event in events] == [
        (kind, recipe) for recipe in recipes for kind in ("started", "finished")
    ]
    alone = run(recipes[1], tmp_path / "alone")
    assert store.result(recipes[1])["test_error_final_pct"] == alone["test_error_final_pct"]
    assert (store.directory(recipes[1]) / "model.safetensors").read_bytes() == (
        tmp_path / "alone" / "model.safetensors"
    ).read_bytes()
    assert queue.claim() is None


def test_a_failed_point_is_recorded_and_counted_and_the_worker_goes_on(store, queue):
    bad, good = grid(CHEAP, learning_rate=(1e30, 0.05))
    queue.enqueue((bad, good))
    done = work(store, queue)
    assert (done.finished, done.failed) == (1, 1)
    assert store.failure(bad)["type"] == NonFiniteError.__name__
    assert "loss" in store.failure(bad)["message"]
    assert [run.status for run in store.runs() if run.recipe == bad] == ["failed"]
    assert {key: point.state for key, point in queue.points().items()} == {bad.hash: "failed", good.hash: "finished"}
    assert work(store, queue).failed == 0  # not tried again


def test_a_failure_is_forgotten_when_a_later_attempt_succeeds(store, queue):
    (recipe,) = grid(CHEAP)
    queue.enqueue([recipe])

    def refuse(recipe, out, **settings):
        raise NonFiniteError("the loss is nan")

    assert work(store, queue, train=refuse).failed == 1
    assert queue.enqueue([recipe]) == 0
    assert queue.enqueue([recipe], again=True) == 1
    assert work(store, queue).finished == 1
    assert store.failure(recipe) is None
    assert not (store.directory(recipe) / "failure.json").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Interrupted(Path("checkpoint.pt"), 3, 6)])
def test_a_worker_that_is_asked_to_stop_gives_its_point_back(store, queue, error):
    (recipe,) = grid(CHEAP)
    queue.enqueue([recipe])

    def stop(recipe, out, **settings):
        raise error

    with pytest.raises(type(error)):
        work(store, queue, train=stop)
    (point,) = queue.points().values()
    assert [attempt.state for attempt in point.attempts] == ["returned", "waiting"]
    assert store.failure(recipe) is None
    assert work(store, queue).finished == 1


def test_an_interrupted_training_is_continued_from_where_it_stopped(store, queue):
    (recipe,) = grid(CHEAP)
    queue.enqueue([recipe])
    steps = []

    def on_progress(progress):
        steps.append(progress.step)
        if steps == [1, 2, 3]:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        work(store, queue, on_progress=on_progress)
    assert work(store, queue, on_progress=on_progress).finished == 1
    assert steps == [1, 2, 3, 4, 5, 6, 6]


def test_sigterm_between_trainings_gives_the_point_back_too(store, queue):
    queue.enqueue(grid(CHEAP))
    before = signal.getsignal(signal.SIGTERM)

    def terminated(recipe, out, **settings):
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        work(store, queue, train=terminated)
    assert signal.getsignal(signal.SIGTERM) is before
    assert [point.state for point in queue.points().values()] == ["waiting"]


@pytest.mark.parametrize("error", [DataError("no MNIST here"), RunDirectoryError("no space left")])
def test_what_is_wrong_with_the_machine_is_no_failure_of_the_point(store, queue, error):
    queue.enqueue(grid(CHEAP))

    def refuse(recipe, out, **settings):
        raise error

    with pytest.raises(type(error)):
        work(store, queue, train=refuse)
    (point,) = queue.points().values()
    assert (point.state, point.abandoned) == ("waiting", 0)


def test_a_device_that_is_not_there_fails_no_point(store, queue):
    (recipe,) = grid(CHEAP)
    queue.enqueue([recipe])
    with pytest.raises(ArgumentError, match="'cudaa' cannot be used here"):
        work(store, queue, device="cudaa")
    assert queue.points()[recipe.hash].state == "waiting"
    assert store.failure(recipe) is None


def test_a_point_that_kills_its_workers_fails_after_five_deaths(store, queue):
    (recipe,) = grid(CHEAP)
    queue.enqueue([recipe])

    def die(recipe, out, **settings):
        raise MemoryError

    for death in range(5):
        assert next(iter(queue.points().values())).abandoned == death
        with pytest.raises(MemoryError):
            work(store, queue, train=die)
    assert work(store, queue).failed == 1
    assert store.failure(recipe)["type"] == "LostWorkersError"
    assert [point.state for point in queue.points().values()] == ["failed"]


def test_a_point_whose_directory_is_in_use_is_left_to_its_owner(store, queue):
    """As after a jump of the database's clock: the owner is taken for dead and its point queued again."""
    recipe, other = grid(CHEAP, seed=(0, 1))
    queue.enqueue((recipe, other))
    trained = []

    def train(recipe, out, **settings):
        trained.append(recipe)
        result = run(recipe, out, **settings)
        if recipe == other:
            owner.__exit__(None, None, None)
        return result

    owner = open_run(store.directory(recipe), recipe, resume=True)
    owner.__enter__()
    assert work(store, queue, train=train).finished == 2
    assert trained == [other, recipe]


def test_whoever_meets_a_locked_directory_gives_the_point_back_uncounted(store, queue, monkeypatch):
    (recipe,) = grid(CHEAP)
    queue.enqueue([recipe])
    monkeypatch.setattr(Store, "in_use", lambda store, recipe: False)  # it was taken in the instant after
    owner = open_run(store.directory(recipe), recipe, resume=True)
    owner.__enter__()
    calls = []

    def train(recipe, out, **settings):
        calls.append(recipe)
        if len(calls) == 2:
            owner.__exit__(None, None, None)
        return run(recipe, out, **settings)

    done = work(store, queue, train=train)
    assert (done.finished, done.failed, len(calls)) == (1, 0, 2)
    (point,) = queue.points().values()
    assert [attempt.state for attempt in point.attempts] == ["returned", "finished"]
    assert point.abandoned == 0


def test_a_stored_result_completes_its_point_without_training(store, queue):
    (recipe,) = grid(CHEAP)
    run(recipe, store.directory(recipe))
    queue.enqueue([recipe])
    steps = []
    assert work(store, queue, on_progress=steps.append).finished == 1
    assert steps == []
