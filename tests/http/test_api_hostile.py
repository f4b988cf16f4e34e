"""Requests that no honest client sends: refused in the contract's words, nothing changed, nothing echoed."""

import itertools
from typing import Any

import pytest
from callers import Stream
from systems import KAI, ApiInProcess

CANARY = "canary-7f3a"
NEW = {**KAI, "email": f"{CANARY}@hubspot.com"}
FIELDS = sorted(KAI.keys() - {"email"})


def post(api: ApiInProcess, data: bytes, kind: str | None = "application/json", **more: Any) -> Any:
    before = api.state()
    reply = api.admin("POST", "/", data=data, Content_Type=kind, **more)
    assert api.state() == before
    assert CANARY not in reply.text
    return reply


NOT_JSON: list[Any] = [
    *(
        b"",
        b" ",
        b"{",
        b"{]",
        b"nul",
        b"{'email': 1}",
        b'{"email": "a@b.co",}',
        b'{"a": 1} {"b": 2}',
        b'{"a": 1}x',
        b"\x00",
    ),
    *(
        b'\xef\xbb\xbf{"email": "a@b.co"}',
        '{"email": "a@b.co"}'.encode("utf-16"),
        '{"email": "a@b.co"}'.encode("utf-32"),
    ),
    *(
        b'{"email": "\xff"}',
        b'{"email": "\xed\xa0\x80"}',
        b'{"email": "a@b.co", "email": "c@d.co"}',
        b'{"a": {"b": 1, "b": 2}}',
    ),
    *(
        b'{"phone": NaN}',
        b'{"phone": Infinity}',
        b'{"phone": -Infinity}',
        b'{"phone": 1e400}',
        b'{"phone": -1e999}',
    ),
    *(b'{"phone": 9223372036854775808}', b'{"phone": -9223372036854775809}', b'{"phone": ' + b"9" * 5000 + b"}"),
    *(b"[" * 33 + b"]" * 33, b'{"a":' * 33 + b"1" + b"}" * 33, b"[" * 30_000 + b"]" * 30_000, b"[" * 60_000),
    *(
        b'{"email": "a\nb"}',
        b'{"email": "\\x41"}',
        b'{"email": "\\u12"}',
        b"--",
        b"01",
        b"+1",
        b'"' + b"\\" * 60_000,
    ),
    *(b"[]", b"null", b'"text"', b"7", b"true", b"[[]]", b"{\xc2\xa0}", b"// comment\n{}", b"1e5", b"-"),
]


@pytest.mark.parametrize(
    "data",
    NOT_JSON,
    ids=lambda data: repr(data[:24]) + str(len(data)),
)
def test_what_is_no_strict_json_object_is_refused(shared_api: ApiInProcess, data: bytes) -> None:
    reply = post(shared_api, data)
    assert (reply.status, reply.json["message"], reply.json["code"]) == (400, "Invalid body", "bad_json")


NOT_SAID: list[Any] = [None, "", "text/plain", "application/xml", "json", "application/x-www-form-urlencoded"]


@pytest.mark.parametrize("kind", NOT_SAID)
def test_a_body_that_does_not_say_it_is_json_is_refused(shared_api: ApiInProcess, kind: str | None) -> None:
    reply = post(shared_api, b"{}", kind)
    assert (reply.status, reply.json["code"]) == (415, "not_json")


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "Application/JSON", "application/merge-patch+json"]
)
def test_every_kind_of_json_is_taken(shared_api: ApiInProcess, kind: str) -> None:
    assert post(shared_api, b"{}", kind).status == 400


@pytest.mark.parametrize("charset", ["utf-16", "latin-1"])
def test_json_in_another_charset_is_refused_or_read_as_utf_8(shared_api: ApiInProcess, charset: str) -> None:
    assert post(shared_api, '{"email": "é"}'.encode(charset), f"application/json; charset={charset}").status in (
        400,
        415,
    )


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "image/*", "", "*/*;q=0"])
def test_what_the_caller_accepts_is_ignored(shared_api: ApiInProcess, accept: str) -> None:
    reply = shared_api.user("GET", "/kai@hubspot.com", Accept=accept)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")


@pytest.mark.parametrize("path", ["/", "/kai@hubspot.com", "/batch"])
def test_a_body_beyond_the_cap_is_refused_without_being_read(shared_api: ApiInProcess, path: str) -> None:
    cap = 8 * 1024 * 1024
    method = "PUT" if "@" in path else "POST"
    before = shared_api.state()
    told = Stream(b" " * (cap + 1))
    reply = shared_api.admin(method, path, data=told, Content_Type="application/json")
    assert (reply.status, reply.json["code"], reply.headers["connection"], told.taken) == (413, "too_large", "close", 0)
    streamed = Stream(b" " * (cap * 2))
    reply = shared_api.admin(method, path, data=streamed, length="", Content_Type="application/json")
    assert (reply.status, reply.json["code"], reply.headers["connection"]) == (413, "too_large", "close")
    assert streamed.taken <= cap + 1
    assert shared_api.state() == before


def test_a_body_as_long_as_the_cap_is_read(shared_api: ApiInProcess) -> None:
    assert post(shared_api, b"{}" + b" " * (8 * 1024 * 1024 - 2)).status == 400


