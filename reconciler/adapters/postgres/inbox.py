"""Deliveries in Postgres: one statement for a whole batch of events."""

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta

from reconciler.adapters.postgres.database import Database, to_json
from reconciler.core.ports import Subject


class PostgresInbox:
    """Marks the contacts of a delivery."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def receive(self, *, contacts: Collection[int], private: Collection[int], counts: Mapping[str, int]) -> None:
        """Mark the contacts in one durable statement; those in `private` with the privacy bit."""
        keys = [Subject.contact(contact).key for contact in contacts]
        bits = [Subject.contact(contact).key for contact in private]
        self._database.run("receive", subjects=keys, private=bits, counts=to_json(dict(counts)))

    def quarantine(self, *, reason: str, size: int, hash_: str) -> None:
        """Keep a body that could not be read."""
        self._database.run("quarantine", reason=reason, size=size, hash=hash_)

    def count(self, times: Mapping[str, int], *, ages: Callable[[], Mapping[str, float]]) -> None:
        """Count what was not taken, by kind; `ages` says how many seconds ago each kind came last."""
        # The database's time first, then the ages: a refusal must not seem later than a good delivery that followed it.
        row = self._database.row("clock")
        assert row is not None
        ago, kinds = ages(), list(times)
        last = [row["now"] - timedelta(seconds=ago[kind]) for kind in kinds]
        self._database.run("count_events", kinds=kinds, times=[times[kind] for kind in kinds], last=last)

    def portal_id(self) -> int | None:
        """Return the HubSpot account this database is linked with, None before the first start."""
        row = self._database.row("read_portal")
        return None if row is None else int(row["value"])
