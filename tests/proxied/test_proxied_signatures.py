"""Behind the shipped proxy: what is not HubSpot's is refused and stores nothing."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from callers import Reply
from deliveries import URL, event, now_ms, signed
from deployed import Behind
from test_webhook_hostile import OVER_ANYTHING_ELSE, SPOILT, TIMESTAMPS, UNREADABLE
from wire import PROXY_S_OWN, ask, is_carried, is_the_proxy_s, sent

MIB = 1024 * 1024
MINUTES = 60_000


def deliver(behind: Behind, *, path: str = "/", **delivery: Any) -> Reply:
    data = delivery.pop("data")
    return ask(behind.proxy.webhook, "POST", path, data, **delivery)


def refused(behind: Behind, code: str, *, may_be_the_proxy_s: bool = False, **delivery: Any) -> None:
    before = behind.state()
    reply = deliver(behind, **delivery)
    if may_be_the_proxy_s and is_the_proxy_s(reply):
        assert reply.status in PROXY_S_OWN
    else:
        assert (reply.status, reply.json["code"]) == (401, code)
    assert behind.state() == before


def telling() -> dict[str, Any]:
    """A delivery whose signature has what is spoilt on the way of forms."""
    found = (signed([event(number)]) for number in range(101, 400))
    return next(each for each in found if "+" in each["X_HubSpot_Signature_v3"].rstrip("="))


@pytest.mark.parametrize("path", ["/", urlsplit(URL).path])
def test_a_signed_delivery_is_taken(behind: Behind, path: str) -> None:
    before = behind.state()
    assert deliver(behind, path=path, **signed([event(101)])).status == 204
    assert behind.state() != before


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_an_older_signature_alone_is_no_signature(behind: Behind, version: str) -> None:
    delivery = {**signed([event(101)]), "X_HubSpot_Signature_v3": None, "X_HubSpot_Signature_Version": version}
    refused(behind, "signature_missing", **delivery)


@pytest.mark.parametrize("how", [how for how in SPOILT if how not in ("a space before", "NUL")])
def test_a_spoilt_signature_is_refused(behind: Behind, how: str) -> None:
    delivery = telling()
    delivery["X_HubSpot_Signature_v3"] = SPOILT[how](delivery["X_HubSpot_Signature_v3"])
    refused(behind, "signature_invalid", may_be_the_proxy_s=how == "very long", **delivery)


@pytest.mark.parametrize("order", ["good first", "good last", "twice"])
@pytest.mark.parametrize("name", ["X-HubSpot-Signature-v3", "X-HubSpot-Request-Timestamp"])
def test_a_header_that_comes_twice_is_refused(behind: Behind, name: str, order: str) -> None:
    delivery = signed([event(101)])
    good = delivery[name.replace("-", "_")]
    bad = "1" + good[1:-1] + "="
    data, lines = delivery.pop("data"), {"good first": [good, bad], "good last": [bad, good], "twice": [good, good]}
    kept = [f"{key.replace('_', '-')}: {value}" for key, value in delivery.items() if key != name.replace("-", "_")]
    doubled = [f"{name}: {value}" for value in lines[order]]
    head = ["POST / HTTP/1.1", "Host: x", f"Content-Length: {len(data)}", *kept, *doubled, "", ""]
    before = behind.state()
    assert sent(behind.proxy.webhook, "POST", "\r\n".join(head).encode() + data).status in (400, 401)
    assert behind.state() == before


@pytest.mark.parametrize("timestamp", [each for each in TIMESTAMPS if is_carried(each)], ids=repr)
def test_a_timestamp_of_another_form_is_refused(behind: Behind, timestamp: str | None) -> None:
    delivery = signed([event(101)], timestamp=now_ms() if timestamp is None else timestamp)
    wire = timestamp and timestamp.encode().decode("latin-1")
    refused(behind, "timestamp_invalid", **{**delivery, "X_HubSpot_Request_Timestamp": wire})


@pytest.mark.parametrize("away", [-6, 6, -1440, 365 * 1440])
def test_a_timestamp_far_away_either_way_is_refused(behind: Behind, away: int) -> None:
    refused(behind, "timestamp_stale", **signed([event(101)], timestamp=now_ms() + away * MINUTES))


@pytest.mark.parametrize("how", OVER_ANYTHING_ELSE, ids=repr)
def test_a_signature_over_anything_else_is_refused(behind: Behind, how: dict[str, str]) -> None:
    refused(behind, "signature_invalid", **signed([event(101)], **how))


def test_every_byte_of_a_body_is_signed(behind: Behind) -> None:
    good = signed(b'[{"objectId": 101}]')
    for at in range(len(good["data"])):
        changed = bytearray(good["data"])
        changed[at] ^= 1
        refused(behind, "signature_invalid", **{**good, "data": bytes(changed)})


@pytest.mark.parametrize("name", ["X_Forwarded_Host", "X_Forwarded_Proto", "Host", "X_Original_URL", "Forwarded"])
def test_the_signed_address_is_the_configured_one_whatever_the_request_says(behind: Behind, name: str) -> None:
    assert deliver(behind, **signed([event(101)]), **{name: "evil.example"}).status == 204
    evil = signed([event(101)], url="https://evil.example/hubspot/contacts")
    refused(behind, "signature_invalid", **evil, **{name: "evil.example"})


@pytest.mark.parametrize("body", UNREADABLE, ids=range(len(UNREADABLE)))
def test_a_signed_body_that_cannot_be_read_is_taken_and_quarantined(behind: Behind, body: bytes) -> None:
    kept = "select count(*) as count from sync.quarantine"
    before = behind.world.sql(kept)[0]["count"]
    assert deliver(behind, **signed(body)).status == 204
    assert behind.world.sql(kept)[0]["count"] == before + 1


def test_the_largest_delivery_passes_and_a_larger_one_does_not(behind: Behind) -> None:
    assert deliver(behind, **signed(b"[]" + b" " * (8 * MIB - 2))).status == 204
    before = behind.state()
    assert deliver(behind, **signed(b"[]" + b" " * (8 * MIB))).status == 413
    assert behind.state() == before


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_another_method_is_405(behind: Behind, method: str) -> None:
    before = behind.state()
    assert ask(behind.proxy.webhook, method, "/", **signed([event(101)])).status == 405
    assert behind.state() == before
