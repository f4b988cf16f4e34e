"""What people and programs wrote, and what they were told: the measure of what may be lost."""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any


@dataclass(slots=True)
class Write:
    """A write of one field, or of being alive. `is_acked`: whoever wrote it was told that it is done."""

    email: str
    field: str
    value: Any
    by: str
    start: float
    end: float = float("inf")
    is_acked: bool = False


class Ledger:
    """Every write from its beginning on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.writes: list[Write] = []
        self.counts: Counter[str] = Counter()
        self.refused: list[Any] = []

    @contextmanager
    def writing(self, by: str, email: str, **values: Any) -> Iterator[list[Write]]:
        """Note writes before they are sent; the block sets `is_acked` by `acknowledge`."""
        writes = [Write(email, field, value, by, monotonic()) for field, value in values.items()]
        with self._lock:
            self.writes += writes
        yield writes

    def acknowledge(self, writes: Sequence[Write]) -> None:
        """The writer was told that it is done."""
        now = monotonic()
        with self._lock:
            for each in writes:
                each.end, each.is_acked = now, True
                self.counts[each.by] += 1

    def withdraw(self, writes: Sequence[Write]) -> None:
        """The writer was told that nothing was written."""
        with self._lock:
            self.writes = [each for each in self.writes if not any(each is other for other in writes)]

    def refuse(self, what: Any) -> None:
        """Somebody was refused who should not have been."""
        with self._lock:
            self.refused.append(what)

    def lost(
        self, state: Mapping[str, Mapping[str, Any]], logged: set[tuple[str, str, Any]]
    ) -> list[tuple[str, str, Any, list[Write]]]:
        """Return what was acknowledged and is neither there, nor overtaken, nor in the log of conflicts.

        `state` is who lives, by address; `logged` the losers as (address, field, value).
        """
        lost = []
        for (email, field), writes in self._by_field().items():
            found = (email in state) if field == "alive" else state.get(email, {}).get(field)
            if field != "alive" and email not in state:
                continue
            last = _last(writes)
            if not any(each.is_acked for each in last) or found in [each.value for each in last]:
                continue
            if not all((email, field, each.value) in logged for each in last if each.is_acked):
                lost.append((email, field, found, writes))
        return lost

    def _by_field(self) -> dict[tuple[str, str], list[Write]]:
        found: dict[tuple[str, str], list[Write]] = {}
        for each in self.writes:
            found.setdefault((each.email, each.field), []).append(each)
        return found


def _last(writes: Sequence[Write]) -> list[Write]:
    """The writes that nobody was told to be overtaken.

    A person's edit in HubSpot overtakes only other people's: one made between our read and our write of the same
    property is overwritten, as documented.
    """
    return [w for w in writes if not any(o.is_acked and o.start > w.end and _overtakes(o, w) for o in writes)]


def _overtakes(later: Write, earlier: Write) -> bool:
    return later.by != "hubspot" or earlier.by == "hubspot"
