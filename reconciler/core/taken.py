"""What to do about an address that HubSpot would not give, because another contact has it."""

from reconciler.core.contact import IntentKind
from reconciler.core.context import Context, OtherLink, Rules
from reconciler.core.errors import Refused
from reconciler.core.mirror import blocked_by
from reconciler.core.ports import Write
from reconciler.core.step import Attach, Step, Wait

PATIENCE = 6
"""Looks for which an address is waited for that its holder is giving up."""

CREATE_LOOK = 5.0
"""Seconds until another look at a create that an open one is in the way of."""

RELEASE_LOOK = 1.0
"""Seconds until another look at an address that is being given up, or whose holder is busy."""


def address_taken(write: Write, refused: Refused, context: Context, rules: Rules, *, attempts: int) -> Step:
    """Link with the holder of the address, wait until it gives it up, or block the address."""
    pair, holder, address = write.pair, refused.holder, write.values["email"]
    owner = None if holder is None else context.owners.get(holder)
    claimant = context.holder(address)
    if (owner is None or owner.is_placeholder) and claimant is not None and claimant.uuid != pair.uuid:
        # The contact comes of another caller's create that is still open: wait until that is settled.
        return Step(pair=pair, action=Wait.CREATE, again=CREATE_LOOK)
    if owner is not None and owner.uuid == pair.uuid:
        return Step(pair=pair, again=0)
    if owner is not None and attempts < PATIENCE and owner.is_giving_up(address, rules):
        return Step(pair=pair, action=Wait.RELEASE, again=RELEASE_LOOK)
    is_new = write.kind is IntentKind.CREATE
    if owner is not None and owner.is_busy and is_new and not owner.is_alive:
        return Step(pair=pair, action=Wait.BUSY, again=RELEASE_LOOK)
    if holder is not None and is_new and _is_free(owner) and holder not in context.ignored:
        former = None if owner is None or owner.is_placeholder else owner.uuid
        return Step(pair=pair, action=Attach(holder, former), again=0)
    return Step(pair=pair, blocks=blocked_by(write.values, refused), again=0)


def _is_free(owner: OtherLink | None) -> bool:
    """Whether a contact can be linked: unlinked, a placeholder's, or a deleted customer's that leaves it alive."""
    return owner is None or not owner.is_alive
