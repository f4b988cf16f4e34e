"""Turns HubSpot's JSON into contacts, and its refusals into ours."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from reconciler.adapters.gateway.transport import Reply
from reconciler.core.contact import Contact, ContactId, Entry
from reconciler.core.errors import Refused
from reconciler.core.fields import Fields
from reconciler.core.reasons import Reason
from reconciler.core.values import Value, Values, normalise_email

Json = dict[str, Any]

OTHER_ADDRESSES = "hs_additional_emails"
MERGED_IDS = "hs_merged_object_ids"

_HOLDER = re.compile(r"Existing ID:\s*(\d+)|(\d+) already has that value")
_REQUIRED_SCOPES = re.compile(r"\(requires one of \[([\w\-., ]+)\]\)")
_NOT_VALID = "not valid: "
_FORBIDDEN = {"READ_ONLY_VALUE", "READ_ONLY_PROPERTY", "FORBIDDEN"}


_REQUIRED = {"MISSING_REQUIRED_PROPERTY", "MISSING_CONDITIONAL_REQUIRED_PROPERTY"}
_WORD = re.compile(r"\w+")

LONGEST_DETAIL = 500
"""Characters of HubSpot's words that are kept."""


class Fault(NamedTuple):
    """What HubSpot has against one property: its code, and its words."""

    name: str
    code: str
    words: str


class Malformed(Exception):
    """The answer is not what HubSpot's API answers."""


def json_of(reply: Reply) -> Json:
    """Return the JSON object of an answer."""
    try:
        parsed = orjson.loads(reply.body)
    except orjson.JSONDecodeError as error:
        raise Malformed("no JSON") from error
    if not isinstance(parsed, dict):
        raise Malformed("no JSON object")
    return parsed


def results_of(reply: Reply) -> tuple[list[Json], list[Json]]:
    """Return the results and the errors of a batch answer, whichever its status."""
    body = json_of(reply)
    results = body.get("results")
    if not isinstance(results, list):
        raise Malformed("no results")
    return results, body.get("errors") or []


def moment(text: str) -> datetime:
    """Return a HubSpot time: ISO-8601 (its fraction may be missing) or epoch milliseconds."""
    if text.isdigit():
        return datetime.fromtimestamp(int(text) / 1000, UTC)
    return datetime.fromisoformat(text)


