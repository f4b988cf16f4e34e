"""HubSpot writes that are under way, in memory."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from reconciler.core.blocks import RECORD
from reconciler.core.contact import BlindPush, IntentId, IntentKind, Pair
from reconciler.core.errors import Refused
from reconciler.core.mirror import Accepted
from reconciler.core.ports import INTENT_DEADLINE, LEASE, Answer, Sent, Settled, Write, Written
from reconciler.core.reasons import Reason
from reconciler.core.values import Values
from simulation.memory import answers
from simulation.memory.tables import IntentRow, LinkRow, Tables, later


class MemoryOutbox:
    """The intents, and what HubSpot's answers to them change."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def intend(self, writes: Sequence[Write]) -> list[Sent]:
        writes = [write for write in writes if write.values.get("email") not in self._tables.tombstones]
        for write in writes:
            self._tables.log(write.pair.uuid, write.conflicts)
            if write.kind is IntentKind.CREATE and write.pair.link.contact_id:
                self._make_former(write.pair)
        ordered = sorted(writes, key=lambda write: str(write.pair.uuid))
        return [sent for write in ordered if (sent := self._intend(write)) is not None]

    def _make_former(self, pair: Pair) -> None:
        link, contact = self._tables.links.get(pair.uuid), pair.link.contact_id
        if link is not None and contact is not None and link.fence == pair.fence and link.contact == contact:
            self._tables.aliases[contact] = (pair.uuid, "former")
            link.contact, link.alive = None, False
            link.newest_seen, link.merged_through, link.stale_reads = None, None, 0
            link.base, link.base_at, link.blind_pushes, link.late = {}, {}, {}, []

    def _intend(self, write: Write) -> Sent | None:
        tables, link = self._tables, self._tables.links.get(write.pair.uuid)
        is_new = write.kind is IntentKind.CREATE and write.pair.customer is None
        reserved = write.values.get("email") if is_new else None
        if link is None or (write.pair.fence and (link.fence != write.pair.fence or not tables.is_leased(link))):
            return None
        if link.contact != (None if write.kind is IntentKind.CREATE else write.pair.link.contact_id):
            return None
        if write.pair.fence:
            link.lease_until = later(link.lease_until, tables.now() + timedelta(seconds=LEASE))
        if write.kind is IntentKind.UPDATE:
            noted = {c: v for c, v in write.values.items() if write.hubspot_first or c in link.blind_pushes}
            _note_blind_pushes(link, noted, list(tables.intents_of(link.uuid)))
        if reserved is not None and any(intent.reserved == reserved for intent in tables.intents.values()):
            return None
        intent = IntentRow(
            id=IntentId(next(tables.numbers)),
            uuid=link.uuid,
            kind=write.kind,
            values=dict(write.values),
            at=tables.now(),
            deadline=tables.now() + timedelta(seconds=INTENT_DEADLINE),
            hubspot_first=write.hubspot_first,
            reserved=reserved,
            before={c: link.based(c) for c in write.values} if write.kind is IntentKind.UPDATE else {},
        )
        tables.intents[intent.id] = intent
        return Sent(intent=intent.id, write=write)

    def withdraw(self, sent: Sequence[Sent]) -> None:
        self._tables.close([each.intent for each in sent])

    def settle(self, answered: Sequence[tuple[Sent, Answer]]) -> Settled:
        broken = [(sent, answer) for sent, answer in answered if self._is_refused(sent, answer)]
        held = answers.settle(self._tables, [each for each in answered if each not in broken])
        for each in broken:
            answers.settle(self._tables, [each], mirrors=False)
        rule = self._tables.rule
        fields = frozenset() if rule is None else frozenset({rule.field})
        refused = {sent.write.pair.uuid: Refused(reason=Reason.ROW, fields=fields) for sent, _ in broken}
        return Settled(refused=refused, held=frozenset(held))

    def _is_refused(self, sent: Sent, answer: Answer) -> bool:
        """Whether the row that an answer is mirrored into would break the owner's rule."""
        rule = self._tables.rule
        if rule is None or not isinstance(answer, Written) or self._tables.is_held(sent.write.pair.uuid):
            return False
        if sent.write.pair.customer is None:
            return not rule.allows(answer.contact.values)
        return not rule.allows(Accepted(sent, answer.contact).fields)


def _note_blind_pushes(link: LinkRow, values: Values, intents: Sequence[IntentRow]) -> None:
    """Remember what is pushed without a read, and what is sent until its history is looked at."""
    for field, value in values.items():
        known = link.blind_pushes.get(field)
        at = link.base_at.get(field)
        based = None if at is None else datetime.fromtimestamp(at / 1000, UTC)
        if known is None:
            # What is blocked was read, and never agreed nor logged.
            read = None if link.blocks.keys() & {field, RECORD} else link.merged_through
            known = BlindPush(since=later(read, based), base=link.base.get(field), sent=())
        ours = [intent.values[field] for intent in intents if field in intent.values]
        link.blind_pushes[field] = replace(known, sent=(*known.sent, value, *ours))
