"""Which properties a contact has and what may be written to them.

`clean` turns a sent value into the stored one or into a Problem in HubSpot's words; nothing is repaired
silently but the blanks around an address.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sandbox.clock import parse_ms
from sandbox.errors import Problem

_LONGEST = 65_536
_ADDRESS = re.compile(r"[^@\s,;:<>()\[\]\\\"]+@(?:[\w](?:[\w-]*[\w])?\.)+[^\W\d_]{2,}")


@dataclass(frozen=True, slots=True)
class Option:
    """One allowed value of an enumeration."""

    label: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """The definition of one property."""

    name: str
    label: str
    type: str = "string"
    field_type: str = "text"
    group: str = "contactinformation"
    description: str = ""
    options: tuple[Option, ...] = ()
    unique: bool = False
    read_only: bool = False
    calculated: bool = False
    external_options: bool = False
    hidden: bool = False
    hubspot_defined: bool = True

    @property
    def option_values(self) -> list[str]:
        """The allowed values, in HubSpot's order."""
        return [option.value for option in self.options]


class Schema:
    """The portal's property definitions, some of them archived."""

    def __init__(self, properties: Iterable[Property]) -> None:
        self._live = {prop.name: prop for prop in properties}
        self._archived: dict[str, Property] = {}

    def get(self, name: str) -> Property | None:
        """Return a live definition."""
        return self._live.get(name)

    def listed(self, archived: bool = False) -> list[Property]:
        """Return all live, or all archived, definitions."""
        return list((self._archived if archived else self._live).values())

    def find(self, name: str, archived: bool = False) -> Property | None:
        """Return a live, or an archived, definition."""
        return (self._archived if archived else self._live).get(name)

    def put(self, prop: Property) -> None:
        """Add a definition, or replace it."""
        self._archived.pop(prop.name, None)
        self._live[prop.name] = prop

    def archive(self, name: str) -> None:
        """Delete a definition; the stored values stay. Raises KeyError."""
        self._archived[name] = self._live.pop(name)

    def restore(self, name: str) -> None:
        """Bring a deleted definition back. Raises KeyError."""
        self._live[name] = self._archived.pop(name)

    def set_options(self, name: str, values: Iterable[str]) -> None:
        """Replace the options of an enumeration. Raises KeyError."""
        options = tuple(Option(value.capitalize(), value) for value in values)
        self._live[name] = replace(self._live[name], options=options)

    def unique_names(self) -> list[str]:
        """Return the properties by whose value a record can be named."""
        return [prop.name for prop in self._live.values() if prop.unique]

    def clean(self, sent: Mapping[str, str]) -> tuple[dict[str, str], list[Problem]]:
        """Return what would be stored, and what is wrong with the rest."""
        stored: dict[str, str] = {}
        problems: list[Problem] = []
        for name, value in sent.items():
            result = self._clean_one(name, value)
            if isinstance(result, Problem):
                problems.append(result)
            else:
                stored[name] = result
        return stored, problems

    def _clean_one(self, name: str, value: str) -> str | Problem:
        prop = self._live.get(name)
        if prop is None:
            return Problem(name, f'Property "{name}" does not exist', "PROPERTY_DOESNT_EXIST")
        if prop.read_only:
            text = f'"{name}" is a read only property; its value cannot be set.'
            return Problem(name, text, "READ_ONLY_VALUE")
        if len(value) > _LONGEST:
            text = f"{name} is longer than the {_LONGEST} characters allowed"
            return Problem(name, text, "PROPERTY_VALUE_TOO_LONG")
        return value if value == "" else _clean_value(prop, value)


def _clean_value(prop: Property, value: str) -> str | Problem:
    if prop.name in ("email", "hs_additional_emails"):
        return _clean_addresses(prop.name, value)
    match prop.type:
        case "enumeration" | "bool":
            return _clean_option(prop, value)
        case "number":
            return _clean_number(prop.name, value)
        case "date" | "datetime":
            return _clean_time(prop, value)
        case _:
            return value


def _clean_addresses(name: str, value: str) -> str | Problem:
    addresses = [part.strip() for part in (value.split(";") if name != "email" else [value])]
    for address in addresses:
        if not is_address(address):
            return Problem(name, f"Email address {address} is invalid", "INVALID_EMAIL")
    return ";".join(addresses)


def is_address(text: str) -> bool:
    """Whether HubSpot would take this as an e-mail address."""
    local = text.partition("@")[0]
    dots_right = ".." not in text and not local.startswith(".") and not local.endswith(".")
    return len(text) <= 254 and dots_right and _ADDRESS.fullmatch(text) is not None


def _clean_option(prop: Property, value: str) -> str | Problem:
    allowed = prop.option_values or ["true", "false"]
    if prop.external_options and not prop.options:
        return value
    chosen = value.strip(";").split(";") if prop.field_type == "checkbox" else [value]
    for one in chosen:
        if one not in allowed:
            text = f"{one} was not one of the allowed options: [{_dump(prop.options)}]"
            return Problem(prop.name, text, "INVALID_OPTION")
    return value


def _dump(options: tuple[Option, ...]) -> str:
    """Render options the way HubSpot's error texts do."""
    return ", ".join(
        f'label: "{option.label}"\nvalue: "{option.value}"\ndisplay_order: {order}\ndouble_data: 0.0\n'
        'hidden: false\ndescription: ""\nread_only: false\n'
        for order, option in enumerate(options)
    )


def _clean_number(name: str, value: str) -> str | Problem:
    if re.fullmatch(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", value.strip(), re.ASCII):
        return value.strip()
    return Problem(name, f"{value} was not a valid number.", "INVALID_INTEGER")


def _clean_time(prop: Property, value: str) -> str | Problem:
    if parse_ms(value) is not None:
        return value
    return Problem(prop.name, f"{value} was not a valid {prop.type}.", "INVALID_DATE")


def render(prop: Property) -> dict[str, Any]:
    """Return the definition as the properties API answers it."""
    return {
        "name": prop.name,
        "label": prop.label,
        "type": prop.type,
        "fieldType": prop.field_type,
        "description": prop.description,
        "groupName": prop.group,
        "options": [
            {"label": option.label, "value": option.value, "displayOrder": order, "hidden": False}
            for order, option in enumerate(prop.options)
        ],
        "displayOrder": -1,
        "calculated": prop.calculated,
        "externalOptions": prop.external_options,
        "hasUniqueValue": prop.unique,
        "hidden": prop.hidden,
        "hubspotDefined": prop.hubspot_defined,
        "modificationMetadata": {
            "archivable": True,
            "readOnlyDefinition": prop.hubspot_defined,
            "readOnlyValue": prop.read_only,
        },
        "formField": not prop.read_only,
        "dataSensitivity": "non_sensitive",
    }
