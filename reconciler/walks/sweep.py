"""The sweep: walks all contacts by id and all customers by uuid, and so finds what nothing else told of.

Missing, deleted, merged and drifted records are marked; contacts that a page has just read whole are reconciled
from that page, so a backfill costs one call per hundred. Several walkers read at once: one page after another could
not reach HubSpot's rate.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from time import monotonic
from uuid import UUID

import structlog

from reconciler.core.contact import Contact, CustomerId
from reconciler.core.errors import EmptyRead, Transient
from reconciler.core.ports import Budget, Gates, HubSpot, Lane, Marks, Page, Progress, Records
from reconciler.sync.reconcile import Reconciler
from reconciler.walks.id_ranges import END, EVERYTHING, Division, Interval, Stretch, needed, without

LAST_UUID = 2**128 - 1
ENGINES = 4
"""Walkers that work in Postgres at once: more would only wait for each other, and for connections."""

CUSTOMERS = 1000
"""Customers per look at the local half."""

log = structlog.get_logger()


class Sweep:
    """Walks both sides whole; a walk that was cut off goes on where it stood.

    As many read HubSpot at once as make its `rate` of calls a second, and no more than `walkers`.
    """

    def __init__(
        self,
        *,
        hubspot: HubSpot,
        records: Records,
        marks: Marks,
        gates: Gates,
        budget: Budget,
        reconciler: Reconciler,
        rate: float,
        walkers: int,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._hubspot, self._records, self._marks, self._gates = hubspot, records, marks, gates
        self._budget, self._reconciler = budget, reconciler
        self.rate, self._walkers, self.clock = rate, walkers, clock
        self.at_work = threading.BoundedSemaphore(ENGINES)

    def run(self, lane: Lane = Lane.AUDIT, progress: Progress = lambda count: None) -> None:
        """Walk HubSpot's contacts, then the customers; `progress` hears how many were met.

        What waits for HubSpot's schema, or for the owner's table, is tried again.
        """
        suspended = self._gates.suspended()
        self._gates.resume(suspended)
        self._gates.lift_refused(only_if_rules_changed=False)
        try:
            _Walk(self, lane, progress, self._walkers).run()
        except EmptyRead:
            # What is held is looked at again all the same: the last contact's customer waits for that.
            self._customers(lane, progress)
            raise
        self._customers(lane, progress)

    def begin(self, cursor: str) -> list[Interval]:
        """Return what a walk has to read."""
        return [(low, high) for low, high in (self._records.cursor(cursor) or {}).get("unread") or EVERYTHING]

    def highest(self, lane: Lane) -> int | None:
        """Return about the highest id there is; None if that cannot be told now."""
        try:
            with self._budget.reserve(lane, 1):
                return self._hubspot.highest()
        except Transient as error:
            log.warning("sweep.undivided", reason=error.reason)
            return None

    def call(self, lane: Lane) -> AbstractContextManager[object]:
        """Wait for a call."""
        return self._budget.reserve(lane, 1)

    def number(self) -> int:
        """Return the number at which a page is read."""
        return self._records.number()

    def read(self, start: int) -> Page:
        """Read a page from an id on."""
        page = self._hubspot.walk(str(start) if start else None)
        if start == 0 and not page.contacts and page.after is None and self._records.linked():
            # A wrong token or filter reads like a portal whose contacts were all deleted.
            raise EmptyRead("HubSpot lists no contact, but contacts are linked")
        return page

    def meet(
        self,
        contacts: Sequence[Contact],
        part: Interval,
        *,
        cursor: str,
        unread: Sequence[Interval],
        lane: Lane,
        read_at: int,
    ) -> None:
        """Mark what is missing in a part of the id space, and reconcile the news from its page.

        The page counts for what was not marked, claimed or let go since it was read at the number `read_at`.
        """
        start, end = part
        met = [contact.id for contact in contacts]
        missing = self._records.miss(after=start - 1, upto=end - 1, met=met, lane=lane)
        if missing:
            log.info("sweep.missing", contacts=missing)
        claims = self._marks.claim_page(contacts, lane=lane, read_at=read_at)
        self._reconciler.reconcile(claims, {contact.id: contact for contact in contacts})
        # Only now: a page that was not worked off is read again.
        self._records.save(cursor, {"unread": unread})

    def end(self, cursor: str) -> None:
        """Let the next walk begin anew."""
        self._records.save(cursor, {"unread": []})

    def _customers(self, lane: Lane, progress: Progress) -> None:
        """Walk the customers, when those without a contact are known; several parts of their uuids at once."""
        self._records.find_rows()
        count, telling = min(ENGINES, self._walkers), threading.Lock()
        bounds = [CustomerId(UUID(int=LAST_UUID * n // count)) for n in range(count + 1)]

        def walk(n: int) -> None:
            after: CustomerId | None = bounds[n]
            while after is not None:
                after, drifted = self._records.drifted(after=after, upto=bounds[n + 1], limit=CUSTOMERS, lane=lane)
                with telling:
                    progress(drifted)
                if drifted:
                    log.info("sweep.drifted", customers=drifted)

        _at_once(walk, count)


class _Walk:
    """One walk over the contacts by several walkers; the first failure ends it for all."""

    def __init__(self, sweep: Sweep, lane: Lane, progress: Progress, walkers: int) -> None:
        self._sweep, self._lane, self._progress = sweep, lane, progress
        self._cursor = f"sweep {lane.name.lower()}"
        self._unread = sweep.begin(self._cursor)
        self._division = Division(self._unread, walkers)
        self._meeting = 0.0
        self._moved = threading.Condition()
        self._walkers, self._has_failed = walkers, False

    def run(self) -> None:
        """Walk what is unread; afterwards everything is unread again."""
        _at_once(self._walk, self._walkers)
        self._sweep.end(self._cursor)

    def _measure(self) -> None:
        highest = self._sweep.highest(self._lane)
        with self._moved:
            self._division.highest = highest
            self._moved.notify_all()

    def _walk(self, n: int) -> None:
        try:
            if n == 1:
                # The second one looks how far the ids go, while the first one reads its first page.
                self._measure()
            while (stretch := self._take()) is not None:
                while not stretch.is_read and not self._has_failed:
                    self._page(stretch)
                with self._moved:
                    self._division.give_back(stretch)
                    self._moved.notify_all()
        except BaseException:
            with self._moved:
                self._has_failed = True
                self._moved.notify_all()
            raise

    def _take(self) -> Stretch | None:
        """Take a stretch; wait while there is none, but another walker's may turn out to be long."""
        with self._moved:
            while not self._has_failed:
                stretch = self._division.take()
                if stretch is not None or not self._division.is_being_read:
                    return stretch
                self._moved.wait()
            return None

    def _page(self, stretch: Stretch) -> None:
        clock = self._sweep.clock
        with self._sweep.call(self._lane):
            read_at = self._sweep.number()
            began = clock()
            page = self._sweep.read(stretch.at)
            answered = clock() - began
        with self._moved:
            self._division.readers = min(needed(self._sweep.rate, answered + self._meeting), self._walkers)
            first = page.contacts[0].id if page.contacts else None
            part = self._division.advance(stretch, END if page.after is None else int(page.after), first)
            unread = without(self._unread, part)
            self._moved.notify_all()
        contacts = [contact for contact in page.contacts if contact.id < part[1]]
        # The cursor says what is committed: other walkers' pages under way are still unread in it.
        with self._sweep.at_work:
            began = clock()
            self._sweep.meet(contacts, part, cursor=self._cursor, unread=unread, lane=self._lane, read_at=read_at)
            met = clock() - began
        with self._moved:
            self._meeting = met
            self._unread = without(self._unread, part)
            self._progress(len(contacts))


def _at_once(work: Callable[[int], None], count: int) -> None:
    """Do a numbered work so many times at once; raise what the first one that failed raised."""
    if count == 1:
        work(0)
        return
    with ThreadPoolExecutor(count, thread_name_prefix="walk") as threads:
        for each in [threads.submit(work, n) for n in range(count)]:
            each.result()
