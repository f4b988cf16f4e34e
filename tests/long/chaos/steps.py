"""Counts what a process does to the outside, SQL statement by statement and HubSpot call by call, and ends it there.

Stands around psycopg's pool and urllib3, nowhere inside the product: `kill` ends the process, `fail` cuts the
connection, each before the step happens or after it happened and before anybody was told.
"""

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import psycopg
import urllib3
from disturbed import name_of
from psycopg import Connection
from psycopg_pool import ConnectionPool
from urllib3.exceptions import ProtocolError

WRITING = re.compile(r"\b(insert into|update|delete from)\b|sync\.(mark|fold|claim|erase)\(")
BY_TIME = ("stamp_slot",)
"""Statements that run or not by how long something took: they are no steps, for these are numbered."""

BUDGET = re.compile(r"sync\.(slot|day|lane)\b")


@dataclass(slots=True)
class Steps:
    """The steps so far; step `n` (from 1) is the last one, or the one that fails. `n` 0: none."""

    how: str = "kill"
    when: str = "before"
    n: int = 0
    names: list[str] = field(default_factory=list)

    def take(self, name: str, step: Callable[[], Any], fail: Callable[[], Exception]) -> Any:
        """Do a step, unless it is the one."""
        self.names.append(name)
        if len(self.names) != self.n:
            return step()
        try:
            if self.when == "after":
                step()
        finally:
            # A step may be refused, too.
            if self.how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
        raise fail()


class CountingConnection:
    """A connection whose statements and commits are steps."""

    def __init__(self, connection: Connection[Any], steps: Steps) -> None:
        self._connection, self._steps = connection, steps
        self._is_alone = True

    @property
    def prepare_threshold(self) -> int | None:
        return self._connection.prepare_threshold

    def execute(self, query: Any, values: Any = None, **options: Any) -> Any:
        name = name_of(query)
        if name in BY_TIME:
            return self._connection.execute(query, values, **options)
        self._is_alone = self._is_alone and name not in ("begin_own", "begin_own_briefly")
        if self._is_alone and WRITING.search(str(query)) and not BUDGET.search(str(query)):
            name = f"commit {name}"
        return self._steps.take(name, lambda: self._connection.execute(query, values, **options), self._cut)

    def end(self) -> None:
        """Commit what is open."""
        if not self._is_alone:
            self._steps.take("commit", self._connection.commit, self._cut)

    def _cut(self) -> Exception:
        self._connection.close()
        return psycopg.OperationalError("the connection was cut")


class CountingPool:
    """A pool of such connections."""

    def __init__(self, pool: ConnectionPool[Any], steps: Steps) -> None:
        self._pool, self._steps = pool, steps

    @contextmanager
    def connection(self) -> Iterator[CountingConnection]:
        with self._pool.connection() as connection:
            counting = CountingConnection(connection, self._steps)
            yield counting
            counting.end()


def count_calls(steps: Steps) -> None:
    """Make every HTTP call of this process a step."""
    send = urllib3.PoolManager.urlopen

    def urlopen(self: urllib3.PoolManager, method: str, url: str, *arguments: Any, **options: Any) -> Any:
        name = f"{method} {urlsplit(url).path.rpartition('/contacts')[2] or urlsplit(url).path}"
        return steps.take(name, lambda: send(self, method, url, *arguments, **options), _aborted)

    urllib3.PoolManager.urlopen = urlopen  # type: ignore[method-assign]


def _aborted() -> Exception:
    return ProtocolError("Connection aborted.", ConnectionResetError(104, "Connection reset by peer"))
