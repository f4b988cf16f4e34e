"""Deliveries as HubSpot signs them, made from its documentation and not from our verifier."""

import base64
import hmac
import time
from hashlib import sha256
from typing import Any

import orjson

URL = "https://hooks.example.com/hubspot/contacts"
SECRET = "a-client-secret-of-the-app"
PORTAL, APP = 147000000, 4169410


def now_ms() -> int:
    return int(time.time() * 1000)


def event(object_id: Any, kind: str = "contact.propertyChange", **more: Any) -> dict[str, Any]:
    """One event in the form that was seen on the wire."""
    return {
        "eventId": 4101286121,
        "subscriptionId": 7562680,
        "portalId": PORTAL,
        "appId": APP,
        "occurredAt": 1787843156000,
        "subscriptionType": kind,
        "attemptNumber": 0,
        "objectId": object_id,
        "changeSource": "CRM_UI",
        "sourceId": "userId:1",
        **more,
    }


def v3(body: bytes, timestamp: Any, *, secret: str = SECRET, url: str = URL, method: str = "POST") -> str:
    source = method.encode() + url.encode() + body + str(timestamp).encode()
    return base64.b64encode(hmac.new(secret.encode(), source, sha256).digest()).decode()


def signed(events: Any, *, timestamp: Any = None, **how: Any) -> dict[str, Any]:
    """The arguments of a call that delivers these events (bytes: as they are)."""
    body = events if isinstance(events, bytes) else orjson.dumps(events)
    timestamp = now_ms() if timestamp is None else timestamp
    return {
        "data": body,
        "Content_Type": "application/json",
        "X_HubSpot_Signature": sha256(SECRET.encode() + body).hexdigest(),
        "X_HubSpot_Signature_Version": "v1",
        "X_HubSpot_Signature_v3": v3(body, timestamp, **how),
        "X_HubSpot_Request_Timestamp": str(timestamp),
    }
