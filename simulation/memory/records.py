"""What the processes remember beside the pairs, in memory: cursors, pages met, the brake's hour, the call budget."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from reconciler.core.brake import Danger
from reconciler.core.contact import Contact, ContactId, CustomerId
from reconciler.core.fields import COLUMNS, NORMALISE
from reconciler.core.ports import Lane
from simulation.memory.tables import WAITING, CustomerRow, Tables

LEAST_ALLOWANCE = 100
HOUR = timedelta(hours=1)


class MemoryRecords:
    """Cursors are saved together with the marks of the page they stand behind."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def cursor(self, name: str) -> Mapping[str, Any] | None:
        return self._tables.cursors.get(name)

    def meet(self, contacts: Sequence[Contact], *, lane: Lane, cursor: str, value: Mapping[str, Any]) -> set[ContactId]:
        news = {contact.id for contact in contacts if self._is_news(contact)}
        self._tables.mark({f"c:{each}" for each in news}, int(lane))
        self._tables.cursors[cursor] = dict(value)
        return news

    def _is_news(self, contact: Contact) -> bool:
        if self._tables.aliases.get(contact.id, (None, "former"))[1] != "former":
            return False
        link = self._tables.owner(contact.id)
        return link is None or link.read is None or link.read < contact.updated_at or link.alive is not True

    def miss(self, *, after: int, upto: int, met: Collection[ContactId], lane: Lane) -> int:
        missing = [
            link.contact
            for link in self._tables.links.values()
            if link.contact is not None and after < link.contact <= upto and link.alive and link.contact not in met
        ]
        self._tables.mark({f"c:{each}" for each in missing}, int(lane))
        return len(missing)

    def drifted(self, *, after: CustomerId, upto: CustomerId, limit: int, lane: Lane) -> tuple[CustomerId | None, int]:
        page = sorted(uuid for uuid in self._tables.customers if after < uuid <= upto)[:limit]
        drifted = [uuid for uuid in page if self._has_drifted(self._tables.customers[uuid])]
        self._tables.mark({f"u:{uuid}" for uuid in drifted}, int(lane))
        return (page[-1] if page else None, len(drifted))

    def _has_drifted(self, row: CustomerRow) -> bool:
        link = self._tables.links.get(row.uuid)
        if row.merged_into is not None or row.erased is not None:
            return False
        if link is None:
            return row.is_alive
        if link.detached:
            return False
        if any(why.code in WAITING for why in link.trouble.values()):
            return True
        if link.contact is None:
            return row.is_alive and not link.trouble
        is_alive = True if link.alive is None else link.alive
        return row.is_alive != is_alive or (row.is_alive and _values(row) != link.base)

    def linked(self) -> int:
        return sum(1 for link in self._tables.links.values() if link.contact is not None and link.alive)

    def grant(self, needed: Mapping[Danger, int]) -> Mapping[Danger, int]:
        live = sum(1 for link in self._tables.links.values() if link.alive)
        granted = {}
        for kind, count in needed.items():
            used = sum(n for k, at, n in self._tables.dangers if k == kind and at > self._tables.now() - HOUR)
            granted[kind] = min(count, max(max(LEAST_ALLOWANCE, live // 10) - used, 0))
            if granted[kind]:
                self._tables.dangers.append((kind, self._tables.now(), granted[kind]))
        return granted


def _values(row: CustomerRow) -> dict[str, str]:
    values = {column: NORMALISE[column](row.stored[column]) for column in COLUMNS}
    return {column: value for column, value in values.items() if value is not None}
