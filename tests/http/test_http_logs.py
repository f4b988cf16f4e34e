"""What the processes write and show of themselves: no address, name or number of a person, no secret."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import ports
import psutil
import psycopg
import pytest
import running_servers
from deliveries import event, signed
from raw_http import ask
from systems import api_environment, as_admin, webhook_environment
from world import World

from api.auth import Role, Tokens
from reconciler.process.log import scrubbed

PERSON = {
    "email": "canary.person@hubspot.com",
    "firstname": "CanaryFirst",
    "lastname": "CanaryLast",
    "phone": "+49 555 7777 123",
    "company": "CanaryCompany",
}
SECRETS = {
    "JWT_SECRET": "canaryjwt" * 4,
    "TOKEN_ISSUER_KEY": "canaryissuer",
    "HUBSPOT_CLIENT_SECRET": "canaryclient",
    "HUBSPOT_ACCESS_TOKEN": "pat-canary-token-0123456789",
}
TELLING = ["canary", "7777 123", "eyJ"]


@pytest.fixture
def both(world: World, tmp_path: Path) -> Iterator[tuple[running_servers.Server, running_servers.Server]]:
    """An API and a receiver with secrets that would be recognised, logging all they can."""
    port = ports.free_port()
    url = f"http://127.0.0.1:{port}/"
    secrets = {"access_token": SECRETS["HUBSPOT_ACCESS_TOKEN"], "client_secret": SECRETS["HUBSPOT_CLIENT_SECRET"]}
    world.portal.set(**secrets, webhook_url=url)
    more = {**SECRETS, "LOG_LEVEL": "debug", "HUBSPOT_WEBHOOK_URL": url}
    with (
        running_servers.server("api", api_environment(world, **more), tmp_path / "api") as api,
        running_servers.server(
            "webhook", webhook_environment(world, **more), tmp_path / "webhook", port=port
        ) as webhook,
    ):
        yield api, webhook


def test_the_logs_hold_nobody_and_no_secret(
    world: World, both: tuple[running_servers.Server, running_servers.Server], until: Callable[..., Any]
) -> None:
    api, webhook = both
    token = Tokens(SECRETS["JWT_SECRET"]).issue(Role.ADMIN)
    admin = as_admin(SECRETS["JWT_SECRET"])
    path, body = f"/{PERSON['email']}", orjson.dumps(PERSON)
    assert ask(api.port, "GET", "/get-token/admin", X_Issuer_Key=SECRETS["TOKEN_ISSUER_KEY"])[0] == 200
    assert ask(api.port, "POST", "/", body, **admin)[0] == 201
    assert ask(api.port, "POST", "/", body, **admin)[0] == 409
    assert ask(api.port, "GET", f"{path}?token={token}")[0] == 401
    assert (
        ask(api.port, "PUT", path, b'{"lifecyclestage": "canary-stage", "phone": "+49 555 7777 123"}', **admin)[0]
        == 400
    )
    assert ask(api.port, "POST", "/", b'{"email": "canary', **admin)[0] == 400
    for fault in (
        {"action": "status", "status": 500, "body": {"message": f"boom {body.decode()}"}},
        {"action": "html200"},
    ):
        world.portal.faults.add(**fault, path_contains="/batch/update")
        assert ask(api.port, "PUT", path, b'{"phone": "+49 555 7777 1234"}', **admin)[0] == 500
    world.portal.faults.add(
        action="status", status=401, body={"message": SECRETS["HUBSPOT_ACCESS_TOKEN"]}, path_contains="/batch/update"
    )
    assert ask(api.port, "PUT", path, b'{"phone": "+49 555 7777 1235"}', **admin)[0] == 500
    batch = orjson.dumps([{"op": "upsert", **PERSON}, {"op": "create", **PERSON, "email": "canary@"}])
    assert ask(api.port, "POST", "/batch", batch, **admin)[0] == 207
    delivery = signed([event(1, propertyValue=PERSON["email"])])
    headers = {name: str(value) for name, value in delivery.items() if name != "data"}
    assert ask(webhook.port, "POST", "/", delivery["data"], **headers)[0] == 401
    contact = world.portal.create({**PERSON, "email": "canary.other@hubspot.com"})
    # A refused token is asked about again after half a minute: its time comes sooner here.
    world.sql("update sync.outage set probe = now()")
    until(lambda: world.customer("canary.other@hubspot.com"), seconds=60)
    world.portal.edit(contact.id, {"lastname": "CanaryLater"})
    until(lambda: (world.customer("canary.other@hubspot.com") or {}).get("lastname") == "CanaryLater")
    with psycopg.connect(world.dsn, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )
    deadline = time.monotonic() + 20
    while ask(api.port, "GET", path, **admin)[0] != 200:
        assert time.monotonic() < deadline
    for server in both:
        lines = [line for line in server.log.splitlines() if line.startswith("{")]
        assert lines
        for line in lines:
            assert not [word for word in TELLING if word.lower() in line.lower()], line
        assert not [word for word in TELLING if word.lower() in server.log.lower()]


def test_the_process_table_shows_no_secret(
    world: World, both: tuple[running_servers.Server, running_servers.Server]
) -> None:
    for server in both:
        for process in (psutil.Process(server.process.pid), *server.workers()):
            assert "canary" not in " ".join(process.cmdline())
    shown = world.sql(
        "select application_name || query as text from pg_stat_activity where datname = current_database()"
    )
    assert "canary" not in repr(shown)


def test_every_line_of_the_log_names_its_process_and_its_request(
    both: tuple[running_servers.Server, running_servers.Server], world: World
) -> None:
    api, _ = both
    world.portal.faults.add(action="status", status=500, path_contains="/batch/create")
    admin = as_admin(SECRETS["JWT_SECRET"])
    status, headers, _ = ask(api.port, "POST", "/", orjson.dumps(PERSON), **admin)
    assert status == 500
    found = [orjson.loads(line) for line in api.log.splitlines() if line.startswith("{")]
    (failed,) = [line for line in found if line["event"] == "api.write_failed"]
    assert failed["request_id"] == headers["x-request-id"]
    assert {line.get("process") for line in found} == {"api"}


@pytest.mark.parametrize(
    "text",
    [
        *("postgresql://app:{}@db.example.com/x failed", "postgres://app:a=b,{};c@db/x", "http://{}:x@proxy:3128"),
        *("postgresql://app:p@{}@db:5432/x", "connection to https://u:{}@h failed", "'Basic {}='", "bearer {}"),
        *("host=h password={} dbname=x", "password = 'a {} b' host=h", r"password='a\' {}' host=h", "PASSWORD='{}"),
        *("sslpassword={}", "Invalid header value b'Bearer {}\\n'", "pat-eu1-{}", "x@{}.example.com"),
    ],
)
def test_no_line_shows_what_a_library_quotes_of_a_secret(text: str) -> None:
    shown = scrubbed(text.format("c4nary-secret"))
    assert "c4nary" not in shown
    assert "dbname=x" in shown or "dbname=x" not in text


def test_what_is_no_secret_is_shown() -> None:
    text = 'connection to server at "10.0.0.1", port 5432 failed: password authentication failed for user "app"'
    assert scrubbed(text) == text
    assert scrubbed("https://api.hubapi.com/crm/v3 failed") == "https://api.hubapi.com/crm/v3 failed"
