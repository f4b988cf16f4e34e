"""The one reconcile: gather both sides of the claimed pairs, decide, apply.

Level-triggered: it is told which pair, never why. Webhook, trigger, poll and sweep all end here; so does every crash,
because what is not cleared is looked at again.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from time import monotonic
from typing import TypeVar

import structlog

from reconciler.core import addresses
from reconciler.core.brake import brake, held, needed
from reconciler.core.contact import Contact, ContactId, CustomerId, IntentKind, Pair, Snapshot
from reconciler.core.context import Context, Rules
from reconciler.core.errors import NotNow, Refused, Transient
from reconciler.core.plan import decide
from reconciler.core.ports import (
    Answer,
    Brakes,
    Budget,
    Claim,
    Ending,
    Gates,
    HubSpot,
    Lane,
    Marks,
    Outbox,
    Pairs,
    Subject,
    Unanswered,
    Write,
)
from reconciler.core.reasons import Reason
from reconciler.core.step import Archive, Attach, Create, Erase, Merge, Rearranging, Step, Wait
from reconciler.core.taken import address_taken
from reconciler.core.values import Values
from reconciler.sync.sender import Result, Sender
from reconciler.sync.witness import Witness

BATCH = 100
"""Pairs per pass: what one HubSpot batch call takes."""

HISTORY_BATCH = 50
"""Ids per read with property history."""

FLOOR_TURN = 20
"""One pass in so many begins with the least urgent lane: its floor of 5 %."""

CALLS_PER_PASS = 2
"""HubSpot calls taken from the budget before a claim: a read and, mostly, one write."""

UNSENT_DELAY = 1.0
"""Seconds until another look at a pair whose write was not sent."""

LOGGED = 10
"""Pairs of a batch that are logged one by one."""

SILENCE = 60.0
"""Seconds between two words about the same wait."""

BUG_DELAY = 30.0
"""Seconds until another look at pairs that met a bug of ours."""

log = structlog.get_logger()

Item = TypeVar("Item")


class Reconciler:
    """Claims marks and makes their pairs equal."""

    def __init__(
        self,
        *,
        marks: Marks,
        pairs: Pairs,
        outbox: Outbox,
        gates: Gates,
        hubspot: HubSpot,
        brakes: Brakes,
        budget: Budget,
        rules: Callable[[], Rules],
        witness: Witness,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._marks, self._pairs, self._gates, self._hubspot = marks, pairs, gates, hubspot
        self._brakes, self._budget, self._rules = brakes, budget, rules
        self._witness = witness
        self._clock = clock
        self._sender = Sender(outbox, hubspot, clock)
        self._turn, self._silent_until = 0, float("-inf")
        self.is_postponed = False

    def drain(self, *, lanes: Collection[Lane] = tuple(Lane)) -> int:
        """Work off what is due; return about how many pairs were looked at."""
        total = 0
        while count := self.drain_once(lanes):
            total += count
        return total

    def drain_once(self, lanes: Collection[Lane]) -> int:
        """Look at one batch of the most urgent lane; return 0 when nothing is due, or no HubSpot call may be made."""
        # Every so often the least urgent goes first: a constant load of the others must not starve it.
        self._turn += 1
        urgent = sorted(lanes, reverse=self._turn % FLOOR_TURN == 0)
        due = self._marks.next_lane(urgent)
        if due is None:
            return 0
        lane = due.lane
        try:
            with self._budget.reserve(lane, CALLS_PER_PASS) as is_probe:
                if due.has_addresses:
                    self._look_up(self._marks.addresses(BATCH), lane)
                claims = self._marks.claim(1 if is_probe else BATCH, lanes=[lane])
                self.reconcile(claims)
        except NotNow as error:
            self._wait(error)
            return 0
        # Due marks may lead to nothing, or to pairs that others hold: there may be more behind them.
        return len(claims) or 1

    def _wait(self, error: NotNow) -> None:
        """Say once in a while that work waits for HubSpot."""
        self.is_postponed = True
        if self._clock() > self._silent_until:
            self._silent_until = self._clock() + SILENCE
            log.warning("reconcile.waiting", reason=error.reason, delay=round(error.delay))

    def _look_up(self, taken: Sequence[tuple[str, int]], lane: Lane) -> None:
        """Turn marks about an address that no customer has into marks about the contact that has it."""
        if taken:
            found = self._hubspot.find([address for address, _ in taken])
            self._marks.mark({Subject.contact(contact.id) for contact in found.values()}, lane=lane)
            self._marks.looked_up(taken)

    def reconcile(self, claims: Sequence[Claim], known: Mapping[ContactId, Contact] | None = None) -> None:
        """Make the claimed pairs equal. `known` are contacts just read from the store (not the search index)."""
        if not claims:
            return
        started = self._clock()
        endings = {claim.uuid: Ending(claim=claim) for claim in claims}
        try:
            steps = self._decided(claims, endings, known or {})
            self._apply(steps, endings)
            _log(steps, self._clock() - started)
            self.is_postponed = False
        except Transient as error:
            self.is_postponed = True
            log.warning("reconcile.postponed", pairs=len(endings), reason=error.reason, delay=error.delay)
            # A cause of the system is no reason to look at any pair alone.
            is_delayed = not error.is_systemic
            endings = {
                u: replace(e, again=max(error.delay, e.again or 0), delayed=is_delayed) for u, e in endings.items()
            }
        except Exception:
            log.exception("reconcile.bug", pairs=len(endings))
            # A batch tells nothing of which of its records it was: each is claimed alone until one shows.
            is_alone = len(endings) == 1
            endings = {u: replace(e, again=BUG_DELAY, spend=is_alone, delayed=True) for u, e in endings.items()}
        if endings:
            self._marks.finish(list(endings.values()))

    def _decided(
        self, claims: Sequence[Claim], endings: dict[CustomerId, Ending], known: Mapping[ContactId, Contact]
    ) -> list[Step]:
        """Gather and decide; holders of addresses that change hands join the batch."""
        pairs = self._gather(claims, known)
        steps, context = self._decide(pairs)
        joined = self._pairs.join(steps)
        if joined:
            endings.update((claim.uuid, Ending(claim=claim)) for claim in joined)
            pairs += self._gather(joined, {})
            steps, context = self._decide(pairs)
        steps = addresses.release(self._with_history(steps, context), context.holders)
        return self._braked(steps)

    def _braked(self, steps: Sequence[Step]) -> list[Step]:
        """Hold what goes beyond the allowance, and say so."""
        danger = needed(steps)
        granted = self._brakes.grant(danger) if danger else {}
        if danger <= Counter(granted):
            return list(steps)
        steps = brake(steps, granted)
        for kind, those in held(steps).items():
            customers = [str(step.pair.uuid) for step in those[:LOGGED]]
            log.warning("brake.holds", kind=kind.value, records=len(those), customers=customers)
        return steps

    def _gather(self, claims: Sequence[Claim], known: Mapping[ContactId, Contact]) -> list[Pair]:
        pairs = self._pairs.load(claims)
        visible = [pair for pair in pairs if not pair.is_hidden]
        wanted = {pair.link.contact_id for pair in visible if pair.link.contact_id is not None} - known.keys()
        if not wanted and self._budget.is_looking:
            # A create alone would not tell that HubSpot knows the paths of reads again.
            wanted = self._witness.one()
        read = {**{i: Snapshot(contact=c) for i, c in known.items()}, **self._read(wanted)}
        lost = {address for pair in visible for address in _looked_for(pair)}
        found = self._hubspot.find(lost) if lost else {}
        visible = self._witness.examined([replace(pair, remote=_remote(pair, read, found)) for pair in visible])
        return [*visible, *(pair for pair in pairs if pair.is_hidden)]

    def _read(self, ids: Collection[ContactId], *, history: bool = False) -> dict[ContactId, Snapshot]:
        read: dict[ContactId, Snapshot] = {}
        for chunk in chunked(sorted(ids), HISTORY_BATCH if history else BATCH):
            read.update(self._hubspot.read(chunk, history=history))
        return read

    def _decide(self, pairs: Sequence[Pair]) -> tuple[list[Step], Context]:
        moving = [pair.contact for pair in pairs if pair.contact is not None and not pair.is_settled]
        context = self._pairs.context(
            addresses={
                a for each in moving for a in (each.values.get("email"), *each.other_addresses) if a is not None
            },
            contacts={contact.id for contact in moving},
            ours=[pair.uuid for pair in pairs],
        )
        rules = self._rules()
        contacts = [pair.contact for pair in pairs if pair.contact is not None]
        context = self._told_of_schema(contacts, rules.fields.names, context)
        return [decide(pair, context, rules) for pair in pairs], context

    def _told_of_schema(self, contacts: Sequence[Contact], mapped: Collection[str], context: Context) -> Context:
        """Let the fields wait that HubSpot's answers do not have, and go again those that they have again."""
        news = context.schema_news(contacts, mapped)
        if news.missing:
            log.error("reconcile.property_missing", properties=sorted(news.missing))
            self._gates.suspend(news.missing, Reason.UNKNOWN_PROPERTY)
        if news.back:
            log.info("reconcile.property_back", properties=sorted(news.back))
            self._gates.resume(news.back)
        return context.told(news)

    def _with_history(self, steps: Sequence[Step], context: Context) -> list[Step]:
        """Decide again, with a second read, what needs the properties' history; its values are the ones used."""
        asking = {step.pair.link.contact_id: step.pair for step in steps if step.action is Wait.HISTORY}
        ids = [contact for contact in asking if contact is not None]
        if not ids:
            return list(steps)
        read, rules = self._read(ids, history=True), self._rules()
        pairs = self._witness.examined([replace(asking[contact], remote=read[contact]) for contact in ids])
        again = {pair.uuid: decide(pair, context, rules) for pair in pairs}
        return [again.get(step.pair.uuid, step) for step in steps]

    def _apply(self, steps: Sequence[Step], endings: dict[CustomerId, Ending]) -> None:
        for step in steps:
            again(endings, step.pair.uuid, step.again)
        purging = [s for s in steps if isinstance(s.action, Erase) and s.action.purges]
        rearranging = [s for s in steps if isinstance(s.action, Rearranging) and s not in purging]
        merging = [s for s in steps if not isinstance(s.action, Rearranging)]
        self._purge(purging, endings)
        ending = {s.pair.uuid: endings[s.pair.uuid].claim for s in merging if s.ends and s.changes_anything}
        left_out = self._pairs.rearrange(rearranging) | self._pairs.merge(merging, ending)
        for uuid in left_out:
            leave_out(endings, uuid)
        for uuid in ending.keys() - left_out:
            del endings[uuid]
        # Deletes before updates before creates: each may free an address that the next one wants.
        self._archive([s for s in merging if isinstance(s.action, Archive)], endings)
        self._update([s for s in merging if isinstance(s.action, Merge) and s.push], endings)
        self._create([s for s in merging if isinstance(s.action, Create)], endings)

    def _purge(self, steps: Sequence[Step], endings: dict[CustomerId, Ending]) -> None:
        """Erase people in HubSpot, then here: only what HubSpot has confirmed is over."""
        for step in steps:
            contact_id = step.pair.link.contact_id or (step.pair.contact.id if step.pair.contact else None)
            assert contact_id is not None
            if step.pair.contact is not None:
                self._pairs.know_addresses(step.pair.uuid, step.pair.contact.addresses_beside)
            try:
                self._hubspot.purge(contact_id)
            except Transient as error:
                log.warning("reconcile.erase_waits", customer=str(step.pair.uuid), reason=error.reason)
                again(endings, step.pair.uuid, error.delay)
                continue
            for uuid in self._pairs.rearrange([step]):
                leave_out(endings, uuid)

    def _archive(self, steps: Sequence[Step], endings: dict[CustomerId, Ending]) -> None:
        for chunk in chunked(steps, BATCH):
            writes = [_write(step, IntentKind.ARCHIVE) for step in chunk]
            self._follow_all(writes, self._sender.archive(writes), endings)

    def _update(self, steps: Sequence[Step], endings: dict[CustomerId, Ending]) -> None:
        for wave in addresses.waves(steps):
            for chunk in chunked(wave, BATCH):
                writes = [replace(_write(u.step, IntentKind.UPDATE), values=u.values) for u in chunk]
                self._follow_all(writes, self._sender.update(writes), endings)

    def _create(self, steps: Sequence[Step], endings: dict[CustomerId, Ending]) -> None:
        for chunk in chunked(steps, BATCH):
            writes = [_write(step, IntentKind.CREATE) for step in chunk]
            self._follow_all(writes, self._sender.create(writes), endings)

    def _follow_all(
        self, writes: Sequence[Write], results: Sequence[Result], endings: dict[CustomerId, Ending]
    ) -> None:
        """Look again at what was not sent: its lease had ended, or its contact is another by now."""
        sent = {write.pair.uuid for write, _ in results}
        for write in writes:
            if write.pair.uuid not in sent:
                again(endings, write.pair.uuid, UNSENT_DELAY)
        for write, answer in results:
            self._follow_up(write, answer, endings)

    def _follow_up(self, write: Write, answer: Answer, endings: dict[CustomerId, Ending]) -> None:
        """Look again where HubSpot refused a part, and find the holder of an address that it would not give."""
        uuid = write.pair.uuid
        if answer is Unanswered.HELD:
            leave_out(endings, uuid)
        elif isinstance(answer, Unanswered):
            # Only what HubSpot leaves out is the record's own fault.
            endings[uuid] = replace(endings[uuid], again=BUG_DELAY, spend=answer is Unanswered.OMITTED)
        elif isinstance(answer, Refused) and answer.reason is Reason.TAKEN:
            self._address_taken(write, answer, endings)
        elif isinstance(answer, Refused):
            fields = sorted(answer.fields)
            log.warning(
                "hubspot.refused", customer=str(uuid), reason=answer.reason, fields=fields, detail=answer.detail
            )
            again(endings, uuid, 0)

    def _address_taken(self, write: Write, refused: Refused, endings: dict[CustomerId, Ending]) -> None:
        uuid, holder, address = write.pair.uuid, refused.holder, write.values["email"]
        context = self._pairs.context(
            addresses=[address] if address else [], contacts=[holder] if holder else [], ours=endings
        )
        step = address_taken(write, refused, context, self._rules(), attempts=endings[uuid].claim.attempts)
        if step.action is Wait.RELEASE and holder is not None:
            self._marks.mark([Subject.contact(holder)], lane=Lane.FRESH)
            endings[uuid] = replace(endings[uuid], again=step.again, spend=True)
            return
        again(endings, uuid, step.again)
        if not isinstance(step.action, Attach):
            self._pairs.merge([step])
        elif self._pairs.rearrange([step]):
            leave_out(endings, uuid)


