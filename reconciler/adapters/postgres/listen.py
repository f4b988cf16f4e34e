"""Learns of SQL writes by looking where the triggers note them, for these send no NOTIFY; only commands do."""

import threading
from collections.abc import Callable
from time import monotonic

import psycopg
from psycopg.rows import dict_row

from reconciler.adapters.postgres.database import LINE, Timely
from reconciler.adapters.postgres.queries import statements

PAUSE = 0.015
LONGEST = 0.2
"""Seconds between two looks: at rest for long, a thousandth of that; where what was told of stays, as while Postgres
takes no writes, a tenth of that; and never more than this."""

SHARE = 20
"""A look that takes long, for there is much, is followed by a pause of so many times that."""

RETRY = 5.0
"""Seconds until a lost connection is made again; one that does not answer a look in time is lost, too."""


def listen(dsn: Callable[[], str], wake: Callable[[], None], stopped: threading.Event) -> None:
    """Call `wake` whenever a customer was changed, until `stopped`; `dsn` is asked at each connection."""
    while not stopped.is_set():
        try:
            with Timely.connect(
                dsn(), row_factory=dict_row, autocommit=True, prepare_threshold=None, **LINE
            ) as connection:
                _prepare(connection)
                _look(connection, wake, stopped)
        except psycopg.Error:
            stopped.wait(RETRY)


def _prepare(connection: Timely) -> None:
    """Hear NOTIFY and prepare the look where Postgres itself answers; a pooler lends its sessions to many."""
    row = connection.execute(statements()["backend"]).fetchone()
    if row is not None and row["backend"] == connection.info.backend_pid:
        connection.execute("listen sync_dirty")
        connection.prepare_threshold = 0


def _look(connection: Timely, wake: Callable[[], None], stopped: threading.Event) -> None:
    found = taken = monotonic()
    while not stopped.is_set():
        began = monotonic()
        if connection.execute(statements()["has_dirty"]).fetchone() is not None:
            found = began
            wake()
        else:
            taken = began
        now = monotonic()
        pause = max(PAUSE, (now - began) * SHARE, min(max((now - found) / 1000, (found - taken) / 10), LONGEST))
        for _ in connection.notifies(timeout=pause, stop_after=1):
            wake()
