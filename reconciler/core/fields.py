"""The mapped fields as the core sees them: their kinds, which way their changes go, which side wins a conflict.

Where their values stand in a row only the border in Postgres knows (`sync.customers()`).
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property

from reconciler.core.kinds import Direction, Kind, Unfit, WhenEmpty, canonical
from reconciler.core.values import Value, Values

STAGE = "lifecyclestage"
"""The one field whose property HubSpot may leave as it is, without a word."""


class Policy(StrEnum):
    """Which side wins when both changed the same property since the base."""

    NEWEST = "newest"
    HUBSPOT = "hubspot"
    POSTGRES = "postgres"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Field:
    """One mapped field, by the name of its HubSpot property."""

    name: str
    kind: Kind = Kind.TEXT
    policy: Policy = Policy.NEWEST
    direction: Direction = Direction.BOTH
    when_empty: WhenEmpty = WhenEmpty.CLEAR


@dataclass(frozen=True)
class Fields:
    """The mapped fields by name, in the order in which they are shown."""

    by_name: Mapping[str, Field]
    scope: Mapping[str, Collection[str]] = field(default_factory=dict)
    """HubSpot's values, by property, of the contacts that become customers; a property need not be mapped."""

    @staticmethod
    def of(*fields: Field) -> "Fields":
        return Fields({each.name: each for each in fields})

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(self.by_name)

    @cached_property
    def to_postgres(self) -> frozenset[str]:
        """The fields whose changes in HubSpot go over."""
        return frozenset(name for name, each in self.by_name.items() if each.direction is not Direction.TO_HUBSPOT)

    @cached_property
    def to_hubspot(self) -> frozenset[str]:
        """The fields whose changes in Postgres go over."""
        return frozenset(name for name, each in self.by_name.items() if each.direction is not Direction.TO_POSTGRES)

    def __getitem__(self, name: str) -> Field:
        return self.by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self.by_name

    def canonical(self, raw: Mapping[str, str | None]) -> dict[str, Value]:
        """Return the mapped fields found in `raw` with canonical values; what is no value of its kind is left out."""
        return self.read(raw)[0]

    def read(self, raw: Mapping[str, str | None]) -> tuple[dict[str, Value], dict[str, str]]:
        """Return the mapped fields found in `raw` with canonical values, and those that hold none, with why."""
        values: dict[str, Value] = {}
        unfit: dict[str, str] = {}
        for name, each in self.by_name.items():
            if name in raw:
                try:
                    values[name] = canonical(each.kind, raw[name])
                except Unfit as error:
                    unfit[name] = str(error)
        return values, unfit

    def inbound(self, values: Values) -> dict[str, Value]:
        """Return of HubSpot's values those that go over."""
        return {name: value for name, value in self._told(values) if name in self.to_postgres}

    def outbound(self, values: Values) -> dict[str, Value]:
        """Return of a customer's values those that go over."""
        return {name: value for name, value in self._told(values) if name in self.to_hubspot}

    def _told(self, values: Values) -> Iterator[tuple[str, Value]]:
        """Leave out the emptyings that are not carried over."""
        for name, value in values.items():
            if value is not None or self[name].when_empty is WhenEmpty.CLEAR:
                yield name, value

    def with_policies(self, policies: Mapping[str, Policy]) -> "Fields":
        """Return the same fields, some with another policy."""
        return replace(
            self, by_name={name: replace(f, policy=policies.get(name, f.policy)) for name, f in self.by_name.items()}
        )

    def wants(self, raw: Mapping[str, str | None]) -> bool:
        """Whether a contact with these properties, as far as they were answered, becomes a customer."""
        return all(name not in raw or raw[name] in values for name, values in self.scope.items())

    def only(self, names: Collection[str]) -> tuple[str, ...]:
        """Return those of the names that are mapped, in the order of the fields."""
        return tuple(name for name in self.names if name in names)
