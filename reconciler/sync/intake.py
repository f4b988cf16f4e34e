"""Takes in contacts that only HubSpot has, for a caller who waits: an upsert finds its customer there.

It asks HubSpot by address, and lets the reconciler look at what it found, as at any contact that is not known here.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from time import monotonic
from uuid import uuid4

from reconciler.core.contact import Contact, ContactId, Customer, CustomerId
from reconciler.core.context import Context, OtherLink
from reconciler.core.ports import Budget, CustomerStore, HubSpot, Lane, Marks, Pairs, Subject
from reconciler.core.step import Attach, Step
from reconciler.sync.reconcile import Reconciler
from reconciler.sync.write_through import LEASE_NAP, LEASE_WAIT, AddressHeld, Creating, Done, Erased, Missing, Outcome

CALLS = 2
"""HubSpot calls of an intake: one finds the contacts, one reads them."""


class Intake:
    """Makes customers of contacts. `pushes_deletes`: the contact of a deleted customer is about to be archived."""

    def __init__(
        self,
        *,
        customer_store: CustomerStore,
        marks: Marks,
        pairs: Pairs,
        hubspot: HubSpot,
        budget: Budget,
        reconciler: Reconciler,
        sleep: Callable[[float], None],
        pushes_deletes: bool,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._customer_store, self._marks, self._pairs, self._hubspot = customer_store, marks, pairs, hubspot
        self._budget, self._reconciler, self._sleep = budget, reconciler, sleep
        self._pushes_deletes, self._clock = pushes_deletes, clock

    def take_in(self, addresses: Sequence[str]) -> list[Outcome]:
        """Return for each address, of up to a hundred, the customer made of its contact; `Missing`: it has none.

        The customer's own address is another one where the contact has this one beside it. Nothing is taken from a
        living customer, nor of an erased person.
        """
        with self._budget.reserve(Lane.INTERACTIVE, CALLS):
            found = self._hubspot.find(addresses)
            context = self._around(found.values(), addresses)
            ends = {address: self._end(address, found.get(address), context) for address in addresses}
            free = [found[address] for address in addresses if ends[address] is None]
            self._hand_over(free, context.owners)
            owners = self._link({contact.id for contact in free})
        living = [owner.uuid for owner in owners.values() if owner.is_alive]
        customers = {customer.uuid: customer for customer in self._customer_store.by_uuid(living)}
        return [ends[each] or _outcome(found[each].id, owners, customers) for each in addresses]

    def _around(self, contacts: Iterable[Contact], addresses: Collection[str]) -> Context:
        contacts = list(contacts)
        own = {address for contact in contacts if (address := contact.values.get("email")) is not None}
        return self._pairs.context(addresses=own | set(addresses), contacts={each.id for each in contacts})

    def _end(self, address: str, contact: Contact | None, context: Context) -> Outcome | None:
        """Say why nothing is to be taken in; None where it is."""
        if address in context.tombstoned:
            return Erased()
        if contact is None:
            return Missing()
        own = contact.values.get("email")
        if contact.id in context.ignored or own in context.tombstoned:
            return Erased()
        owner = context.owners.get(contact.id)
        if address in context.holders or own in context.holders or (owner is not None and owner.is_alive):
            return AddressHeld(contact.id)
        is_leaving = owner is not None and not owner.is_placeholder and self._pushes_deletes
        return Creating() if is_leaving else None

    def _hand_over(self, contacts: Iterable[Contact], owners: Mapping[ContactId, OtherLink]) -> None:
        """Take contacts off deleted customers who leave them alive: they get links of their own."""
        for contact in contacts:
            owner = owners.get(contact.id)
            if owner is not None and not owner.is_placeholder:
                claims = self._customer_store.reserve([CustomerId(uuid4())])
                (pair,) = self._pairs.load(claims)
                self._pairs.rearrange([Step(pair=pair, action=Attach(contact.id, owner.uuid))])
                self._reconciler.reconcile(claims)

    def _link(self, contacts: Collection[ContactId]) -> Mapping[ContactId, OtherLink]:
        """Let the reconciler look at the contacts, or another worker that is at them; return whose they are then."""
        if not contacts:
            return {}
        subjects = [Subject.contact(contact) for contact in contacts]
        self._marks.mark(subjects, lane=Lane.INTERACTIVE)
        deadline = self._clock() + LEASE_WAIT
        while True:
            self._reconciler.reconcile(self._marks.claim(len(subjects), only=subjects))
            owners = self._pairs.context(addresses=(), contacts=contacts).owners
            if not any(owner.is_busy and not owner.is_alive for owner in owners.values()) or self._clock() > deadline:
                return owners
            self._sleep(LEASE_NAP)


def _outcome(
    contact: ContactId, owners: Mapping[ContactId, OtherLink], customers: Mapping[CustomerId, Customer]
) -> Outcome:
    owner = owners.get(contact)
    if owner is not None and owner.uuid in customers:
        return Done(customers[owner.uuid])
    # It is blocked, or went away; else it could not be read, or another worker is still at it.
    return AddressHeld(contact) if owner is None or owner.is_blocked else Creating()
