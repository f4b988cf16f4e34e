"""The call budget in Postgres: one row per call of a window, taken with SKIP LOCKED: no row that all queue for."""

from collections.abc import Mapping, Sequence

from reconciler.adapters.postgres.database import Database, to_json
from reconciler.core.errors import Transient
from reconciler.core.ports import Door, Lane, Pause


class PostgresSlots:
    """The slots of all processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def shape(self, rates: Mapping[str, int]) -> None:
        wanted = to_json([{"kind": kind, "rate": rate} for kind, rate in rates.items()])
        self._database.run("shape_budget", rates=wanted)
        self._database.run("trim_budget", rates=wanted)

    def take(self, kind: str, *, lane: Lane, calls: int, window: float, pace: int | None = None) -> list[int]:
        rows = self._database.rows("take_slots", kind=kind, lane=int(lane), calls=calls, window=window, pace=pace)
        return [row["n"] for row in rows]

    def next_free(self, kind: str, *, window: float) -> float:
        row = self._database.row("next_slot", kind=kind, window=window)
        return 0.0 if row is None or row["wait"] is None else float(row["wait"])

    def want(self, lane: Lane) -> None:
        self._database.run("want_slots", lane=int(lane))

    def stamp(self, slot: int) -> None:
        self._database.run("stamp_slot", slot=slot)

    def give(self, kind: str, slots: Sequence[int]) -> None:
        self._database.run("give_slots", kind=kind, slots=list(slots))

    def block(self, kind: str, *, delay: float, window: float) -> None:
        self._database.run("block_slots", kind=kind, delay=delay, window=window)


class PostgresQuota:
    """The day's calls of all processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def count(self, calls: int, *, quota: int) -> int:
        row = self._database.row("count_day", calls=calls, quota=quota)
        return 0 if row is None else int(row["calls"])

    def hear(self, calls: int, *, left: int) -> None:
        self._database.run("hear_day", calls=calls, left=left)

    def is_spent(self) -> bool:
        row = self._database.row("day_spent")
        return row is not None and bool(row["spent"])


class PostgresOutage:
    """What all processes know of HubSpot's being down."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def fail(self, error: Transient, *, after: int, pause: float) -> None:
        self._database.run("fail_hubspot", after=after, pause=pause, cause=error.cause, reason=error.reason)

    def recover(self, door: Door) -> None:
        self._database.run("recover_hubspot", door=door)

    def shut(self, door: Door, error: Transient) -> None:
        self._database.run("shut_door", door=door, cause=error.cause, reason=error.reason)

    def open(self, door: Door) -> None:
        self._database.run("open_door", door=door)

    def probe(self, pause: float) -> Pause | None:
        row = self._database.row("probe_hubspot", pause=pause)
        return None if row is None else Pause(seconds=float(row["wait"]), reason=row["reason"])

    def leave(self, pause: float) -> None:
        self._database.run("leave_probe", pause=pause)
