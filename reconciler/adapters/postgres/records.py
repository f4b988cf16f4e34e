"""What the processes remember beside the pairs: cursors, pages met, the brake's hour, heartbeats."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from reconciler.adapters.postgres.database import Database, to_json
from reconciler.adapters.postgres.rows import page_of
from reconciler.core.brake import LIMITS, Danger, Limit, Limits, Need
from reconciler.core.contact import Contact, ContactId, CustomerId
from reconciler.core.ports import HubSpotAccount, Lane

STALLED = 120.0
"""Age in seconds of the drain's last success beyond which nothing is moving."""


FOUND = 5000
"""Rows that are taken in by one statement."""


class PostgresRecords:
    """Cursors are saved together with the marks of the page they stand behind."""

    def __init__(self, database: Database, limits: Limits = LIMITS) -> None:
        self._database, self._limits = database, limits

    def cursor(self, name: str) -> Mapping[str, Any] | None:
        row = self._database.row("read_cursor", name=name)
        return None if row is None else row["value"]

    def number(self) -> int:
        row = self._database.row("number")
        assert row is not None
        return int(row["number"])

    def meet(self, contacts: Sequence[Contact], *, lane: Lane, cursor: str, value: Mapping[str, Any]) -> int:
        with self._database.own() as work:
            (row,) = work.rows(
                "mark_changed", page=page_of(contacts), lane=int(lane), cursor=cursor, value=to_json(value)
            )
        return int(row["count"])

    def save(self, cursor: str, value: Mapping[str, Any]) -> None:
        with self._database.own() as work:
            work.run("save_cursor", name=cursor, value=to_json(value))

    def miss(self, *, after: int, upto: int, met: Collection[ContactId], lane: Lane) -> int:
        row = self._database.row("mark_missing", after=after, upto=upto, met=list(met), lane=int(lane))
        return row["count"] if row else 0

    def drifted(self, *, after: CustomerId, upto: CustomerId, limit: int, lane: Lane) -> tuple[CustomerId | None, int]:
        row = self._database.row("mark_drifted", after=after, upto=upto, limit=limit, lane=int(lane))
        if row is None:
            return None, 0
        return (None if row["last"] is None else CustomerId(row["last"])), row["drifted"]

    def find_rows(self) -> None:
        after = None
        while after := self._database.rows("find_rows", after=after, most=FOUND)[0]["last"]:
            continue

    def linked(self) -> int:
        row = self._database.row("count_linked")
        return row["count"] if row else 0

    def claim_account(self, account: HubSpotAccount) -> int:
        """Make the account this database's own if it has none yet, learn its time zone; return whose database it is."""
        with self._database.own() as work:
            work.run("claim_account", portal=str(account.portal), time_zone=account.time_zone)
            row = work.row("read_portal")
        return account.portal if row is None else int(row["value"])

    def living(self, limit: int, *, apart_from: Collection[ContactId]) -> list[ContactId]:
        rows = self._database.rows("living_contacts", limit=limit, apart_from=list(apart_from))
        return [ContactId(row["contact"]) for row in rows]

    def grant(self, needed: Mapping[Need, int]) -> Mapping[Need, int]:
        names = {f"{need.kind} {need.field}".strip(): need for need in needed}
        asked = [_asked(name, need, needed[need], self._limits[need.kind]) for name, need in names.items()]
        rows = self._database.rows("grant_danger", needs=to_json(asked))
        return {names[row["name"]]: row["granted"] for row in rows}

    def allow(self, kind: Danger, count: int) -> tuple[int, int]:
        """Let `count` more of this kind go within a day; return how many held records are looked at, of how many."""
        with self._database.own() as work:
            row = work.row("allow", kind=kind.value, reason=kind.reason.value, count=count)
        return (row["woken"], row["held"]) if row else (0, 0)

    @contextmanager
    def allowing(self, kinds: Collection[Danger]) -> Iterator[None]:
        """Let any number of these kinds go for a while: a person has asked for just that."""
        names = [kind.value for kind in kinds]
        self._database.run("allow_all", kinds=names)
        try:
            yield
        finally:
            self._database.run("end_allowance", kinds=names)

    def beat(self, job: str) -> None:
        """Note that a job succeeded."""
        self._database.run("beat", job=job)

    def take(self, job: str, *, every: float, stale: float) -> bool:
        """Whether this process shall run the job: it is due, and no other process is at it. Times in seconds."""
        return self._database.row("take_job", job=job, every=every, stale=stale) is not None

    def leave(self, job: str) -> None:
        """Say that this process is not at the job any more, so that its next turn may come at once."""
        self._database.run("leave_job", job=job)

    def hold(self, job: str) -> None:
        """Say that this process is still at the job."""
        self._database.run("hold_job", job=job)

    def prune(self) -> None:
        """Drop what is older than is needed."""
        self._database.run("prune")

    def is_moving(self) -> bool:
        """Whether marks were drained lately by any process."""
        return self.beats().get("drain", STALLED) < STALLED

    def beats(self) -> dict[str, float]:
        """Return the age in seconds of each job's last success."""
        return {row["job"]: row["age"] for row in self._database.rows("beats")}


def _asked(name: str, need: Need, count: int, limit: Limit) -> dict[str, Any]:
    """Return a need as `sync.grant_danger` takes it."""
    return {
        "kind": need.kind,
        "name": name,
        "needed": count,
        "number": limit.number,
        "share": limit.share,
        "ceiling": limit.ceiling,
        "daily": limit.daily,
    }
