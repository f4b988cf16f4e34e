"""HubSpot's definition of a contact property, as its properties API answers it -> a value."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """A contact property; `options` are None where any value is taken."""

    name: str
    type: str = "string"
    form: str = "text"
    options: tuple[str, ...] | None = None
    is_writable: bool = True

    @property
    def is_choice(self) -> bool:
        return self.type == "enumeration"

    @property
    def is_multiple(self) -> bool:
        return self.is_choice and self.form == "checkbox"

    @property
    def is_flag(self) -> bool:
        """Whether it is true or false: a type of its own, and of old an enumeration."""
        return self.type == "bool" or self.form == "booleancheckbox"


def properties_of(definitions: Mapping[str, Mapping[str, Any]]) -> dict[str, Property]:
    """Return the properties by name."""
    return {name: _property(name, each) for name, each in definitions.items()}


def _property(name: str, definition: Mapping[str, Any]) -> Property:
    options = tuple(str(each.get("value")) for each in definition.get("options") or ())
    is_open = not options and (definition.get("externalOptions") or definition.get("type") != "enumeration")
    metadata = definition.get("modificationMetadata") or {}
    return Property(
        name=name,
        type=str(definition.get("type")),
        form=str(definition.get("fieldType")),
        options=None if is_open else options,
        is_writable=not metadata.get("readOnlyValue") and not definition.get("calculated"),
    )
