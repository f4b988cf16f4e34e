"""How a property that HubSpot does not have is made, from a field that says `create`."""

from typing import Any

from reconciler.core.kinds import Kind
from reconciler.mapping.file import MappedField

Definition = dict[str, Any]
"""A contact property as HubSpot's properties API takes it."""

TYPES = {
    Kind.TEXT: ("string", "text"),
    Kind.EMAIL: ("string", "text"),
    Kind.NUMBER: ("number", "number"),
    Kind.BOOLEAN: ("bool", "booleancheckbox"),
    Kind.DATE: ("date", "date"),
    Kind.DATETIME: ("datetime", "date"),
    Kind.ENUM: ("enumeration", "select"),
    Kind.SET: ("enumeration", "checkbox"),
}
"""HubSpot's type and fieldType of each kind."""


def definition_of(name: str, field: MappedField) -> Definition:
    """Return the property of a field that has `create`."""
    assert field.create is not None
    type, field_type = TYPES[field.type]
    definition = {
        "name": name,
        "label": field.create.label,
        "groupName": field.create.group,
        "type": type,
        "fieldType": field_type,
    }
    options = _options(field)
    return {**definition, "options": options} if options else definition


def _options(field: MappedField) -> list[Definition]:
    if field.type is Kind.BOOLEAN:
        values = ["true", "false"]
        labels = ["Yes", "No"]
    else:
        values = labels = list(dict.fromkeys((field.values or {}).values()))
    return [
        {"label": label, "value": value, "displayOrder": place, "hidden": False}
        for place, (label, value) in enumerate(zip(labels, values, strict=True))
    ]
