"""The door to psycopg: a pool, transactions of the sync's own, and every database error turned into ours."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import orjson
import psycopg
from psycopg import Connection, errors
from psycopg.abc import PQGen
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg_pool import ConnectionPool, PoolTimeout

from reconciler.adapters.postgres.queries import statements
from reconciler.adapters.postgres.refusals import is_about_a_row, is_raised_by_the_owner, refusal_of
from reconciler.core.errors import (
    AddressErased,
    AddressTaken,
    Busy,
    DatabaseDown,
    DatabaseFull,
    DatabaseReadOnly,
    PrivilegeMissing,
    SchemaMissing,
)

POOL_WAIT = 2.0
"""Seconds to wait for a free connection."""

DEADLINE = 70.0
"""Seconds in which every statement is answered: longer than Postgres itself lets one run."""

SHORT_DEADLINE = 5.0
"""The same for connecting, and where a caller waits."""

LINE: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""What libpq is told about the line: one that is dead is known to be after 25 s without, 15 s with data under way."""

PREPARED_AFTER = 1
"""Times a statement runs on a connection before it is prepared there."""

OUR_KEYS = frozenset({"customer_address_is_unique_among_live", "customer_uuid_is_unique", "customer_pkey"})
"""Keys of the table that the sync relies on: what they refuse is a race, and the next look sees it."""

CAUSE_DELAY = 10.0
"""Seconds until another try where the database is in the way."""

Row = DictRow
Rows = list[DictRow]
Found = TypeVar("Found")


class Silent(psycopg.OperationalError):
    """No answer came before the deadline."""


class Timely(Connection[DictRow]):
    """A connection that is closed when an answer does not come in time.

    A pooler's kernel goes on acknowledging what its dead process never reads: neither keepalives nor
    tcp_user_timeout see that. Everything psycopg waits for on a connection, it waits for here.
    """

    deadline: float | None = SHORT_DEADLINE

    def wait(self, gen: PQGen[Found], interval: float = 0.1, timeout: float | None = None) -> Found:
        if timeout is not None or self.deadline is None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.deadline)
        except errors._WaitTimeout as error:
            self.close()
            raise Silent("no answer in time") from error


def to_json(value: object) -> str:
    """Return a value as a JSON text for a jsonb parameter."""
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def open_pool(
    dsn: str | Callable[[], str], *, size: int, wait: float = POOL_WAIT, deadline: float = DEADLINE
) -> ConnectionPool[Timely]:
    """Return a pool that connects in the background; a use waits `wait` seconds for a connection, `deadline` for it.

    A `dsn` that may change is asked for at each connection.
    """
    set_json_dumps(lambda value: orjson.dumps(value, default=str))
    set_json_loads(orjson.loads)
    return ConnectionPool(
        dsn,
        min_size=1,
        max_size=size,
        timeout=wait,
        # Given up before a wait ends: each use that waits sees at least one attempt of its own time.
        reconnect_timeout=wait / 2,
        max_lifetime=1800,
        open=False,
        connection_class=Timely,
        configure=partial(_configure, deadline=deadline),
        kwargs={"row_factory": dict_row, "autocommit": True, "prepare_threshold": None, **LINE},
    )


def _configure(connection: Timely, *, deadline: float) -> None:
    """Let no statement wait for ever, and let them be prepared, where Postgres itself answers.

    A pooler lends its sessions to many: what is set there reaches others, and prepared statements do not survive. It
    shows by a backend id of its own. There each transaction sets its own waits (`begin_own`, `begin_bounded`).
    """
    row = connection.execute(statements()["backend"]).fetchone()
    if row is not None and row["backend"] == connection.info.backend_pid:
        connection.execute(statements()["configure"])
        connection.execute(statements()["keep_plans"])
        connection.prepare_threshold = PREPARED_AFTER
    connection.deadline = deadline


class Work:
    """One transaction: runs named statements."""

    def __init__(self, connection: Connection[DictRow]) -> None:
        self._connection = connection

    def rows(self, name: str, /, **values: Any) -> Rows:
        """Run a statement and return its rows."""
        return self._connection.execute(statements()[name], values).fetchall()

    def row(self, name: str, /, **values: Any) -> Row | None:
        """Run a statement and return its first row."""
        return self._connection.execute(statements()[name], values).fetchone()

    def run(self, name: str, /, **values: Any) -> int:
        """Run a statement and return how many rows it touched."""
        return self._connection.execute(statements()[name], values).rowcount

    def undo(self) -> None:
        """End the transaction as if it had never been."""
        self._connection.execute("rollback", prepare=False)


