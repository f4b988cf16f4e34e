"""The bodies the API takes, as pydantic models; from them come the checks and the OpenAPI schemas.

What GET shows is taken by PUT: texts with whatever Postgres can hold, and the address that a customer has already, also
where it is none that a new customer may have.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Annotated, Any, ClassVar, Literal, TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    create_model,
)

from reconciler.core.contact import Customer
from reconciler.core.fields import Fields
from reconciler.core.kinds import Direction, Json, Kind, from_json, to_json
from reconciler.core.values import TEXT_LIMIT, Values, normalise_email
from reconciler.mapping.file import MappingFile
from reconciler.mapping.reading import fields_of

LONGEST_ADDRESS = 320
MOST_ITEMS = 1000
LISTED = 100
MOST_LISTED = 1000
"""Customers of a page, unless told otherwise, and at most."""

MOST_PARAMETERS = 10
UUID_FORM = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"

_ADDRESS = re.compile(r"[^\s@\"(),:;<>\[\\\]]{1,64}@(?:[^\s@.\"(),:;<>\[\\\]]{1,63}\.)+[^\s@.\"(),:;<>\[\\\]]{2,63}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


def _storable(text: str) -> str:
    if _UNSTORABLE.search(text):
        raise ValueError("NUL and lone surrogates are not text")
    return text


def is_address(text: str) -> bool:
    """Whether a new customer may have this address."""
    stripped = text.strip(" ")
    is_well_formed = _ADDRESS.fullmatch(stripped) and ".." not in stripped and not _CONTROL.search(text)
    return bool(is_well_formed) and len(stripped) <= LONGEST_ADDRESS


def _address(text: str, info: ValidationInfo) -> str:
    """Return the canonical address; one that is not well formed passes as the one that its customer has already."""
    address = normalise_email(text)
    held = info.data.get("email") or (info.context or {}).get("held")
    if address is None or not (address == held or is_address(text)):
        raise ValueError("not an e-mail address")
    return address


def _of_a_row(text: str) -> str:
    """Return the canonical form of an address that a row may have."""
    address = normalise_email(text)
    if address is None:
        raise ValueError("not an e-mail address")
    return address


def _digits(value: object) -> object:
    if not re.fullmatch(r"[0-9]{1,9}", str(value), re.ASCII):
        raise ValueError("not a whole number")
    return value


def _canonical(value: object) -> object:
    if not re.fullmatch(UUID_FORM, str(value)):
        raise ValueError("not a uuid")
    return value


def _blank_is_none(value: object) -> object:
    return None if value == "" else value


Text = Annotated[str, StringConstraints(strict=True, max_length=TEXT_LIMIT), AfterValidator(_storable)]
Name = Annotated[Text, StringConstraints(strict=True, min_length=1)]
Optional = Annotated[Text | None, BeforeValidator(_blank_is_none)]
Model = TypeVar("Model", bound="Body")
Address = Annotated[
    str,
    StringConstraints(strict=True),
    AfterValidator(_address),
    Field(examples=["kai@hubspot.com"]),
]
RowAddress = Annotated[Text, AfterValidator(_of_a_row), Field(examples=["kai@hubspot.com"])]


class Body(BaseModel):
    """Names fields of a customer; each value is a canonical one once the body is valid."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def values_given(self) -> Values:
        """Return the mapped fields that the body names."""
        return self.model_dump(exclude={"op", "new_email"}, exclude_unset=True)


class BatchItem(Body):
    """One item of POST /batch: `email` says who; `new_email` changes the address."""

    op: Literal["create", "update", "upsert", "delete", "read"]
    email: RowAddress
    new_email: Address | None = None

    def change(self) -> Values:
        """Return what an update writes."""
        values = dict(self.values_given())
        del values["email"]
        return {**values, **({"email": self.new_email} if self.new_email is not None else {})}


