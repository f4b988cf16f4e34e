"""Erasing a person on request: HubSpot first, then every trace here.

The privacy bit of a mark made before the call survives a crash between the two.
"""

from reconciler.adapters.postgres.desk import PostgresDesk
from reconciler.core.contact import ContactId, IntentKind
from reconciler.core.errors import Transient
from reconciler.core.fields import normalise_email
from reconciler.core.ports import Lane, Subject
from reconciler.core.step import Local, Step
from reconciler.wiring import Parts


def erase(parts: Parts, address: str) -> bool:
    """Erase the live customer with this address; return whether there was one."""
    wanted = normalise_email(address) or ""
    customer = PostgresDesk(parts.database).by_address([wanted]).get(wanted)
    if customer is None:
        return False
    subject = Subject.customer(customer.uuid)
    parts.marks.mark([subject], lane=Lane.INTERACTIVE)
    claims = parts.marks.claim(1, only=[subject])
    for pair in parts.pairs.load(claims):
        if any(intent.kind is IntentKind.CREATE and not intent.is_overdue for intent in pair.intents):
            raise Transient("a create of this customer is under way; come again in a minute", delay=60.0)
        contact_id = pair.link.contact_id or _contact_of(parts, wanted)
        if contact_id is not None:
            parts.marks.mark([Subject.contact(contact_id)], lane=Lane.INTERACTIVE, privacy=True)
            parts.hubspot.purge(contact_id)
        parts.pairs.rearrange([Step(pair=pair, local=Local.ERASE)])
    return bool(claims)


def _contact_of(parts: Parts, address: str) -> ContactId | None:
    """Return the contact that a create made whose answer was lost, or that nobody has linked yet."""
    contact = parts.hubspot.find([address]).get(address)
    return None if contact is None else contact.id
