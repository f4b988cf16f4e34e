"""Deliveries in Postgres: one statement for a whole batch of events."""

from collections.abc import Collection, Mapping

from reconciler.adapters.postgres.database import Database, to_json


class PostgresInbox:
    """Marks the contacts of a delivery."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def receive(self, *, contacts: Collection[int], private: Collection[int], counts: Mapping[str, int]) -> None:
        """Mark the contacts in one durable statement; those in `private` with the privacy bit."""
        keys = [f"c:{contact}" for contact in contacts]
        bits = [f"c:{contact}" for contact in private]
        self._database.run("receive", subjects=keys, private=bits, counts=to_json(dict(counts)))

    def quarantine(self, *, reason: str, size: int, hash_: str) -> None:
        """Keep a body that could not be read."""
        self._database.run("quarantine", reason=reason, size=size, hash=hash_)

    def count(self, times: Mapping[str, int], *, ages: Mapping[str, float]) -> None:
        """Count what was not taken, by kind; each kind came last so many seconds ago."""
        kinds = list(times)
        numbers, seconds = [times[kind] for kind in kinds], [ages[kind] for kind in kinds]
        self._database.run("count_events", kinds=kinds, times=numbers, ages=seconds)

    def portal_id(self) -> int | None:
        """Return the HubSpot account this database is linked with, None before the first start."""
        row = self._database.row("read_portal")
        return None if row is None else int(row["value"])
