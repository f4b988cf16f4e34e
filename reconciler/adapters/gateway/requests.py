"""HubSpot's calls as values: what is sent where, and how its answer is read. The one place of paths."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Generic, TypeVar

from reconciler.adapters.gateway.answers import (
    EARLIEST,
    account_in,
    archived_in,
    contacts_in,
    created_in,
    millis,
    nothing,
    page_in,
    properties_in,
    read_in,
    total_in,
    updated_in,
)
from reconciler.adapters.gateway.parse import (
    MERGED_IDS,
    OTHER_ADDRESSES,
    Json,
    contact_of,
    json_of,
    properties_of,
)
from reconciler.adapters.gateway.transport import Reply
from reconciler.core.contact import Contact, ContactId
from reconciler.core.fields import Fields
from reconciler.core.ports import Answer, Door, HubSpotAccount, Page
from reconciler.core.values import Values

CONTACTS = "/crm/v3/objects/contacts"
PROPERTIES_OF_CONTACTS = "/crm/v3/properties/contacts"
ACCOUNT = "/account-info/v3/details"


SEARCH_PAGE = 200

Parsed = TypeVar("Parsed")

Read = tuple[list[tuple[Contact, set[int]]], set[int]]
"""The contacts of a batch, each with the ids merged into it; and the ids that the answer names as not found."""

Query = Sequence[tuple[str, str | int | bool]]


@dataclass(frozen=True, slots=True)
class Request(Generic[Parsed]):
    """One call. `parse` turns its answer into what the caller wants, or raises `Malformed`."""

    method: str
    path: str
    parse: Callable[[Reply], Parsed]
    door: Door = Door.READ
    query: Query = ()
    body: Json | None = None

    @property
    def writes(self) -> bool:
        """Whether it has an effect: it is sent again only when it certainly had none."""
        return self.door in (Door.WRITE, Door.ERASE)


def read(fields: Fields, ids: Collection[ContactId], *, history: bool, archived: bool) -> Request[Read]:
    """Read contacts by id."""
    body = {**_inputs([{"id": str(each)} for each in ids]), "properties": _asked(fields)}
    body["propertiesWithHistory"] = [*fields.names] if history else []
    return Request(
        "POST", f"{CONTACTS}/batch/read", partial(read_in, fields), query=[("archived", archived)], body=body
    )


def read_one(fields: Fields, contact_id: ContactId, *, history: bool, archived: bool) -> Request[Contact]:
    """Read one contact by an id that may have been merged into another."""
    query = [("archived", archived), *_named("properties", _asked(fields))]
    query += _named("propertiesWithHistory", fields.names) if history else []
    return Request("GET", f"{CONTACTS}/{contact_id}", lambda reply: contact_of(fields, json_of(reply)), query=query)


def find(fields: Fields, addresses: Sequence[str]) -> Request[list[Contact]]:
    """Read contacts by address."""
    body = {**_inputs([{"id": a} for a in addresses]), "idProperty": "email", "properties": _asked(fields)}
    body["propertiesWithHistory"] = []
    return Request("POST", f"{CONTACTS}/batch/read", partial(contacts_in, fields), body=body)


def create(fields: Fields, drafts: Sequence[Values], part: Sequence[int]) -> Request[dict[int, Answer]]:
    """Create the contacts of these drafts; answered by their numbers."""
    wanted = {n: drafts[n] for n in part}
    inputs = [
        {"objectWriteTraceId": str(n), "associations": [], "properties": properties_of(values)}
        for n, values in wanted.items()
    ]
    return _write("create", inputs, partial(created_in, fields, wanted))


def update(
    fields: Fields, edits: Sequence[tuple[ContactId, Values]], part: Sequence[int]
) -> Request[dict[int, Answer]]:
    """Make these edits; answered by their numbers."""
    inputs = [{"id": str(edits[n][0]), "properties": properties_of(edits[n][1])} for n in part]
    return _write("update", inputs, partial(updated_in, fields, {edits[n][0]: n for n in part}))


def archive(ids: Sequence[ContactId], part: Sequence[int]) -> Request[dict[int, Answer]]:
    """Archive these contacts; answered by their numbers."""
    return _write("archive", [{"id": str(ids[n])} for n in part], partial(archived_in, {n: ids[n] for n in part}))


def purge(contact_id: ContactId) -> Request[None]:
    """Erase a contact for good."""
    return Request("POST", f"{CONTACTS}/gdpr-delete", nothing, Door.ERASE, body={"objectId": str(contact_id)})


def changed(fields: Fields, since: datetime, until: datetime | None, *, above: str, offset: str) -> Request[Page]:
    """Search for contacts that were changed in a span of time, by id."""
    filters: list[Json] = [
        {"propertyName": "lastmodifieddate", "operator": "GTE", "value": millis(max(since, EARLIEST))},
        {"propertyName": "hs_object_id", "operator": "GT", "value": above},
    ]
    if until is not None:
        filters.append({"propertyName": "lastmodifieddate", "operator": "LT", "value": millis(until)})
    groups = [{"filters": filters}]
    return _search(partial(page_in, fields), groups, direction="ASCENDING", limit=SEARCH_PAGE, after=offset)


def highest(fields: Fields) -> Request[Page]:
    """Search for the contact with the highest id."""
    return _search(partial(page_in, fields), [], direction="DESCENDING", limit=1)


def total() -> Request[int | None]:
    """Ask how many contacts the search finds."""
    return _search(total_in, [], limit=1)


def page(fields: Fields, limit: int, after: str | None) -> Request[Page]:
    """List contacts by id."""
    query: list[tuple[str, Any]] = [("limit", limit), *([] if after is None else [("after", after)])]
    return Request("GET", CONTACTS, partial(page_in, fields), query=[*query, *_named("properties", _asked(fields))])


def account() -> Request[HubSpotAccount]:
    """Ask whose account the token is for."""
    return Request("GET", ACCOUNT, account_in, Door.ACCOUNT)


def properties() -> Request[dict[str, Json]]:
    """Read the definitions of the contact properties."""
    return Request("GET", PROPERTIES_OF_CONTACTS, properties_in, Door.PROPERTIES)


def _asked(fields: Fields) -> list[str]:
    """Return the properties of every full read."""
    return [*dict.fromkeys([*fields.names, *fields.scope]), OTHER_ADDRESSES, MERGED_IDS]


def define(definition: Json) -> Request[Json]:
    """Make a contact property."""
    return Request("POST", PROPERTIES_OF_CONTACTS, json_of, Door.PROPERTIES, body=definition)


def _write(what: str, inputs: list[Json], parse: Callable[[Reply], dict[int, Answer]]) -> Request[dict[int, Answer]]:
    return Request("POST", f"{CONTACTS}/batch/{what}", parse, Door.WRITE, body=_inputs(inputs))


def _search(
    parse: Callable[[Reply], Parsed], groups: list[Json], *, limit: int, direction: str = "", after: str = ""
) -> Request[Parsed]:
    sorts = [{"propertyName": "hs_object_id", "direction": direction}] if direction else []
    body: Json = {"filterGroups": groups, "sorts": sorts, "properties": ["lastmodifieddate"], "limit": limit}
    more: Mapping[str, str] = {"after": after} if after else {}
    return Request("POST", f"{CONTACTS}/search", parse, Door.SEARCH, body={**body, **more})


def _inputs(inputs: list[Json]) -> Json:
    return {"inputs": inputs}


def _named(name: str, values: Sequence[str]) -> list[tuple[str, Any]]:
    return [(name, value) for value in values]
