"""The token is revoked while everything runs, and replaced: one look at a time, one line a minute, nothing lost."""

import time
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest
from deliveries import event, signed
from hours import Hours, pass_time
from processes import reconciler
from raw_http import ask
from running_servers import Server, server
from states import assert_sound, assert_unspent, due, people
from systems import api_environment, as_admin, webhook_environment
from world import World, until

from reconciler.adapters.postgres.database import Database
from reconciler.process import wiring
from reconciler.process.account import check_portal

PROBE = 30.0
"""Seconds between two looks whether HubSpot takes the token by now."""

QUIET = 4.0
"""Seconds in which each job is due many times."""

COMPLAINTS = 5
"""Lines in a minute about one cause: one of each job that it stops."""


def complaints(log: str) -> list[str]:
    """What a log says of things that could not be done."""
    return [line for line in log.splitlines() if '"reason"' in line and ('"warning"' in line or '"error"' in line)]


def test_the_first_refusal_of_the_token_stops_everybody(world: World, hours: Hours) -> None:
    people(world, 300)
    world.sql("update customer set company = 'b'")
    token = world.sandbox.token
    hours.forget()
    world.portal.set(access_token="another")
    hours.let(600)
    assert_unspent(world)
    hours.assert_only_probes(after=1, every=PROBE)
    world.portal.set(access_token=token)
    assert hours.let(120, until=lambda: due(world) == 0)
    assert world.contact("c4@example.com")["company"] == "b"
    assert_sound(world)


@pytest.fixture
def file(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the token is read from."""
    people(world, 5)
    file = tmp_path / "token"
    file.write_text(world.sandbox.token)
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN_FILE", str(file))
    return file


def test_a_replaced_token_is_used_at_the_next_look(
    world: World, database: Database, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = wiring.build(world.settings, database)
    world.portal.set(access_token="new")
    world.sql("update customer set company = 'b'")
    parts.reconciler.drain()
    file.write_text("new\n")
    pass_time(world, PROBE + 1)
    world.sql("update sync.mark set due = now()")
    parts.reconciler.drain()
    assert world.contact("c4@example.com")["company"] == "b"
    monkeypatch.delenv("HUBSPOT_ACCESS_TOKEN_FILE")
    world.portal.set(access_token=world.settings.hubspot_access_token.get_secret_value())
    assert_sound(world)


def test_a_token_of_another_account_is_noticed_where_it_comes_while_everything_runs(
    world: World, database: Database, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = wiring.build(world.settings, database)
    check_portal(parts)
    parts.reconciler.drain()
    theirs = {"portalId": 1, "timeZone": "UTC"}
    world.portal.faults.add(action="status", status=200, body=theirs, path_contains="/account-info", times=None)
    world.portal.set(access_token="theirs")
    file.write_text("theirs")
    before = world.portal.revision
    world.sql("update customer set company = 'b'")
    world.portal.calls.clear()
    parts.reconciler.drain()
    assert set(world.portal.calls.counts) == {"GET /account-info/v3/details"}
    assert world.portal.revision == before
    assert [each["cause"] for each in world.sql("select cause from sync.causes")] == ["other_account"]
    assert_unspent(world)
    world.portal.faults.clear()
    world.portal.set(access_token=world.settings.hubspot_access_token.get_secret_value())
    file.write_text(world.sandbox.token)
    world.sql("update sync.mark set due = now()")
    parts.reconciler.drain()
    assert world.contact("c4@example.com")["company"] == "b"
    monkeypatch.delenv("HUBSPOT_ACCESS_TOKEN_FILE")
    assert_sound(world)


def test_running_processes_survive_a_revoked_token_and_take_up_its_successor(world: World, tmp_path: Path) -> None:
    people(world, 20)
    token = world.sandbox.token
    with ExitStack() as stack:
        revoke_and_replace(world, tmp_path, stack)
    for n in range(8):
        assert world.contact(f"sql{n}@example.com")
    assert world.customer("c3@example.com")["phone"] == "7"
    world.portal.set(access_token=token)
    assert_sound(world)


def revoke_and_replace(world: World, tmp_path: Path, stack: ExitStack) -> None:
    file = tmp_path / "token"
    file.write_text(world.sandbox.token)
    with_file = {"HUBSPOT_ACCESS_TOKEN": "", "HUBSPOT_ACCESS_TOKEN_FILE": str(file)}
    started = stack.enter_context(reconciler(world, tmp_path / "reconciler", POLL_INTERVAL="0.2", **with_file))
    api = stack.enter_context(_server("api", {**api_environment(world), **with_file}, tmp_path))
    webhook = stack.enter_context(_server("webhook", {**webhook_environment(world), **with_file}, tmp_path))

    world.portal.set(access_token="new")
    until(lambda: 401 in world.portal.calls.statuses)
    for n in range(8):
        _everybody_works(world, api, webhook, n)
    assert world.portal.calls.statuses[401] <= 3, "no more than one call of each was under way"
    time.sleep(QUIET)
    assert world.portal.calls.statuses[401] <= 3
    for log in (started.log, webhook.log):
        assert len(complaints(log)) <= COMPLAINTS, "\n".join(complaints(log)[:10])
    assert_unspent(world)

    file.write_text("new")
    pass_time(world, PROBE + 1)
    until(lambda: due(world) == 0, seconds=60)


def _server(module: str, environment: dict[str, str], folder: Path) -> AbstractContextManager[Server]:
    settings = {name: value for name, value in environment.items() if value}
    return server(module, settings, folder / module)


def _everybody_works(world: World, api: Server, webhook: Server, n: int) -> None:
    admin = as_admin()
    assert ask(api.port, "GET", "/c0@example.com", **admin)[0] == 200
    assert ask(api.port, "PUT", "/c1@example.com", b'{"phone": "1"}', **admin)[0] in (500, 503)
    contact = world.portal.contact("c3@example.com")
    world.portal.edit(contact.id, {"phone": str(n)})
    delivery = signed([event(contact.id)])
    headers = {name: value for name, value in delivery.items() if name != "data"}
    assert ask(webhook.port, "POST", "/", delivery["data"], **headers)[0] == 204
    world.insert(email=f"sql{n}@example.com")
