"""Customers as the API sees them, in memory."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from reconciler.core.contact import Customer, CustomerId
from reconciler.core.errors import Refused
from reconciler.core.ports import LEASE, Claim, Subject, Write
from reconciler.core.reasons import Reason
from simulation.memory.pairs import lease
from simulation.memory.tables import MarkRow, Tables


class MemoryCustomerStore:
    """Reads by address; reservations and leases for the write-through."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def by_address(self, addresses: Collection[str]) -> Mapping[str, Customer]:
        rows = ((address, self._tables.holder(address)) for address in addresses)
        return {address: row.value(self._tables.fields) for address, row in rows if row is not None}

    def by_uuid(self, uuids: Collection[CustomerId]) -> list[Customer]:
        return [
            row.value(self._tables.fields) for uuid in uuids if (row := self._tables.customers.get(uuid)) is not None
        ]

    def reserve(self, uuids: Collection[CustomerId]) -> list[Claim]:
        return [self._reserve(uuid) for uuid in uuids]

    def _reserve(self, uuid: CustomerId) -> Claim:
        claim = lease(self._tables, self._tables.ensure_link(uuid))
        due = self._tables.now() + timedelta(seconds=LEASE)
        mark = self._tables.marks.setdefault(Subject.customer(uuid).key, MarkRow(0, due))
        mark.generation = next(self._tables.numbers)
        return replace(claim, marks=((Subject.customer(uuid).key, mark.generation),))

    def rehearse(self, writes: Sequence[Write]) -> Mapping[CustomerId, Refused]:
        rule = self._tables.rule
        if rule is None:
            return {}
        refused = Refused(reason=Reason.ROW, fields=frozenset({rule.field}), text=f"{rule.field}_is_allowed")
        tried = [write for write in writes if not self._tables.is_held(write.pair.uuid)]
        return {write.pair.uuid: refused for write in tried if not rule.allows(write.values)}

    def lease(self, uuids: Collection[CustomerId]) -> list[Claim]:
        links = [self._tables.ensure_link(uuid) for uuid in sorted(uuids)]
        free = [link for link in links if not self._tables.is_leased(link) and link.uuid not in self._tables.held]
        return [lease(self._tables, link) for link in free]

    def held(self, uuids: Collection[CustomerId]) -> set[CustomerId]:
        return self._tables.held.intersection(uuids)

    def remove(self, uuid: CustomerId) -> bool:
        return self._tables.remove(uuid)
