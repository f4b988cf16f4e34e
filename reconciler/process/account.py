"""What a process checks before it writes anything: the database, the account behind the token, and its properties."""

from collections.abc import Callable
from time import monotonic

import structlog

from reconciler.adapters.postgres.database import Database
from reconciler.adapters.postgres.install import VERSION
from reconciler.core.errors import CopiedDatabase, NewerDatabase, OtherMapping, SyncError, WrongPortal
from reconciler.core.reasons import Reason
from reconciler.process.settings import Database as DatabaseSettings
from reconciler.process.wiring import Parts, open_database

log = structlog.get_logger()


HOME_CHECK = 30.0
"""Seconds for which it is believed that the database is still the same: another may answer under its name."""


class Account:
    """The HubSpot account behind the token, asked before the first write and not again once it is known to be right.

    `problem` is why nothing may be written.
    """

    def __init__(self, parts: Parts, clock: Callable[[], float] = monotonic) -> None:
        self._parts, self._clock = parts, clock
        self._is_known, self._looked = False, float("-inf")
        self.problem: WrongPortal | None = None

    def require(self) -> None:
        """Raise `WrongPortal` if nothing may be written here, `Transient` while that cannot be known."""
        if self._is_known and self.problem is None and self._clock() - self._looked < HOME_CHECK:
            return
        try:
            if self._is_known:
                check_home(self._parts.database, self._parts.mapping)
            else:
                check_portal(self._parts)
        except WrongPortal as error:
            self.problem = error
            raise
        self._is_known, self._looked, self.problem = True, self._clock(), None

    def look(self) -> None:
        """Ask now, so that it is known early; what cannot be known yet is asked again by the first write."""
        try:
            self.require()
        except SyncError as error:
            log.warning("start.account_not_confirmed", reason=str(error))


def check_home(database: Database, mapping: str | None) -> None:
    """Raise `CopiedDatabase` if this is not the database that was linked with the HubSpot account, but a copy.

    Raise `OtherMapping` if it was made for another mapping than the one with this digest (None: the one that ships).
    """
    version = database.row("read_version")
    if version is not None and version["version"] > VERSION:
        raise NewerDatabase(
            f"the database is of version {version['version']}, this program of version {VERSION}: upgrade the program"
        )
    made_for = database.row("read_mapping")
    if (None if made_for is None else made_for["digest"]) != mapping:
        raise OtherMapping(
            "this database was made for another mapping: set MAPPING_FILE to that file, "
            "or bring the database to this one with `python -m reconciler db init`"
        )
    row = database.row("read_home")
    if row is not None and not row["is_here"]:
        raise CopiedDatabase(
            f"this database is a copy of the one that is linked with HubSpot account {row['portal']}: "
            "nothing is written until `python -m reconciler adopt` makes it the one"
        )


def check_portal(parts: Parts) -> None:
    """Raise `WrongPortal` if the token belongs to another account than this database is linked with, or is a copy."""
    check_home(parts.database, parts.mapping)
    parts.budget.shape()
    account = parts.hubspot.account()
    if other := account.other_than(parts.records.claim_account(account)):
        raise WrongPortal(other)
    parts.database.run("claim_home")


def check_properties(parts: Parts) -> None:
    """Let mapped properties wait that HubSpot does not have or does not let us write, and the others go (again)."""
    known, fields = parts.hubspot.properties(), parts.rules().fields
    suspended = parts.gates.suspended()
    for field in fields.names:
        metadata = (known.get(field) or {}).get("modificationMetadata") or {}
        if field not in known:
            log.error("start.property_missing", property=field)
            parts.gates.suspend([field], Reason.UNKNOWN_PROPERTY)
        elif metadata.get("readOnlyValue") and field in fields.to_hubspot:
            log.error("start.property_read_only", property=field)
            parts.gates.suspend([field], Reason.FORBIDDEN)
        elif field in suspended:
            parts.gates.resume([field])


def other_mapping(settings: DatabaseSettings) -> str | None:
    """Return what is wrong if the database was made for another mapping; None also while that cannot be known."""
    try:
        with open_database(settings) as database:
            check_home(database, settings.digest)
    except OtherMapping as error:
        return str(error)
    except SyncError:
        return None
    return None
