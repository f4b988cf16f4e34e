"""What the processes remember beside the pairs, in memory: cursors, pages met, the brake's hour, the call budget."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from reconciler.core.brake import LIMITS, Danger, Limits, Need
from reconciler.core.contact import Contact, ContactId, CustomerId
from reconciler.core.ports import HubSpotAccount, Lane, Subject
from reconciler.core.reasons import Wake
from simulation.mapped import stays
from simulation.memory.tables import CustomerRow, LinkRow, Tables

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class MemoryRecords:
    """Cursors are saved together with the marks of the page they stand behind."""

    def __init__(self, tables: Tables, limits: Limits = LIMITS) -> None:
        self._tables, self._limits = tables, limits

    def cursor(self, name: str) -> Mapping[str, Any] | None:
        return self._tables.cursors.get(name)

    def number(self) -> int:
        return next(self._tables.numbers)

    def meet(self, contacts: Sequence[Contact], *, lane: Lane, cursor: str, value: Mapping[str, Any]) -> int:
        news = self._tables.news(contacts)
        self._tables.mark([Subject.contact(contact).key for contact in news], int(lane))
        self.save(cursor, value)
        return len(news)

    def save(self, cursor: str, value: Mapping[str, Any]) -> None:
        self._tables.cursors[cursor] = dict(value)

    def miss(self, *, after: int, upto: int, met: Collection[ContactId], lane: Lane) -> int:
        missing = [
            link.contact
            for link in self._tables.links.values()
            if link.contact is not None and after < link.contact <= upto and link.alive and link.contact not in met
        ]
        self._tables.mark({Subject.contact(each).key for each in missing}, int(lane))
        return len(missing)

    def find_rows(self) -> None:
        """Do nothing: the table itself knows all its rows."""

    def drifted(self, *, after: CustomerId, upto: CustomerId, limit: int, lane: Lane) -> tuple[CustomerId | None, int]:
        tables = self._tables
        page = sorted(uuid for uuid in tables.customers if after < uuid <= upto)[:limit]
        last = page[-1] if page else upto
        drifted = {uuid for uuid in page if self._has_drifted(tables.customers[uuid])}
        drifted |= {uuid for uuid, link in tables.links.items() if after < uuid <= last and self._is_bereft(link)}
        tables.mark({Subject.customer(uuid).key for uuid in drifted}, int(lane))
        return (page[-1] if page else None, len(drifted))

    def _is_bereft(self, link: LinkRow) -> bool:
        """Whether the link's row has gone without a word."""
        is_open = link.contact is not None and (link.alive or bool(link.blocks))
        return bool(is_open) and link.uuid not in self._tables.customers and not self._tables.hides_rows

    def _has_drifted(self, row: CustomerRow) -> bool:
        link = self._tables.links.get(row.uuid)
        if row.merged_into is not None or row.erased is not None:
            return False
        if link is None:
            return row.is_alive
        if link.detached:
            return False
        if any(why.reason.wake in (Wake.ADDRESS_FREED, Wake.ALLOWANCE) for why in link.blocks.values()):
            return True
        if link.contact is None:
            return row.is_alive and not link.blocks
        is_alive = True if link.alive is None else link.alive
        return row.is_alive != is_alive or (row.is_alive and self._differs(row, link))

    def _differs(self, row: CustomerRow, link: LinkRow) -> bool:
        """Whether a field is not as was agreed, and that is to go over."""
        fields = self._tables.fields
        return any(
            value != link.base.get(field) and not stays(fields, field, value, here=True)
            for field, value in fields.canonical(row.raw).items()
        )

    def linked(self) -> int:
        return sum(1 for link in self._tables.links.values() if link.contact is not None and link.alive)

    def claim_account(self, account: HubSpotAccount) -> int:
        if self._tables.claimed_portal is None:
            self._tables.claimed_portal = account.portal
        return self._tables.claimed_portal

    def living(self, limit: int, *, apart_from: Collection[ContactId]) -> list[ContactId]:
        links = sorted(self._tables.links.values(), key=lambda link: link.uuid)
        contacts = [link.contact for link in links if link.alive and link.contact is not None]
        return [contact for contact in contacts if contact not in apart_from][:limit]

    def grant(self, needed: Mapping[Need, int]) -> Mapping[Need, int]:
        return {need: self._grant(need, count) for need, count in needed.items()}

    def _grant(self, need: Need, count: int) -> int:
        tables = self._tables
        usual = min(count, max(self._left(need), 0))
        tables.dangers += [(need, tables.now(), usual)] if usual else []
        extra = min(count - usual, tables.allowances.get(need.kind, 0))
        tables.allowances[need.kind] = tables.allowances.get(need.kind, 0) - extra
        return usual + extra

    def _left(self, need: Need) -> int:
        """Return how many of the usual allowance are left in this hour and day."""
        limit, live = self._limits[need.kind], sum(1 for link in self._tables.links.values() if link.alive)
        allowed = max(limit.number, int(limit.share * live))
        allowed = min(allowed, limit.ceiling if limit.ceiling is not None else allowed) - self._passed(need, HOUR)
        return allowed if limit.daily is None else min(allowed, limit.daily - self._passed(need, DAY))

    def _passed(self, need: Need, span: timedelta) -> int:
        since = self._tables.now() - span
        return sum(count for known, at, count in self._tables.dangers if known == need and at > since)

    def allow(self, kind: Danger, count: int) -> tuple[int, int]:
        """Let `count` more of this kind go, and look at as many that are held."""
        tables = self._tables
        tables.allowances[kind] = tables.allowances.get(kind, 0) + count
        held = [
            link for link in tables.links.values() if any(why.reason is kind.reason for why in link.blocks.values())
        ]
        for link in held[:count]:
            link.blocks = {c: why for c, why in link.blocks.items() if why.reason is not kind.reason}
            tables.mark({Subject.customer(link.uuid).key}, 1)
        return min(count, len(held)), len(held)