def _looked_for(pair: Pair) -> list[str]:
    """Name the addresses under which an unlinked pair may have a contact: those of creates whose answer never came.

    And the one it has, if the person is to be erased: that contact may not be linked yet.
    """
    if pair.link.contact_id is not None:
        return []
    creates = [each for each in pair.intents if each.kind is IntentKind.CREATE and each.is_overdue]
    holding: list[Values] = [each.values for each in creates]
    if pair.link.is_erase_due:
        holding += [pair.link.base, *([pair.customer.values] if pair.customer is not None else [])]
    return [address for values in holding if (address := values.get("email")) is not None]


def _remote(pair: Pair, read: Mapping[ContactId, Snapshot], found: Mapping[str, Contact]) -> Snapshot | None:
    if pair.link.contact_id is not None:
        return read[pair.link.contact_id]
    contact = next((found[address] for address in _looked_for(pair) if address in found), None)
    return None if contact is None else Snapshot(contact=contact)


def _write(step: Step, kind: IntentKind) -> Write:
    return Write(pair=step.pair, kind=kind, values=step.push, conflicts=step.conflicts)


def _log(steps: Sequence[Step], seconds: float) -> None:
    """Say what was decided, for which pairs and fields, never a value. What is refused of it has its own line."""
    writing = [step for step in steps if step.writes or isinstance(step.action, Rearranging)]
    if writing:
        log.info("reconcile.batch", pairs=len(steps), decided=len(writing), seconds=round(seconds, 3))
    for step in writing[:LOGGED]:
        log.info(
            "reconcile.decided",
            customer=str(step.pair.uuid),
            contact=step.pair.link.contact_id,
            decision=type(step.action).__name__.lower(),
            to_postgres=sorted(step.pull),
            to_hubspot=sorted(step.push),
        )


def again(endings: dict[CustomerId, Ending], uuid: CustomerId, delay: float | None) -> None:
    """Put the pair's next look `delay` seconds ahead, or sooner if one is already due sooner."""
    if delay is not None:
        ending = endings[uuid]
        endings[uuid] = replace(ending, again=delay if ending.again is None else min(delay, ending.again))


def leave_out(endings: dict[CustomerId, Ending], uuid: CustomerId) -> None:
    """Look again at a pair of which a part could not be written: soon, then more and more seldom."""
    endings[uuid] = replace(endings[uuid], again=0.0, left_out=True)


def chunked(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """Cut a sequence into pieces of at most `size`."""
    return [items[start : start + size] for start in range(0, len(items), size)]
