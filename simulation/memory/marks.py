"""Marks and leases in memory."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

from reconciler.core.blocks import RECORD, blocked
from reconciler.core.contact import Contact, ContactId, CustomerId
from reconciler.core.ports import DELAYS, LEASE, Claim, Due, Ending, Lane, Subject
from reconciler.core.reasons import Reason, Wake
from reconciler.core.values import normalise_email
from simulation.memory.tables import LinkRow, MarkRow, Tables

BULK = 500
"""Customers changed at once from which on the work is bulk work."""


class MemoryMarks:
    """The work list."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def mark(self, subjects: Collection[Subject], *, lane: Lane, privacy: bool = False) -> None:
        self._tables.mark({subject.key for subject in subjects}, int(lane), privacy=privacy)

    def next_lane(self, lanes: Sequence[Lane]) -> Due | None:
        self._fold()
        due = {subject: mark for subject, mark in self._tables.marks.items() if mark.due <= self._tables.now()}
        has_addresses = any(subject.startswith("e:") for subject in due)
        waiting = {mark.lane for mark in due.values()}
        return next((Due(lane, has_addresses) for lane in lanes if int(lane) in waiting), None)

    def _fold(self) -> None:
        """Turn what the triggers captured, and intents whose answer never came, into marks."""
        tables, now = self._tables, self._tables.now()
        changed: dict[CustomerId, None] = {}
        for uuid, edited, at, deleted in tables.dirty:
            link = tables.ensure_link(uuid)
            link.deleted = (link.deleted or deleted) and uuid not in tables.customers
            link.edited.update((field, max(at, link.edited.get(field, at))) for field in edited)
            why = link.blocks.get(RECORD)
            if edited and why is not None and why.reason.wake is Wake.EDIT:
                del link.blocks[RECORD]
            changed[uuid] = None
        tables.dirty.clear()
        tables.mark([Subject.customer(uuid).key for uuid in changed], 2 if len(changed) > BULK else 1)
        for intent in [each for each in tables.intents.values() if each.deadline < now]:
            row = tables.customers.get(intent.uuid)
            if intent.uuid not in tables.links or (row is not None and row.merged_into is not None):
                del tables.intents[intent.id]
                continue
            intent.is_overdue, intent.deadline = True, now + timedelta(minutes=1)
            mark = tables.marks.get(Subject.customer(intent.uuid).key)
            if mark is None:
                tables.marks[Subject.customer(intent.uuid).key] = MarkRow(next(tables.numbers), now)
            else:
                mark.due = min(mark.due, now)

    def claim(
        self,
        limit: int,
        *,
        lanes: Collection[Lane] = tuple(Lane),
        only: Collection[Subject] | None = None,
    ) -> list[Claim]:
        picked = self._picked(limit, lanes) if only is None else self._wanted(only)
        self._give_links(picked)
        led = {subject: self._resolved(subject) for subject in picked}
        won = {
            uuid: self._lease(self._tables.links[uuid])
            for uuid in sorted(set(filter(None, led.values())))
            if self._is_free(uuid)
        }
        claims: dict[CustomerId, list[tuple[str, MarkRow]]] = {}
        for subject, uuid in led.items():
            if uuid is None:
                del self._tables.marks[subject]
            elif uuid not in won:
                self._tables.marks[subject].due = self._tables.now() + timedelta(seconds=1)
            else:
                claims.setdefault(uuid, []).append((subject, self._tables.marks[subject]))
        return [self._claim(uuid, won[uuid], claims[uuid]) for uuid in won]

    def claim_page(self, contacts: Sequence[Contact], *, lane: Lane, read_at: int) -> list[Claim]:
        tables = self._tables
        news = tables.news(contacts)
        untold = [contact for contact in news if Subject.contact(contact).key not in tables.marks]
        self._give_links([Subject.contact(contact).key for contact in untold])
        links = sorted((link for contact in untold if (link := tables.owner(contact))), key=lambda link: link.uuid)
        claimed = {link.contact: link for link in links if link.lease_until is None and link.fence < read_at}
        tables.mark([Subject.contact(contact).key for contact in news if contact not in claimed], int(lane))
        return [Claim(uuid=link.uuid, fence=self._lease(link)) for link in claimed.values()]

    def _claim(self, uuid: CustomerId, fence: int, marks: Sequence[tuple[str, MarkRow]]) -> Claim:
        attempts = max(max(mark.attempts, mark.crashes) for _, mark in marks)
        for _, mark in marks:
            mark.due, mark.crashes = self._tables.now() + timedelta(seconds=LEASE), mark.crashes + 1
        return Claim(
            uuid=uuid,
            fence=fence,
            marks=tuple((subject, mark.generation) for subject, mark in marks),
            attempts=attempts,
            delays=max(mark.delays for _, mark in marks),
            privacy=any(mark.privacy for _, mark in marks),
        )

    def _picked(self, limit: int, lanes: Collection[Lane]) -> list[str]:
        now = self._tables.now()
        due = [(s, m) for s, m in self._tables.marks.items() if m.due <= now and m.lane in lanes and s[0] != "e"]
        healthy = sorted((m.lane, m.due, s) for s, m in due if m.crashes < 2 and m.delays < DELAYS)
        return [subject for _, _, subject in healthy[:limit]] or [subject for subject, _ in due[:1]]

    def _wanted(self, only: Collection[Subject]) -> list[str]:
        return sorted(subject.key for subject in only if subject.key in self._tables.marks)

    def _give_links(self, picked: Sequence[str]) -> None:
        """Give an unknown contact, and a customer without one, the link a lease sits on."""
        tables = self._tables
        for subject in picked:
            if subject[0] == "c":
                contact = ContactId(int(subject[2:]))
                kind = tables.aliases.get(contact, (None, "former"))[1]
                if kind == "former" and tables.owner(contact) is None:
                    uuid = tables.new_uuid()
                    tables.links[uuid] = LinkRow(uuid, contact)
            elif CustomerId(UUID(subject[2:])) in tables.customers:
                tables.ensure_link(CustomerId(UUID(subject[2:])))

    def _resolved(self, subject: str) -> CustomerId | None:
        tables = self._tables
        if subject[0] == "c":
            link = tables.owner(ContactId(int(subject[2:])))
            uuid, kind = tables.aliases.get(ContactId(int(subject[2:])), (None, ""))
            found = link.uuid if link is not None else uuid if kind == "merged" else None
            return found if found in tables.links else None
        uuid = CustomerId(UUID(subject[2:]))
        if uuid not in tables.links:
            return None
        row = tables.customers.get(uuid)
        found = row.merged_into if row is not None and row.merged_into is not None else uuid
        return found if found in tables.links else None

    def _is_free(self, uuid: CustomerId) -> bool:
        link = self._tables.links.get(uuid)
        return link is not None and not self._tables.is_leased(link)

    def _lease(self, link: LinkRow) -> int:
        link.lease_until = self._tables.now() + timedelta(seconds=LEASE)
        link.fence = next(self._tables.numbers)
        return link.fence

    def addresses(self, limit: int) -> list[tuple[str, int]]:
        tables = self._tables
        due = sorted((m.due, s) for s, m in tables.marks.items() if s[0] == "e" and m.due <= tables.now())[:limit]
        taken = [(subject[2:], tables.marks[subject].generation) for _, subject in due]
        for _, subject in due:
            tables.marks[subject].due = tables.now() + timedelta(seconds=LEASE)
        found = [row for row in (tables.holder(normalise_email(address)) for address, _ in taken) if row is not None]
        tables.mark({Subject.customer(row.uuid).key for row in found}, 1)
        return taken

    def looked_up(self, taken: Sequence[tuple[str, int]]) -> None:
        self._tables.clear_marks([(Subject.address(address).key, generation) for address, generation in taken])

    def finish(self, endings: Sequence[Ending]) -> None:
        endings = [ending for ending in endings if self._holds(ending.claim)]
        self._put_off([e for e in endings if e.is_put_off])
        self._tables.clear_marks([m for e in endings if not e.is_put_off for m in e.claim.marks])
        for ending in endings:
            link = self._tables.links.get(ending.claim.uuid)
            if link is not None:
                link.lease_until, link.fence = None, next(self._tables.numbers)
            if link is not None and ending.is_exhausted:
                link.blocks |= blocked(Reason.EXHAUSTED, RECORD, None)

    def _holds(self, claim: Claim) -> bool:
        link = self._tables.links.get(claim.uuid)
        if link is None:
            # Its contact may lead to another link by now, whose worker is to look at the marks.
            return not any(self._resolved(subject) for subject, _ in claim.marks)
        return link.fence == claim.fence

    def _put_off(self, late: Sequence[Ending]) -> None:
        now = self._tables.now()
        for ending in late:
            due = now + timedelta(seconds=ending.delay)
            for subject, generation in ending.claim.marks:
                mark = self._tables.marks.get(subject)
                if mark is not None:
                    mark.due = due if mark.generation == generation else min(mark.due, now)
                    mark.crashes, mark.attempts = 0, mark.attempts + ending.spend
                    mark.delays = ending.delays
            if not ending.claim.marks:
                subject = Subject.customer(ending.claim.uuid).key
                mark = self._tables.marks.setdefault(subject, MarkRow(next(self._tables.numbers), due))
                mark.due = min(mark.due, due)
