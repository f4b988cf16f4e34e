"""The state file: what was answered survives the end of the process.

One SQLite transaction for each request that changes something, before it is answered; everything is read
once, at start.
"""

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from sandbox.contact import Contact, Origin, from_json, to_json
from sandbox.events import Event
from sandbox.schema import Option, Property

_TABLES = """
create table if not exists contact (id integer primary key, body blob not null);
create table if not exists alias (old integer primary key, new integer not null);
create table if not exists blocklist (address text primary key);
create table if not exists event (number integer primary key, body blob not null);
create table if not exists property (name text primary key, body blob not null);
create table if not exists fact (name text primary key, value blob not null);
"""


@dataclass(slots=True)
class Batch:
    """What one request changed."""

    contacts: dict[int, Contact | None] = field(default_factory=dict)
    aliases: dict[int, int] = field(default_factory=dict)
    blocklist: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.contacts or self.aliases or self.blocklist or self.events or self.facts)


class Store:
    """A SQLite file with the portal's contacts and the events that are still to be delivered."""

    def __init__(self, path: str) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # The write-ahead log is enough against a killed process; the disk is not synced at every request.
        self._database.execute("pragma journal_mode = wal")
        self._database.execute("pragma synchronous = normal")
        self._database.executescript(_TABLES)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._database.execute("begin immediate")
            try:
                yield self._database
            except BaseException:
                self._database.execute("rollback")
                raise
            self._database.execute("commit")

    def save(self, batch: Batch, with_events: bool = True) -> None:
        """Write what a request changed, all or nothing; its events only if they are to be sent."""
        events = batch.events if with_events else []
        kept = [(id_, orjson.dumps(to_json(each))) for id_, each in batch.contacts.items() if each]
        gone = [(id_,) for id_, each in batch.contacts.items() if each is None]
        with self._transaction() as database:
            database.executemany("insert or replace into contact values (?, ?)", kept)
            database.executemany("delete from contact where id = ?", gone)
            database.executemany("insert or replace into alias values (?, ?)", batch.aliases.items())
            database.executemany("insert or ignore into blocklist values (?)", ((a,) for a in batch.blocklist))
            database.executemany("insert or replace into event values (?, ?)", map(_event_row, events))
            facts = ((name, orjson.dumps(value)) for name, value in batch.facts.items())
            database.executemany("insert or replace into fact values (?, ?)", facts)

    def save_property(self, prop: Property) -> None:
        """Write the definition of a custom property."""
        with self._transaction() as database:
            database.execute("insert or replace into property values (?, ?)", (prop.name, orjson.dumps(prop)))

    def properties(self) -> list[Property]:
        """Return the custom properties."""
        rows = self._database.execute("select body from property order by rowid")
        return [_property(orjson.loads(body)) for (body,) in rows]

    def settle(self, numbers: Iterable[int]) -> None:
        """Forget events that need no further delivery."""
        with self._transaction() as database:
            database.executemany("delete from event where number = ?", ((number,) for number in numbers))

    def clear(self) -> None:
        """Forget everything but the custom properties."""
        with self._transaction() as database:
            for table in ("contact", "alias", "blocklist", "event", "fact"):
                database.execute(f"delete from {table}")

    def contacts(self) -> list[Contact]:
        """Return every contact."""
        rows = self._database.execute("select body from contact order by id")
        return [from_json(orjson.loads(body)) for (body,) in rows]

    def aliases(self) -> dict[int, int]:
        """Return the merged ids and what they became."""
        return dict(self._database.execute("select old, new from alias"))

    def blocklist(self) -> set[str]:
        """Return the erased addresses."""
        return {address for (address,) in self._database.execute("select address from blocklist")}

    def events(self) -> list[Event]:
        """Return the events that were not delivered."""
        rows = self._database.execute("select body from event order by number")
        return [_event(orjson.loads(body)) for (body,) in rows]

    def facts(self) -> dict[str, Any]:
        """Return the odd remaining values by name."""
        return {name: orjson.loads(value) for name, value in self._database.execute("select * from fact")}


def _event_row(event: Event) -> tuple[int, bytes]:
    origin = [event.origin.source_type, event.origin.source_id, event.origin.user_id]
    body = {name: getattr(event, name) for name in Event.__slots__} | {"origin": origin}
    return event.number, orjson.dumps(body)


def _property(body: dict[str, Any]) -> Property:
    return Property(**(body | {"options": tuple(Option(**each) for each in body["options"])}))


def _event(body: dict[str, Any]) -> Event:
    return Event(**(body | {"origin": Origin(*body["origin"])}))
