"""The database behind a queue: opened so that transactions exclude each other, and asked again when it is away."""

import random
import re
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from thresher.core.errors import ArgumentError, MissingExtraError, StoreError

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from sqlalchemy import URL

T = TypeVar("T")

_SQLITE_LOCK_SECONDS = 60.0
_FIRST_DELAY, _LONGEST_DELAY = 0.2, 30.0
_OPENING_ADVICE = "see whether it runs, and whether this is its address"
_ADVICE = "start again when it is back; what is finished is in the store, the rest goes on from its checkpoint"
# waiting does not help against these
_FINAL = re.compile(
    r"authentication failed|no password supplied|(database|role) \".*\" does not exist|no pg_hba|not a database"
    r"|unable to open database file|readonly database",
    re.IGNORECASE,
)


class Database:
    """Calls on the database at `url`, each repeated while it does not answer, up to `patience` seconds.

    Calls that open it are repeated for `opening_patience` seconds only, since the address may be wrong. A path is an
    SQLite file. Workers not heard of for `grace` seconds are stale to `storage`.

    `say` gets one line when it stops answering and one when it answers again. The password in `url` is in no message.

    Raises ArgumentError for a URL of another kind, MissingExtraError where a package is absent, and StoreError if
    the database refuses, or does not answer for that long.
    """

    def __init__(
        self,
        url: str | Path,
        patience: float,
        opening_patience: float,
        grace: int,
        say: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url = _parsed(url)
        self.address = _address(self._url)
        self._patience, self._opening_patience = patience, opening_patience
        self._say, self._sleep = say, sleep
        self.storage: RDBStorage = self.call(lambda: _open(self._url, grace), opening=True)

    def call(self, ask: Callable[[], T], *, opening: bool = False) -> T:
        """What `ask` returns, once the database has answered it.

        An answer that was lost on the way is asked for again, so `ask` must be fit to be done twice.
        """
        from optuna.exceptions import StorageInternalError
        from sqlalchemy.exc import DBAPIError, OperationalError
        from sqlalchemy.exc import TimeoutError as PoolTimeoutError

        # where several processes open a new database at once, each finds tables that another has just made
        away = (StorageInternalError, PoolTimeoutError, DBAPIError if opening else OperationalError)
        patience = self._opening_patience if opening else self._patience
        since: float | None = None
        delay = _FIRST_DELAY
        while True:
            try:
                answer = ask()
            except away as error:
                now = time.monotonic()
                reason = _reason(error)
                if _FINAL.search(reason):
                    raise StoreError(f"the database {self.address} refuses: {reason}") from None
                if since is None:
                    since = now
                    if not opening or isinstance(error, OperationalError):
                        self._say(
                            f"the database {self.address} does not answer ({reason}): trying again for {patience:.0f} s"
                        )
                if now - since >= patience:
                    raise StoreError(
                        f"the database {self.address} has not answered for {patience:.0f} s ({reason}): "
                        + (_OPENING_ADVICE if opening else _ADVICE)
                    ) from None
                self._sleep(delay * random.uniform(0.5, 1.0))  # or all workers come back at the same instant
                delay = min(2 * delay, _LONGEST_DELAY)
            except Exception:  # a refusal of what was asked is an answer too, as where the first one got lost
                self._answered(since)
                raise
            else:
                self._answered(since)
                return answer

    def _answered(self, away_since: float | None) -> None:
        if away_since is not None:
            self._say(f"the database {self.address} answers again")

    def close(self) -> None:
        """Let go of the connections."""
        self.storage.remove_session()
        self.storage.engine.dispose()


def _parsed(url: str | Path) -> "URL":
    try:
        import optuna  # noqa: F401
        from sqlalchemy.engine import URL, make_url
        from sqlalchemy.exc import ArgumentError as NoURL
    except ModuleNotFoundError as error:
        raise MissingExtraError("a queue of runs", "compare") from error
    if isinstance(url, Path):
        return URL.create("sqlite", database=str(url.resolve()))
    try:
        parsed = make_url(url)
    except (NoURL, ValueError):
        parsed = None  # what the error says may hold the password
    backend = None if parsed is None else parsed.get_backend_name()
    if parsed is None or backend not in ("sqlite", "postgresql") or parsed.database in (None, "", ":memory:"):
        raise ArgumentError("a database is written sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE")
    return parsed.set(drivername="postgresql+psycopg") if backend == "postgresql" else parsed


def _address(url: "URL") -> str:
    """`url` without user and password, and without what follows the "?", where there may be another."""
    where = f"{url.host or ''}{f':{url.port}' if url.port else ''}"
    return f"{url.get_backend_name()}://{where}/{url.database}"


def _open(url: "URL", grace: int) -> "RDBStorage":
    from optuna.storages import RDBStorage
    from sqlalchemy import event

    on_sqlite = url.get_backend_name() == "sqlite"
    settings: dict[str, Any] = (
        {"connect_args": {"timeout": _SQLITE_LOCK_SECONDS}}
        if on_sqlite
        # a server that has vanished without a word counts as away after a minute, not when the kernel gives it up
        else {"pool_pre_ping": True, "connect_args": {"connect_timeout": 10, "tcp_user_timeout": 60_000}}
    )
    text = url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")  # it is a format to optuna
    with warnings.catch_warnings(action="ignore"):  # heartbeats are experimental
        try:
            storage = RDBStorage(
                text, engine_kwargs=settings, heartbeat_interval=max(1, grace // 4), grace_period=grace
            )
        except ImportError as error:
            raise MissingExtraError("a queue in PostgreSQL", "postgres") from error
        except RuntimeError as error:  # its tables are of another version
            raise StoreError(f"the database {_address(url)} is not for this version of Optuna: {error}") from error
    if on_sqlite:
        event.listen(storage.engine, "connect", _leave_transactions_alone)
        event.listen(storage.engine, "begin", _begin_immediate)
    else:
        event.listen(storage.engine, "connect", _use_utc)
    storage.engine.dispose()  # connections from before know nothing of this
    return storage


def _leave_transactions_alone(connection: Any, _: object) -> None:
    connection.isolation_level = None


def _begin_immediate(connection: Any) -> None:
    # Python's sqlite3 begins a transaction at the first write, so that two processes can both read that an entry
    # waits, and both take it; SQLite knows no SELECT … FOR UPDATE
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _use_utc(connection: Any, _: object) -> None:
    # heartbeats are stored without a zone: in local time they would all be an hour old when summer time begins
    with connection.cursor() as cursor:
        cursor.execute("SET TIME ZONE 'UTC'")
    connection.commit()


def _reason(error: BaseException) -> str:
    """The database's own words, in one line, without the statement that it was asked."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