@pytest.mark.parametrize(
    "name",
    [
        *(
            "id",
            "uuid",
            "createdat",
            "updatedat",
            "contactid",
            "hubspot_contact_id",
            "hubspotcreatedat",
            "hubspotupdatedat",
        ),
        *(
            "deletedat",
            "erasedat",
            "mergedinto",
            "sync_state",
            "erased_at",
            "role",
            "vip",
            "Email",
            "__proto__",
            "__class__",
        ),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_field_that_is_unknown_or_not_the_callers_is_named(shared_api: ApiInProcess, method: str, name: str) -> None:
    before = shared_api.state()
    path, body = ("/", NEW) if method == "POST" else ("/kai@hubspot.com", {"phone": "1"})
    reply = shared_api.admin(method, path, {**body, name: "x"})
    assert (reply.status, reply.json["message"], reply.json["code"]) == (400, "Invalid body", "unknown_field")
    assert [detail["field"] for detail in reply.json["details"]] == [name]
    assert shared_api.state() == before


@pytest.mark.parametrize("name", [f"{CANARY} <script>", "", "a\nb", "x" * 60_000, CANARY + "\u0000"])
def test_a_field_name_that_is_none_is_not_echoed(shared_api: ApiInProcess, name: str) -> None:
    reply = shared_api.admin("POST", "/", {**NEW, name: "x"})
    assert (reply.status, reply.json["code"]) == (400, "unknown_field")
    assert CANARY not in reply.text
    assert len(reply.body) < 1000


@pytest.mark.parametrize("value", [7, 1.5, True, [], ["x"], {}, {"x": 1}], ids=repr)
@pytest.mark.parametrize("name", ["email", *FIELDS])
def test_a_value_of_another_type_is_refused(shared_api: ApiInProcess, name: str, value: Any) -> None:
    invalid_in_both(shared_api, name, value)


UNSTORABLE = ("\\u0000", "\\ud800", "\\udc00", "\\udfff\\ud800")
CONTROLS = tuple(f"\\u{n:04x}" for n in (1, 8, 11, 13, 27, 31, 127))


@pytest.mark.parametrize(
    ("name", "escaped"),
    [*itertools.product(["email"], UNSTORABLE + CONTROLS), *itertools.product(FIELDS, UNSTORABLE)],
)
def test_what_is_no_text_is_refused(shared_api: ApiInProcess, name: str, escaped: str) -> None:
    before = shared_api.state()
    local = "canary-7f3a" + escaped
    value = f"{local}@hubspot.com" if name == "email" else local
    reply = shared_api.admin(
        "PUT", "/kai@hubspot.com", data=f'{{"{name}": "{value}"}}'.encode(), Content_Type="application/json"
    )
    assert (reply.status, reply.json["code"]) == (400, "invalid_field")
    assert [detail["field"] for detail in reply.json["details"]] == [name]
    assert CANARY not in reply.text
    assert shared_api.state() == before


def test_a_text_longer_than_hubspot_keeps_is_refused(shared_api: ApiInProcess) -> None:
    items = [{"op": "update", "email": "kai@hubspot.com", "company": "x" * 65_537}]
    outcome = shared_api.admin("POST", "/batch", items).json[0]
    assert (outcome["status"], outcome["code"]) == (400, "invalid_field")


ADDRESSES: list[Any] = [
    *(
        "a",
        "a@b",
        "@b.co",
        "a@",
        "a@@b.co",
        "a@b@c.co",
        "a b@c.co",
        "a@b c.co",
        "a@b..co",
        "a..b@c.co",
        "a@.b.co",
        "a@b.co.",
    ),
    *(
        "a@b.co\r\nBcc: x@y.zz",
        "a@b.co\n",
        "\na@b.co",
        "a@b.co,c@d.co",
        "<a@b.co>",
        "a@[127.0.0.1]",
        '"a b"@c.co',
        "a@b.c",
    ),
    *(
        "a" * 310 + "@hubspot.com",
        "a" * 65 + "@b.co",
        "a@" + "b" * 64 + ".co",
        "a@" + "b." * 160 + "co",
        "a@b\u2028.co",
    ),
    *("mailto:a@b.co", "a;b@c.co", "a\\b@c.co", "a(b)@c.co", "\u3000", "a@b.co\u00a0", "a@b\u3002co"),
]


@pytest.mark.parametrize(
    "address",
    ADDRESSES,
    ids=lambda address: repr(address)[:24] + str(len(address)),
)
def test_what_is_no_address_is_refused(shared_api: ApiInProcess, address: str) -> None:
    invalid_in_both(shared_api, "email", address)


@pytest.mark.parametrize("empty", [None, "", " "])
def test_an_address_cannot_be_emptied(shared_api: ApiInProcess, empty: str | None) -> None:
    invalid_in_both(shared_api, "email", empty)


def test_every_problem_of_a_body_is_named_at_once(shared_api: ApiInProcess) -> None:
    reply = shared_api.admin("POST", "/", {"email": "x", "firstname": 7, "phone": []})
    assert {detail["field"] for detail in reply.json["details"]} == {"email", "firstname", "lastname", "phone"}


def invalid_in_both(api: ApiInProcess, name: str, value: Any) -> None:
    before = api.state()
    for method, path, body in (("POST", "/", NEW), ("PUT", "/kai@hubspot.com", {})):
        reply = api.admin(method, path, {**body, name: value})
        assert (reply.status, reply.json["message"], reply.json["code"]) == (400, "Invalid body", "invalid_field")
        assert [detail["field"] for detail in reply.json["details"]] == [name]
        assert CANARY not in reply.text
    assert api.state() == before
