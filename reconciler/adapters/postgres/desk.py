"""Customers as the API sees them, and the memory of its idempotency keys."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from reconciler.adapters.postgres.database import Database, to_json
from reconciler.adapters.postgres.rows import customer_of
from reconciler.core.contact import Customer, CustomerId
from reconciler.core.fields import Values
from reconciler.core.ports import LEASE, Claim

IN_FLIGHT = 60.0
"""Seconds after which a request whose process died may be repeated."""


class Repeat(Enum):
    """What an idempotency key that was seen before stands for."""

    IN_FLIGHT = auto()
    OTHER_REQUEST = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A request that was answered, or (status None) one that failed on our side; it was about customer `uuid`."""

    uuid: CustomerId
    status: int | None
    body: Any


class PostgresDesk:
    """Reads by address; plain writes that the trigger captures; reservations and leases for the write-through."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def by_address(self, addresses: Collection[str]) -> Mapping[str, Customer]:
        rows = self._database.rows("customers_by_address", addresses=list(addresses))
        return {row["address"]: customer_of(row) for row in rows}

    def by_uuid(self, uuids: Collection[CustomerId]) -> list[Customer]:
        return [customer_of(row) for row in self._database.rows("customers_by_uuid", uuids=list(uuids))]

    def reserve(self, uuids: Collection[CustomerId]) -> list[Claim]:
        rows = self._database.rows("reserve_links", uuids=list(uuids), lease=LEASE)
        return [
            Claim(uuid=CustomerId(row["uuid"]), fence=row["fence"], marks=((row["subject"], row["generation"]),))
            for row in rows
        ]

    def lease(self, uuids: Collection[CustomerId]) -> list[Claim]:
        with self._database.own() as work:
            rows = work.rows("lease", uuids=list(uuids), lease=LEASE)
        return [Claim(uuid=CustomerId(row["uuid"]), fence=row["fence"]) for row in rows]

    def held(self, uuids: Collection[CustomerId]) -> set[CustomerId]:
        with self._database.own() as work:
            return {CustomerId(row["uuid"]) for row in work.rows("held", uuids=list(uuids))}

    def insert(self, uuid: CustomerId, values: Values) -> bool:
        """Insert a customer as any SQL writer would; the reconciler pushes it."""
        return bool(self._database.run("insert_plain", uuid=uuid, vals=to_json(dict(values))))

    def change(self, uuid: CustomerId, values: Values, expected: Values | None) -> bool:
        """Change a customer as any SQL writer would; the reconciler pushes it. False: it is not as expected."""
        stored = None if expected is None else to_json(dict(expected))
        return bool(self._database.run("change_plain", uuid=uuid, vals=to_json(dict(values)), stored=stored))

    def remove(self, uuid: CustomerId) -> None:
        self._database.run("remove_plain", uuid=uuid)

    def begin(self, *, caller: str, key: str, request: str, uuid: CustomerId) -> Replay | Repeat | None:
        """Note that a request with this key begins; None: it is the first."""
        names = {"caller": caller, "key": key, "request": request, "uuid": uuid}
        row = self._database.row("begin_request", **names, lease=IN_FLIGHT)
        if row is not None:
            return Replay(uuid=row["uuid"], status=None, body=row["body"]) if row["is_repeat"] else None
        known = self._database.row("known_request", caller=caller, key=key)
        if known is None or known["request"] != request:
            return Repeat.OTHER_REQUEST
        if known["status"] is None:
            return Repeat.IN_FLIGHT
        return Replay(uuid=known["uuid"], status=known["status"], body=known["body"])

    def end(self, *, caller: str, key: str, status: int, body: Any) -> None:
        """Keep the final answer of a request."""
        self._database.run("end_request", caller=caller, key=key, status=status, body=to_json(body))

    def fail(self, *, caller: str, key: str, body: Any) -> None:
        """Let a request be repeated that failed on our side, wholly or in parts."""
        self._database.run("fail_request", caller=caller, key=key, body=to_json(body))

    def is_creating(self, uuid: CustomerId) -> bool:
        """Whether a create of this customer may still be under way."""
        row = self._database.row("has_open_create", uuid=uuid)
        return bool(row and row["open"])
