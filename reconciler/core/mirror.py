"""What HubSpot's answer to a write means here: for the base, for the row, for the log. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from reconciler.core.blocks import RECORD, Block, digest
from reconciler.core.contact import Contact, CustomerId, IntentId, IntentKind
from reconciler.core.errors import Refused
from reconciler.core.fields import STAGE
from reconciler.core.merge import Conflict, Verdict
from reconciler.core.ports import Sent, Write
from reconciler.core.reasons import Reason
from reconciler.core.values import Value, Values


@dataclass(frozen=True, slots=True)
class Accepted:
    """A write that HubSpot took: the contact with the properties it answered."""

    sent: Sent
    contact: Contact

    @property
    def write(self) -> Write:
        return self.sent.write

    @property
    def uuid(self) -> CustomerId:
        return self.write.pair.uuid

    @property
    def is_new(self) -> bool:
        """Whether the contact was made by it."""
        return self.write.kind is IntentKind.CREATE

    @property
    def pushed(self) -> Values:
        """What the base moves to: the answered values of what was sent, and what the row has as well."""
        answered = {c: self.contact.values[c] for c in self.write.values if c in self.contact.values}
        return {**answered, **{c: v for c, v in self._edited.items() if self._held.get(c) == v}}

    @property
    def fields(self) -> Values:
        """What the row should take: its new values as HubSpot answered them, and what HubSpot added itself.

        A value sent on the way to another one (an address freed, a stage cleared) is not the row's. What was not sent
        is taken only where the row holds its base: a local edit that waits for its turn stays.
        """
        customer, sent = self.write.pair.customer, self.write.values
        assert customer is not None
        local = self._held
        passing = {c for c in sent if sent[c] != customer.values.get(c)}
        left = passing | self._edited.keys()
        return {c: v for c, v in self.contact.values.items() if local.get(c) != v and c not in left}

    @property
    def _edited(self) -> Values:
        """What was answered without being sent, of fields that the row does not hold as agreed."""
        base = self.write.pair.link.base
        answered = {c: v for c, v in self.contact.values.items() if c not in self.write.values}
        return {c: v for c, v in answered.items() if self._held.get(c) != base.get(c)}

    @property
    def _held(self) -> Values:
        """What the row held when it was read."""
        return {} if self.write.pair.customer is None else self.write.pair.customer.held

    @property
    def carried(self) -> Values:
        """What was the row's own when it was sent, as HubSpot answered it, and what HubSpot has beside an edit here: a
        row that holds something else by now is to be looked at again. An API call that HubSpot had before has written
        it, or its look has blocked it.

        A create says of the empty fields, too, that they are empty.
        """
        held: Values = {} if self.write.pair.customer is None else self.write.pair.customer.values
        sent = {c: v for c, v in self.pushed.items() if c in held and self.write.values.get(c) == held[c]}
        own = {**sent, **{c: v for c, v in self._edited.items() if c not in self.write.pair.link.blocks}}
        if self.write.kind is not IntentKind.CREATE:
            return own
        return {**{c: None for c in held if held[c] is None and self.contact.values.get(c) is None}, **own}

    @property
    def cured(self) -> list[str]:
        """The blocks that this answer ends."""
        return [*self.pushed, RECORD]

    @property
    def alive(self) -> bool | None:
        """The new base of being alive; None: it stays."""
        return {IntentKind.ARCHIVE: False, IntentKind.CREATE: True}.get(self.write.kind)

    @property
    def is_archived(self) -> bool:
        """Whether the answer says nothing of the contact's times: an archived one is not shown."""
        return self.write.kind is IntentKind.ARCHIVE

    @property
    def freed_address(self) -> Value:
        """The address that the contact had, and has no more."""
        pair = self.write.pair
        had = pair.contact.values.get("email") if pair.contact is not None else pair.link.base.get("email")
        return had if self.is_archived or self.pushed.get("email", had) != had else None

    @property
    def is_whole(self) -> bool:
        """Whether every value sent was answered, so that the intent is settled."""
        return set(self.write.values) <= set(self.pushed)

    @property
    def earlier(self) -> tuple[IntentId, ...]:
        """The intents that this answer settles too: those whose calls ended long ago."""
        return tuple(intent.id for intent in self.write.pair.intents if intent.is_overdue)

    @property
    def refused(self) -> tuple[Conflict, ...]:
        """The stage that HubSpot did not take: it kept its own."""
        return tuple(each for each in self._otherwise() if each.field == STAGE)

    @property
    def rewritten(self) -> tuple[Conflict, ...]:
        """What HubSpot stores in a form of its own: no person's edit, and nothing is lost."""
        return tuple(each for each in self._otherwise() if each.field != STAGE)

    def _otherwise(self) -> Iterator[Conflict]:
        for field, sent in self.write.values.items():
            if field in self.contact.values and sent is not None and self.contact.values[field] != sent:
                yield Conflict(field=field, winner=Verdict.REMOTE, kept=self.contact.values[field], lost=sent)

    def turned_back(self, written: Values, row: Values) -> dict[str, Block]:
        """Return what blocks the fields whose row took HubSpot's form and has the one that was sent all the same.

        A trigger of the owner's does that: both would rewrite each other's value for ever.
        """
        fields = [each.field for each in self.rewritten if each.field in written and row[each.field] == each.lost]
        return {c: Block.of(Reason.COERCED, c, self.write.values[c]) for c in fields}

    def left_out(self, written: Values, row: Values) -> list[Conflict]:
        """Return what an API write brought to HubSpot and its row, changed meanwhile, did not take: the row wins."""
        if not self.write.hubspot_first:
            return []
        fields = [c for c in self.fields if c in self.pushed and c not in written]
        lost = [c for c in fields if row.get(c) != self.pushed[c]]
        return [Conflict(field=c, winner=Verdict.LOCAL, kept=row[c], lost=self.pushed[c]) for c in lost]


def blocked_by(values: Values, refused: Refused) -> dict[str, Block]:
    """Return what a refusal blocks: the fields that HubSpot named, else the record with these values."""
    named = {field: values[field] for field in refused.fields if field in values}
    if refused.reason is Reason.TAKEN and "email" in values:
        named = {"email": values["email"]}
    failed = named or {RECORD: digest(values)}
    return {field: Block.of(refused.reason, field, value, refused.detail) for field, value in failed.items()}


def blocked_write(write: Write, refused: Refused) -> dict[str, Block]:
    """Return what a refused write blocks; an address that another contact has is for the caller to resolve."""
    blocks = refused.reason not in (Reason.TAKEN, Reason.GONE) and not write.hubspot_first and not refused.suspends
    return blocked_by(write.values, refused) if blocks else {}
