"""What GET shows is taken by PUT: texts of any length that HubSpot keeps, with all that Postgres holds."""

import json
from typing import Any

import orjson
import pytest
from raw_http import ask
from systems import KAI, ApiInProcess, ServedApi, as_admin

PATH = "/kai@hubspot.com"
LONGEST = 65_536
TEXTS = ["company", "firstname", "lastname", "phone", "website"]
VALUES = {
    "lines": "Street 1\r\nTown\r\n\r\nCountry",
    "a carriage return": "a\rb",
    "tabs": "\ta\t\tb\t",
    "controls": "".join(map(chr, [*range(1, 32), *range(127, 160)])),
    "blanks around": "  a  ",
    "only line ends": "\r\n",
    "separators": "a\u2028b\u2029c\u0085d\ufeffe\u200bf\u202eg",
    "quotes": "\"'\\/`${a}{{b}}%s%00&amp;<a>",
    "not characters": "\ufffe\uffff\ufffd\U0010ffff",
    "long": "x" * LONGEST,
    "long lines": "x\r\n" * (LONGEST // 3),
    "long of two bytes": "ü" * LONGEST,
    "long of four bytes": "🦊" * LONGEST,
    "long of escapes": "\x01" * LONGEST,
    "long of quotes": '"\\' * (LONGEST // 2),
}
NAMED = pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)


def shown(api: ApiInProcess) -> dict[str, Any]:
    customer = api.user("GET", PATH).json
    return {field: customer[field] for field in KAI}


@NAMED
def test_what_hubspot_holds_is_shown_and_put_back_unchanged(api: ApiInProcess, value: str) -> None:
    contact = api.world.portal.create({**KAI, **dict.fromkeys(TEXTS, value)})
    api.world.event(contact.id)
    api.world.quiet()
    before = shown(api)
    assert [before[field] for field in TEXTS] == [value] * len(TEXTS)
    revision = api.world.portal.revision
    assert api.admin("PUT", PATH, before).status == 200
    items = [{"op": "update", **before}, {"op": "upsert", **before}, {"op": "read", "email": KAI["email"]}]
    outcomes = api.admin("POST", "/batch", items).json
    assert [outcome["status"] for outcome in outcomes] == [200] * 3
    assert {field: outcomes[2]["customer"][field] for field in KAI} == before
    assert shown(api) == before
    assert api.world.portal.revision == revision
    api.world.quiet()
    api.world.assert_equal()


@NAMED
def test_what_put_writes_is_on_both_sides_and_shown(api: ApiInProcess, value: str) -> None:
    assert api.admin("POST", "/", KAI).status == 201
    assert api.admin("PUT", PATH, {"company": value}).status == 200
    assert shown(api)["company"] == value
    assert api.world.contact(KAI["email"])["company"] == value
    assert api.admin("POST", "/", {**KAI, "email": "b@hubspot.com", "company": value}).status == 201
    assert api.world.contact("b@hubspot.com")["company"] == value


@pytest.mark.parametrize("value", ["x" * LONGEST, "🦊" * LONGEST], ids=["ASCII", "escaped"])
def test_the_longest_customer_lives_over_the_wire(served_api: ServedApi, value: str) -> None:
    port = served_api.server.port
    admin = as_admin()
    email = f"long{len(value.encode())}@hubspot.com"
    customer = {"email": email, **dict.fromkeys(TEXTS, value)}
    # Whatever is not ASCII is escaped: twelve bytes for a character.
    body = json.dumps(customer).encode()
    assert ask(port, "POST", "/", body, **admin)[0] == 201
    read = orjson.loads(ask(port, "GET", f"/{email}", **admin)[2])
    assert [read[field] for field in TEXTS] == [value] * len(TEXTS)
    assert ask(port, "PUT", f"/{email}", body, **admin)[0] == 200
    batch = b'[{"op": "update", ' + body[1:] + b"]"
    assert ask(port, "POST", "/batch", batch, **admin)[0] == 207
    assert ask(port, "DELETE", f"/{email}", **admin)[0] == 204


@pytest.mark.parametrize("spoilt", ["\\u0000", "a\\u0000", "\\ud800", "\\udc00a", "\\udfff\\ud800"])
@pytest.mark.parametrize("name", TEXTS)
def test_only_what_postgres_cannot_hold_is_refused(shared_api: ApiInProcess, name: str, spoilt: str) -> None:
    before = shared_api.state()
    data = f'{{"{name}": "{spoilt}"}}'.encode()
    reply = shared_api.admin("PUT", PATH, data=data, Content_Type="application/json")
    assert (reply.status, reply.json["code"]) == (400, "invalid_field")
    assert shared_api.state() == before
