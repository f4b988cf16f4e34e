"""What a process checks before it writes anything: the account behind the token, and its properties."""

from collections.abc import Callable

import structlog

from reconciler.core.errors import Code, Transient, WrongPortal
from reconciler.core.fields import FIELDS
from reconciler.wiring import Parts

log = structlog.get_logger()


def shape_budget(parts: Parts, sleep: Callable[[float], None]) -> None:
    """Make the budget fit the limits as soon as the database is there."""
    while True:
        try:
            return parts.budget.shape()
        except Transient as error:
            log.warning("start.waiting", reason=error.reason)
            sleep(error.delay)


def check_portal(parts: Parts) -> None:
    """Raise `WrongPortal` if the token belongs to another account than this database is linked with."""
    parts.budget.shape()
    portal = parts.hubspot.portal_id()
    parts.database.run("claim_portal", portal=str(portal))
    row = parts.database.row("read_portal")
    if row is not None and int(row["value"]) != portal:
        raise WrongPortal(f"the token is for HubSpot account {portal}, this database belongs to {row['value']}")


def check_properties(parts: Parts) -> None:
    """Let mapped properties wait that HubSpot does not have or does not let us write, and the others go (again)."""
    known = parts.hubspot.properties()
    suspended = parts.pairs.surroundings(addresses=(), contacts=()).suspended
    for field in FIELDS:
        metadata = (known.get(field.property) or {}).get("modificationMetadata") or {}
        if field.property not in known:
            log.error("start.property_missing", property=field.property)
            parts.pairs.suspend([field.column], Code.UNKNOWN_PROPERTY)
        elif metadata.get("readOnlyValue"):
            log.error("start.property_read_only", property=field.property)
            parts.pairs.suspend([field.column], Code.FORBIDDEN)
        elif field.column in suspended:
            parts.pairs.resume([field.column])
