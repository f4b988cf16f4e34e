"""Customers as the API sees them, and the memory of its idempotency keys."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import Enum, auto
from typing import Any
from uuid import UUID

from reconciler.adapters.postgres.database import CAUSE_DELAY, Database, to_json
from reconciler.adapters.postgres.rows import customer_of
from reconciler.adapters.postgres.table import OwnersTable, require_all
from reconciler.core.contact import ContactId, Customer, CustomerId, IntentKind
from reconciler.core.errors import AddressTaken, Busy, Refused, RowRefused
from reconciler.core.ports import LEASE, Claim, Write
from reconciler.core.reasons import Reason
from reconciler.core.values import Values

LAST_UUID = 2**128 - 1

PAGE = 100
"""Customers that `page` returns at most."""

IN_FLIGHT = 60.0
"""Seconds after which a request whose process died may be repeated. One that runs renews them from chunk to chunk."""


class Repeat(Enum):
    """What an idempotency key that was seen before stands for."""

    IN_FLIGHT = auto()
    OTHER_REQUEST = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The answer of a request that was made before."""

    status: int
    body: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """An idempotency key while a request has it; one that takes it over has another fence."""

    caller: str
    key: str
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A request that is to run: it is about customer `uuid`. `lease`: it has an idempotency key.

    `is_repeat`: it ran before and failed on our side, wholly, or in the parts that `body` says.
    """

    uuid: CustomerId
    lease: Lease | None = None
    is_repeat: bool = False
    body: Any = None


class PostgresCustomerStore:
    """Reads by every name; plain writes that the trigger captures; reservations and leases for the write-through."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._table = OwnersTable(database)

    def by_address(self, addresses: Collection[str]) -> Mapping[str, Customer]:
        """Return the live customers by address. Raises `Busy` while the table hides the row of one of them."""
        rows = self._database.rows("customers_by_address", addresses=list(addresses))
        found = {row["address"]: customer_of(row) for row in rows}
        missing = [address for address in addresses if address not in found]
        if missing and self._database.rows("hidden_addresses", addresses=missing):
            raise _hidden()
        return found

    def by_uuid(self, uuids: Collection[CustomerId]) -> list[Customer]:
        return [customer_of(row) for row in self._database.rows("customers_by_uuid", uuids=list(uuids))]

    def live(self, uuid: CustomerId) -> Customer | None:
        """Return the live customer with this uuid, or the one it was merged into. Raises `Busy` while it is hidden."""
        for found in self.by_uuid([uuid]):
            if found.merged_into is not None:
                return self.live(found.merged_into)
            return found if found.is_alive else None
        self._require_shown(uuid=uuid)
        return None

    def of_contact(self, contact: ContactId) -> Customer | None:
        """Return the live customer of this contact. Raises `Busy` while it is hidden."""
        row = self._database.row("uuid_of_contact", contact=contact)
        return None if row is None or row["uuid"] is None else self.live(row["uuid"])

    def had(self, address: str) -> CustomerId | None:
        """Return the one live customer that had this address, or whose contact has it beside its own.

        Raises `Busy` while it is hidden.
        """
        rows = self._database.rows("had_address", address=address)
        if not rows:
            self._require_shown(address=address)
        return CustomerId(rows[0]["uuid"]) if len(rows) == 1 else None

    def page(self, after: CustomerId | None) -> list[Customer]:
        """Return the next `PAGE` live customers in the order of their uuids. Raises `Busy` while one is hidden."""
        first = 0 if after is None else after.int + 1
        if first > LAST_UUID:
            return []
        rows = self._database.rows("live_customers", first=UUID(int=first))
        last = rows[-1]["uuid"] if len(rows) == PAGE else UUID(int=LAST_UUID)
        if self._database.rows("hidden_between", first=UUID(int=first), last=last):
            raise _hidden()
        return [customer_of(row) for row in rows]

    def _require_shown(self, *, uuid: CustomerId | None = None, address: str | None = None) -> None:
        if self._database.rows("hidden_links", uuid=uuid, address=address):
            raise _hidden()

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
            return {CustomerId(row["uuid"]) for row in work.rows("lock_customers", uuids=list(uuids))}

    def rehearse(self, writes: Sequence[Write]) -> Mapping[CustomerId, Refused]:
        if not writes or not self._table.has_rules:
            return {}
        try:
            self._try(writes)
        except AddressTaken:
            return {}
        except RowRefused as error:
            if len(writes) == 1:
                told = self._table.told(error, writes[0].values)
                refused = Refused(reason=Reason.ROW, fields=told.fields, text=told.rule)
                return {writes[0].pair.uuid: refused}
        else:
            return {}
        middle = len(writes) // 2
        return {**self.rehearse(writes[:middle]), **self.rehearse(writes[middle:])}

    def _try(self, writes: Sequence[Write]) -> None:
        """Write the rows as the answers would, and take it back."""
        with self._database.own() as work:
            new = [_row_of(write) for write in writes if write.pair.customer is None]
            kept = [_row_of(write) for write in writes if write.pair.customer is not None]
            if new:
                require_all(work.rows("insert_customers", rows=to_json(new), watched=False))
            # A row that another transaction holds cannot be tried now, and is not waited for.
            busy = {row["uuid"] for row in work.rows("lock_customers", uuids=[row["uuid"] for row in kept])}
            kept = [row for row in kept if row["uuid"] not in busy]
            if kept:
                require_all(work.rows("write_customers", rows=to_json(kept), watched=False))
            work.run("check_constraints")
            work.undo()

    def insert(self, uuid: CustomerId, values: Values) -> bool:
        """Insert a customer as any SQL writer would; the reconciler pushes it."""
        with self._refusing(values):
            rows = self._database.rows("insert_plain", row=to_json({"uuid": uuid, "vals": dict(values)}))
            require_all([{"swallowed": not rows}])
        return True

    def change(self, uuid: CustomerId, values: Values, expected: Values | None) -> bool:
        """Change a customer as any SQL writer would; the reconciler pushes it. False: it is not as expected."""
        held = dict(expected or {})
        with self._refusing(values):
            row = to_json({"uuid": uuid, "vals": dict(values), "expected": held})
            if self._database.rows("write_plain", row=row):
                return True
            # Either it is not as expected, or a trigger of the owner's lets the write go nowhere.
            is_as_expected = self._database.rows("as_expected", uuid=uuid, raw=to_json(held))
            require_all([{"swallowed": bool(is_as_expected)}])
        return False

    @contextmanager
    def _refusing(self, values: Values) -> Iterator[None]:
        """Let a refusal by the owner's rules name the fields that it is about."""
        try:
            yield
        except RowRefused as error:
            raise self._table.told(error, values) from error

    def remove(self, uuid: CustomerId) -> bool:
        return bool(self._database.rows("write_plain", row=to_json({"uuid": uuid, "alive": False, "expected": {}})))

    def begin(self, *, caller: str, key: str, request: str, uuid: CustomerId) -> Turn | Replay | Repeat:
        """Note that a request with this key begins."""
        names = {"caller": caller, "key": key, "request": request, "uuid": uuid}
        row = self._database.row("begin_request", **names, lease=IN_FLIGHT)
        if row is not None:
            lease = Lease(caller=caller, key=key, fence=row["fence"])
            return Turn(uuid=row["uuid"], lease=lease, is_repeat=row["is_repeat"], body=row["body"])
        known = self._database.row("known_request", caller=caller, key=key)
        if known is None or known["request"] != request:
            return Repeat.OTHER_REQUEST
        if known["status"] is None:
            return Repeat.IN_FLIGHT
        return Replay(status=known["status"], body=known["body"])

    def renew(self, lease: Lease) -> None:
        """Keep a key for as long again, unless another request has it by now."""
        self._database.run("renew_request", **asdict(lease), lease=IN_FLIGHT)

    def end(self, lease: Lease, *, status: int, body: Any) -> None:
        """Keep the final answer of a request that has its key still."""
        self._database.run("end_request", **asdict(lease), status=status, body=to_json(body))

    def fail(self, lease: Lease, *, body: Any) -> None:
        """Let a request be repeated that failed on our side, wholly or in parts."""
        self._database.run("fail_request", **asdict(lease), body=to_json(body))

    def is_creating(self, uuid: CustomerId) -> bool:
        """Whether a create of this customer may still be under way."""
        row = self._database.row("has_open_create", uuid=uuid)
        return bool(row and row["open"])


def _hidden() -> Busy:
    return Busy("the table hides rows from this role", delay=CAUSE_DELAY)


def _row_of(write: Write) -> dict[str, Any]:
    """Return what the row of a write would become."""
    customer = write.pair.customer
    dies = False if write.kind is IntentKind.ARCHIVE else None
    # A create of a customer that is there already writes what its row holds.
    return {
        "uuid": write.pair.uuid,
        "vals": dict(write.values),
        "raw": {} if customer is None else dict(customer.raw),
        "was_alive": customer is None or customer.is_alive,
        "becomes_alive": dies,
    }
