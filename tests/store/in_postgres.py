"""The store in Postgres, as the contract tests use it: people write SQL, and time passes in the tables."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from clocks import move_back
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from stores import IntentState, LinkState, Loser, MarkState, Store

from reconciler.adapters.postgres.budget import PostgresOutage, PostgresQuota, PostgresSlots
from reconciler.adapters.postgres.customer_store import PostgresCustomerStore
from reconciler.adapters.postgres.database import Database, open_pool
from reconciler.adapters.postgres.gates import PostgresGates
from reconciler.adapters.postgres.marks import PostgresMarks
from reconciler.adapters.postgres.outbox import PostgresOutbox
from reconciler.adapters.postgres.pairs import PostgresPairs
from reconciler.adapters.postgres.records import PostgresRecords
from reconciler.core.brake import Limits
from reconciler.core.contact import CustomerId
from reconciler.core.ports import Brakes
from reconciler.core.values import Value
from simulation.mapped import FIELDS

GUEST = "contract_guest"
"""The sync's role while a row is hidden from it."""


class InPostgres(Store):
    """The real store; time passes by moving the times in its tables back."""

    def __init__(self, dsn: str, database: Database, tombstones: Path | None = None) -> None:
        self.dsn = dsn
        self.connection = psycopg.connect(dsn, autocommit=True, row_factory=dict_row)
        self.marks, self.pairs = PostgresMarks(database), PostgresPairs(database, tombstones=tombstones)
        self.outbox, self.gates = PostgresOutbox(database, tombstones=tombstones), PostgresGates(database)
        self.records, self.customer_store = PostgresRecords(database), PostgresCustomerStore(database)
        self.slots, self.quota, self.outage = PostgresSlots(database), PostgresQuota(database), PostgresOutage(database)
        self._database = database

    def limited(self, limits: Limits) -> Brakes:
        return PostgresRecords(self._database, limits)

    def close(self) -> None:
        """End the connection of the people."""
        self.connection.close()

    def empty(self) -> None:
        """Forget everybody, and all that happened; the salt stays."""
        tables = self.sql(
            "select string_agg('sync.' || tablename, ', ') as names from pg_tables "
            "where schemaname = 'sync' and tablename not in ('setting', 'lane', 'outage')"
        )
        with self.connection.transaction():
            # No trigger may see it: TRUNCATE is refused, and nobody's edit is meant.
            self.sql("set local session_replication_role = replica")
            self.sql(f"truncate customer, {tables[0]['names']}")
            self.sql("update sync.lane set wanted = '-infinity'")
            self.sql("update sync.outage set failures = 0, since = null, probe = '-infinity'")

    def sql(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        """Run a statement as anybody would."""
        cursor = self.connection.execute(statement, values)
        return cursor.fetchall() if cursor.description else []

    def insert(self, **values: Value) -> CustomerId:
        uuid = CustomerId(uuid4())
        columns, places = ", ".join(["uuid", *values]), ", ".join(["%s"] * (len(values) + 1))
        self.sql(f"insert into customer ({columns}) values ({places})", uuid, *values.values())
        return uuid

    def update(self, uuid: CustomerId, **values: Value) -> None:
        assert set(values) <= set(FIELDS)
        columns = ", ".join(f"{column} = %s" for column in values)
        self.sql(f"update customer set {columns} where uuid = %s", *values.values(), uuid)

    def remove(self, uuid: CustomerId) -> None:
        self.sql("update customer set deletedat = clock_timestamp() where uuid = %s and deletedat is null", uuid)

    def restore(self, uuid: CustomerId) -> None:
        self.sql("update customer set deletedat = null where uuid = %s", uuid)

    def delete(self, uuid: CustomerId) -> None:
        self.sql("delete from customer where uuid = %s", uuid)

    @contextmanager
    def held(self, uuid: CustomerId) -> Iterator[None]:
        with psycopg.connect(self.dsn) as user:
            user.execute("select from customer where uuid = %s for update", [uuid])
            yield

    @contextmanager
    def hidden(self, uuid: CustomerId) -> Iterator[None]:
        seeing = self.pairs, self.outbox
        # A superuser would see every row all the same.
        self.sql(f"create role {GUEST} login in role current_user")
        self.sql("alter table customer enable row level security, force row level security")
        self.sql(f"create policy others on customer using (uuid <> '{uuid}')")
        try:
            with open_pool(make_conninfo(self.dsn, user=GUEST), size=2) as pool:
                self.pairs, self.outbox = PostgresPairs(Database(pool)), PostgresOutbox(Database(pool))
                yield
        finally:
            self.pairs, self.outbox = seeing
            self.sql("drop policy others on customer")
            self.sql("alter table customer disable row level security, no force row level security")
            self.sql(f"drop role {GUEST}")

    @contextmanager
    def forbidden(self, column: str, ending: str) -> Iterator[None]:
        rule = f"{column}_is_allowed"
        self.sql(f"alter table customer add constraint {rule} check (right({column}, {len(ending)}) <> '{ending}')")
        try:
            yield
        finally:
            self.sql(f"alter table customer drop constraint {rule}")

    def bury(self, address: str) -> None:
        self.sql("select sync.make_salt()")
        self.sql("insert into sync.tombstone (hash) values (sync.hash_of(%s))", address)

    def pass_time(self, seconds: float) -> None:
        move_back(self.connection, seconds)

    def links(self) -> Mapping[CustomerId, LinkState]:
        rows = self.sql("select *, coalesce(lease_until >= clock_timestamp(), false) as leased from sync.link")
        return {
            CustomerId(row["uuid"]): LinkState(
                contact=row["contact"],
                base=row["base"],
                alive=row["alive"],
                newest_seen=row["newest_seen"],
                merged_through=row["merged_through"],
                stale_reads=row["stale_reads"],
                blocks={column: why["reason"] for column, why in row["blocks"].items()},
                blind_pushes={
                    column: (_time(push["since"]), push["base"], tuple(push["sent"]))
                    for column, push in row["blind_pushes"].items()
                },
                edited=frozenset(row["edited"]),
                is_detached=row["detached"],
                privacy=row["privacy"],
                is_leased=row["leased"],
            )
            for row in rows
        }

    def marked(self) -> Mapping[str, MarkState]:
        rows = self.sql(
            "select *, greatest(extract(epoch from due - clock_timestamp()), 0)::float8 as due_in from sync.mark"
        )
        return {
            row["subject"]: MarkState(
                due_in=row["due_in"],
                lane=row["lane"],
                attempts=row["attempts"],
                crashes=row["crashes"],
                privacy=row["privacy"],
            )
            for row in rows
        }

    def intents(self) -> list[IntentState]:
        rows = self.sql("select *, overdue or deadline < clock_timestamp() as late from sync.intent order by id")
        return [
            IntentState(
                uuid=CustomerId(row["uuid"]),
                kind=row["kind"],
                values=row["vals"],
                hubspot_first=row["hubspot_first"],
                is_reserved=row["reserved"] is not None,
                is_overdue=row["late"],
            )
            for row in rows
        ]

    def losers(self) -> set[Loser]:
        rows = self.sql("select uuid, property, kept, lost from sync.conflict where resolved is null")
        return {(CustomerId(row["uuid"]), row["property"], row["kept"] or "", row["lost"] or "") for row in rows}

    def aliases(self) -> Mapping[int, tuple[CustomerId | None, str]]:
        rows = self.sql("select contact, uuid, kind from sync.alias")
        return {row["contact"]: (row["uuid"], row["kind"]) for row in rows}


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)
