"""How many writes a process has under way: whatever they wait for, the others find a thread and a connection."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from reconciler.process.bodies import TooMany

WAITING = 24
"""Writes that wait until another one ends."""

PATIENCE = 2.0
"""Seconds that one waits."""


class Places:
    """Lets so many at a time go on, and a few wait; the rest are told to come again."""

    def __init__(self, most: int, *, patience: float = PATIENCE) -> None:
        self._free, self._waiting, self._patience = BoundedSemaphore(most), BoundedSemaphore(WAITING), patience

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take a place; raise `TooMany` if none comes free."""
        if not self._free.acquire(blocking=False):
            self._wait()
        try:
            yield
        finally:
            self._free.release()

    def _wait(self) -> None:
        if not self._waiting.acquire(blocking=False):
            raise TooMany
        try:
            if not self._free.acquire(timeout=self._patience):
                raise TooMany
        finally:
            self._waiting.release()
