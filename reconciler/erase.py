"""Erasing a person on request: HubSpot first, then every trace here.

The privacy bit of a mark made before the call survives a crash between the two.
"""

from reconciler.adapters.postgres.database import Busy
from reconciler.adapters.postgres.desk import PostgresDesk
from reconciler.core.contact import ContactId, CustomerId, IntentKind, Pair
from reconciler.core.errors import Transient
from reconciler.core.fields import normalise_email
from reconciler.core.ports import Ending, Lane, Subject
from reconciler.core.step import Local, Step
from reconciler.start import check_portal
from reconciler.wiring import Parts


def erase(parts: Parts, address: str) -> bool:
    """Erase everybody who has this address, living or deleted; return whether there was one.

    Raises `Transient` while a record is worked on by somebody else, or a create of it is under way: come again.
    Raises `WrongPortal` if the token belongs to another account.
    """
    check_portal(parts)
    wanted = normalise_email(address) or ""
    people = {CustomerId(row["uuid"]) for row in parts.database.rows("people_with", address=wanted)}
    claims = PostgresDesk(parts.database).lease(people)
    try:
        if len(claims) < len(people):
            raise Transient("somebody is working on this customer; come again in a minute", delay=60.0)
        for pair in parts.pairs.load(claims):
            _erase(parts, pair, wanted)
    finally:
        parts.marks.finish([Ending(claim=claim) for claim in claims])
    return bool(people)


def _erase(parts: Parts, pair: Pair, wanted: str) -> None:
    if any(intent.kind is IntentKind.CREATE and not intent.is_overdue for intent in pair.intents):
        raise Transient("a create of this customer is under way; come again in a minute", delay=60.0)
    contact_id = pair.link.contact_id or _contact_of(parts, wanted)
    if contact_id is not None:
        parts.marks.mark([Subject.contact(contact_id)], lane=Lane.INTERACTIVE, privacy=True)
        parts.hubspot.purge(contact_id)
    if parts.pairs.rearrange([Step(pair=pair, local=Local.ERASE)]):
        raise Busy("others' transactions are in the way", delay=1.0)


def _contact_of(parts: Parts, address: str) -> ContactId | None:
    """Return the contact that a create made whose answer was lost, or that nobody has linked yet."""
    contact = parts.hubspot.find([address]).get(address)
    return None if contact is None else contact.id
