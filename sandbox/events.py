"""What happened to contacts, as HubSpot's webhooks tell it.

The portal records plain events; `payload` turns one into the JSON object that is sent.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.contact import Origin
from sandbox.settings import Settings

_FLAGS = {
    "creation": "CREATED",
    "deletion": "DELETED",
    "privacyDeletion": "DELETED",
    "merge": "MERGED",
    "restore": "RESTORED",
}
_SUBSCRIPTIONS = ("creation", "deletion", "privacyDeletion", "merge", "restore", "propertyChange")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened to one contact."""

    number: int
    event_id: int
    kind: str
    object_id: int
    occurred_at: int
    origin: Origin
    name: str = ""
    value: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


def is_subscribed(event: Event, settings: Settings) -> bool:
    """Whether the app hears of this."""
    if event.kind == "restore":
        return settings.webhook_restore_events
    return event.kind != "propertyChange" or event.name in settings.webhook_properties


def payload(event: Event, attempt: int, settings: Settings) -> dict[str, Any]:
    """Return the object that stands in the webhook's list."""
    occurred = event.occurred_at // 1000 * 1000 if settings.webhook_whole_seconds else event.occurred_at
    body: dict[str, Any] = {
        "eventId": event.event_id,
        "subscriptionId": _subscription_id(event),
        "portalId": settings.portal_id,
        "appId": settings.app_id,
        "occurredAt": occurred,
        settings.webhook_type_key: _type(event, settings),
        "attemptNumber": attempt,
        "changeSource": event.origin.source_type,
    }
    if event.kind != "merge" or settings.webhook_merge_object_id:
        body["objectId"] = event.object_id
    if settings.webhook_form == "object" and event.kind != "privacyDeletion":
        body["objectTypeId"] = "0-1"
    return {**body, **_particulars(event), **event.extra}


def _particulars(event: Event) -> dict[str, Any]:
    # A deletion is the one event seen without a sourceId.
    if event.kind in ("deletion", "privacyDeletion"):
        return {"changeFlag": _FLAGS[event.kind]}
    source = {"sourceId": event.origin.source_id}
    if event.kind == "propertyChange":
        return {"propertyName": event.name, "propertyValue": event.value, **source}
    return {"changeFlag": _FLAGS[event.kind], **source}


def _type(event: Event, settings: Settings) -> str:
    generic = settings.webhook_form == "object" and event.kind != "privacyDeletion"
    return f"{'object' if generic else 'contact'}.{event.kind}"


def _subscription_id(event: Event) -> int:
    first = 3327000 + _SUBSCRIPTIONS.index(event.kind)
    # From the name alone: the list of subscriptions may change while an event waits.
    return first if event.kind != "propertyChange" else first + zlib.crc32(event.name.encode()) % 10_000