@dataclass(frozen=True)
class Forms:
    """What the calls take, and how they show a customer: made from the mapped fields."""

    fields: Fields
    required: Collection[str]
    inserts: bool = True

    @cached_property
    def new_customer(self) -> type[Body]:
        """What POST takes."""
        given = {name: self._needed(name) if name in self.required else self._optional(name) for name in self._beside}
        return self._model("NewCustomer", "What POST takes.", Body, {"email": (Address, ...), **given})

    @cached_property
    def customer_change(self) -> type[Body]:
        """What PUT takes."""
        text = 'What PUT takes: any of the fields; null or "" empties one (but never the address).'
        given = {name: self._optional(name) for name in self._beside}
        return self._model("CustomerChange", text, Body, {"email": (Address, Field(default="")), **given})

    @cached_property
    def batch_item(self) -> type[BatchItem]:
        """What an item of POST /batch is."""
        given = {name: self._optional(name) for name in self._beside}
        return self._model("BatchItem", BatchItem.__doc__ or "", BatchItem, given)

    def shown(self, customer: Customer) -> dict[str, Any]:
        """Return a customer as the API shows it."""
        return {
            "uuid": str(customer.uuid),
            **({"key": customer.key} if customer.key is not None else {}),
            **{name: self._shown(name, customer) for name in self.fields.names},
            "createdat": _iso(customer.created_at),
            "updatedat": _iso(customer.updated_at),
            "contactid": None if customer.contact_id is None else str(customer.contact_id),
            "hubspotcreatedat": _iso(customer.remote_created_at),
            "hubspotupdatedat": _iso(customer.remote_updated_at),
        }

    def _shown(self, name: str, customer: Customer) -> Json:
        kind = self.fields[name].kind
        # A text is shown as its row has it.
        if kind in (Kind.TEXT, Kind.EMAIL) and name not in customer.unfit:
            return customer.raw[name]
        return to_json(kind, customer.values.get(name))

    @property
    def _beside(self) -> list[str]:
        return [name for name in self.fields.names if name != "email"]

    def _model(self, name: str, said: str, base: type[Model], given: dict[str, Any]) -> type[Model]:
        return create_model(name, __base__=base, __doc__=said, **given)

    def _needed(self, name: str) -> Any:
        return (Name, ...) if self.fields[name].kind is Kind.TEXT else (self._type(name), ...)

    def _optional(self, name: str) -> Any:
        return (self._type(name), None)

    def _type(self, name: str) -> Any:
        field = self.fields[name]
        if field.direction is Direction.TO_POSTGRES:
            return Annotated[Any, AfterValidator(_refused), WithJsonSchema({"readOnly": True})]
        if field.kind in (Kind.TEXT, Kind.EMAIL, Kind.ENUM):
            return Optional
        return Annotated[Any, AfterValidator(partial(from_json, field.kind)), WithJsonSchema(JSON_TYPES[field.kind])]


def forms_of(mapping: MappingFile) -> Forms:
    """Return the forms of a mapping."""
    asked = mapping.contacts.requires if mapping.api.required is None else mapping.api.required
    return Forms(fields_of(mapping), asked or ("email",), inserts=mapping.table.insert is not False)


JSON_TYPES: dict[Kind, dict[str, Any]] = {
    Kind.NUMBER: {"type": ["number", "null"]},
    Kind.BOOLEAN: {"type": ["boolean", "null"]},
    Kind.DATE: {"type": ["string", "null"], "format": "date"},
    Kind.DATETIME: {"type": ["string", "null"], "format": "date-time"},
    Kind.SET: {"type": ["array", "null"], "items": {"type": "string"}},
}


def _refused(value: object) -> object:
    raise ValueError("comes from HubSpot only")


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Listing(BaseModel):
    """The query of GET /."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Annotated[int, BeforeValidator(_digits), Field(ge=1, le=MOST_LISTED)] = LISTED
    after: Annotated[UUID, BeforeValidator(_canonical)] | None = None


class InvalidBody(Exception):
    """The body has other fields, or other values, than the call takes."""

    message: ClassVar[str] = "Invalid body"

    def __init__(self, code: str, details: list[dict[str, str]]) -> None:
        super().__init__(code)
        self.code, self.details = code, details


class InvalidQuery(InvalidBody):
    """The query has other parameters, or other values, than the call takes."""

    message = "Invalid query"


def listing(query: str) -> Listing:
    """Return what a query string asks for; raise `InvalidQuery` naming the parameters."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=MOST_PARAMETERS)
    except ValueError:
        raise InvalidQuery("invalid_parameter", []) from None
    asked = dict(pairs)
    if len(asked) < len(pairs):
        raise InvalidQuery("invalid_parameter", [])
    try:
        return Listing.model_validate(asked)
    except ValidationError as error:
        told = _invalid(error)
        code = "unknown_parameter" if told.code == "unknown_field" else "invalid_parameter"
        raise InvalidQuery(code, told.details) from None


def parse(model: type[Body], body: Any, *, held: str | None = None) -> Any:
    """Return the body as the model; raise `InvalidBody` naming the fields. `held` is the address its customer has."""
    if not isinstance(body, dict):
        raise InvalidBody("bad_json", [])
    try:
        return model.model_validate(body, context={"held": held})
    except ValidationError as error:
        raise _invalid(error) from error


def _invalid(error: ValidationError) -> InvalidBody:
    faults = error.errors(include_input=False, include_url=False, include_context=False)
    unknown = [fault for fault in faults if fault["type"] == "extra_forbidden"]
    details = [{"field": _name(fault["loc"]), "problem": _problem(fault)} for fault in unknown or faults]
    return InvalidBody("unknown_field" if unknown else "invalid_field", details)


def _name(loc: tuple[int | str, ...]) -> str:
    name = str(loc[0]) if loc else ""
    return name if re.fullmatch(r"[A-Za-z_][\w]{0,63}", name, re.ASCII) else "?"


def _problem(fault: Any) -> str:
    return {"extra_forbidden": "unknown field", "missing": "required"}.get(
        fault["type"], str(fault["msg"]).removeprefix("Value error, ")
    )


def address_in(path: str) -> str | None:
    """Return the canonical address in a path, None when no row can have it."""
    return None if _UNSTORABLE.search(path) else normalise_email(path)


def given(values: Values) -> Values:
    """Return the values that are not empty."""
    return {field: value for field, value in values.items() if value is not None}
