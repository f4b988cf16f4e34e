"""NOTIFY as a latency hint: without it (behind a transaction pooler, say) the drain comes by itself a little later."""

import threading
from collections.abc import Callable

import psycopg

LOOK = 1.0
RETRY = 5.0
"""Seconds between looks at the stop sign, and until a lost connection is made again."""


def listen(dsn: Callable[[], str], wake: Callable[[], None], stopped: threading.Event) -> None:
    """Call `wake` whenever somebody changed a customer, until `stopped`; `dsn` is asked at each connection."""
    while not stopped.is_set():
        try:
            with psycopg.connect(dsn(), autocommit=True, connect_timeout=5) as connection:
                connection.execute("listen sync_dirty")
                while not stopped.is_set():
                    for _ in connection.notifies(timeout=LOOK, stop_after=1):
                        wake()
        except psycopg.Error:
            stopped.wait(RETRY)
