"""Concurrent lookups share one query: a round trip costs more than what it brings.

A lookup that comes while a query is under way joins the next one, which begins after it came: no answer is older than
its request. A lookup that is alone does not wait.
"""

from collections.abc import Callable, Collection, Mapping
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class _Round(Generic[T]):
    """The keys of one query, and what was found. `gate` is held until the answer is there."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.found: Mapping[str, T] = {}
        self.error: Exception | None = None
        self.gate = Lock()
        self.gate.acquire()


class SingleFlight(Generic[T]):
    """Looks up one key; `ask` looks up many; what it raises is raised to each caller."""

    def __init__(self, ask: Callable[[Collection[str]], Mapping[str, T]]) -> None:
        self._ask = ask
        self._joining, self._asking = Lock(), Lock()
        self._next: _Round[T] = _Round()

    def __call__(self, key: str) -> T | None:
        with self._joining:
            current = self._next
            leads = not current.keys
            current.keys.add(key)
        if leads:
            self._lead(current)
        else:
            with current.gate:
                pass
        if current.error is not None:
            raise current.error
        return current.found.get(key)

    def _lead(self, current: _Round[T]) -> None:
        """Ask for all that join until the query before this one is answered."""
        with self._asking:
            with self._joining:
                self._next = _Round()
            try:
                current.found = self._ask(current.keys)
            except Exception as error:
                current.error = error
            finally:
                current.gate.release()
