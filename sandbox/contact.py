"""One contact as a value: what is stored, who wrote it and when.

A write makes a new `Contact`; an old one stays true where it is still held (in the search index).
Properties that HubSpot calculates are not here, see `view`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Origin:
    """Who writes: an integration or a person in HubSpot's own pages."""

    source_type: str
    source_id: str
    user_id: int | None = None


USER = Origin("CRM_UI", "userId:1", 1)
IMPORT = Origin("IMPORT", "ImportContacts")
MERGE = Origin("MERGE_OBJECTS", "MergeContacts")


def integration(app_id: int) -> Origin:
    """Return the origin of everything that comes through the API."""
    return Origin("INTEGRATION", str(app_id))


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a property's history."""

    value: str
    timestamp: int
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A record; a property that was never set is absent from `values`, a cleared one is ""."""

    id: int
    created: int
    modified: int
    origin: Origin
    values: Mapping[str, str]
    # Only what changed after the creation: a million imported contacts would not fit otherwise.
    history: Mapping[str, tuple[Entry, ...]] = field(default_factory=dict)
    secondary: tuple[str, ...] = ()
    merged: tuple[int, ...] = ()
    archived_at: int | None = None

    @property
    def archived(self) -> bool:
        """Whether the record lies in the recycle bin."""
        return self.archived_at is not None

    @property
    def email(self) -> str:
        """The primary address, or ""."""
        return self.values.get("email", "")

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every address the record answers to."""
        return (self.email, *self.secondary) if self.email else self.secondary

    def get(self, name: str) -> str | None:
        """Return a stored value: None when never set, "" when cleared."""
        return self.values.get(name)

    def entries(self, name: str) -> tuple[Entry, ...]:
        """Return the history of one property, newest first."""
        if name in self.history:
            return self.history[name]
        return (Entry(self.values[name], self.created, self.origin),) if name in self.values else ()

    def with_values(self, changes: Mapping[str, str], now: int, by: Origin) -> "Contact":
        """Return the record after a write of values that differ from the stored ones."""
        lines = {name: (Entry(value, now, by), *self.entries(name)) for name, value in changes.items()}
        return replace(self, values={**self.values, **changes}, history={**self.history, **lines}, modified=now)


def to_json(contact: Contact) -> dict[str, Any]:
    """Return the record as plain data, for the state file."""
    return {
        "id": contact.id,
        "created": contact.created,
        "modified": contact.modified,
        "origin": _origin_to_json(contact.origin),
        "values": dict(contact.values),
        "history": {name: [_entry_to_json(line) for line in lines] for name, lines in contact.history.items()},
        "secondary": contact.secondary,
        "merged": contact.merged,
        "archived_at": contact.archived_at,
    }


def from_json(data: dict[str, Any]) -> Contact:
    """Read what `to_json` wrote."""
    return Contact(
        id=data["id"],
        created=data["created"],
        modified=data["modified"],
        origin=Origin(*data["origin"]),
        values=data["values"],
        history={name: tuple(map(_entry_from_json, lines)) for name, lines in data["history"].items()},
        secondary=tuple(data["secondary"]),
        merged=tuple(data["merged"]),
        archived_at=data["archived_at"],
    )


def _origin_to_json(origin: Origin) -> list[Any]:
    return [origin.source_type, origin.source_id, origin.user_id]


def _entry_to_json(line: Entry) -> list[Any]:
    return [line.value, line.timestamp, _origin_to_json(line.origin)]


def _entry_from_json(data: list[Any]) -> Entry:
    return Entry(data[0], data[1], Origin(*data[2]))
