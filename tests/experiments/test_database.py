"""The database behind a queue: which it takes, what it does while it is away, and that no password gets out."""

import sqlite3

import pytest

from thresher.core.errors import ArgumentError, StoreError
from thresher.experiments.database import Database
from thresher.experiments.points import grid
from thresher.experiments.queue import Queue

(ONE,) = grid({"data": "digits", "model": "lenet-300-100"})


class Server:
    """A database that answers, or does not, as `errors` says."""

    def __init__(self, tmp_path):
        self.said, self.slept, self.errors = [], [], []
        self.database = Database(tmp_path / "queue.db", 600.0, 60.0, 10, self.said.append, self.slept.append)

    def ask(self):
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path)
    yield server
    server.database.close()


def away(text="connection refused", kind="StorageInternalError"):
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import OperationalError

    error = OperationalError("SELECT 1", {}, Exception(text))
    if kind == "OperationalError":
        return error
    wrapped = StorageInternalError("An exception is raised during the commit.")
    wrapped.__cause__ = error
    return wrapped


@pytest.mark.parametrize("kind", ["StorageInternalError", "OperationalError"])
def test_a_database_that_is_away_is_asked_again_and_spoken_of_once(server, kind):
    server.errors = [away(kind=kind) for _ in range(12)]
    assert server.database.call(server.ask) == "answer"
    assert len(server.slept) == 12
    for n, pause in enumerate(server.slept):
        assert 0.5 * min(0.2 * 2**n, 30) <= pause <= min(0.2 * 2**n, 30)
    first, second = server.said
    assert "does not answer (connection refused)" in first
    assert "answers again" in second
    server.errors = [away()]
    server.database.call(server.ask)
    assert len(server.said) == 4


@pytest.mark.parametrize(
    ("opening", "every", "last", "advice"),
    [(False, 100, 600, "start again when it is back"), (True, 10, 60, "whether this is its address")],
)
def test_patience_ends_sooner_where_the_address_may_be_wrong(server, monkeypatch, opening, every, last, advice):
    times = iter(range(0, 100 * every, every))
    monkeypatch.setattr("thresher.experiments.database.time.monotonic", lambda: next(times))
    server.errors = [away(kind="OperationalError") for _ in range(100)]
    with pytest.raises(StoreError, match=rf"has not answered for {last} s \(connection refused\): .*{advice}"):
        server.database.call(server.ask, opening=opening)
    assert len(server.slept) == 6
    assert server.said[0].endswith(f"trying again for {last} s")


@pytest.mark.parametrize("create", [True, False])
def test_a_queue_that_never_opens_is_given_up_early(tmp_path, monkeypatch, create):
    """Every call before the study is there has the shorter patience, the rest the longer."""
    Queue(tmp_path / "queue.db", "study").close()
    asked = []
    call = Database.call

    def told(self, ask, *, opening=False):
        asked.append(opening)
        return call(self, ask, opening=opening)

    monkeypatch.setattr(Database, "call", told)
    with Queue(tmp_path / "queue.db", "study", create=create) as queue:
        assert asked[:2] == [True, True]
        asked.clear()
        queue.enqueue([ONE])
        queue.claim()
    assert asked
    assert not any(asked)


@pytest.mark.parametrize(
    "text",
    [
        'FATAL:  password authentication failed for user "me"',
        'FATAL:  database "sweeps" does not exist',
        "unable to open database file",
    ],
)
def test_a_refusal_is_not_asked_again(server, text):
    server.errors = [away(text)]
    with pytest.raises(StoreError, match="refuses: "):
        server.database.call(server.ask)
    assert server.slept == []


def test_other_errors_come_through_and_are_answers(server):
    server.errors = [KeyError("study")]
    with pytest.raises(KeyError):
        server.database.call(server.ask)
    assert server.said == []
    # the first answer was lost on the way: what was asked for has been done, and cannot be done again
    server.errors = [away(), KeyError("study")]
    with pytest.raises(KeyError):
        server.database.call(server.ask)
    assert ["answers again" in line for line in server.said] == [False, True]


def test_tables_of_another_version_are_refused(tmp_path):
    Queue(tmp_path / "queue.db").close()
    with sqlite3.connect(tmp_path / "queue.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v999.0.0.a'")
    connection.close()
    with pytest.raises(StoreError, match="is not for this version of Optuna"):
        Queue(tmp_path / "queue.db")


@pytest.mark.parametrize(
    "url", ["mysql://me:secret@host/db", "secret", "sqlite://", "sqlite:///:memory:", "postgresql://me:secret@host", ""]
)
def test_another_kind_of_database_is_refused_without_its_password(url):
    with pytest.raises(ArgumentError, match="sqlite:///FILE or postgresql://") as caught:
        Queue(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("query", ["", "?password=secret"])
def test_no_message_has_the_password(query):
    pytest.importorskip("psycopg", reason="the extra 'postgres' is not installed")
    said = []
    # nothing listens at port 1
    with pytest.raises(StoreError, match="has not answered for 0 s") as caught:
        Queue(f"postgresql://me:secret@127.0.0.1:1/db{query}", opening_patience=0.0, say=said.append)
    assert len(said) == 1
    assert "postgresql://127.0.0.1:1/db" in said[0]
    assert "secret" not in said[0] + str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine, and long enough to be looked at as a database" * 100)
    with pytest.raises(StoreError, match="refuses: file is not a database"):
        Queue(tmp_path / "notes.txt")
    with pytest.raises(StoreError, match="refuses: unable to open database file"):
        Queue(tmp_path / "absent" / "queue.db")


def test_a_path_may_hold_anything(tmp_path):
    folder = tmp_path / "what? 100 % {of} #it"
    folder.mkdir()
    with Queue(folder / "queue.db") as queue:
        assert queue.enqueue([ONE]) == 1
    assert [file.name for file in folder.iterdir()] == ["queue.db"]
