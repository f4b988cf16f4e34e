"""What keeps whole fields, or rows that the owner's table refuses, waiting, in memory."""

from collections.abc import Collection, Mapping

from reconciler.core.ports import Subject
from reconciler.core.reasons import Reason, Wake
from simulation.mapped import value_of
from simulation.memory.tables import Tables


class MemoryGates:
    """The fields that wait for HubSpot's schema, and the rows that wait for other rules of the owner's."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def suspended(self) -> Mapping[str, Reason]:
        return dict(self._tables.suspended)

    def suspend(self, fields: Collection[str], reason: Reason) -> None:
        self._tables.suspended = {**dict.fromkeys(fields, reason), **self._tables.suspended}

    def resume(self, fields: Collection[str]) -> None:
        tables = self._tables
        resumed = [field for field in fields if tables.suspended.pop(field, None) is not None]
        for link in tables.links.values():
            row = tables.customers.get(link.uuid)
            if link.contact is None or row is None or not row.is_alive:
                continue
            if any(value_of(tables.fields, field, row.raw[field]) != link.base.get(field) for field in resumed):
                tables.mark({Subject.customer(link.uuid).key}, 2)

    def lift_refused(self, *, only_if_rules_changed: bool) -> None:
        if only_if_rules_changed:
            return
        for link in self._tables.links.values():
            kept = {c: why for c, why in link.blocks.items() if why.reason.wake is not Wake.RULES}
            if len(kept) < len(link.blocks):
                link.blocks = kept
                self._tables.mark({Subject.customer(link.uuid).key}, 2)
