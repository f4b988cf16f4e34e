"""One store, two implementations: in memory and Postgres, each with what people do to it in SQL.

What is in it is told in one common shape, so that one suite of tests can ask both the same questions.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from reconciler.core.brake import Limits
from reconciler.core.contact import Customer, CustomerId
from reconciler.core.ports import Brakes, CustomerStore, Gates, Marks, Outage, Outbox, Pairs, Quota, Records, Slots
from reconciler.core.values import Value


class RecordsAndBrakes(Records, Brakes, Protocol):
    """Both are one object in each implementation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """A link as both implementations have it; `blocks` by code."""

    contact: int | None
    base: Mapping[str, Value]
    alive: bool | None
    newest_seen: datetime | None
    merged_through: datetime | None
    stale_reads: int
    blocks: Mapping[str, str]
    blind_pushes: Mapping[str, tuple[datetime | None, Value, tuple[Value, ...]]]
    edited: frozenset[str]
    is_detached: bool
    privacy: bool
    is_leased: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkState:
    """A mark; `due_in` in seconds, 0 when it is due."""

    due_in: float
    lane: int
    attempts: int
    crashes: int
    privacy: bool

    @property
    def is_due(self) -> bool:
        return self.due_in <= 0


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentState:
    """An open intent."""

    uuid: CustomerId
    kind: str
    values: Mapping[str, Value]
    hubspot_first: bool
    is_reserved: bool
    is_overdue: bool


Loser = tuple[CustomerId, str, str, str]
"""(customer, field, kept, lost), an empty value as ""."""


class Store(ABC):
    """The ports, people, time, and a look behind the ports."""

    marks: Marks
    pairs: Pairs
    outbox: Outbox
    gates: Gates
    records: RecordsAndBrakes
    customer_store: CustomerStore
    slots: Slots
    quota: Quota
    outage: Outage

    @abstractmethod
    def limited(self, limits: Limits) -> Brakes:
        """The brake with limits of its own."""

    def customer(self, uuid: CustomerId) -> Customer:
        """Return a customer as the API sees it."""
        (found,) = self.customer_store.by_uuid([uuid])
        return found

    def has(self, uuid: CustomerId, field: str) -> Value:
        """Return what a customer has in one field."""
        return self.customer(uuid).raw[field]

    @abstractmethod
    def insert(self, **values: Value) -> CustomerId:
        """INSERT a customer."""

    @abstractmethod
    def update(self, uuid: CustomerId, **values: Value) -> None:
        """UPDATE columns of a customer."""

    @abstractmethod
    def remove(self, uuid: CustomerId) -> None:
        """Set `deletedat`."""

    @abstractmethod
    def restore(self, uuid: CustomerId) -> None:
        """Clear `deletedat`."""

    @abstractmethod
    def delete(self, uuid: CustomerId) -> None:
        """DELETE the row."""

    @abstractmethod
    def held(self, uuid: CustomerId) -> AbstractContextManager[None]:
        """Have another transaction hold the row meanwhile."""

    @abstractmethod
    def hidden(self, uuid: CustomerId) -> AbstractContextManager[None]:
        """Have row level security hide the row from the sync meanwhile."""

    @abstractmethod
    def forbidden(self, field: str, ending: str) -> AbstractContextManager[None]:
        """Have the table's owner let no row hold this ending in that field meanwhile."""

    @abstractmethod
    def bury(self, address: str) -> None:
        """Have an address be that of a person erased before."""

    @abstractmethod
    def pass_time(self, seconds: float) -> None:
        """Let time pass."""

    @abstractmethod
    def links(self) -> Mapping[CustomerId, LinkState]:
        """Return every link."""

    @abstractmethod
    def marked(self) -> Mapping[str, MarkState]:
        """Return every mark."""

    @abstractmethod
    def intents(self) -> list[IntentState]:
        """Return the open intents, oldest first."""

    @abstractmethod
    def losers(self) -> set[Loser]:
        """Return the log of conflicts."""

    @abstractmethod
    def aliases(self) -> Mapping[int, tuple[CustomerId | None, str]]:
        """Return the contacts that lead to a link without being its contact."""
