"""NOTIFY as a latency hint: without it (behind a transaction pooler, say) the drain comes by itself a little later."""

import threading
from collections.abc import Callable
from time import monotonic

import psycopg

from reconciler.adapters.postgres.database import LINE, Timely

LOOK = 1.0
RETRY = 5.0
"""Seconds between looks at the stop sign, and until a lost connection is made again."""

SILENCE = 15.0
"""Seconds without a word after which the line is asked whether it is still there."""


def listen(dsn: str, wake: Callable[[], None], stopped: threading.Event, *, silence: float = SILENCE) -> None:
    """Call `wake` whenever somebody changed a customer, until `stopped`."""
    while not stopped.is_set():
        try:
            with Timely.connect(dsn, autocommit=True, **LINE) as connection:
                connection.execute("listen sync_dirty")
                # What was changed while nobody listened is due, too.
                wake()
                _hear(connection, wake, stopped, silence)
        except psycopg.Error:
            stopped.wait(RETRY)


def _hear(connection: Timely, wake: Callable[[], None], stopped: threading.Event, silence: float) -> None:
    heard = monotonic()
    while not stopped.is_set():
        for _ in connection.notifies(timeout=LOOK, stop_after=1):
            heard = monotonic()
            wake()
        if monotonic() - heard > silence:
            connection.execute("")
            heard = monotonic()
