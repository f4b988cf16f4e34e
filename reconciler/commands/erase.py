"""Erasing a person on request: noted first, then done by a reconcile as any other, HubSpot before the rows here.

What is noted stays due, through crashes and outages, until HubSpot has confirmed.
"""

from collections.abc import Callable
from contextlib import suppress
from itertools import count
from time import monotonic, sleep

from reconciler.core.contact import CustomerId
from reconciler.core.errors import Transient
from reconciler.core.ports import Lane, Subject
from reconciler.core.values import normalise_email
from reconciler.process.account import check_portal
from reconciler.process.wiring import Parts

PATIENCE = 180.0
"""Seconds for which the outcome is waited for: longer than a lost claim and the deadline of a create together."""

NAPS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between two tries; the last one as often as it takes."""


class StillDue(Transient):
    """The person is not erased yet; the reconciler goes on with it."""


def erase(
    parts: Parts,
    address: str,
    *,
    say: Callable[[str], None] = lambda text: None,
    patience: float = PATIENCE,
    nap: Callable[[float], None] = sleep,
    clock: Callable[[], float] = monotonic,
) -> bool:
    """Erase everybody who has this address, living or deleted; return whether there was one.

    `say` hears once what is waited for. While HubSpot cannot say whose account it is, the erase is noted all the same.

    Raises `StillDue` when that is not over in time; `WrongPortal` if the token belongs to another account.
    """
    with suppress(Transient):
        check_portal(parts)
    wanted = normalise_email(address) or ""
    people = {CustomerId(row["uuid"]) for row in parts.database.rows("request_erasure", address=wanted)}
    deadline = clock() + patience
    for tries in count() if people else ():
        subjects = [Subject.customer(uuid) for uuid in sorted(people)]
        parts.marks.mark(subjects, lane=Lane.INTERACTIVE)
        parts.reconciler.reconcile(parts.marks.claim(len(subjects), only=subjects))
        if not parts.database.rows("erasures_due", uuids=list(people)):
            return True
        if clock() > deadline:
            raise StillDue(_why(parts))
        if not tries:
            say(f"noted; waiting for HubSpot, or for other work on this customer, {patience:.0f} s at most")
        nap(NAPS[min(tries, len(NAPS) - 1)])
    return False


def _why(parts: Parts) -> str:
    causes = [row["reason"] for row in parts.database.rows("causes")]
    return "; ".join(causes) or "HubSpot has not confirmed it, or other work on it is under way (see the log)"
