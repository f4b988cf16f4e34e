"""What a process checks before it writes anything: the account behind the token, and its properties."""

import structlog

from reconciler.core.errors import Code, SyncError, WrongPortal
from reconciler.core.fields import FIELDS
from reconciler.wiring import Parts

log = structlog.get_logger()


class Account:
    """The HubSpot account behind the token, asked before the first write and not again once it is known to be right."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._is_right = parts, False
        self.is_wrong = False

    def require(self) -> None:
        """Raise `WrongPortal` if the token belongs to another account, `Transient` while that cannot be known."""
        if self._is_right:
            return
        try:
            check_portal(self._parts)
        except WrongPortal:
            self.is_wrong = True
            raise
        self._is_right, self.is_wrong = True, False

    def look(self) -> None:
        """Ask now, so that it is known early; what cannot be known yet is asked again by the first write."""
        try:
            self.require()
        except SyncError as error:
            log.warning("start.account_not_confirmed", reason=str(error))


def check_portal(parts: Parts) -> None:
    """Raise `WrongPortal` if the token belongs to another account than this database is linked with."""
    parts.budget.shape()
    account = parts.hubspot.account()
    mine = parts.records.claim_account(account)
    if mine != account.portal:
        raise WrongPortal(f"the token is for HubSpot account {account.portal}, this database belongs to {mine}")


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
