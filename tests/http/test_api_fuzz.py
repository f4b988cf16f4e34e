"""Whatever is sent: an answer in the contract's words, and never a bug."""

from typing import Any

import orjson
import pytest
from deliveries import SECRET
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from systems import ApiInProcess

from api.auth import BadToken, NoToken, Tokens
from webhook.events import NotEvents, read
from webhook.signature import Unsigned, Verifier

FIELDS = ["email", "firstname", "lastname", "phone", "company", "website", "lifecyclestage"]
PROFILE = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

texts = st.text(max_size=40) | st.sampled_from(
    ["kai@hubspot.com", "nobody@hubspot.com", "a@b.co", "\x00", " ", "é@ü.de"]
)
scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | texts
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))
bodies = st.dictionaries(st.sampled_from(FIELDS) | texts, texts | values, max_size=8) | values
operations = st.sampled_from(["create", "update", "upsert", "delete", "read"]) | texts
items = st.dictionaries(st.sampled_from([*FIELDS, "new_email"]), texts, max_size=6) | values


def dumped(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS) if not _is_huge(value) else repr(value).encode()


def _is_huge(value: Any) -> bool:
    try:
        orjson.dumps(value)
    except (TypeError, ValueError):
        return True
    return False


@given(method=st.sampled_from(["POST", "PUT"]), body=bodies)
@PROFILE
def test_any_json_body_is_answered(shared_api: ApiInProcess, method: str, body: Any) -> None:
    path = "/" if method == "POST" else "/nobody@hubspot.com"
    reply = shared_api.admin(method, path, data=dumped(body), Content_Type="application/json")
    assert reply.status in (201, 400, 404, 409)


@given(found=st.lists(st.tuples(operations, items), min_size=1, max_size=6))
@PROFILE
def test_any_batch_is_answered_item_by_item(shared_api: ApiInProcess, found: list[Any]) -> None:
    batch = [{**item, "op": op} if isinstance(item, dict) else item for op, item in found]
    reply = shared_api.admin("POST", "/batch", data=dumped(batch), Content_Type="application/json")
    assert reply.status in (207, 400)
    if reply.status == 207:
        assert len(reply.json) == len(batch)
        assert {outcome["status"] for outcome in reply.json} <= {200, 201, 204, 400, 404, 409}


@given(data=st.binary(max_size=300))
@PROFILE
def test_any_bytes_are_answered(shared_api: ApiInProcess, data: bytes) -> None:
    reply = shared_api.admin("PUT", "/nobody@hubspot.com", data=data, Content_Type="application/json")
    assert reply.status == 400 or data.strip().startswith(b"{")


@given(path=st.binary(min_size=1, max_size=60))
@PROFILE
def test_any_path_is_answered(shared_api: ApiInProcess, path: bytes) -> None:
    reply = shared_api.admin("GET", "/", environ={"PATH_INFO": "/" + path.decode("latin-1")})
    assert reply.status in (404, 405)


@given(header=st.text(st.characters(max_codepoint=255), max_size=200))
@PROFILE
def test_any_authorization_but_ours_is_refused(header: str) -> None:
    for each in (header, f"Bearer {header}", f"Bearer {header}.{header}.{header}"):
        with pytest.raises((BadToken, NoToken)):
            Tokens("x" * 32).verify(each)


@given(signature=st.text(st.characters(max_codepoint=255)), timestamp=st.text(st.characters(max_codepoint=255)))
@PROFILE
def test_any_signature_but_hubspot_s_is_refused(signature: str, timestamp: str) -> None:
    verifier = Verifier("https://hooks.example.com/", [SECRET.encode()])
    for each in (timestamp, "1787843156000"):
        with pytest.raises(Unsigned):
            verifier.verify(signature=signature, timestamp=each, body=b"[]", now_ms=1_787_843_156_000)


@given(body=st.binary(max_size=200) | values.map(lambda value: repr(value).encode()) | st.lists(values).map(dumped))
@PROFILE
def test_any_signed_body_is_read_or_set_aside(body: bytes) -> None:
    try:
        delivery = read(body, portal_id=1, app_id=2)
    except NotEvents:
        return
    assert all(0 < contact < 2**63 for contact in delivery.contacts)
    assert delivery.private <= delivery.contacts
