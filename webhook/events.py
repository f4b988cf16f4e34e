"""Turns a delivery into the contacts to look at. An event says which contact, never what it has: no value is read."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

CONTACT_TYPE = "0-1"
LARGEST_ID = 2**63 - 1

KINDS = frozenset(
    {"creation", "propertyChange", "deletion", "privacyDeletion", "merge", "restore", "associationChange"}
)


class NotEvents(Exception):
    """The body is no list of events."""


@dataclass(slots=True)
class Delivery:
    """The contacts a delivery is about, those whose privacy deletion it announces, and what was counted."""

    contacts: set[int] = field(default_factory=set)
    private: set[int] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)


def read(body: bytes, *, portal_id: int | None, app_id: int | None) -> Delivery:
    """Return the contacts that a body's events are about; events of other portals, apps or objects are counted only."""
    events = _parsed(body)
    if not isinstance(events, list):
        raise NotEvents("no list")
    delivery = Delivery()
    for event in events:
        kind = _kind(event, portal_id, app_id)
        delivery.counts[kind] += 1
        if kind in KINDS:
            ids = set(_ids(event))
            delivery.contacts |= ids
            delivery.private |= ids if kind == "privacyDeletion" else set()
    return delivery


def _parsed(body: bytes) -> Any:
    """Return the JSON value. A lone surrogate or an endless number in one event must not cost the others."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(body.decode("utf-8"), parse_int=lambda text: int(text) if len(text) < 20 else None)
    except (ValueError, RecursionError) as error:
        raise NotEvents("no JSON") from error


def _kind(event: Any, portal_id: int | None, app_id: int | None) -> str:
    """Return the kind of a contact's event, or why it is none."""
    if not isinstance(event, dict):
        return "malformed"
    if _is_foreign(event.get("portalId"), portal_id) or _is_foreign(event.get("appId"), app_id):
        return "foreign"
    name = event.get("subscriptionType") or event.get("eventType")
    what, _, kind = name.partition(".") if isinstance(name, str) else ("", "", "")
    is_contact = what == "contact" or (what == "object" and event.get("objectTypeId") == CONTACT_TYPE)
    return kind if is_contact and kind in KINDS else "unknown"


def _is_foreign(found: Any, expected: int | None) -> bool:
    return expected is not None and found is not None and _number(found) != expected


def _ids(event: Mapping[str, Any]) -> Iterable[int]:
    """Name every contact in an event: a merge speaks of several."""
    merged = event.get("mergedObjectIds")
    names = [event.get(name) for name in ("objectId", "primaryObjectId", "newObjectId", "fromObjectId")]
    for value in [*names, *(merged if isinstance(merged, list) else [])]:
        number = _number(value)
        if number is not None:
            yield number


def _number(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    is_id = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST_ID
    return value if is_id else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A signed body that could not be read: what it is recognised by, and nothing personal."""

    reason: str
    size: int
    hash: str


def quarantined(body: bytes, reason: str) -> Quarantined:
    """Return what is kept of an unreadable body."""
    return Quarantined(reason=reason, size=len(body), hash=hashlib.sha256(body).hexdigest())
