"""Erasing a person on request: HubSpot first, then every trace here.

The privacy bit of a mark made before the call survives a crash between the two.
"""

from reconciler.adapters.postgres.desk import PostgresDesk
from reconciler.core.contact import ContactId, CustomerId, IntentKind, Pair
from reconciler.core.errors import Transient
from reconciler.core.fields import normalise_email
from reconciler.core.ports import Ending, Lane, Subject
from reconciler.core.step import Local, Step
from reconciler.start import check_portal
from reconciler.wiring import Parts


class AtWork(Transient):
    """A worker has the person's record, or a create of it is under way; the erase is not done yet."""


def erase(parts: Parts, address: str) -> bool:
    """Erase everybody who has this address, living or deleted; return whether there was one.

    Raises `AtWork` while a record is worked on, or a create of it is under way: come again, it may be erased by then.
    Raises `WrongPortal` if the token belongs to another account.
    """
    check_portal(parts)
    wanted = normalise_email(address) or ""
    people = _people_with(parts, wanted)
    claims = PostgresDesk(parts.database).lease(people)
    try:
        if len(claims) < len(people):
            raise AtWork("a worker is at this customer; come again in a minute", delay=60.0)
        for pair in parts.pairs.load(claims):
            _erase(parts, pair, wanted)
    finally:
        parts.marks.finish([Ending(claim=claim) for claim in claims])
    if _people_with(parts, wanted):
        raise AtWork("this customer went to a worker meanwhile; come again in a minute", delay=60.0)
    return bool(people)


def is_erased(parts: Parts, address: str) -> bool:
    """Whether the person with this address was erased, by whomever."""
    wanted = normalise_email(address) or ""
    return wanted in parts.pairs.surroundings(addresses=[wanted], contacts=()).tombstoned


def _people_with(parts: Parts, address: str) -> set[CustomerId]:
    return {CustomerId(row["uuid"]) for row in parts.database.rows("people_with", address=address)}


def _erase(parts: Parts, pair: Pair, wanted: str) -> None:
    if any(intent.kind is IntentKind.CREATE and not intent.is_overdue for intent in pair.intents):
        raise AtWork("a create of this customer is under way; come again in a minute", delay=60.0)
    contact_id = pair.link.contact_id or _contact_of(parts, wanted)
    if contact_id is not None:
        _know_addresses(parts, pair.uuid, contact_id)
        parts.marks.mark([Subject.contact(contact_id)], lane=Lane.INTERACTIVE, privacy=True)
        parts.hubspot.purge(contact_id)
    parts.pairs.rearrange([Step(pair=pair, local=Local.ERASE)])


def _know_addresses(parts: Parts, uuid: CustomerId, contact_id: ContactId) -> None:
    """Remember the addresses that only HubSpot has: with the contact their history goes."""
    contact = parts.hubspot.read([contact_id], history=True)[contact_id].contact
    if contact is not None:
        parts.database.run("know_addresses", uuid=uuid, addresses=sorted(contact.addresses_beside))


def _contact_of(parts: Parts, address: str) -> ContactId | None:
    """Return the contact that a create made whose answer was lost, or that nobody has linked yet."""
    contact = parts.hubspot.find([address]).get(address)
    return None if contact is None else contact.id
