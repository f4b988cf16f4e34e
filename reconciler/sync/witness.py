"""Whether HubSpot's word is taken that a contact is gone: is this our account, and does a living contact read well?

A token of another account, or an answer that is not meant, would say of every contact that it is gone.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from time import monotonic

import structlog

from reconciler.core.contact import ABSENT, GONE, ContactId, Pair
from reconciler.core.errors import OtherAccount
from reconciler.core.ports import HubSpot, Witnesses

LOOKED_AT = 5
"""Contacts believed to be alive that are read, of which one must be."""

FRESH = 60.0
"""Seconds for which what was seen of the account counts."""

log = structlog.get_logger()


class Witness:
    """Turns contacts that are gone into missing ones while nothing proves that HubSpot means it."""

    def __init__(self, hubspot: HubSpot, known: Witnesses, clock: Callable[[], float] = monotonic) -> None:
        self._hubspot, self._known, self._clock = hubspot, known, clock
        self._seen = {"account": float("-inf"), "contact": float("-inf")}

    def examined(self, pairs: Sequence[Pair]) -> list[Pair]:
        """Return the pairs; a contact that is gone without proof is only missing. Raises `OtherAccount`."""
        gone = [pair for pair in pairs if pair.remote is GONE and pair.link.contact_id is not None]
        if not gone:
            return list(pairs)
        self._require_account()
        if self._has_living(pairs, gone):
            return list(pairs)
        log.warning("reconcile.absence_not_proven", contacts=len(gone))
        return [replace(pair, remote=ABSENT) if pair.remote is GONE else pair for pair in pairs]

    def one(self) -> set[ContactId]:
        """Return any contact that is believed to be alive; none where no contact is linked yet."""
        return set(self._known.living(1, apart_from=()))

    def _require_account(self) -> None:
        if self._is_fresh("account"):
            return
        account = self._hubspot.account()
        if other := account.other_than(self._known.claim_account(account)):
            raise OtherAccount(other)
        self._seen["account"] = self._clock()

    def _has_living(self, pairs: Sequence[Pair], gone: Sequence[Pair]) -> bool:
        """Whether a contact known to live was read well just now. The only one believed alive needs no other."""
        if any(pair.remote is not None and pair.remote.is_alive for pair in pairs):
            self._seen["contact"] = self._clock()
        if self._is_fresh("contact"):
            return True
        ids = {pair.link.contact_id for pair in gone if pair.link.contact_id is not None}
        others = self._known.living(LOOKED_AT, apart_from=ids)
        if not others:
            return len([pair for pair in gone if pair.link.alive]) <= 1
        if any(snapshot.is_alive for snapshot in self._hubspot.read(others).values()):
            self._seen["contact"] = self._clock()
        return self._is_fresh("contact")

    def _is_fresh(self, what: str) -> bool:
        return self._clock() - self._seen[what] < FRESH
