"""Health, readiness, figures; the OpenAPI document and what is made from it."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from forms import FORMS
from jsonschema import Draft202012Validator
from psycopg_pool import ConnectionPool
from systems import KAI, ApiInProcess, api_in_process
from world import World

from api import postman
from api.openapi import document, path_of
from api.routes import ROUTES
from reconciler.adapters.postgres.database import Database, open_pool

ROOT = Path(__file__).parents[2]
NOWHERE = "host=127.0.0.1 port=1 dbname=x user=u password=canary-password connect_timeout=1"


@pytest.fixture(scope="module")
def api_without_database(shared_world: World) -> Iterator[ApiInProcess]:
    """An API whose database refuses connections; the pool waits less than usual for one."""
    with ConnectionPool(NOWHERE, min_size=1, timeout=0.05, open=True) as pool:
        yield api_in_process(shared_world, Database(pool))


def test_health_means_that_data_is_moving(api: ApiInProcess) -> None:
    assert api.anyone("GET", "/healthz").status == 503
    api.world.sql("insert into sync.heartbeat (job, at) values ('drain', now())")
    reply = api.anyone("GET", "/healthz")
    assert (reply.status, reply.json) == (200, {"status": "ok"})
    api.world.sql("update sync.heartbeat set at = now() - interval '10 minutes'")
    api.world.sql("insert into sync.heartbeat (job, at) values ('poll', now())")
    assert api.anyone("GET", "/healthz").status == 503


def test_ready_means_that_the_database_answers(shared_api: ApiInProcess) -> None:
    reply = shared_api.anyone("GET", "/readyz")
    assert (reply.status, reply.json) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    "request_",
    [
        *(
            ("GET", "/readyz"),
            ("GET", "/healthz"),
            ("GET", "/metrics"),
            ("GET", "/kai@hubspot.com"),
            ("POST", "/", KAI),
        ),
        *(("PUT", "/kai@hubspot.com", {"phone": "1"}), ("DELETE", "/kai@hubspot.com")),
        ("POST", "/batch", [{"op": "create", **KAI}]),
    ],
    ids=lambda request: " ".join(request[:2]),
)
@pytest.mark.parametrize("key", [None, "key"])
def test_without_a_database_every_call_says_so_and_when_to_come_again(
    api_without_database: ApiInProcess, request_: Any, key: str | None
) -> None:
    revision = api_without_database.world.portal.revision
    reply = api_without_database.admin(*request_, Idempotency_Key=key)
    assert (reply.status, reply.json["code"]) == (503, "database_unavailable")
    assert int(reply.headers["retry-after"]) > 0
    assert "canary" not in reply.text
    assert "127.0.0.1" not in reply.text
    assert api_without_database.world.portal.revision == revision


def test_the_pool_waits_for_a_database_no_longer_than_a_caller_should(shared_world: World) -> None:
    with open_pool(NOWHERE, size=1) as pool:
        assert pool.timeout <= 2
        assert api_in_process(shared_world, Database(pool)).anyone("GET", "/readyz").status == 503


def test_a_database_that_is_back_is_found_by_the_next_request(api: ApiInProcess) -> None:
    dsns = [NOWHERE]
    with open_pool(lambda: dsns[-1], size=4, wait=0.3) as pool:
        starving = api_in_process(api.world, Database(pool))
        assert starving.admin("GET", "/kai@hubspot.com").status == 503
        dsns.append(api.world.dsn)
        assert starving.admin("GET", "/kai@hubspot.com").status == 404


def test_an_empty_pool_is_no_reason_to_hang(api: ApiInProcess) -> None:
    with open_pool(api.world.dsn, size=1, wait=0.05) as pool:
        starving = api_in_process(api.world, Database(pool))
        with pool.connection():
            reply = starving.admin("GET", "/kai@hubspot.com")
        assert (reply.status, reply.json["code"]) == (503, "database_unavailable")


def test_a_table_that_an_operator_has_locked_is_no_reason_to_hang(api: ApiInProcess) -> None:
    replies: list[Any] = []
    reading = threading.Thread(target=lambda: replies.append(api.user("GET", "/kai@hubspot.com")))
    with psycopg.connect(api.world.dsn) as operator:
        operator.execute("lock table customer in access exclusive mode")
        reading.start()
        reading.join(8)
        hung = reading.is_alive()
        operator.rollback()
    reading.join()
    assert not hung
    assert replies[0].status == 503


def test_what_needs_no_database_is_answered_without_one(api_without_database: ApiInProcess) -> None:
    api = api_without_database
    assert api.anyone("GET", "/openapi.json").status == 200
    assert api.anyone("GET", "/docs").status == 200
    assert api.anyone("GET", "/kai@hubspot.com").status == 401
    assert api.admin("POST", "/", {}).status == 400


def test_the_figures_are_prometheus_text_with_the_state_of_the_sync(api: ApiInProcess) -> None:
    api.admin("POST", "/", KAI)
    api.world.insert(email="canary@hubspot.com")
    reply = api.admin("GET", "/metrics")
    assert (reply.status, reply.headers["content-type"][:10]) == (200, "text/plain")
    figures = dict(line.rsplit(" ", 1) for line in reply.body.decode().splitlines() if not line.startswith("#"))
    assert float(figures["sync_linked"]) == 1
    assert float(figures["sync_unlinked"]) == 1
    assert float(figures['sync_hubspot_calls_used{kind="all"}']) >= 1
    assert "hubspot.com" not in reply.text


def test_the_public_answers_tell_nothing_about_the_inside(shared_api: ApiInProcess) -> None:
    for path in ("/healthz", "/readyz"):
        text = shared_api.anyone("GET", path).text.lower()
        assert not re.search(r"\d+\.\d+\.\d+|postgres|bottle|granian|python|version|host", text)


def test_the_document_is_valid_and_names_every_route_and_status() -> None:
    found = json.loads(json.dumps(document(FORMS)))
    assert found["openapi"].startswith("3.1")
    assert {"title", "version"} <= found["info"].keys()
    operations = {(path, method) for path, methods in found["paths"].items() for method in methods}
    assert operations == {(path_of(route), route.method.lower()) for route in ROUTES}
    for route in ROUTES:
        operation = found["paths"][path_of(route)][route.method.lower()]
        assert {int(status) for status in operation["responses"]} == set(route.answers)
        names = {parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "path"}
        assert names == set(re.findall(r"{(\w+)}", path_of(route)))
    ids = [found["paths"][path][method]["operationId"] for path, method in operations]
    assert len(ids) == len(set(ids))


def test_the_schemas_of_the_document_are_schemas_and_every_reference_leads_somewhere() -> None:
    found = document(FORMS)
    for schema in found["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(found)):
        place: Any = found
        for part in reference.split("/"):
            place = place[part]


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        (("POST", "/", KAI), "/"),
        (("POST", "/", {}), "/"),
        (("POST", "/batch", [{"op": "read", "email": "kai@hubspot.com"}, {}]), "/batch"),
        (("GET", "/kai@hubspot.com"), "/{email}"),
        (("GET", "/nobody@hubspot.com"), "/{email}"),
        (("PUT", "/kai@hubspot.com", {"phone": "1"}), "/{email}"),
        (("PUT", "/kai@hubspot.com", {}), "/{email}"),
        (("DELETE", "/nobody@hubspot.com"), "/{email}"),
        (("GET", "/?limit=1"), "/"),
        (("GET", "/?limit=0"), "/"),
        (("GET", f"/uuid/{UUID(int=1)}"), "/uuid/{uuid}"),
        (("DELETE", "/contact/1"), "/contact/{contact}"),
        (("GET", "/healthz"), "/healthz"),
        (("GET", "/readyz"), "/readyz"),
    ],
    ids=lambda value: " ".join(map(str, value[:2])) if isinstance(value, tuple) else "",
)
def test_answers_are_as_the_document_says(api: ApiInProcess, request_: Any, path: str) -> None:
    if request_[:2] != ("POST", "/"):
        api.admin("POST", "/", KAI)
    reply = api.admin(*request_)
    found = api.anyone("GET", "/openapi.json").json
    answer = found["paths"][path][request_[0].lower()]["responses"][str(reply.status)]
    if "content" in answer:
        schema = {**answer["content"]["application/json"]["schema"], "components": found["components"]}
        Draft202012Validator(schema).validate(reply.json)
    else:
        assert reply.body == b"" or path in ("/healthz", "/readyz")


def test_the_document_is_served_to_anyone(shared_api: ApiInProcess) -> None:
    reply = shared_api.anyone("GET", "/openapi.json")
    assert (reply.status, reply.json) == (200, json.loads(json.dumps(document(FORMS))))


def test_the_page_for_people_loads_nothing_from_elsewhere(shared_api: ApiInProcess) -> None:
    reply = shared_api.anyone("GET", "/docs")
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert "unsafe" not in reply.headers["content-security-policy"]
    assert not re.search(rb'(src|href)="(https?:)?//', reply.body)
    for tag in (b"script", b"style"):
        (text,) = re.findall(rb"<%s>(.*?)</%s>" % (tag, tag), reply.body, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text).digest()).decode()
        assert f"{tag.decode()}-src 'sha256-{digest}'" in reply.headers["content-security-policy"]


def test_the_stored_postman_collection_is_the_one_that_is_made() -> None:
    stored = json.loads((ROOT / "api.postman_collection.json").read_text())
    assert stored == postman.collection(FORMS)


def test_the_collection_has_a_request_per_route_and_no_secret() -> None:
    requests = [item["request"] for item in postman.collection(FORMS)["item"]]
    assert {
        (each["method"], re.sub("{({[a-z]+})}", r"\1", each["url"]).removeprefix("{{base_url}}")) for each in requests
    } == {(route.method, path_of(route).replace("{role}", "admin")) for route in ROUTES}
    secrets = [
        each["value"] for each in postman.collection(FORMS)["variable"] if each["key"] in ("token", "issuer_key")
    ]
    assert secrets == ["", ""]
