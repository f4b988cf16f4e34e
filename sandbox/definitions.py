"""New properties: the body of a creation -> a definition, refused where HubSpot refuses it.

`Seed` is the short form that tests, settings and the control side use. It may do what only people and HubSpot
itself can (values that are read only or calculated); everything else of it passes the same checks.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from sandbox.errors import HubSpotError, bad_json, invalid, refusal
from sandbox.schema import Option, Property, Schema
from sandbox.values import SEPARATOR, is_padded

# Which field types a type may have; the first is what a seed has that names none.
PAIRS: Mapping[str, tuple[str, ...]] = {
    "string": ("text", "textarea", "phonenumber", "file", "html"),
    "number": ("number",),
    "bool": ("booleancheckbox",),
    "date": ("date",),
    "datetime": ("date",),
    "enumeration": ("select", "radio", "checkbox", "booleancheckbox"),
}

_REQUIRED = ("name", "label", "type", "fieldType", "groupName")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
_RESERVED = "hs_"
_MOST_UNIQUE = 10
_UNIQUE_TYPES = (("string", "text"), ("number", "number"))


def read_definition(body: Mapping[str, Any], created: int) -> Property:
    """Return the property that a body describes, or refuse it."""
    missing = [name for name in _REQUIRED if not isinstance(body.get(name), str) or not body[name].strip()]
    if missing:
        raise bad_json(missing)
    prop = Property(
        name=body["name"],
        label=body["label"],
        type=body["type"],
        field_type=body["fieldType"],
        group=body["groupName"],
        description=_taken(body, "description", ""),
        options=_read_options(body),
        unique=_taken(body, "hasUniqueValue", False),
        hidden=_taken(body, "hidden", False),
        hubspot_defined=False,
        display_order=_taken(body, "displayOrder", -1),
        form_field=_taken(body, "formField", False),
        created=created,
    )
    _refuse_name(prop.name)
    _refuse_pair(prop)
    _refuse_extras(body)
    _refuse_options(prop)
    return prop


def refuse_undefinable(prop: Property, schema: Schema) -> None:
    """Refuse a new property that the portal has no place for."""
    if schema.get(prop.name) is not None:
        raise refusal(409, f"A property named '{prop.name}' already exists.", "OBJECT_ALREADY_EXISTS")
    if prop.group not in schema.groups:
        raise invalid(f"Property group '{prop.group}' does not exist.")
    custom = [each for each in schema.listed() if each.unique and not each.hubspot_defined]
    if prop.unique and len(custom) >= _MOST_UNIQUE:
        raise invalid(f"No more than {_MOST_UNIQUE} properties may have unique values.")


def _taken(body: Mapping[str, Any], name: str, default: Any) -> Any:
    """Return an optional field, which has the type of its default; null is the default."""
    value = body.get(name)
    if value is None:
        return default
    if type(value) is not type(default):
        raise bad_json()
    return value


def _read_options(body: Mapping[str, Any]) -> tuple[Option, ...]:
    listed = body.get("options") or []
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise bad_json()
    return tuple(map(_read_option, listed))


def _read_option(each: Mapping[str, Any]) -> Option:
    wanted = {"label": str, "value": str, "hidden": bool}
    missing = [name for name, kind in wanted.items() if not isinstance(each.get(name), kind)]
    if missing:
        raise bad_json(missing)
    order = None if each.get("displayOrder") is None else _taken(each, "displayOrder", 0)
    return Option(each["label"], each["value"], _taken(each, "description", ""), order, each["hidden"])


def _refuse_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise invalid(
            f"Property name '{name}' is not valid: it must begin with a letter and hold lowercase letters, "
            "numbers and underscores only, 100 at most."
        )
    if name.startswith(_RESERVED):
        raise invalid(f"Property name '{name}' is not valid: names that begin with '{_RESERVED}' are reserved.")


def _refuse_pair(prop: Property) -> None:
    if prop.type not in PAIRS:
        raise invalid(f"Property type '{prop.type}' is not one of [{', '.join(PAIRS)}].")
    if prop.field_type not in PAIRS[prop.type]:
        allowed = ", ".join(PAIRS[prop.type])
        raise invalid(f"Field type '{prop.field_type}' does not fit type '{prop.type}', which takes [{allowed}].")
    if prop.unique and (prop.type, prop.field_type) not in _UNIQUE_TYPES:
        raise invalid(f"A property of type '{prop.type}' and field type '{prop.field_type}' cannot be unique.")


def _refuse_extras(body: Mapping[str, Any]) -> None:
    """Refuse what the portal has not: owners to choose from, formulas, sensitive data."""
    if _taken(body, "externalOptions", False):
        raise invalid("externalOptions needs owners, and this portal has none.")
    if body.get("calculationFormula") is not None:
        raise invalid("calculationFormula needs the field type 'calculation_equation'.")
    if body.get("dataSensitivity") not in (None, "non_sensitive"):
        raise invalid("This portal does not store sensitive data.")


def _refuse_options(prop: Property) -> None:
    values, labels = prop.option_values, [option.label for option in prop.options]
    if prop.type not in ("enumeration", "bool"):
        if values:
            raise invalid(f"A property of type '{prop.type}' has no options.")
        return
    if prop.field_type == "booleancheckbox" and sorted(values) != ["false", "true"]:
        raise invalid("The options of a single checkbox must be 'true' and 'false'.")
    if not values:
        raise invalid("A property of type 'enumeration' needs options.")
    if len(set(values)) < len(values) or len(set(labels)) < len(labels):
        raise invalid("Options must have distinct values and labels.")
    if any(not text or is_padded(text) for text in (*values, *labels)) or SEPARATOR in "".join(values):
        raise invalid("Values and labels of options cannot be empty, begin or end with blanks; values cannot hold ';'.")


class Seed(BaseModel):
    """A custom property in short: the options are values, each its own label."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    label: str = ""
    type: str = "string"
    field_type: str = ""
    group: str = "contactinformation"
    options: tuple[str, ...] = ()
    unique: bool = False
    read_only: bool = False
    calculated: bool = False

    @model_validator(mode="after")
    def _is_definable(self) -> "Seed":
        try:
            self.definition(0)
        except HubSpotError as error:
            raise ValueError(error.message) from None
        return self

    def definition(self, created: int) -> Property:
        """Return the whole definition."""
        prop = read_definition(self._body(), created)
        return replace(prop, read_only=self.read_only or self.calculated, calculated=self.calculated)

    def _body(self) -> dict[str, Any]:
        field_type = self.field_type or PAIRS.get(self.type, ("text",))[0]
        options = self.options or (("true", "false") if field_type == "booleancheckbox" else ())
        return {
            "name": self.name,
            "label": self.label or self.name.capitalize(),
            "type": self.type,
            "fieldType": field_type,
            "groupName": self.group,
            "options": [{"label": each, "value": each, "hidden": False} for each in options],
            "hasUniqueValue": self.unique,
        }
