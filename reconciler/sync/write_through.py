"""API writes: HubSpot first, then the mirror. The same intent, call and settle as the reconcile, for named pairs.

Success means that both sides have held the change; a refusal leaves both as they were; an unknown outcome is
settled by its open intent: both have it or neither has.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from threading import BoundedSemaphore
from time import monotonic

import structlog

from reconciler.core.blocks import RECORD
from reconciler.core.contact import ContactId, Customer, CustomerId, IntentKind, Link, Pair
from reconciler.core.context import Context, OtherLink
from reconciler.core.errors import OutcomeUnknown, Refused, Transient
from reconciler.core.fields import Fields
from reconciler.core.ports import (
    Answer,
    Budget,
    Claim,
    CustomerStore,
    Ending,
    Lane,
    Marks,
    Pairs,
    Subject,
    Unanswered,
    Write,
    Written,
)
from reconciler.core.reasons import Reason
from reconciler.core.step import Attach, Forget, Step
from reconciler.core.values import Values
from reconciler.sync.reconcile import Reconciler
from reconciler.sync.sender import Sender

LEASE_WAIT = 2.0
"""Seconds to wait for a pair that is being worked on, before going ahead without its claim."""

HELD_LOOKS, HELD_NAP = 3, 0.03
"""Further looks at a held row, and seconds before each: a transaction of our own is over by then."""

LEASE_NAP = 0.02

MOST_WAITING = 4
"""Writes of a process that wait for a pair at a time: however many want the same one, others find a thread."""

SETTLING_LOOKS = 2
"""Looks that a create needs whose answer never came: one finds its contact, one inserts the customer."""


log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Done:
    """Both sides have held it. `customer` is None after a delete."""

    customer: Customer | None


@dataclass(frozen=True, slots=True)
class Missing:
    """No live customer has the address."""


@dataclass(frozen=True, slots=True)
class AddressHeld:
    """The address belongs to another contact, in HubSpot under `holder` as far as that is known."""

    holder: ContactId | None


@dataclass(frozen=True, slots=True)
class Erased:
    """The address belongs to a person who was erased."""


@dataclass(frozen=True, slots=True)
class Invalid:
    """HubSpot refused the values."""

    refused: Refused


@dataclass(frozen=True, slots=True)
class Changed:
    """The customer is not any more as the caller saw it, or is being changed."""


@dataclass(frozen=True, slots=True)
class Creating:
    """The customer's contact is just being created by another call; nothing was written."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """HubSpot may have the customer under no address that would show it; nothing was written."""


@dataclass(frozen=True, slots=True)
class Held:
    """The row is held by a transaction, or hidden. Nothing was written, or HubSpot has it and the row follows."""


@dataclass(frozen=True, slots=True)
class Open:
    """It failed on our side: nothing was sent, or HubSpot may have it, and then its open intent settles it."""

    error: Transient


Outcome = Open | Held | Done | Missing | AddressHeld | Erased | Invalid | Changed | Creating | Unknown

Reply = Answer | Open
"""What became of a write that was to be sent."""

Result = tuple[Write, Reply]


