"""Which properties a contact has, and each as the properties API shows it.

What may be written to one is in `values`, what a new one may look like in `definitions`.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

from sandbox.clock import iso


@dataclass(frozen=True, slots=True)
class Option:
    """One allowed value of an enumeration."""

    label: str
    value: str
    description: str = ""
    # None: the place in the list.
    display_order: int | None = None
    hidden: bool = False

    def order(self, place: int) -> int:
        """Return where the option is shown, given its place in the list."""
        return place if self.display_order is None else self.display_order


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
    display_order: int = -1
    form_field: bool | None = None
    # HubSpot's own ones do not say when.
    created: int | None = None

    @property
    def several(self) -> bool:
        """Whether a value is a list of options."""
        return self.type == "enumeration" and self.field_type == "checkbox"

    @property
    def option_values(self) -> list[str]:
        """The allowed values, in HubSpot's order."""
        return [option.value for option in self.options]


class Schema:
    """The portal's property definitions, some of them archived."""

    def __init__(self, properties: Iterable[Property], groups: Collection[str]) -> None:
        self.groups = groups
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
        """Add a definition, or replace it, unchecked."""
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


def render(prop: Property) -> dict[str, Any]:
    """Return the definition as the properties API answers it."""
    answer = {
        "name": prop.name,
        "label": prop.label,
        "type": prop.type,
        "fieldType": prop.field_type,
        "description": prop.description,
        "groupName": prop.group,
        "options": [_render_option(option, place) for place, option in enumerate(prop.options)],
        "displayOrder": prop.display_order,
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
        "formField": not prop.read_only if prop.form_field is None else prop.form_field,
        "dataSensitivity": "non_sensitive",
    }
    if prop.created is None:
        return answer
    return {"createdAt": iso(prop.created), "updatedAt": iso(prop.created), "archived": False, **answer}


def _render_option(option: Option, place: int) -> dict[str, Any]:
    return {
        "label": option.label,
        "value": option.value,
        "description": option.description,
        "displayOrder": option.order(place),
        "hidden": option.hidden,
    }
