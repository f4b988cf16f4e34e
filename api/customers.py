"""The calls about customers, in batches: each item ends in a status and a body in the contract's words."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid5

import structlog

from api.bodies import BatchItem, Forms, given, is_address
from reconciler.adapters.postgres.customer_store import PostgresCustomerStore
from reconciler.core.contact import ContactId, Customer, CustomerId
from reconciler.core.errors import (
    AddressErased,
    AddressTaken,
    Busy,
    CopiedDatabase,
    DatabaseDown,
    OtherMapping,
    Refused,
    RowRefused,
    SyncError,
    Transient,
    WrongPortal,
)
from reconciler.core.reasons import Reason
from reconciler.core.values import Values, normalise_text
from reconciler.sync.intake import Intake
from reconciler.sync.write_through import (
    AddressHeld,
    Changed,
    Creating,
    Done,
    Erased,
    Held,
    Invalid,
    Missing,
    Open,
    Outcome,
    Unknown,
    WriteThrough,
)

CHUNK = 100
"""Items per write-through call: what one HubSpot batch takes."""

FAILED = "sync_failed"
"""The code of what failed on our side while HubSpot was called, or before."""

NO_PROPERTIES = "HubSpot API Error (400): No properties found to update, please provide at least one."

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Result:
    """How an item ended. `customer` is set where the answer shows one."""

    status: int
    body: Any = None
    customer: Customer | None = None

    @property
    def code(self) -> str | None:
        """What an error is recognised by."""
        return self.body.get("code") if isinstance(self.body, dict) else None


def etag_of(customer: Customer) -> str:
    """Return the entity tag: a hash of the mapped values, so that bookkeeping never costs a 412."""
    text = f"{customer.uuid}{sorted(customer.raw.items())}"
    return f'"{hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]}"'


def failure(status: int, code: str, message: str, **more: Any) -> Result:
    """Return an error in the contract's shape; the request id is added where the answer is sent."""
    return Result(status, {"message": message, "code": code, **more})


def missing(address: str) -> Result:
    """Return the 404 of an address that no live customer has; what is none is not echoed."""
    return (
        nobody("email", address) if is_address(address) else failure(404, "not_found", "Not found", error="Not found")
    )


def nobody(how: str, name: str) -> Result:
    """Return the 404 of a name that no live customer has."""
    text = f"Customer with {how} {name} not found"
    return failure(404, "not_found", text, error=text)


DATABASE_DOWN = failure(503, "database_unavailable", "The database is not available")
WRONG_ACCOUNT = failure(503, "wrong_account", "The token belongs to another HubSpot account than this database")
COPIED_DATABASE = failure(503, "copied_database", "This database is a copy of the one that HubSpot is linked with")
OTHER_MAPPING = failure(503, "other_mapping", "This database was made for another mapping file")
NO_ADDRESS = failure(
    400, "invalid_field", "Invalid body", details=[{"field": "email", "problem": "not an e-mail address"}]
)
IN_FLIGHT = failure(409, "in_flight", "The first request with this key is still running")


def not_ours(error: WrongPortal) -> Result:
    """Return the answer while nothing may be written."""
    if isinstance(error, OtherMapping):
        return OTHER_MAPPING
    return COPIED_DATABASE if isinstance(error, CopiedDatabase) else WRONG_ACCOUNT


