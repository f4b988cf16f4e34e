"""Both sides of the sync as a test sees them: people at SQL, people in HubSpot, and the system between."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from reconciler.adapters.postgres.database import Database
from reconciler.core.ports import Lane, Subject
from reconciler.process import wiring
from reconciler.process.settings import Sync, load
from sandbox import Sandbox, start
from simulation.mapped import FIELDS, normalised

COLUMN_LIST = ", ".join(FIELDS)

RATE = "1000"
"""Calls in ten seconds: so many that no test waits for one."""


def until(condition: Callable[[], Any], *, seconds: float = 20.0) -> Any:
    """Wait until the condition holds and return what it said; fail after the deadline."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)
    return answer


class World:
    """`sql` and `portal` are the two sides; `quiet()` runs the sync until nothing is due."""

    def __init__(self, sandbox: Sandbox, dsn: str, database: Database, **settings: Any) -> None:
        self.sandbox, self.dsn = sandbox, dsn
        self.portal = sandbox.portal
        self.connection = psycopg.connect(dsn, autocommit=True, row_factory=dict_row)
        environment = {
            "DATABASE_URL": dsn,
            "HUBSPOT_ACCESS_TOKEN": sandbox.token,
            "HUBSPOT_BASE_URL": sandbox.url,
            "HUBSPOT_RATE_PER_10S": RATE,
            "HUBSPOT_SEARCH_PER_SECOND": "100",
            **settings,
        }
        self.settings = load(Sync, environment)
        self.parts = wiring.build(self.settings, database)
        self.parts.budget.shape()

    def rebuilt(self, database: Database | None = None) -> wiring.Parts:
        """The parts of another process."""
        return wiring.build(self.settings, database or self.parts.database)

    @classmethod
    @contextmanager
    def open(cls, dsn: str, database: Database, **settings: Any) -> Iterator["World"]:
        with start(rate_per_10s=0, search_per_second=0) as sandbox:
            world = cls(sandbox, dsn, database, **settings)
            try:
                yield world
            finally:
                world.connection.close()

    def sql(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        cursor = self.connection.execute(statement, values)
        return cursor.fetchall() if cursor.description else []

    def sql_file(self, name: str) -> None:
        """Run a file of the repository's root."""
        with psycopg.connect(self.dsn) as connection:
            connection.execute((Path(__file__).parents[2] / name).read_bytes())

    def customer(self, email: str) -> dict[str, Any] | None:
        """The live customer with this address."""
        rows = self.sql(
            f"select uuid, contactid, {COLUMN_LIST} from customer where email = %s and deletedat is null", email
        )
        return rows[0] if rows else None

    def contact(self, email: str) -> dict[str, Any] | None:
        """The live contact with this address, as mapped values with empty ones as None."""
        contact = self.portal.contact(email)
        if contact is None or contact.archived:
            return None
        return {"id": int(contact.id), **{column: contact.get(column) or None for column in FIELDS}}

    def insert(self, **values: Any) -> Any:
        columns, marks = ", ".join(values), ", ".join(["%s"] * len(values))
        return self.sql(f"insert into customer ({columns}) values ({marks}) returning uuid", *values.values())[0][
            "uuid"
        ]

    def event(self, *ids: Any, privacy: bool = False) -> None:
        """What a webhook event amounts to."""
        subjects = [Subject.contact(int(each)) for each in ids]
        self.parts.marks.mark(subjects, lane=Lane.FRESH, privacy=privacy)

    def quiet(self, *, rounds: int = 60) -> int:
        """Drain until nothing is due, bringing postponed looks forward; return how many pairs were looked at."""
        total = 0
        for _ in range(rounds):
            self.sql("update sync.mark set due = now() where due > now()")
            self.sql("update sync.link set lease_until = null where lease_until is not null")
            self.sql("update sync.outage set probe = now()")
            count = self.parts.reconciler.drain()
            total += count
            if count == 0 and not self.sql("select 1 from sync.mark"):
                return total
        marks = self.sql("select subject, attempts from sync.mark")
        raise AssertionError(f"the sync does not come to rest: {marks}")

    def sweep(self) -> None:
        self.parts.sweep.run()
        self.quiet()

    def assert_equal(self) -> None:
        """Both sides hold the same people with the same values, each linked once, and the base says so too."""
        rows = self.sql(
            f"select c.contactid as id, {COLUMN_LIST}, l.base from customer c join sync.link l using (uuid) "
            "where deletedat is null and l.contact = c.contactid"
        )
        assert len(rows) == self.sql("select count(*) from customer where deletedat is null")[0]["count"]
        remote = {
            int(contact.id): normalised({column: contact.get(column) for column in FIELDS})
            for contact in self.portal.contacts
        }
        local = {row["id"]: {column: row[column] for column in FIELDS} for row in rows}
        assert local == remote
        for row in rows:
            assert row["base"] == {column: value for column, value in remote[row["id"]].items() if value is not None}

    def assert_fixpoint(self) -> None:
        """Another look at everything writes nothing on either side."""
        before, revision = self._rows(), self.portal.revision
        self.event(*[contact.id for contact in self.portal.contacts])
        self.sql("select sync.mark(array_agg('u:' || uuid), 1) from customer having count(*) > 0")
        self.quiet()
        self.sweep()
        assert self.portal.revision == revision
        assert self._rows() == before

    def _rows(self) -> list[dict[str, Any]]:
        return self.sql("select *, xmin::text from customer order by uuid")
