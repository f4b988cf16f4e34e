"""The independent audit: reads both sides whole and says where they differ, and why that may be right.

Written against the promise, not against the sync: it shares no decision code with the reconcile, so that a fault
there cannot hide here.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from reconciler.adapters.postgres.database import Database
from reconciler.core.contact import Contact
from reconciler.core.context import Rules
from reconciler.core.kinds import Direction, WhenEmpty
from reconciler.core.ports import HubSpot, Lane, Marks, Subject
from reconciler.core.reasons import Reason
from reconciler.core.values import Value, Values

PAGE = 1000
SAMPLES = 5


class Finding(StrEnum):
    """Why two sides are, or are not, the same."""

    EQUAL = "equal"
    IN_FLIGHT = "in flight"
    POLICY = "left so by policy"
    HELD = "held"
    PARKED = "parked"
    UNMATCHED = "unmatched"
    DRIFT = "drift"


IN_ORDER = frozenset({Finding.EQUAL, Finding.IN_FLIGHT, Finding.POLICY})
"""Findings that need no person: the sides are equal, or will be, or are to differ."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One record that is not the same on both sides; `fields` differ, or one side is missing."""

    finding: Finding
    subject: str
    fields: tuple[str, ...]


class Audit:
    """Compares every linked pair and every unlinked record."""

    def __init__(self, database: Database, hubspot: HubSpot, marks: Marks, rules: Rules) -> None:
        self._database, self._hubspot, self._marks = database, hubspot, marks
        self._rules, self._mapped = rules, rules.fields
        self.counts: Counter[Finding] = Counter()
        self.samples: defaultdict[Finding, list[Difference]] = defaultdict(list)

    def run(self, *, repair: bool) -> bool:
        """Compare all; mark what drifts if `repair`. Return whether nothing differs but what is on its way or is to."""
        rows = {row["contact"]: row for row in self._customers() if row["contact"] is not None}
        for page in self._pages():
            self._take([self._compare(contact, rows.pop(contact.id, None)) for contact in page], repair)
        self._take([_without_contact(row) for row in rows.values() if _is_alive(row)], repair)
        lonely = [row for row in self._customers() if row["contact"] is None and _is_alive(row)]
        self._take([_without_contact(row) for row in lonely], repair)
        return self.counts.total() == sum(self.counts[finding] for finding in IN_ORDER)

    def lines(self) -> Iterator[str]:
        """Yield the result for people: counts, and samples without a value."""
        for finding in Finding:
            yield f"{self.counts[finding]:>9}  {finding}"
            for each in self.samples[finding]:
                yield f"{'':>11}{each.subject}  {' '.join(each.fields)}".rstrip()

    def _customers(self) -> Iterator[Mapping[str, Any]]:
        after = "00000000-0000-0000-0000-000000000000"
        while rows := self._database.rows("audit_customers", after=after, limit=PAGE):
            yield from rows
            after = str(rows[-1]["uuid"])

    def _pages(self) -> Iterator[Sequence[Contact]]:
        after = None
        while True:
            page = self._hubspot.walk(after)
            yield page.contacts
            after = page.after
            if after is None:
                return

    def _compare(self, contact: Contact, row: Mapping[str, Any] | None) -> Difference:
        subject = Subject.contact(contact.id).key
        if row is None:
            return Difference(self._unknown(contact), subject, ())
        if not _is_alive(row):
            return Difference(_reason(row, ()), subject, ("alive",))
        known = [name for name in self._mapped.names if name in contact.values and not _is_unfit(row, name)]
        fields = tuple(name for name in known if self._is_drift(name, row, contact.values[name]))
        return Difference(_reason(row, fields) if fields else Finding.EQUAL, subject, fields)

    def _is_drift(self, name: str, row: Mapping[str, Any], there: Value) -> bool:
        held: Values = row["canonical"]
        agreed: Values = row["base"]
        here, base, field = held.get(name), agreed.get(name), self._mapped[name]
        if here == there:
            return False
        # What was edited on the side that does not go over stays, and so may an emptying.
        keeps = field.when_empty is WhenEmpty.KEEP
        going = {Direction.TO_HUBSPOT: [here], Direction.TO_POSTGRES: [there]}.get(field.direction, [here, there])
        return any(value != base and not (keeps and value is None) for value in going)

    def _unknown(self, contact: Contact) -> Finding:
        """A contact that no row is linked with: new and on its way, none that becomes one, or unknown."""
        becomes_one = self._rules.inserts and contact.is_wanted
        if not becomes_one or not all(contact.values.get(name) for name in self._rules.requires):
            return Finding.POLICY
        row = self._database.row("audit_contact", contact=contact.id, address=contact.values.get("email"))
        if row is not None and (row["ignored"] or row["outside"]):
            return Finding.POLICY
        if row is not None and row["marked"]:
            return Finding.IN_FLIGHT
        if row is not None and row["held"]:
            return Finding.HELD
        return Finding.PARKED if row is not None and row["blocked"] else Finding.UNMATCHED

    def _take(self, found: Sequence[Difference], repair: bool) -> None:
        for each in found:
            self.counts[each.finding] += 1
            if each.finding is not Finding.EQUAL and len(self.samples[each.finding]) < SAMPLES:
                self.samples[each.finding].append(each)
        wrong = [each for each in found if each.finding in (Finding.DRIFT, Finding.UNMATCHED)]
        if repair and wrong:
            self._marks.mark({Subject(each.subject) for each in wrong}, lane=Lane.AUDIT)


def _is_unfit(row: Mapping[str, Any], field: str) -> bool:
    return isinstance(row["raw"][field], dict)


def _is_alive(row: Mapping[str, Any]) -> bool:
    return row["living"] and row["erasedat"] is None and row["present"]


def _without_contact(row: Mapping[str, Any]) -> Difference:
    reason = _reason(row, ("email",))
    finding = Finding.UNMATCHED if reason is Finding.DRIFT else reason
    return Difference(finding, Subject.customer(row["uuid"]).key, ())


def _reason(row: Mapping[str, Any], fields: Sequence[str]) -> Finding:
    """Say why a pair differs: something is under way, a person decided so, or something is wrong."""
    blocks = row["blocks"] or {}
    named = {field: Reason(blocks[field]["reason"]) for field in blocks if field in fields or field == "*"}
    is_manual = fields and set(fields) <= set(row["undecided"] or ())
    if row["pending"]:
        return Finding.IN_FLIGHT
    if row["detached"]:
        return Finding.POLICY
    if is_manual or any(reason.is_held for reason in named.values()):
        return Finding.HELD
    return Finding.PARKED if "*" in named or (fields and set(fields) <= named.keys()) else Finding.DRIFT