def contact_of(fields: Fields, record: Json) -> Contact:
    """Return the contact in a result; only the mapped properties that were answered are known."""
    try:
        properties = record["properties"]
        values, unfit = fields.read(properties)
        return Contact(
            id=ContactId(int(record["id"])),
            values=values,
            unfit=unfit,
            is_wanted=fields.wants(properties),
            created_at=moment(record["createdAt"]),
            updated_at=moment(record["updatedAt"]),
            archived=bool(record.get("archived", False)),
            other_addresses=_addresses(properties.get(OTHER_ADDRESSES)),
            history=_history(fields, record.get("propertiesWithHistory") or {}),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Malformed("no contact") from error


def going_over(fields: Fields, sent: Values, contact: Contact) -> Contact:
    """Return an answer without what was edited in HubSpot, was not sent, and does not go over."""
    told = {name: v for name, v in contact.values.items() if name in sent or name in fields.to_postgres}
    return replace(contact, values=told)


def merged_ids(record: Json) -> set[int]:
    """Return the ids that were merged into this record."""
    text = record["properties"].get(MERGED_IDS) or ""
    return {int(part) for part in text.split(";") if part.isdigit()}


def _addresses(text: str | None) -> frozenset[str]:
    if not text:
        return frozenset()
    return frozenset(a for a in (normalise_email(part) for part in text.split(";")) if a is not None)


def _history(fields: Fields, found: Mapping[str, list[Json]]) -> dict[str, tuple[Entry, ...]]:
    return {
        name: tuple(
            Entry(value=value, at=moment(entry["timestamp"]))
            for entry in found[name]
            # What is no value of its kind is nobody's edit: it is from before the property had its type.
            for value in fields.canonical({name: entry["value"]}).values()
        )
        for name in fields.only(found)
        # Of what does not go over nobody asks who edited it, and when; but which addresses a person had is asked.
        if name in fields.to_postgres or name == "email"
    }


def properties_of(values: Values) -> dict[str, str]:
    """Return values as HubSpot takes them: an empty one is cleared with ""."""
    return {field: value or "" for field, value in values.items()}


def refusal_of(fields: Fields, body: Mapping[str, Any]) -> Refused:
    """Return why HubSpot refused a record; every field of its error body is optional."""
    message = str(body.get("message", ""))
    context = body.get("context")
    context = context if isinstance(context, dict) else {}
    holder = _holder(message, context)
    category = str(body.get("category", ""))
    if holder is not None or category == "CONFLICT":
        return Refused(reason=Reason.TAKEN, fields=frozenset({"email"}), holder=holder, text=message)
    if category == "OBJECT_NOT_FOUND":
        return Refused(reason=Reason.GONE, text=message)
    faults = _faults(message, body.get("errors"))
    named = frozenset(fault.name for fault in faults if fault.name in fields)
    if category == "FORBIDDEN":
        return Refused(reason=Reason.FORBIDDEN, fields=named, text=message)
    reason = _reason({fault.code for fault in faults}, message)
    if reason is Reason.REQUIRED:
        return Refused(reason=reason, fields=named | _spoken_of(fields, faults), text=message, detail=_words(faults))
    unmapped = [fault for fault in faults if fault.name not in fields]
    return Refused(reason=reason, fields=named, text=message, detail=_words(unmapped))


def names_properties(body: Mapping[str, Any]) -> bool:
    """Whether a refusal is about properties."""
    return bool(_faults(str(body.get("message", "")), body.get("errors")))


def words_of(reply: Reply) -> str:
    """Return HubSpot's own words in a refusal that is about no person's values."""
    try:
        return str(json_of(reply).get("message", ""))[:LONGEST_DETAIL]
    except Malformed:
        return ""


def scopes_in(body: Mapping[str, Any]) -> list[str]:
    """Return the scopes that a refusal asks for; the granular ones where it names both."""
    contexts = [error.get("context") or {} for error in body.get("errors") or [] if isinstance(error, dict)]
    for name in ("requiredGranularScopes", "requiredScopes"):
        named = [str(scope) for context in contexts for scope in context.get(name) or ()]
        if named:
            return named
    inside = _REQUIRED_SCOPES.search(str(body.get("message", "")))
    return inside[1].split(", ") if inside else []


def _holder(message: str, context: Mapping[str, Any]) -> ContactId | None:
    named = context.get("existingId")
    if isinstance(named, list) and named and str(named[0]).isdigit():
        return ContactId(int(named[0]))
    found = _HOLDER.search(message)
    return ContactId(int(found[1] or found[2])) if found else None


def _faults(message: str, errors: object) -> list[Fault]:
    """Return what is wrong: from `errors`, else from the array inside the message (older bodies have only that)."""
    found = [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    named = [fault for error in found for fault in _faults_of(error)]
    if named or _NOT_VALID not in message:
        return named
    try:
        inside = orjson.loads(message.split(_NOT_VALID, 1)[1])
    except orjson.JSONDecodeError:
        return []
    listed = [each for each in inside if isinstance(each, dict)] if isinstance(inside, list) else []
    return [
        Fault(str(each.get("name", "")), str(each.get("error", "")), str(each.get("message", ""))) for each in listed
    ]


def _faults_of(error: Json) -> list[Fault]:
    context = error.get("context")
    names = context.get("propertyName") if isinstance(context, dict) else None
    code, words = str(error.get("code", "")), str(error.get("message", ""))
    return [Fault(str(name), code, words) for name in names] if isinstance(names, list) else []


def _spoken_of(fields: Fields, faults: list[Fault]) -> frozenset[str]:
    """Return the mapped fields that the words of a rule are about: what a value of theirs asks for is missing."""
    return frozenset(word for fault in faults for word in _WORD.findall(fault.words) if word in fields)


def _words(faults: list[Fault]) -> str:
    """Return HubSpot's own words about properties that were not sent: no value can stand in them."""
    return "; ".join(f"{fault.name}: {fault.words or fault.code}" for fault in faults)[:LONGEST_DETAIL]


def _reason(codes: set[str], message: str) -> Reason:
    if "PROPERTY_DOESNT_EXIST" in codes:
        return Reason.UNKNOWN_PROPERTY
    if codes & _FORBIDDEN:
        return Reason.FORBIDDEN
    if codes & _REQUIRED:
        return Reason.REQUIRED
    if "blocklist" in message.lower() or "blocked" in message.lower():
        return Reason.ADDRESS_BLOCKED
    return Reason.INVALID if codes else Reason.REFUSED


def is_about(address: str, contact: Contact) -> bool:
    """Whether the contact holds the address, as its primary or another one."""
    held: Value = contact.values.get("email")
    return held == address or address in contact.other_addresses
