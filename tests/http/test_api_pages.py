"""GET / lists the living customers, page by page, each once."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from systems import ApiInProcess


def read_all(api: ApiInProcess, limit: int) -> list[dict[str, Any]]:
    found, after = [], ""
    while after is not None:
        reply = api.user("GET", f"/?limit={limit}{after}")
        assert reply.status == 200
        found += reply.json["results"]
        after = None if reply.json["after"] is None else f"&after={reply.json['after']}"
    return found


@pytest.mark.parametrize("limit", [1, 2, 5, 1000])
def test_every_living_customer_is_listed_once_and_as_it_is_read(api: ApiInProcess, limit: int) -> None:
    for n in range(5):
        api.world.insert(email=f"p{n}@hubspot.com", firstname="P")
    api.world.sql("update customer set deletedat = now() where email = 'p0@hubspot.com'")
    found = read_all(api, limit)
    assert [each["uuid"] for each in found] == sorted(each["uuid"] for each in found)
    assert {each["email"] for each in found} == {f"p{n}@hubspot.com" for n in range(1, 5)}
    assert found == [api.user("GET", f"/uuid/{each['uuid']}").json for each in found]


def test_a_page_has_a_hundred_customers_unless_told_otherwise(api: ApiInProcess) -> None:
    api.world.sql("insert into customer (email) select 'p' || n || '@hubspot.com' from generate_series(1, 101) n")
    reply = api.user("GET", "/")
    assert len(reply.json["results"]) == 100
    assert reply.json["after"] == reply.json["results"][-1]["uuid"]


def test_what_comes_and_goes_meanwhile_moves_nobody(api: ApiInProcess) -> None:
    for n in range(6):
        api.world.insert(email=f"p{n}@hubspot.com")
    first = api.user("GET", "/?limit=3").json
    gone = first["results"][0]["uuid"]
    api.world.sql("update customer set deletedat = now() where uuid = %s", gone)
    rest = api.user("GET", f"/?limit=10&after={first['after']}").json["results"]
    assert len({each["uuid"] for each in first["results"] + rest}) == 6


def test_a_page_of_very_long_texts_ends_earlier(api: ApiInProcess) -> None:
    api.world.sql(
        "insert into customer (email, company, website) "
        "select 'p' || n || '@hubspot.com', repeat('c', 60000), repeat('w', 60000) from generate_series(1, 250) n"
    )
    reply = api.user("GET", "/?limit=1000")
    assert len(reply.json["results"]) == 100
    assert len(reply.body) < 16 * 1024 * 1024
    assert len(read_all(api, 1000)) == 250


def test_nobody_is_an_empty_page(api: ApiInProcess) -> None:
    assert api.user("GET", "/").json == {"results": [], "after": None}
    for after in (uuid4(), UUID(int=2**128 - 1)):
        assert api.user("GET", f"/?after={after}").json == {"results": [], "after": None}


def test_the_first_and_the_last_uuid_there_are_is_listed(api: ApiInProcess) -> None:
    ends = [str(UUID(int=0)), str(UUID(int=2**128 - 1))]
    for n, uuid in enumerate(ends):
        api.world.sql("insert into customer (uuid, email) values (%s, %s)", uuid, f"p{n}@hubspot.com")
    assert [each["uuid"] for each in read_all(api, 1)] == ends


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=1001", "limit=-1", "limit=x", "limit=", "limit=1.5", "limit=99999999999999999999"),
        *("limit=5.0", "limit=1_0", "limit=%2B5", "limit=%D9%A1", "limit=1e2", "limit=%201"),
        *("after=urn:uuid:00000000-0000-0000-0000-000000000001", "after={}", "after=" + "0" * 32),
        *("after=", "after=x", "after=1", "limit=1&limit=2", "limit", "limit=1&&after=", "%00=1", "after=%00"),
    ],
)
def test_a_query_that_is_not_valid_is_refused(shared_api: ApiInProcess, query: str) -> None:
    reply = shared_api.user("GET", f"/?{query}")
    assert reply.status == 400
    assert reply.json["code"] in ("invalid_parameter", "unknown_parameter")


@pytest.mark.parametrize("query", ["page=1", "limit=1&offset=2", "Limit=1", "a=1&b=2"])
def test_a_parameter_that_there_is_not_is_named_so(shared_api: ApiInProcess, query: str) -> None:
    assert shared_api.user("GET", f"/?{query}").json["code"] == "unknown_parameter"


def test_a_flood_of_parameters_is_refused(shared_api: ApiInProcess) -> None:
    assert shared_api.user("GET", "/?" + "&".join(f"a{n}=1" for n in range(1000))).json["code"] == "invalid_parameter"
