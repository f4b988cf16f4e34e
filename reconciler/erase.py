"""Erasing a person on request: noted first, then done by a reconcile as any other, HubSpot before the rows here.

What is noted stays due, through crashes and outages, until HubSpot has confirmed.
"""

from collections.abc import Callable
from time import monotonic, sleep

from reconciler.core.contact import CustomerId
from reconciler.core.errors import Transient
from reconciler.core.fields import normalise_email
from reconciler.core.ports import Lane, Subject
from reconciler.start import check_portal
from reconciler.wiring import Parts

PATIENCE = 90.0
"""Seconds for which the outcome is waited for: a worker that holds the record, or a create of it, is over by then."""

NAP = 0.5


class StillDue(Transient):
    """The person is not erased yet; the reconciler goes on with it."""


def erase(
    parts: Parts,
    address: str,
    *,
    patience: float = PATIENCE,
    nap: Callable[[float], None] = sleep,
    clock: Callable[[], float] = monotonic,
) -> bool:
    """Erase everybody who has this address, living or deleted; return whether there was one.

    Raises `StillDue` when that is not over in time; `WrongPortal` if the token belongs to another account.
    """
    check_portal(parts)
    wanted = normalise_email(address) or ""
    people = {CustomerId(row["uuid"]) for row in parts.database.rows("request_erasure", address=wanted)}
    deadline = clock() + patience
    while people:
        subjects = [Subject.customer(uuid) for uuid in sorted(people)]
        parts.marks.mark(subjects, lane=Lane.INTERACTIVE)
        parts.reconciler.reconcile(parts.marks.claim(len(subjects), only=subjects))
        if not parts.database.rows("erasures_due", uuids=list(people)):
            return True
        if clock() > deadline:
            raise StillDue(_why(parts))
        nap(NAP)
    return False


def _why(parts: Parts) -> str:
    causes = [row["reason"] for row in parts.database.rows("causes")]
    return "; ".join(causes) or "the record is being worked on"
