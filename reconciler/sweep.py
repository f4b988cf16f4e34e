"""The sweep: walks all contacts by id and all customers by uuid, and so finds what nothing else told of.

Missing, deleted, merged and drifted records are marked; contacts that a page has just read whole are reconciled
from that page, so a backfill costs one call per hundred.
"""

from collections.abc import Sequence
from uuid import UUID

import structlog

from reconciler.core.contact import Contact, CustomerId
from reconciler.core.errors import EmptyRead
from reconciler.core.ports import Budget, HubSpot, Lane, Marks, Page, Pairs, Progress, Records, Subject
from reconciler.reconcile import Reconciler

FIRST_CUSTOMER = CustomerId(UUID(int=0))
LAST_ID = 2**63 - 1
CUSTOMERS = 1000
"""Customers per look at the local half."""

log = structlog.get_logger()


class Sweep:
    """Walks both sides whole; a walk that was cut off goes on where it stood."""

    def __init__(
        self, *, hubspot: HubSpot, records: Records, marks: Marks, pairs: Pairs, budget: Budget, reconciler: Reconciler
    ) -> None:
        self._hubspot, self._records, self._marks, self._pairs = hubspot, records, marks, pairs
        self._budget, self._reconciler = budget, reconciler

    def run(self, lane: Lane = Lane.AUDIT, progress: Progress = lambda count: None) -> None:
        """Walk HubSpot's contacts, then the customers; `progress` hears how many were met.

        What waits for HubSpot's schema is tried again.
        """
        suspended = self._pairs.surroundings(addresses=(), contacts=()).suspended
        self._pairs.resume(suspended)
        self._contacts(lane, progress)
        self._customers(lane, progress)

    def _contacts(self, lane: Lane, progress: Progress) -> None:
        name = f"sweep {lane.name.lower()}"
        after = (self._records.cursor(name) or {}).get("after")
        while True:
            with self._budget.reserve(lane, 1):
                page = self._hubspot.walk(after)
            self._refuse_empty(after, page)
            self._meet(page, after, name, lane)
            progress(len(page.contacts))
            after = page.after
            if after is None:
                return

    def _refuse_empty(self, after: str | None, page: Page) -> None:
        """A wrong token or filter reads like a portal whose contacts were all deleted."""
        if after is None and not page.contacts and page.after is None and self._records.linked():
            raise EmptyRead("HubSpot lists no contact, but contacts are linked")

    def _meet(self, page: Page, after: str | None, name: str, lane: Lane) -> None:
        news = self._records.meet(page.contacts, lane=lane, cursor=name, value={"after": page.after})
        met = [contact.id for contact in page.contacts]
        begin = int(after) - 1 if after is not None else 0
        upto = int(page.after) - 1 if page.after is not None else LAST_ID
        missing = self._records.miss(after=begin, upto=upto, met=met, lane=lane)
        if missing:
            log.info("sweep.missing", contacts=missing)
        self._reconcile([contact for contact in page.contacts if contact.id in news], lane)

    def _reconcile(self, contacts: Sequence[Contact], lane: Lane) -> None:
        """Reconcile contacts from the page that has just read them."""
        if contacts:
            known = {contact.id: contact for contact in contacts}
            claims = self._marks.claim(len(known), lanes=[lane], only=[Subject.contact(each) for each in known])
            self._reconciler.reconcile(claims, known)

    def _customers(self, lane: Lane, progress: Progress) -> None:
        after: CustomerId | None = FIRST_CUSTOMER
        while after is not None:
            after, drifted = self._records.drifted(after=after, limit=CUSTOMERS, lane=lane)
            progress(drifted)
            if drifted:
                log.info("sweep.drifted", customers=drifted)
