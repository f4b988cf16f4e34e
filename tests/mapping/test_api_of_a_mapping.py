"""The API over a table of the owner's: its fields in their own types, by key, address, uuid and contact."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from systems import ApiInProcess, api_in_process
from test_adoption import SCHEMA
from world import World

from api.openapi import document
from reconciler.adapters.postgres.database import Database, open_pool
from reconciler.adapters.postgres.install import install
from reconciler.mapping.reading import load

TABLE = """
create table people (
    tenant integer not null, id bigint not null, mail text not null, first text not null default '', seats integer,
    paying boolean, born date, seen timestamptz, plan text, tags text[], score numeric(6, 2), kind text not null,
    primary key (tenant, id)
)
"""
FILE = """
[table]
name = "public.people"
key = ["tenant", "id"]
where = "kind = 'customer'"
deleted = "row"
empty = ""
{table}

[api]
required = ["email"]

[fields]
email = {{ column = "mail", type = "email" }}
firstname = {{ column = "first" }}
seats = {{ column = "seats", type = "number" }}
paying = {{ column = "paying", type = "boolean" }}
born = {{ column = "born", type = "date" }}
last_seen = {{ column = "seen", type = "datetime" }}
plan = {{ column = "plan", type = "enum", values = {{ pro = "Professional", free = "Free" }} }}
interests = {{ column = "tags", type = "set" }}
score = {{ column = "score", type = "number", direction = "to_postgres" }}
"""
INSERT = """insert = { tenant = "1", id = "(random() * 1000000)::bigint", kind = "'customer'" }"""
ALL = {
    "email": "ada@example.com",
    "firstname": "Ada",
    "seats": 3,
    "paying": True,
    "born": "1815-12-10",
    "last_seen": "2026-01-05T09:00:00.500Z",
    "plan": "Professional",
    "interests": ["maths", "engines"],
}
PROPERTIES: list[dict[str, Any]] = [
    {"name": "seats", "type": "number"},
    {"name": "paying", "type": "bool"},
    {"name": "born", "type": "date"},
    {"name": "last_seen", "type": "datetime"},
    {"name": "plan", "type": "enumeration", "field_type": "select", "options": ["Professional", "Free"]},
    {"name": "interests", "type": "enumeration", "field_type": "checkbox", "options": ["maths", "engines", "poetry"]},
    {"name": "score", "type": "number"},
]


@pytest.fixture
def make(empty: str, tmp_path: Path) -> Iterator[Callable[[str], ApiInProcess]]:
    with ExitStack() as stack:

        def made(table: str = INSERT) -> ApiInProcess:
            file = tmp_path / "mapping.toml"
            file.write_text(FILE.format(table=table))
            with psycopg.connect(empty) as connection:
                connection.execute(TABLE)
            install(empty, SCHEMA, load(str(file)))
            database = Database(stack.enter_context(open_pool(empty, size=8)))
            world = stack.enter_context(World.open(empty, database, MAPPING_FILE=str(file)))
            for each in PROPERTIES:
                world.portal.add_property(**each)
            return api_in_process(world, database, MAPPING_FILE=str(file))

        yield made


@pytest.fixture
def api(make: Callable[[], ApiInProcess]) -> ApiInProcess:
    return make()


def test_a_customer_is_created_and_shown_in_the_fields_own_types(api: ApiInProcess) -> None:
    reply = api.admin("POST", "/", ALL)
    assert reply.status == 201
    shown = reply.json
    assert {name: shown[name] for name in ALL} == {**ALL, "interests": ["engines", "maths"]}
    assert (shown["createdat"], shown["updatedat"], shown["score"]) == (None, None, None)
    assert shown["key"]["tenant"] == 1
    assert set(shown["key"]) == {"tenant", "id"}
    row = api.world.sql("select mail, first, seats, paying, born::text, plan, tags from people")[0]
    assert row == {
        "mail": "ada@example.com",
        "first": "Ada",
        "seats": 3,
        "paying": True,
        "born": "1815-12-10",
        "plan": "pro",
        "tags": ["engines", "maths"],
    }
    there = api.world.portal.contact("ada@example.com")
    assert there is not None
    assert (there.get("seats"), there.get("paying"), there.get("plan")) == ("3", "true", "Professional")
    revision = api.world.portal.revision
    api.world.quiet()
    assert api.world.portal.revision == revision


@pytest.mark.parametrize("way", ["/{email}", "/uuid/{uuid}", "/contact/{contactid}"])
def test_it_is_read_and_changed_by_every_name(api: ApiInProcess, way: str) -> None:
    made = api.admin("POST", "/", ALL).json
    path = way.format(**made)
    assert api.user("GET", path).json == made
    assert api.admin("PUT", path, {"seats": 0, "paying": False, "interests": [], "born": None}).status == 200
    changed = api.user("GET", path).json
    assert {name: changed[name] for name in ("seats", "paying", "interests", "born")} == {
        "seats": 0,
        "paying": False,
        "interests": None,
        "born": None,
    }
    assert api.world.sql("select seats, paying, born from people") == [{"seats": 0, "paying": False, "born": None}]
    api.world.quiet()
    assert api.user("GET", path).json["seats"] == 0
    assert api.admin("DELETE", path).status == 204
    assert api.world.sql("select * from people") == []
    assert api.world.portal.contact("ada@example.com") is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seats", "many"),
        ("seats", True),
        ("paying", "yes"),
        ("born", "tomorrow"),
        ("last_seen", "noon"),
        ("interests", "maths"),
        ("interests", ["a;b"]),
        ("score", 5),
        ("key", 1),
    ],
)
def test_a_value_of_another_kind_is_refused_with_its_field(api: ApiInProcess, field: str, value: Any) -> None:
    reply = api.admin("POST", "/", {**ALL, field: value})
    assert reply.status == 400
    assert [detail["field"] for detail in reply.json["details"]] == [field]
    assert api.world.sql("select * from people") == []
    assert api.world.portal.contacts == []


def test_a_row_out_of_scope_is_not_there(api: ApiInProcess) -> None:
    api.world.sql("insert into people (tenant, id, mail, kind) values (1, 1, 'eva@example.com', 'staff')")
    assert api.user("GET", "/eva@example.com").status == 404
    assert api.admin("PUT", "/eva@example.com", {"seats": 1}).status == 404


def test_where_no_rows_are_inserted_none_is_created(make: Callable[[str], ApiInProcess]) -> None:
    api = make("insert = false")
    for reply in (api.admin("POST", "/", ALL), api.admin("POST", "/", ALL, Prefer="respond-async")):
        assert (reply.status, reply.json["code"]) == (409, "no_insert")
    outcomes = api.admin("POST", "/batch", [{"op": "create", **ALL}, {"op": "upsert", **ALL}]).json
    assert [(each["status"], each["code"]) for each in outcomes] == [(409, "no_insert")] * 2
    assert api.world.portal.contacts == []


def test_the_document_speaks_of_the_mapped_fields(api: ApiInProcess) -> None:
    found = json.loads(json.dumps(document(api.services.forms)))
    shown = found["components"]["schemas"]["Customer"]["properties"]
    assert shown["seats"] == {"type": ["number", "null"]}
    assert shown["interests"]["type"] == ["array", "null"]
    taken = found["components"]["schemas"]["NewCustomer"]
    assert taken["required"] == ["email"]
    assert taken["properties"]["born"]["format"] == "date"


def test_pages_go_through_the_rows_in_scope(api: ApiInProcess) -> None:
    api.world.sql(
        "insert into people (tenant, id, mail, kind) select 1, n, 'p' || n || '@example.com', "
        "case when mod(n, 3) = 0 then 'staff' else 'customer' end from generate_series(1, 30) n"
    )
    met, after = [], ""
    while after is not None:
        page = api.user("GET", f"/?limit=7{after and '&after=' + after}").json
        met += [each["key"]["id"] for each in page["results"]]
        after = page["after"]
    assert sorted(met) == [n for n in range(1, 31) if n % 3]
