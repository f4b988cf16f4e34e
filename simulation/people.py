"""What people do on both sides and through the API. Values are new each time, so that each can be traced."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from random import Random
from typing import TYPE_CHECKING, Any

from reconciler.core.contact import ContactId
from reconciler.core.errors import Transient
from reconciler.core.fields import STAGE
from reconciler.core.kinds import SEPARATOR, Kind
from reconciler.core.ports import Subject
from reconciler.core.values import Value, Values
from reconciler.sync.write_through import Done
from sandbox.contact import Contact as Record
from sandbox.errors import HubSpotError
from simulation.clock import BEGINNING
from simulation.mapped import PLANS, TAGS, stays, value_of
from simulation.memory.tables import CustomerRow, LinkRow, Refusal
from simulation.oracle import Oracle

if TYPE_CHECKING:
    from simulation.world import World

STAGES = ("subscriber", "lead", "customer", "evangelist")


class People:
    """Each method is one thing somebody does; it answers whether there was anything to do it to."""

    def __init__(self, world: "World", random: Random, *, wild: bool) -> None:
        self._world, self._random, self._is_wild = world, random, wild
        self._oracle: Oracle = world.oracle
        self._fields = world.rules.fields
        self._free = [name for name in self._fields.names if name not in ("email", STAGE)]
        self._count = 0
        calm: list[tuple[Callable[[], bool], int]] = [
            (self.insert, 3),
            (self.change, 10),
            (self.remove, 1),
            (self.create_contact, 3),
            (self.edit_contact, 10),
            (self.delete_contact, 1),
            (self.post, 2),
            (self.put, 5),
            (self.delete_by_api, 1),
        ]
        wild_: list[tuple[Callable[[], bool], int]] = [
            (self.restore, 1),
            (self.drop, 1),
            (self.swap, 1),
            (self.restore_contact, 2),
            (self.merge_contact, 1),
            (self.erase_contact, 1),
            (self.swap_contacts, 1),
            (self.reinsert, 1),
        ]
        self.acts = calm + wild_ if wild else calm

    # In SQL.

    def insert(self) -> bool:
        return self._insert(self._new_address())

    def reinsert(self) -> bool:
        """Somebody enters a person again who was deleted, or is on the other side."""
        addresses = [r.raw["email"] for r in self._rows(alive=False)] + [r.get("email") for r in self._records()]
        known = [address for address in addresses if address]
        return bool(known) and self._insert(self._random.choice(known))

    def _insert(self, address: Value) -> bool:
        values = self._some_values(address)
        uuid = self._world.tables.new_uuid()
        try:
            self._world.tables.insert(uuid, values)
        except Refusal:
            return True
        self._oracle.wrote(Subject.customer(uuid).key, "sql", values, {})
        return True

    def change(self) -> bool:
        row = self._pick(self._rows())
        if row is None:
            return False
        return self._change(row, self._edit(row.raw))

    def _change(self, row: CustomerRow, values: dict[str, Value]) -> bool:
        before = dict(row.raw)
        try:
            self._world.tables.update(row.uuid, values)
        except Refusal:
            return True
        link = self._world.tables.links.get(row.uuid)
        record = None if link is None or link.contact is None else self._world.portal.find(link.contact)
        there = {} if record is None else record.values
        seen = self._replaced(values, before, there, link, here=True)
        self._oracle.wrote(Subject.customer(row.uuid).key, "sql", values, seen)
        return True

    def _replaced(
        self, values: Values, before: Values, other: Values, link: LinkRow | None, *, here: bool
    ) -> dict[str, Value]:
        """Return what an edit replaces. Where it is to stay on its side, that is not what the other side has as well;
        where it goes over, also what was emptied here before, and stayed there.
        """
        base = {} if link is None else link.base
        replaced = {}
        for field, raw in values.items():
            held, there = (self._value(field, side.get(field)) for side in (before, other))
            is_staying = stays(self._fields, field, self._value(field, raw), here=here)
            if not is_staying:
                replaced[field] = base.get(field) if held is None else held
            elif held != there:
                replaced[field] = held
        return replaced

    def _value(self, field: str, raw: Value) -> Value:
        return value_of(self._fields, field, raw)

    def swap(self) -> bool:
        """Two customers change addresses, in one transaction."""
        rows = [row for row in self._rows() if row.raw["email"]]
        if len(rows) < 2:
            return False
        one, other = self._random.sample(rows, 2)
        first, second = one.raw["email"], other.raw["email"]
        self._world.tables.update(one.uuid, {"email": None})
        self._world.tables.update(other.uuid, {"email": first})
        self._world.tables.update(one.uuid, {"email": second})
        self._oracle.wrote(Subject.customer(one.uuid).key, "sql", {"email": second}, {"email": first})
        self._oracle.wrote(Subject.customer(other.uuid).key, "sql", {"email": first}, {"email": second})
        return True

    def remove(self) -> bool:
        row = self._pick(self._rows())
        if row is not None:
            self._oracle.ended(Subject.customer(row.uuid).key, row.raw)
            self._world.tables.remove(row.uuid)
        return row is not None

    def drop(self) -> bool:
        row = self._pick(self._rows())
        if row is not None:
            self._oracle.ended(Subject.customer(row.uuid).key, row.raw)
            self._world.tables.delete(row.uuid)
        return row is not None

    def restore(self) -> bool:
        row = self._pick([r for r in self._rows(alive=False) if r.merged_into is None and r.erased is None])
        if row is None:
            return False
        try:
            self._world.tables.restore(row.uuid)
        except Refusal:
            return True
        self._oracle.revived(Subject.customer(row.uuid).key)
        return True

    # In HubSpot.

    def create_contact(self) -> bool:
        address = self._new_address()
        if self._is_wild and self._random.random() < 0.3:
            address = self._random.choice([row.raw["email"] for row in self._rows()] or [address])
        values = self._some_values(address)

        def act() -> None:
            record = self._world.portal.create({field: value for field, value in values.items() if value})
            self._oracle.wrote(Subject.contact(record.id).key, "hubspot", values, {})

        return self._in_hubspot(act)

    def edit_contact(self) -> bool:
        record = self._pick(self._records())
        if record is None:
            return False
        return self._edit_contact(record, self._edit(record.values))

    def _edit_contact(self, record: Record, values: dict[str, Value]) -> bool:
        link = self._world.tables.owner(ContactId(record.id))
        row = None if link is None else self._world.tables.customers.get(link.uuid)
        seen = self._replaced(values, record.values, {} if row is None else row.raw, link, here=False)

        def act() -> None:
            after = self._world.portal.edit(record.id, {field: value or "" for field, value in values.items()})
            kept = {c: v for c, v in values.items() if self._value(c, after.get(c)) == self._value(c, v)}
            self._oracle.wrote(Subject.contact(record.id).key, "hubspot", kept, seen)

        return self._in_hubspot(act)

    def swap_contacts(self) -> bool:
        records = [record for record in self._records() if record.get("email")]
        if len(records) < 2:
            return False
        one, other = self._random.sample(records, 2)
        first, second = one.get("email"), other.get("email")
        self._edit_contact(one, {"email": None})
        self._edit_contact(other, {"email": first})
        return self._edit_contact(one, {"email": second})

    def delete_contact(self) -> bool:
        record = self._pick(self._records())
        if record is not None:
            self._end_contact(record)
            self._world.portal.delete(record.id)
        return record is not None

    def _end_contact(self, record: Record) -> None:
        self._oracle.ended(Subject.contact(record.id).key, record.values)
        link = self._world.tables.owner(ContactId(record.id))
        if link is not None:
            self._oracle.deaths[Subject.customer(link.uuid).key] = None

    def restore_contact(self) -> bool:
        record = self._pick(self._records(alive=False))
        if record is None:
            return False

        def act() -> None:
            self._world.portal.restore(record.id)
            self._world.restored_contacts.add(record.id)
            self._oracle.revived(Subject.contact(record.id).key)
            link = self._world.tables.owner(ContactId(record.id))
            if link is not None:
                self._oracle.revived(Subject.customer(link.uuid).key)

        return self._in_hubspot(act)

    def merge_contact(self) -> bool:
        records = self._records()
        if len(records) < 2:
            return False
        one, other = self._random.sample(records, 2)
        for record in (one, other):
            self._oracle.looked_past(Subject.contact(record.id).key, self._fields.names, record.values)
        return self._in_hubspot(lambda: self._world.portal.merge(one.id, other.id))

    def erase_contact(self) -> bool:
        record = self._pick(self._records())
        if record is None:
            return False
        self._world.erased_contacts.add(record.id)
        self._world.lost_in_erased |= set(record.merged)
        self._world.portal.erase(record.id)
        return True

    # Through the API; the caller waits, and may never hear.

    def post(self) -> bool:
        uuid, address = self._world.tables.new_uuid(), f"p{self._next()}@example.com"
        if self._is_wild and self._random.random() < 0.3:
            records = self._records()
            address = (self._random.choice(records).get("email") if records else None) or address
        values = {c: v for c, v in self._asked(self._some_values(address)).items() if v is not None}

        self._oracle.asked |= set(values.items())

        def create(note: Callable[[str], Any]) -> None:
            (outcome,) = self._world.api.create([(uuid, values)])
            if isinstance(outcome, Done):
                (contact,) = self._world.wire.created[uuid]
                self._oracle.wrote(Subject.contact(contact).key, "api", values, {})

        return self._by_api("post", create)

    def put(self) -> bool:
        row = self._pick([row for row in self._rows() if row.address])
        if row is None:
            return False
        address = row.address or ""
        values = self._asked(self._edit(row.raw))
        if not values or values.get("email", "") is None:
            return False

        self._oracle.asked |= set(values.items())

        def update(note: Callable[[str], Any]) -> None:
            customer = self._world.customer_store.by_address([address]).get(address)
            if customer is None:
                return
            entity = Subject.customer(customer.uuid).key
            outcome: object = None
            try:
                (outcome,) = self._world.api.update([(customer, values)])
            finally:
                seen = next((pair.customer.values for pair in note("load") or () if pair.customer), customer.values)
                self._oracle.looked_past(entity, values, customer.values)
                self._oracle.looked_past(entity, values, seen)
            row = self._world.tables.customers.get(customer.uuid)
            if isinstance(outcome, Done) and row is not None and row.is_alive:
                self._oracle.wrote(entity, "api", values, {})

        return self._by_api("put", update)

    def delete_by_api(self) -> bool:
        row = self._pick([row for row in self._rows() if row.address])
        if row is None:
            return False
        address = row.address or ""

        def delete(note: Callable[[str], Any]) -> None:
            customer = self._world.customer_store.by_address([address]).get(address)
            if customer is None:
                return
            entity = Subject.customer(customer.uuid).key
            outcome: object = None
            try:
                (outcome,) = self._world.api.delete([customer])
            finally:
                seen = next((pair.customer.values for pair in note("load") or () if pair.customer), customer.values)
                self._oracle.looked_past(entity, self._fields.names, seen)
            if isinstance(outcome, Done):
                self._oracle.deaths[entity] = None

        return self._by_api("delete", delete)

    def _asked(self, values: Values) -> dict[str, Value]:
        """Return canonical values as the API takes them: not against their direction."""
        return self._fields.outbound(self._fields.canonical(values))

    def _by_api(self, name: str, act: Callable[[Callable[[str], Any]], None]) -> bool:
        def work() -> None:
            task = self._world.stage.current
            assert task is not None
            with suppress(Transient):
                act(task.notes.get)

        self._world.stage.start(name, work)
        return True

    # What they choose.

    def _in_hubspot(self, act: Callable[[], object]) -> bool:
        with suppress(HubSpotError):
            act()
        return True

    def _rows(self, *, alive: bool = True) -> list[CustomerRow]:
        return [row for row in self._world.tables.customers.values() if row.is_alive is alive]

    def _records(self, *, alive: bool = True) -> list[Record]:
        return [r for r in self._world.portal.ledger.records.contacts.values() if r.archived is not alive]

    def _pick(self, among: list[Any]) -> Any:
        return self._random.choice(among) if among else None

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _new_address(self) -> Value:
        number = self._next()
        form = self._random.randrange(8)
        if form == 0 and self._is_wild:
            return None
        return f"  P{number}@Example.com " if form == 1 else f"p{number}@example.com"

    def _some_values(self, address: Value) -> dict[str, Value]:
        values: dict[str, Value] = {"email": address, "firstname": f"f{self._next()}"}
        for field in self._free[1:]:
            if self._random.random() < 0.3:
                values[field] = self._new(field)
        return values

    def _new(self, field: str) -> Value:
        """Return a text of a new value, as far as the field's kind has so many; a value has several texts."""
        number = self._next()
        day = BEGINNING.replace(hour=0) - timedelta(days=number)
        match self._fields[field].kind:
            case Kind.NUMBER:
                return self._random.choice([f"{number}.5", f"{number}.50", f"{number}5e-1"])
            case Kind.BOOLEAN:
                return self._random.choice(["true", "false"])
            case Kind.DATE:
                return self._random.choice([day.date().isoformat(), _milliseconds(day)])
            case Kind.DATETIME:
                moment = day + timedelta(milliseconds=number)
                east = moment.astimezone(timezone(timedelta(hours=2)))
                return self._random.choice([_milliseconds(moment), moment.isoformat(), east.isoformat()])
            case Kind.ENUM:
                return self._random.choice(PLANS)
            case Kind.SET:
                chosen = [tag for place, tag in enumerate(TAGS) if number >> place & 1]
                return SEPARATOR.join(self._random.sample(chosen, len(chosen)))
            case Kind.TEXT | Kind.EMAIL:
                return f"{field}{number}"

    def _edit(self, before: Any) -> dict[str, Value]:
        field = self._random.choice(self._free)
        values: dict[str, Value] = {field: self._new(field)}
        kind = self._random.randrange(12)
        if kind == 0:
            values = {"email": self._new_address()}
        elif kind == 1:
            values = {"lifecyclestage": self._random.choice(STAGES)}
        elif kind == 2:
            values[field] = self._random.choice([None, ""])
        elif kind == 3:
            other = self._random.choice(self._free)
            values[other] = self._new(other)
        elif kind == 4:
            values[field] = before.get(field)
        return values


def _milliseconds(at: datetime) -> str:
    return str(int(at.timestamp() * 1000))