class Customers:
    """Runs items against both sides."""

    def __init__(
        self,
        customer_store: PostgresCustomerStore,
        write_through: WriteThrough,
        intake: Intake,
        require_account: Callable[[], None],
        forms: Forms,
    ) -> None:
        self._customer_store, self._write_through, self._intake = customer_store, write_through, intake
        self._require_account, self._forms = require_account, forms

    def read(self, address: str) -> Customer | None:
        """Return the live customer with this address."""
        return self._customer_store.by_address([address]).get(address)

    def live(self, uuid: CustomerId) -> Customer | None:
        """Return the live customer with this uuid."""
        return self._customer_store.live(uuid)

    def of_contact(self, contact: ContactId) -> Customer | None:
        """Return the live customer of this contact."""
        return self._customer_store.of_contact(contact)

    def create(self, uuid: CustomerId, values: Values) -> Result:
        """Create one customer on both sides."""
        return self._creates([(uuid, given(values))])[0]

    def update(self, customer: Customer, values: Values, *, strict: bool) -> Result:
        """Update one customer on both sides; `strict`: only if it is still as given."""
        change = _sendable(customer, values)
        return self._updates([(customer, change)], strict=strict)[0] if change else self._result(Done(customer))

    def delete(self, customer: Customer, *, strict: bool) -> Result:
        """Delete one customer on both sides; `strict`: only if it is still as given."""
        return self._deletes([customer], strict=strict)[0]

    def create_later(self, uuid: CustomerId, values: Values) -> Result:
        """Store a customer here; the reconciler pushes it."""
        return self._later(lambda: self._customer_store.insert(uuid, given(values)), uuid, values)

    def update_later(self, customer: Customer, values: Values, *, strict: bool) -> Result:
        """Store a change here; the reconciler pushes it."""
        expected = customer.raw if strict else None
        return self._later(lambda: self._customer_store.change(customer.uuid, values, expected), customer.uuid, values)

    def settled(self, uuid: CustomerId) -> Result | None:
        """Return how a create ended whose answer was lost: 201, 409 while that is open, None if it never was."""
        try:
            self._require_account()
        except (DatabaseDown, Busy):
            raise
        except SyncError:
            return IN_FLIGHT
        self._write_through.settle(uuid)
        found = self._customer_store.by_uuid([uuid])
        if found:
            return Result(201, self._forms.shown(found[0]), found[0])
        return IN_FLIGHT if self._customer_store.is_creating(uuid) else None

    def _later(self, write: Callable[[], bool], uuid: CustomerId, values: Values) -> Result:
        try:
            with suppress(Transient):
                # While HubSpot cannot say whose account it is, the reconciler asks before it pushes.
                self._require_account()
            if not write():
                return self._result(Changed())
        except WrongPortal as error:
            return not_ours(error)
        except AddressTaken:
            holder = self.read(values.get("email") or "")
            return self._result(AddressHeld(None if holder is None else holder.contact_id))
        except AddressErased:
            return self._result(Erased())
        except RowRefused as error:
            return self._result(Invalid(Refused(reason=Reason.ROW, fields=error.fields, text=error.rule)))
        # Stored, and hidden from this role, or deleted since.
        stored = self._customer_store.by_uuid([uuid])
        return Result(202, self._forms.shown(stored[0]), stored[0]) if stored else self._result(Held())

    def batch(
        self, items: Mapping[int, BatchItem], uuid: CustomerId, *, is_repeat: bool, renew: Callable[[], None]
    ) -> dict[int, Result]:
        """Run the items in waves: what depends on an earlier item comes after it.

        The customers they create get uuids made from `uuid`, so that a repetition knows its own. `renew` keeps the
        batch's key: it is called before each part that may take long.
        """
        results: dict[int, Result] = {}
        for wave in waves(items):
            pending = {n: items[n] for n in wave}
            if is_repeat:
                results |= self._settled([n for n in wave if items[n].op in ("create", "upsert")], uuid, renew)
                pending = {n: item for n, item in pending.items() if n not in results}
            results.update(self._wave(pending, uuid, renew))
        return results

    def _settled(self, numbers: Sequence[int], uuid: CustomerId, renew: Callable[[], None]) -> dict[int, Result]:
        """Return how those items ended whose create was under way before."""
        results: dict[int, Result] = {}
        for n in numbers:
            renew()
            if (result := self.settled(created_by(uuid, n))) is not None:
                results[n] = result
        return results

    def _wave(self, items: Mapping[int, BatchItem], uuid: CustomerId, renew: Callable[[], None]) -> dict[int, Result]:
        known = self._customer_store.by_address({item.email for item in items.values()})
        unknown = {n: item.email for n, item in items.items() if item.op == "upsert" and item.email not in known}
        met = self._met(unknown, renew)
        results: dict[int, Result] = {}
        creates: dict[int, tuple[CustomerId, Values]] = {}
        updates: dict[int, tuple[Customer, Values]] = {}
        deletes: dict[int, Customer] = {}
        for n, item in items.items():
            customer = known.get(item.email) or (met[n].customer if n in met else None)
            is_unmet = n in met and met[n].status == 404
            if item.op == "create" or (is_unmet and is_address(item.email)):
                creates[n] = (created_by(uuid, n), given(item.values_given()))
            elif customer is None:
                results[n] = met[n] if n in met and not is_unmet else _nobody(item.email)
            elif item.op == "read" or (n in met and not _change(item, customer)):
                results[n] = Result(200, self._forms.shown(customer), customer)
            elif item.op == "delete":
                deletes[n] = customer
            elif change := _sendable(customer, _change(item, customer)):
                updates[n] = (customer, change)
            else:
                results[n] = failure(400, "no_properties", NO_PROPERTIES)
        results.update(_spread(creates, self._creates, renew))
        results.update(_spread(updates, self._updates, renew))
        results.update(_spread(deletes, self._deletes, renew))
        return results

    def _met(self, addresses: Mapping[int, str], renew: Callable[[], None]) -> dict[int, Result]:
        """Take in what only HubSpot has of these: 200 with the customer, 404, or why not. No customer is met twice."""
        met = dict(_spread(addresses, self._intakes, renew))
        seen: set[CustomerId] = set()
        for n, result in met.items():
            if result.customer is not None and result.customer.uuid in seen:
                met[n] = self._result(AddressHeld(result.customer.contact_id))
            elif result.customer is not None:
                seen.add(result.customer.uuid)
        return met

    def _intakes(self, addresses: Sequence[str]) -> list[Result]:
        return self._attempt(lambda: self._intake.take_in(addresses), len(addresses), 200, "Error updating customer")

    def _creates(self, drafts: Sequence[tuple[CustomerId, Values]]) -> list[Result]:
        return self._attempt(lambda: self._write_through.create(drafts), len(drafts), 201, "Error creating customer")

    def _updates(self, edits: Sequence[tuple[Customer, Values]], *, strict: bool = False) -> list[Result]:
        def write() -> list[Outcome]:
            return self._write_through.update(edits, strict=strict)

        return self._attempt(write, len(edits), 200, "Error updating customer")

    def _deletes(self, customers: Sequence[Customer], *, strict: bool = False) -> list[Result]:
        def write() -> list[Outcome]:
            return self._write_through.delete(customers, strict=strict)

        return self._attempt(write, len(customers), 204, "Error deleting customer")

    def _attempt(self, write: Callable[[], list[Outcome]], count: int, status: int, message: str) -> list[Result]:
        try:
            self._require_account()
            outcomes = write()
        except WrongPortal as error:
            return [not_ours(error)] * count
        except Transient as error:
            outcomes = [Open(error)] * count
        results = [self._result(outcome, status, message) for outcome in outcomes]
        failed = [each for each, result in zip(outcomes, results, strict=True) if result.code == FAILED]
        for reason in sorted({each.error.reason for each in failed if isinstance(each, Open)}):
            log.warning("api.write_failed", reason=reason)
        return results

    def _result(self, outcome: Outcome, status: int = 200, message: str = "Error") -> Result:
        """Return an outcome in the contract's words; `message` says what did not go when it failed on our side."""
        match outcome:
            case Done(customer):
                return Result(status, None if customer is None else self._forms.shown(customer), customer)
            case Open(AddressTaken()):
                # Another request reserved the same address between our look and our write.
                return self._result(AddressHeld(None))
            case Open(AddressErased()):
                return self._result(Erased())
            case Open(DatabaseDown() | Busy()):
                return DATABASE_DOWN
            case Open():
                return failure(500, FAILED, message)
            case Missing():
                return failure(404, "not_found", "Customer not found")
            case AddressHeld(holder):
                known = f" Existing ID: {holder}" if holder is not None else ""
                return failure(409, "email_taken", f"HubSpot API Error (409): Contact already exists.{known}")
            case Changed():
                return failure(412, "precondition_failed", "The customer has changed")
            case Held():
                return failure(503, "customer_held", "This customer's row is held or hidden just now; come again")
            case Creating():
                return failure(503, "in_progress", "The customer is just being created in HubSpot")
            case Unknown():
                text = "It is not known whether HubSpot has this customer: look there, then call sync.retry"
                return failure(409, "create_outcome_unknown", text)
            case Erased():
                return failure(409, "erased_subject", "This address belongs to an erased person")
            case Invalid(refused) if refused.reason is Reason.ROW:
                details = [
                    {"field": name, "problem": f"refused by the database: {refused.text}"} for name in _named(refused)
                ]
                return failure(400, refused.reason.value, "Invalid body", details=details)
            case Invalid(refused):
                details = [{"field": field, "problem": refused.reason.value} for field in sorted(refused.fields)]
                # The answer to a PUT is the one place where HubSpot's own text goes out.
                text = (
                    "Invalid body"
                    if status == 201
                    else f"HubSpot API Error (400): {normalise_text(refused.text) or ''}"
                )
                return failure(400, refused.reason.value, text, details=details)


