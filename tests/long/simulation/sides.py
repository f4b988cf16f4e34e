"""Both real sides of one example: what people do on each, with the simulation's oracle looking on.

Values are new each time, so that each can be traced. `tag` (the last name) is never edited: it says of a contact for
whom it was created.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import orjson
import psycopg
from clocks import move_back
from death import mortal
from world import COLUMN_LIST, World

from reconciler.core.ports import INTENT_DEADLINE, Lane, Subject
from reconciler.core.values import Value, Values
from reconciler.process import wiring
from sandbox import Contact, HubSpotError
from sandbox.events import Event, payload
from simulation.mapped import FIELDS, MAPPED, NORMALISE, normalised
from simulation.oracle import Oracle
from webhook.events import read

Row = dict[str, Any]


class Sides:
    """People and what they know, on a world of Postgres and the sandbox."""

    call_api: Callable[..., tuple[int, Any]]

    def __init__(self, world: World) -> None:
        self.world = world
        world.parts = wiring.build(world.settings, world.parts.database, self.pass_time)
        self.oracle = Oracle(MAPPED)
        self.waiting: list[Event] = []
        self.restored: set[int] = set()
        self.portal = world.portal
        self._count = 0
        self.portal.ledger.deliver_to(self._hear)

    def _hear(self, events: Sequence[Event]) -> None:
        self.waiting += events

    # What there is.

    def new(self, what: str) -> str:
        self._count += 1
        return f"{what}{self._count}"

    def rows(self, *, alive: bool = True) -> list[Row]:
        """Customers, oldest first; of the dead ones those that somebody could restore."""
        which = "deletedat is null" if alive else "deletedat is not null and mergedinto is null"
        return self.world.sql(f"select uuid, {COLUMN_LIST} from customer where {which} order by createdat, uuid")

    def row(self, uuid: Any) -> Row | None:
        found = self.world.sql(f"select uuid, {COLUMN_LIST} from customer where uuid = %s", uuid)
        return found[0] if found else None

    def records(self, *, alive: bool = True) -> list[Contact]:
        every = self.portal.ledger.records.contacts.values()
        return sorted((each for each in every if each.archived is not alive), key=lambda each: each.id)

    # In SQL.

    def insert(self, address: Value) -> None:
        values = {"email": address, "firstname": self.new("first"), "lastname": self.new("tag")}
        with suppress(psycopg.IntegrityError):
            self.oracle.wrote(f"u:{self.world.insert(**values)}", "sql", values, {})

    def change(self, row: Row, values: Values) -> None:
        columns = ", ".join(f"{column} = %s" for column in values)
        try:
            self.world.sql(f"update customer set {columns} where uuid = %s", *values.values(), row["uuid"])
        except psycopg.IntegrityError:
            return
        self.oracle.wrote(f"u:{row['uuid']}", "sql", values, row)

    def swap(self, one: Row, other: Row) -> None:
        """Change two customers' addresses in one transaction."""
        first, second = one["email"], other["email"]
        with self.world.connection.transaction():
            for uuid, address in ((one["uuid"], None), (other["uuid"], first), (one["uuid"], second)):
                self.world.sql("update customer set email = %s where uuid = %s", address, uuid)
        self.oracle.wrote(f"u:{one['uuid']}", "sql", {"email": second}, one)
        self.oracle.wrote(f"u:{other['uuid']}", "sql", {"email": first}, other)

    def remove(self, row: Row, *, hard: bool) -> None:
        statement = "delete from customer" if hard else "update customer set deletedat = now()"
        self.world.sql(f"{statement} where uuid = %s", row["uuid"])
        self.oracle.ended(f"u:{row['uuid']}", row)

    def restore(self, row: Row) -> None:
        with suppress(psycopg.IntegrityError):
            self.world.sql("update customer set deletedat = null where uuid = %s", row["uuid"])
            self.oracle.revived(f"u:{row['uuid']}")

    # In HubSpot.

    def create_contact(self, address: Value) -> None:
        values = {
            "firstname": self.new("first"),
            "lastname": self.new("tag"),
            **({"email": address} if address else {}),
        }
        with suppress(HubSpotError):
            self.oracle.wrote(f"c:{self.portal.create(values).id}", "hubspot", values, {})

    def edit_contact(self, record: Contact, values: Values) -> None:
        before = values_of(record)
        with suppress(HubSpotError):
            after = self.portal.edit(record.id, {column: value or "" for column, value in values.items()})
            kept = {c: v for c, v in values.items() if NORMALISE[c](after.get(c)) == NORMALISE[c](v)}
            self.oracle.wrote(f"c:{record.id}", "hubspot", kept, before)

    def swap_contacts(self, one: Contact, other: Contact) -> None:
        first, second = one.get("email"), other.get("email")
        self.edit_contact(one, {"email": None})
        self.edit_contact(other, {"email": first})
        self.edit_contact(self.portal.contact(one.id) or one, {"email": second})

    def delete_contact(self, record: Contact) -> None:
        self.oracle.ended(f"c:{record.id}", values_of(record))
        self.portal.delete(record.id)

    def restore_contact(self, record: Contact) -> None:
        with suppress(HubSpotError):
            self.portal.restore(record.id)
            self.restored.add(record.id)

    def merge_contact(self, one: Contact, other: Contact) -> None:
        for record in (one, other):
            self.oracle.looked_past(f"c:{record.id}", FIELDS, values_of(record))
        with suppress(HubSpotError):
            self.portal.merge(one.id, other.id)

    # Through the API.

    def post(self, address: str) -> None:
        body = {"email": address, "firstname": self.new("first"), "lastname": self.new("tag")}
        status, answer = self.call_api("POST", "/", body)
        if status == 201:
            self.oracle.wrote(f"c:{answer['contactid']}", "api", body, {})

    def put(self, row: Row, values: Values) -> None:
        entity, address = f"u:{row['uuid']}", NORMALISE["email"](row["email"])
        self.oracle.looked_past(entity, values, row)
        status, _ = self.call_api("PUT", f"/{address}", dict(values))
        after = self.row(row["uuid"])
        if status == 200 and after is not None:
            self.oracle.wrote(entity, "api", values, {})

    def delete_by_api(self, row: Row) -> None:
        """Delete by API: nothing is read before, so whatever HubSpot has then goes with it."""
        entity, address = f"u:{row['uuid']}", NORMALISE["email"](row["email"])
        record = self._contact_of(row)
        for values in (row, {} if record is None else values_of(record)):
            self.oracle.looked_past(entity, FIELDS, values)
        self.call_api("DELETE", f"/{address}")

    def _contact_of(self, row: Row) -> Contact | None:
        found = self.world.sql("select contact from sync.link where uuid = %s and contact is not null", row["uuid"])
        return self.portal.contact(found[0]["contact"]) if found else None

    # Between the sides.

    def arrive(self, event: Event) -> None:
        """Do what the receiver does with one event."""
        settings = self.portal.settings
        body = orjson.dumps([payload(event, 0, settings)])
        delivery = read(body, portal_id=settings.portal_id, app_id=settings.app_id)
        marks = self.world.parts.marks
        marks.mark({Subject.contact(each) for each in delivery.contacts - delivery.private}, lane=Lane.FRESH)
        marks.mark({Subject.contact(each) for each in delivery.private}, lane=Lane.FRESH, privacy=True)

    def drain_and_die(self, path: str, *, when: str) -> None:
        """Work until the next such call, and die before it arrives or after its effect."""
        with self._mortal(path, when), suppress(KeyboardInterrupt):
            self.world.parts.reconciler.drain()
        # A process that died has none of its memory.
        self.world.parts = wiring.build(self.world.settings, self.world.parts.database, self.pass_time)

    @contextmanager
    def _mortal(self, path: str, when: str) -> Iterator[None]:
        with mortal(when) as strike:
            number = self.portal.faults.add(action="run", path_contains=path, run=strike, when=when)
            try:
                yield
            finally:
                self.portal.faults.remove(number)

    def pass_time(self, seconds: float) -> None:
        """Let time pass in the database."""
        move_back(self.world.connection, seconds)

    def settle(self) -> None:
        """No more faults; everything arrives, and the sync works until nothing is left to do."""
        self.portal.faults.clear()
        self.world.parts = wiring.build(self.world.settings, self.world.parts.database, self.pass_time)
        while self.waiting:
            self.arrive(self.waiting.pop())
        for _ in range(3):
            self.pass_time(INTENT_DEADLINE + 60)
            self.world.quiet()
            self.world.parts.poll.recent()
            self.world.sweep()
        assert not self.world.sql("select * from sync.intent")


def values_of(record: Contact) -> dict[str, Value]:
    """Return the mapped values of a contact, every one of them."""
    return normalised({column: record.get(column) for column in FIELDS})
