"""What happens to single statements: around psycopg's pool, nowhere inside the product."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import Connection
from psycopg_pool import ConnectionPool

from reconciler.adapters.postgres.queries import statements


def name_of(query: Any) -> str:
    """Return the name of a statement."""
    return next((name for name, text in statements().items() if text == query), "script")


class DisturbedPool:
    """A pool on whose connections something happens before a statement runs; what that raises, the statement raises.

    `before` has it by the statement's name.
    """

    def __init__(self, pool: ConnectionPool[Any]) -> None:
        self._pool = pool
        self.before: dict[str, Callable[[], object]] = {}

    @contextmanager
    def connection(self) -> Iterator["_Connection"]:
        with self._pool.connection() as connection:
            yield _Connection(connection, self)


class _Connection:
    def __init__(self, connection: Connection[Any], pool: DisturbedPool) -> None:
        self._connection, self._pool = connection, pool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, query: Any, *arguments: Any, **options: Any) -> Any:
        self._pool.before.get(name_of(query), lambda: None)()
        return self._connection.execute(query, *arguments, **options)


def raising(error: Exception) -> Callable[[], object]:
    """Return what raises this."""

    def fail() -> None:
        raise error

    return fail