def _change(item: BatchItem, customer: Customer) -> Values:
    """Return what an update writes; a contact that was found by another of its addresses takes this one."""
    is_known = customer.values.get("email") == item.email
    return item.change() if is_known else {"email": item.email, **item.change()}


def _nobody(address: str) -> Result:
    """Return what says that no customer has the address, or that no new customer may have it."""
    return missing(address) if is_address(address) else NO_ADDRESS


def _sendable(customer: Customer, values: Values) -> Values:
    """Leave out an address that the customer has and that HubSpot, although it holds it, takes from no caller."""
    address = values.get("email")
    is_odd = address is not None and address == customer.values.get("email") and not is_address(address)
    return {field: value for field, value in values.items() if not (is_odd and field == "email")}


def _spread(
    items: Mapping[int, Any], write: Callable[[list[Any]], list[Result]], renew: Callable[[], None]
) -> Iterable[tuple[int, Result]]:
    numbers = list(items)
    for start in range(0, len(numbers), CHUNK):
        part = numbers[start : start + CHUNK]
        renew()
        yield from zip(part, write([items[n] for n in part]), strict=True)


def _named(refused: Refused) -> list[str]:
    """Name the fields that a row was refused for, or else the rule that refused it."""
    return sorted(refused.fields) or [refused.text]


def created_by(uuid: CustomerId, n: int) -> CustomerId:
    """Return the uuid of the customer that item `n` of the batch `uuid` creates."""
    return CustomerId(uuid5(uuid, str(n)))


def waves(items: Mapping[int, BatchItem]) -> list[list[int]]:
    """Order the items: each is in the wave after the last one that names one of its addresses.

    So each person's items run one after the other, and those of different people together.
    """
    found: list[list[int]] = []
    behind: dict[str, int] = {}
    for n, item in items.items():
        addresses = {item.email, *([item.new_email] if item.new_email else [])}
        place = max(behind.get(address, 0) for address in addresses)
        if place == len(found):
            found.append([])
        found[place].append(n)
        behind.update(dict.fromkeys(addresses, place + 1))
    return found
