"""Which API calls arrived: counters for each endpoint and the last ones in full.

Tests count on it, the page shows it. Calls under /sandbox/ are not counted.
"""

import re
import threading
from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any

from sandbox.settings import Switches

_RECORD = re.compile(r"(/crm/v3/objects/contacts)/(?!batch/|search$|merge$|gdpr-delete$)[^/]+$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call as it was answered; status 0 when the connection was cut instead."""

    at: int
    method: str
    path: str
    status: int
    ms: float
    fault: str | None = None


class CallLog:
    """The calls since the last clear."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._statuses: Counter[int] = Counter()
        self._recent: deque[Call] = deque()

    def note(self, call: Call) -> None:
        """Count a call."""
        with self._lock:
            self._counts[endpoint(call.method, call.path)] += 1
            self._statuses[call.status] += 1
            self._recent.append(call)
            while len(self._recent) > self._switches.current.calls_kept:
                self._recent.popleft()

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._counts.clear()
            self._statuses.clear()
            self._recent.clear()

    @property
    def total(self) -> int:
        """How many calls there were."""
        with self._lock:
            return self._counts.total()

    @property
    def counts(self) -> dict[str, int]:
        """Calls by "METHOD /path", record ids replaced by {id}."""
        with self._lock:
            return dict(self._counts)

    @property
    def statuses(self) -> dict[int, int]:
        """Calls by status."""
        with self._lock:
            return dict(self._statuses)

    @property
    def recent(self) -> list[Call]:
        """The last calls, oldest first."""
        with self._lock:
            return list(self._recent)

    def to_json(self) -> dict[str, Any]:
        """Return all of it, the newest call first."""
        return {
            "total": self.total,
            "counts": self.counts,
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "recent": [asdict(call) for call in reversed(self.recent)],
        }


def endpoint(method: str, path: str) -> str:
    """Return the name under which a call is counted."""
    shape = _RECORD.sub(r"\1/{id}", path.partition("?")[0])
    return f"{method} {shape}"
