"""Every HubSpot write of the system: intent, call, answer committed.

The reconciler and the API both send through here. What is certainly not sent is withdrawn; what may have
happened keeps its intent, which settles it later.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from time import monotonic

from reconciler.core.contact import ContactId, IntentKind
from reconciler.core.errors import OutcomeUnknown, Refused, Transient
from reconciler.core.fields import STAGE
from reconciler.core.ports import Answer, HubSpot, Outbox, Sent, Settled, Unanswered, Write, Written
from reconciler.core.reasons import Reason
from reconciler.core.values import Value

SEND_WINDOW = 14.0
"""Seconds after its intent within which a write is sent: the call then ends before lease and intent do."""

Result = tuple[Write, Answer]


class Sender:
    """Sends batches of writes of one kind; each ends in an answer."""

    def __init__(self, outbox: Outbox, hubspot: HubSpot, clock: Callable[[], float] = monotonic) -> None:
        self._outbox, self._hubspot, self._clock = outbox, hubspot, clock

    def create(self, writes: Sequence[Write]) -> list[Result]:
        """Create contacts; an answer per write that was still ours."""
        sent = self._outbox.intend(writes)
        return self._commit(sent, lambda until: self._hubspot.create([each.write.values for each in sent], until=until))

    def update(self, writes: Sequence[Write]) -> list[Result]:
        """Update contacts; a lifecyclestage that HubSpot ignored is cleared and set again.

        What is refused without a word about any value of it is sent in parts: only what is to blame stays behind.
        """
        results = self._forced(writes)
        nameless = [write for write, answer in results if _is_nameless(write, answer)]
        parted = [result for write in nameless for part in _halves(write) for result in self.update([part])]
        return [result for result in results if result[0] not in nameless] + parted

    def _forced(self, writes: Sequence[Write]) -> list[Result]:
        sent, results = self._update(writes)
        moved = [
            each
            for each, (_, answer) in zip(sent, results, strict=True)
            if isinstance(answer, Written) and _moves_stage(each.write)
        ]
        ignored = self._read_back(moved)
        return self._force_stages(ignored, results) if ignored else results

    def _force_stages(self, ignored: Sequence[tuple[Sent, Value]], results: list[Result]) -> list[Result]:
        """Clear and set the stages that HubSpot ignored, in two calls; where it will not, put the old one back."""
        cleared, _ = self._update([_stage_write(each.write, None) for each, _ in ignored])
        again, answers = self._update([_stage_write(each.write, each.write.values[STAGE]) for each, _ in ignored])
        failed = {write.pair.uuid: answer for write, answer in answers if not isinstance(answer, Written)}
        refused = {uuid for uuid, answer in failed.items() if isinstance(answer, Refused)}
        back = [_stage_write(each.write, stage) for each, stage in ignored if each.write.pair.uuid in refused]
        restored, _ = self._update(back) if back else ([], [])
        # What a caller is told of as refused is not lost.
        told = [each for each, _ in ignored if each.write.hubspot_first and each.write.pair.uuid in refused]
        moved = [each for each, _ in ignored if each not in told]
        self._read_back(moved, passing=[*cleared, *again, *restored, *told])
        return [(write, failed.get(write.pair.uuid, answer)) for write, answer in results]

    def archive(self, writes: Sequence[Write]) -> list[Result]:
        """Archive contacts."""
        sent = self._outbox.intend(writes)
        ids = [contact_id(each.write) for each in sent]
        return self._commit(sent, lambda until: self._hubspot.archive(ids, until=until))

    def _update(self, writes: Sequence[Write]) -> tuple[list[Sent], list[Result]]:
        sent = self._outbox.intend(writes)
        edits = [(contact_id(each.write), each.write.values) for each in sent]

        def call(until: float) -> list[Answer]:
            answers = self._hubspot.update(edits, until=until)
            return [_blamed(_without_stage(answer, each), each) for answer, each in zip(answers, sent, strict=True)]

        return sent, self._commit(sent, call)

    def _commit(self, sent: Sequence[Sent], call: Callable[[float], Sequence[Answer]]) -> list[Result]:
        if not sent:
            return []
        try:
            answers = call(self._clock() + SEND_WINDOW)
        except OutcomeUnknown:
            raise
        except Transient:
            self._outbox.withdraw(sent)
            raise
        try:
            return self._settle(sent, answers)
        except Transient as error:
            # HubSpot has been called: whatever fails from here on is no refusal, the open intents settle it.
            raise OutcomeUnknown(error.reason, delay=error.delay) from error

    def _settle(self, sent: Sequence[Sent], given: Sequence[Answer]) -> list[Result]:
        self._outbox.withdraw([each for each, answer in zip(sent, given, strict=True) if answer is Unanswered.UNSENT])
        answered = list(zip(sent, given, strict=True))
        settled = self._outbox.settle(answered)
        return [(each.write, self._with_holder(each, _answer(each, answer, settled))) for each, answer in answered]

    def _with_holder(self, sent: Sent, answer: Answer) -> Answer:
        """Find the contact that has an address, when HubSpot refuses it without saying so and can be asked now."""
        address = sent.write.values.get("email")
        if not isinstance(answer, Refused) or answer.reason is not Reason.TAKEN or answer.holder or address is None:
            return answer
        with suppress(Transient):
            holder = self._hubspot.find([address]).get(address)
            return answer if holder is None else replace(answer, holder=holder.id)
        return answer

    def _read_back(self, moved: Sequence[Sent], *, passing: Sequence[Sent] | None = None) -> list[tuple[Sent, Value]]:
        """Commit the stages that HubSpot has; return the writes it ignored with the stage it kept.

        With the `passing` writes of a second try, what HubSpot has is accepted, and these end with it.
        """
        looked_at = [*moved, *(passing or ())]
        if not looked_at:
            return []
        read = self._hubspot.read({contact_id(each.write) for each in looked_at})
        taken, ignored = [], []
        for each in moved:
            contact = read[contact_id(each.write)].contact
            if contact is None:
                continue
            stage = contact.values.get(STAGE)
            if passing is not None or stage == each.write.values[STAGE]:
                taken.append((each, Written(contact=replace(contact, values={STAGE: stage}))))
            else:
                ignored.append((each, stage))
        for each in passing or ():
            contact = read[contact_id(each.write)].contact
            if contact is not None:
                values = {STAGE: contact.values.get(STAGE)}
                ended = Sent(intent=each.intent, write=replace(each.write, values=values))
                taken.append((ended, Written(contact=replace(contact, values=values))))
        self._outbox.settle(taken)
        return ignored


def _answer(sent: Sent, answer: Answer, settled: Settled) -> Answer:
    if sent.intent in settled.held:
        return Unanswered.HELD
    # An API write whose row was refused did not succeed, although HubSpot has it for a moment.
    return settled.refused.get(sent.write.pair.uuid, answer) if sent.write.hubspot_first else answer


def contact_id(write: Write) -> ContactId:
    """Return the contact that the write is about."""
    assert write.pair.link.contact_id is not None
    return write.pair.link.contact_id


def _is_nameless(write: Write, answer: Answer) -> bool:
    """Whether HubSpot refused a record for none of the values sent. An API write is refused as a whole."""
    if not isinstance(answer, Refused) or write.hubspot_first or len(write.values) < 2:
        return False
    is_of_record = answer.reason in (Reason.TAKEN, Reason.GONE, Reason.ADDRESS_BLOCKED)
    return not is_of_record and not answer.fields & write.values.keys()


def _halves(write: Write) -> list[Write]:
    fields = sorted(write.values)
    parts = (fields[: len(fields) // 2], fields[len(fields) // 2 :])
    return [replace(write, values={c: write.values[c] for c in part}, conflicts=()) for part in parts]


def _blamed(answer: Answer, sent: Sent) -> Answer:
    """Return a refusal of a single value as one of that value, whatever HubSpot names."""
    if not isinstance(answer, Refused) or len(sent.write.values) != 1 or answer.reason in (Reason.TAKEN, Reason.GONE):
        return answer
    return replace(answer, fields=answer.fields | sent.write.values.keys())


def _moves_stage(write: Write) -> bool:
    return write.values.get(STAGE) is not None


def _without_stage(answer: Answer, sent: Sent) -> Answer:
    """Drop the stage from an answer: HubSpot may echo one that it ignores, only a read tells."""
    if not isinstance(answer, Written) or not _moves_stage(sent.write):
        return answer
    values = {field: value for field, value in answer.contact.values.items() if field != STAGE}
    return Written(contact=replace(answer.contact, values=values))


def _stage_write(write: Write, stage: Value) -> Write:
    # A stage on the way to another one is not what the row is to take.
    is_target = stage == write.values[STAGE]
    return replace(
        write,
        kind=IntentKind.UPDATE,
        values={STAGE: stage},
        conflicts=(),
        hubspot_first=write.hubspot_first and is_target,
    )