class WriteThrough:
    """Creates, updates and deletes customers on both sides, in batches; a single call is a batch of one."""

    def __init__(
        self,
        *,
        customer_store: CustomerStore,
        marks: Marks,
        pairs: Pairs,
        sender: Sender,
        budget: Budget,
        reconciler: Reconciler,
        fields: Fields,
        sleep: Callable[[float], None],
        pushes_deletes: bool,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._customer_store, self._marks, self._pairs, self._sender = customer_store, marks, pairs, sender
        self._budget, self._reconciler, self._sleep = budget, reconciler, sleep
        self._fields = fields
        self._pushes_deletes, self._clock = pushes_deletes, clock
        self._waiting = BoundedSemaphore(MOST_WAITING)

    def create(self, drafts: Sequence[tuple[CustomerId, Values]]) -> list[Outcome]:
        """Create customers under the given uuids; every draft has another address."""
        context = self._pairs.context(addresses={_address(values) for _, values in drafts}, contacts=())
        outcomes: dict[CustomerId, Outcome] = {}
        fresh: dict[CustomerId, Values] = {}
        for uuid, values in drafts:
            holder = context.holders.get(_address(values))
            if _address(values) in context.tombstoned:
                outcomes[uuid] = Erased()
            elif holder is not None:
                outcomes[uuid] = AddressHeld(self._contact_of(holder))
            else:
                fresh[uuid] = values
        rehearsed = [Write(pair=Pair(link=Link(uuid=u)), kind=IntentKind.CREATE, values=v) for u, v in fresh.items()]
        refused = self._customer_store.rehearse(rehearsed)
        outcomes.update((uuid, Invalid(why)) for uuid, why in refused.items())
        outcomes.update(self._create({uuid: values for uuid, values in fresh.items() if uuid not in refused}))
        return [outcomes[uuid] for uuid, _ in drafts]

    def _create(self, fresh: dict[CustomerId, Values]) -> dict[CustomerId, Outcome]:
        if not fresh:
            return {}
        claims = self._customer_store.reserve(list(fresh))
        outcomes: dict[CustomerId, Outcome] = {}
        try:
            pairs = self._pairs.load(claims)
            results = self._send(pairs, fresh)
            outcomes |= _told((write.pair.uuid, partial(self._created, write, reply)) for write, reply in results)
            late = {uuid: values for uuid, values in fresh.items() if uuid not in outcomes}
            outcomes |= self._late([pair for pair in pairs if pair.uuid in late], late)
            return outcomes
        finally:
            # What was not settled here is the reconciler's to look at: a reservation leads nowhere, a create is found.
            self._finish([Ending(claim=each, again=_again(outcomes.get(each.uuid))) for each in claims])

    def _send(self, pairs: Sequence[Pair], fresh: dict[CustomerId, Values]) -> list[Result]:
        """Create the contacts; what was certainly not sent leaves no reservation."""
        writes = [Write(pair=p, kind=IntentKind.CREATE, values=fresh[p.uuid], hubspot_first=True) for p in pairs]
        try:
            with self._budget.reserve(Lane.INTERACTIVE, 1):
                return [*self._sender.create(writes)]
        except Transient as error:
            if not isinstance(error, OutcomeUnknown):
                self._forget(pairs)
            return [(write, Open(error)) for write in writes]

    def _late(self, pairs: Sequence[Pair], unsent: dict[CustomerId, Values]) -> dict[CustomerId, Outcome]:
        """Say why creates were not sent: another request got the address first, or our reservation had ended."""
        if not unsent:
            return {}
        try:
            self._forget(pairs)
            context = self._pairs.context(addresses={_address(values) for values in unsent.values()}, contacts=())
        except Transient as error:
            return dict.fromkeys(unsent, Open(error))
        ended = Open(Transient("the reservation ended before the call"))
        return {u: AddressHeld(None) if _address(values) in context.holders else ended for u, values in unsent.items()}

    def _forget(self, pairs: Sequence[Pair]) -> None:
        self._pairs.rearrange([Step(pair=pair, action=Forget()) for pair in pairs])

    def settle(self, uuid: CustomerId) -> None:
        """Settle an open create of this uuid, if there is one, as the reconciler would: find it, then take it in."""
        subject = Subject.customer(uuid)
        for _ in range(SETTLING_LOOKS):
            self._marks.mark([subject], lane=Lane.INTERACTIVE)
            self._reconciler.reconcile(self._marks.claim(1, only=[subject]))

    def _created(self, write: Write, answer: Reply) -> Outcome:
        if isinstance(answer, Written):
            return Done(self._reread(write, answer))
        if isinstance(answer, Unanswered | Open):
            return _unanswered(answer)
        if answer.reason is Reason.ROW:
            # HubSpot has the contact, and the reconciler takes it back.
            return Invalid(answer)
        self._forget([write.pair])
        if answer.reason is not Reason.TAKEN:
            return Invalid(answer)
        if answer.holder is not None:
            self._marks.mark([Subject.contact(answer.holder)], lane=Lane.INTERACTIVE)
        return AddressHeld(answer.holder)

    def update(self, edits: Sequence[tuple[Customer, Values]], *, strict: bool = False) -> list[Outcome]:
        """Write the named values; every edit is about another customer. `strict`: only if it is still as given."""
        moved = {address for _, values in edits if (address := values.get("email")) is not None}
        context = self._pairs.context(addresses=moved, contacts=()) if moved else Context()
        values_of = {customer.uuid: values for customer, values in edits}
        outcomes: dict[CustomerId, Outcome] = {}
        for customer, values in edits:
            address = values.get("email")
            holder = context.holders.get(address) if address is not None else None
            if address in context.tombstoned:
                outcomes[customer.uuid] = Erased()
            elif holder is not None and holder.uuid != customer.uuid:
                outcomes[customer.uuid] = AddressHeld(self._contact_of(holder))
        pending = [uuid for uuid in values_of if uuid not in outcomes]
        given = {customer.uuid: customer for customer, _ in edits} if strict else {}
        outcomes.update(self._leased(pending, given, lambda pairs: self._update(pairs, values_of)))
        return [outcomes[customer.uuid] for customer, _ in edits]

    def _update(self, pairs: Sequence[Pair], values_of: dict[CustomerId, Values]) -> dict[CustomerId, Outcome]:
        edited = [(_with(pair, values_of[pair.uuid]), values_of[pair.uuid]) for pair in pairs if pair.customer]
        updates = [_update_of(pair, values) for pair, values in edited if pair.link.contact_id is not None]
        ended: dict[CustomerId, Outcome] = {p.uuid: Creating() for p, _ in edited if _may_be_created_by_others(p)}
        ended |= {pair.uuid: Unknown() for pair, _ in edited if _may_have_been_created(pair)}
        refused = self._customer_store.rehearse(
            [_update_of(pair, values) for pair, values in edited if pair.uuid not in ended]
        )
        ended |= {uuid: Invalid(why) for uuid, why in refused.items()}
        updates = [write for write in updates if write.pair.uuid not in refused]
        unlinked = [pair for pair, _ in edited if pair.link.contact_id is None and pair.uuid not in ended]
        creates = [self._create_of(pair) for pair in unlinked]
        results = _sent(self._sender.update, updates) + _sent(self._sender.create, creates)
        return ended | _told((w.pair.uuid, partial(self._updated, w, reply, values_of)) for w, reply in results)

    def _create_of(self, pair: Pair) -> Write:
        assert pair.customer is not None
        going = self._fields.outbound(pair.customer.values)
        values = {field: value for field, value in going.items() if value is not None}
        return Write(pair=pair, kind=IntentKind.CREATE, values=values, hubspot_first=True)

    def _updated(self, write: Write, answer: Reply, values_of: dict[CustomerId, Values]) -> Outcome:
        if isinstance(answer, Written):
            return Done(self._reread(write, answer))
        if isinstance(answer, Refused) and answer.reason is Reason.TAKEN and write.kind is IntentKind.CREATE:
            return self._adopt(write, answer, values_of)
        if isinstance(answer, Unanswered | Open):
            return _unanswered(answer)
        if answer.reason is Reason.TAKEN:
            return AddressHeld(answer.holder)
        if answer.reason is Reason.GONE:
            self._marks.mark([Subject.customer(write.pair.uuid)], lane=Lane.INTERACTIVE)
            return Missing()
        return Invalid(answer)

    def _adopt(self, write: Write, refused: Refused, values_of: dict[CustomerId, Values]) -> Outcome:
        """The customer was not in HubSpot yet, but its address is: take that contact, then write to it."""
        holder = refused.holder
        if holder is None:
            return AddressHeld(None)
        address = write.values.get("email")
        context = self._pairs.context(addresses=[address] if address else [], contacts=[holder])
        owner, claimant = context.owners.get(holder), context.holders.get(address or "")
        if claimant is not None and claimant.uuid != write.pair.uuid:
            # The contact comes of another caller's create that is still open.
            return Creating()
        if owner is not None and not owner.is_placeholder and owner.uuid != write.pair.uuid:
            return AddressHeld(holder)
        self._pairs.rearrange([Step(pair=write.pair, action=Attach(holder))])
        linked = self._pairs.load([Claim(uuid=write.pair.uuid, fence=write.pair.fence)])
        if not linked or linked[0].link.contact_id != holder:
            # Another worker is just linking it.
            return Creating()
        pair = replace(write.pair, link=linked[0].link)
        update = _update_of(pair, values_of[pair.uuid])
        ((_, answer),) = _sent(self._sender.update, [update]) or [(update, Unanswered.UNSENT)]
        return self._updated(update, answer, values_of)

    def delete(self, customers: Sequence[Customer], *, strict: bool = False) -> list[Outcome]:
        """Archive the contacts and soft-delete the customers. `strict`: only those still as given."""
        given = {customer.uuid: customer for customer in customers} if strict else {}
        outcomes = self._leased([customer.uuid for customer in customers], given, self._delete)
        return [outcomes[customer.uuid] for customer in customers]

    def _delete(self, pairs: Sequence[Pair]) -> dict[CustomerId, Outcome]:
        rehearsed = [Write(pair=p, kind=IntentKind.ARCHIVE) for p in pairs if p.customer]
        refused = self._customer_store.rehearse(rehearsed)
        pairs = [pair for pair in pairs if pair.uuid not in refused]
        linked = [p for p in pairs if p.link.contact_id is not None and self._pushes_deletes and p.customer]
        alone = [p for p in pairs if p not in linked and p.customer]
        writes = [Write(pair=p, kind=IntentKind.ARCHIVE, hubspot_first=True) for p in linked]
        results = _sent(self._sender.archive, writes)
        tells = [(pair.uuid, partial(self._removed, pair.uuid)) for pair in alone]
        tells += [(write.pair.uuid, partial(self._deleted, write, reply)) for write, reply in results]
        return {**{uuid: Invalid(why) for uuid, why in refused.items()}, **_told(tells)}

    def _removed(self, uuid: CustomerId) -> Outcome:
        """Delete the row alone; one that is not there to be deleted was not deleted."""
        return Done(None) if self._customer_store.remove(uuid) else Missing()

    def _deleted(self, write: Write, answer: Reply) -> Outcome:
        if isinstance(answer, Refused) and answer.reason is Reason.GONE:
            return self._removed(write.pair.uuid)
        if isinstance(answer, Refused):
            return Invalid(answer)
        return _unanswered(answer) if isinstance(answer, Unanswered | Open) else Done(None)

    def _leased(
        self,
        uuids: Collection[CustomerId],
        given: Mapping[CustomerId, Customer],
        work: Callable[[Sequence[Pair]], dict[CustomerId, Outcome]],
    ) -> dict[CustomerId, Outcome]:
        """Do work on the pairs; the call is reserved first: what waits for one has neither leased nor read a row."""
        if not uuids:
            return {}
        with self._budget.reserve(Lane.INTERACTIVE, 1), self._claimed(set(uuids)) as claims:
            without = set(uuids) - {claim.uuid for claim in claims}
            held: dict[CustomerId, Outcome] = {uuid: Held() for uuid in self._held(without)}
            unclaimed = [Claim(uuid=uuid, fence=0) for uuid in without - held.keys()]
            pairs = self._pairs.load([*claims, *unclaimed])
            pairs = [pair for pair in pairs if pair.customer is not None and pair.customer.is_alive]
            gone = {uuid: Missing() for uuid in uuids if uuid not in held and uuid not in {pair.uuid for pair in pairs}}
            changed = {pair.uuid for pair in pairs if pair.uuid in given and not _is_as(pair, given[pair.uuid])}
            outcomes = work([pair for pair in pairs if pair.uuid not in changed])
            lost = dict.fromkeys(uuids, Open(OutcomeUnknown("a claim was lost before the call")))
            return {**lost, **held, **gone, **outcomes, **dict.fromkeys(changed, Changed())}

    @contextmanager
    def _claimed(self, uuids: set[CustomerId]) -> Iterator[list[Claim]]:
        claims = self._lease(uuids)
        try:
            yield claims
        finally:
            self._finish([Ending(claim=claim) for claim in claims])

    def _finish(self, endings: Sequence[Ending]) -> None:
        """End the claims. Where that fails the writes are what they are: leases and marks end by themselves."""
        try:
            self._marks.finish(endings)
        except Transient as error:
            log.warning("write.claims_left", reason=error.reason)

    def _lease(self, uuids: set[CustomerId]) -> list[Claim]:
        """Lease the pairs; wait a while for the busy ones, then go without: intents and times keep that safe."""
        claims = self._customer_store.lease(uuids)
        if len(claims) == len(uuids) or not self._waiting.acquire(blocking=False):
            return claims
        try:
            deadline = self._clock() + LEASE_WAIT
            while len(claims) < len(uuids) and self._clock() <= deadline:
                self._sleep(LEASE_NAP)
                claims += self._customer_store.lease(uuids - {claim.uuid for claim in claims})
            return claims
        finally:
            self._waiting.release()

    def _held(self, uuids: set[CustomerId]) -> set[CustomerId]:
        """Return those whose row is held for longer than our own transactions ever hold one."""
        held = self._customer_store.held(uuids) if uuids else set()
        for _ in range(HELD_LOOKS):
            if held:
                self._sleep(HELD_NAP)
                held = self._customer_store.held(held)
        return held

    def _contact_of(self, holder: OtherLink) -> ContactId | None:
        """Return the holder's contact id; a holder that only Postgres has is pushed first."""
        if holder.contact_id is not None:
            return holder.contact_id
        subject = Subject.customer(holder.uuid)
        self._marks.mark([subject], lane=Lane.INTERACTIVE)
        self._reconciler.reconcile(self._marks.claim(1, only=[subject]))
        customer = self._customer_store.by_uuid([holder.uuid])
        return customer[0].contact_id if customer else None

    def _reread(self, write: Write, answer: Written) -> Customer:
        """Return the customer as it is now; another row may have adopted the contact."""
        found = self._customer_store.by_uuid([write.pair.uuid])
        if found and write.kind is IntentKind.CREATE and found[0].contact_id != answer.contact.id:
            raise OutcomeUnknown("the customer has another contact by now")
        if found:
            return found[0]
        address = answer.contact.values.get("email") or ""
        adopted = self._customer_store.by_address([address]).get(address)
        if adopted is None:
            raise OutcomeUnknown("the contact is there and its customer is not yet")
        return adopted


def _sent(send: Callable[[Sequence[Write]], Sequence[tuple[Write, Answer]]], writes: Sequence[Write]) -> list[Result]:
    """Send the writes; a call that fails is the end of these, and of no others."""
    try:
        return [*send(writes)] if writes else []
    except Transient as error:
        return [(write, Open(error)) for write in writes]


def _told(tells: Iterable[tuple[CustomerId, Callable[[], Outcome]]]) -> dict[CustomerId, Outcome]:
    """Return how each ends: one that fails on our side harms no other. A database that is away is not asked again."""
    outcomes: dict[CustomerId, Outcome] = {}
    down: Open | None = None
    for uuid, tell in tells:
        try:
            outcomes[uuid] = down or tell()
        except Transient as error:
            outcomes[uuid] = Open(error)
            down = Open(error) if error.is_systemic else None
    return outcomes


def _again(outcome: Outcome | None) -> float | None:
    return 0.0 if outcome is None or isinstance(outcome, Open) else None


def _unanswered(answer: Unanswered | Open) -> Outcome:
    if isinstance(answer, Open):
        return answer
    if answer is Unanswered.HELD:
        return Held()
    return Open(OutcomeUnknown("HubSpot's answer did not mention the record"))


def _is_as(pair: Pair, given: Customer) -> bool:
    """Whether the customer is as the caller saw it, and no change of it is under way."""
    if pair.customer is None or pair.customer.raw != given.raw or pair.customer.is_deleted:
        return False
    return all(given.values.get(c) == v for intent in pair.intents for c, v in intent.values.items())


def _may_be_created_by_others(pair: Pair) -> bool:
    """Whether a create might make a second contact: HubSpot refuses it only while the first has the same address."""
    if pair.link.contact_id is not None:
        return False
    wanted = None if pair.customer is None else pair.customer.values.get("email")
    creates = [intent for intent in pair.intents if intent.kind is IntentKind.CREATE]
    is_under_way = pair.fence == 0 or any(not intent.is_overdue for intent in creates)
    return is_under_way or any(intent.values.get("email") != (wanted or "") for intent in creates)


def _may_have_been_created(pair: Pair) -> bool:
    """Whether a create without an address was never answered: only a person can say whether it has a contact."""
    block = pair.link.blocks.get(RECORD)
    return pair.link.contact_id is None and block is not None and block.reason is Reason.CREATE_UNKNOWN


def _address(values: Values) -> str:
    address = values["email"]
    assert address is not None
    return address


def _with(pair: Pair, values: Values) -> Pair:
    """Return the pair with its customer as it is going to be."""
    assert pair.customer is not None
    return replace(pair, customer=pair.customer.to_hold(values))


def _update_of(pair: Pair, values: Values) -> Write:
    return Write(pair=pair, kind=IntentKind.UPDATE, values=values, hubspot_first=True)