class Database:
    """Runs statements, each one alone or several in one transaction. `is_brief`: a caller waits for the latter."""

    def __init__(self, pool: ConnectionPool[Timely], *, is_brief: bool = False) -> None:
        self._pool = pool
        self._begin = statements()["begin_own_briefly"] if is_brief else statements()["begin_own"]

    @contextmanager
    def _connection(self) -> Iterator[Timely]:
        """Borrow a connection; one that takes no writes, or whose plans are out of date, is not given back.

        The next may reach the new primary, and plans for the tables as they are. Where one does not answer, the
        others lie on the same dead line: all are made anew.
        """
        try:
            with self._pool.connection() as connection:
                try:
                    yield connection
                except (errors.ReadOnlySqlTransaction, errors.FeatureNotSupported):
                    connection.close()
                    raise
        except Silent:
            self._pool.drain()
            raise

    @contextmanager
    def _bounded(self) -> Iterator[Connection[DictRow]]:
        """Borrow a connection on which no statement waits for ever."""
        with self._connection() as connection:
            if connection.prepare_threshold is None:
                # The pool ends it when the connection comes back.
                connection.execute(statements()["begin_bounded"])
            yield connection

    def rows(self, name: str, /, **values: Any) -> Rows:
        """Run one statement alone and return its rows."""
        with _translated(), self._bounded() as connection:
            return connection.execute(statements()[name], values).fetchall()

    def row(self, name: str, /, **values: Any) -> Row | None:
        """Run one statement alone and return its first row."""
        with _translated(), self._bounded() as connection:
            return connection.execute(statements()[name], values).fetchone()

    def run(self, name: str, /, **values: Any) -> int:
        """Run one statement alone and return how many rows it touched."""
        with _translated(), self._bounded() as connection:
            return connection.execute(statements()[name], values).rowcount

    @contextmanager
    def own(self) -> Iterator[Work]:
        """Open a transaction of the sync's own: durable, and not captured by the trigger."""
        with _translated(), self._connection() as connection:
            # The pool commits, or rolls back, what is open when the connection comes back.
            connection.execute(self._begin, prepare=False)
            yield Work(connection)


def lasting(
    dsn: str | Callable[[], str],
    *,
    size: int,
    wait: float = POOL_WAIT,
    deadline: float = DEADLINE,
    is_brief: bool = False,
) -> Database:
    """Return a database with connections of its own, for as long as the process lives."""
    pool = open_pool(dsn, size=size, wait=wait, deadline=deadline)
    pool.open(wait=False)
    return Database(pool, is_brief=is_brief)


@contextmanager
def _translated() -> Iterator[None]:
    with _told_apart(), _refused_by_the_owner():
        yield


@contextmanager
def _refused_by_the_owner() -> Iterator[None]:
    try:
        yield
    except psycopg.DatabaseError as error:
        if is_raised_by_the_owner(error):
            raise refusal_of(error) from error
        raise


@contextmanager
def _told_apart() -> Iterator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise DatabaseDown("no database connection", delay=2.0) from error
    except (
        errors.DeadlockDetected,
        errors.SerializationFailure,
        errors.LockNotAvailable,
        errors.QueryCanceled,
    ) as error:
        raise Busy("database busy", delay=1.0) from error
    except errors.FeatureNotSupported as error:
        raise Busy("a table was altered", delay=0.0) from error
    except errors.UniqueViolation as error:
        if error.diag.schema_name == "sync" or error.diag.constraint_name in OUR_KEYS:
            raise AddressTaken(error.diag.constraint_name or "unique", delay=1.0) from error
        raise refusal_of(error) from error
    except errors.CheckViolation as error:
        if error.diag.constraint_name == "erased_subject":
            raise AddressErased("erased_subject") from error
        if error.diag.schema_name == "sync":
            raise
        raise refusal_of(error) from error
    except errors.InsufficientPrivilege as error:
        raise PrivilegeMissing(error.diag.message_primary or "a privilege is missing", delay=CAUSE_DELAY) from error
    except (errors.UndefinedTable, errors.UndefinedColumn, errors.UndefinedFunction, errors.InvalidSchemaName) as error:
        raise SchemaMissing("the database lacks the schema: python -m reconciler db init", delay=5.0) from error
    except errors.ReadOnlySqlTransaction as error:
        raise DatabaseReadOnly("database takes no writes", delay=2.0) from error
    except (errors.DiskFull, errors.OutOfMemory) as error:
        raise DatabaseFull("the database has no space left", delay=CAUSE_DELAY) from error
    except psycopg.InterfaceError as error:
        raise DatabaseDown("database connection lost", delay=2.0) from error
    except psycopg.DatabaseError as error:
        if is_about_a_row(error):
            raise refusal_of(error) from error
        if isinstance(error, psycopg.OperationalError | errors.IdleInTransactionSessionTimeout):
            raise DatabaseDown("database unavailable", delay=2.0) from error
        raise
