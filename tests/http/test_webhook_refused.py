"""Deliveries that are not taken are counted by their outcome, and an operator sees it in the log, the status, health
and figures."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import running_servers
from callers import Caller, Stream
from deliveries import event, now_ms, signed
from raw_http import ask
from systems import api_in_process, received, webhook_environment
from world import World

from reconciler.adapters.postgres.database import Database, open_pool
from reconciler.process.settings import Webhook, load
from webhook.app import LARGEST

Until = Callable[..., Any]
GOOD = [event(101)]
NO_HEADERS = {"data": b"[]", "Content_Type": "application/json"}


@pytest.fixture
def receiver(world: World) -> Iterator[Caller]:
    """The receiver as its process puts it together, on a pool that ends with the test."""
    settings = load(Webhook, webhook_environment(world))
    with open_pool(world.dsn, size=8) as pool:
        yield received(settings, Database(pool))


def counted(world: World) -> dict[str, int]:
    return {row["kind"]: row["count"] for row in world.sql("select kind, count from sync.event")}


def refusing(world: World) -> Any:
    return world.sql("select refusing from sync.status")[0]["refusing"]


def without(delivery: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in delivery.items() if name not in names}


OUTCOMES: dict[str, tuple[str, str, Callable[[], dict[str, Any]]]] = {
    "refused:signature_invalid": ("POST", "/", lambda: signed(GOOD, secret="wrong")),
    "refused:timestamp_stale": ("POST", "/", lambda: signed(GOOD, timestamp=now_ms() - 600_000)),
    "refused:timestamp_invalid": ("POST", "/", lambda: {**signed(GOOD), "X_HubSpot_Request_Timestamp": "x"}),
    "refused:signature_missing": ("POST", "/", lambda: without(signed(GOOD), "X_HubSpot_Signature_v3")),
    "refused:too_large": ("POST", "/", lambda: {**without(signed([]), "data"), "length": str(LARGEST + 1)}),
    "refused:bad_request": ("POST", "/", lambda: {**signed(GOOD), "length": "9999"}),
    "refused:not_found": ("POST", "/elsewhere", lambda: signed(GOOD)),
    "refused:method_not_allowed": ("PUT", "/", lambda: signed(GOOD)),
    "stray:signature_missing": ("POST", "/", lambda: NO_HEADERS),
    "stray:not_found": ("GET", "/wp-admin", dict),
    "stray:method_not_allowed": ("GET", "/", dict),
    "unreadable": ("POST", "/", lambda: signed(b"{")),
}


@pytest.mark.parametrize("kind", OUTCOMES)
def test_every_outcome_is_counted_and_hubspots_refused_ones_stand_in_the_status(
    world: World, receiver: Caller, until: Until, kind: str
) -> None:
    method, path, request = OUTCOMES[kind]
    for _ in range(3):
        receiver(method, path, **request())
    until(lambda: counted(world).get(kind) == 3)
    assert counted(world) == {kind: 3}
    what, _, code = kind.partition(":")
    assert refusing(world) == (code if what == "refused" else None)


def test_a_delivery_is_known_for_hubspots_by_its_sender_when_a_proxy_dropped_its_headers(
    world: World, receiver: Caller, until: Until
) -> None:
    receiver("POST", "/", **NO_HEADERS, User_Agent="HubSpot Connect 2.0 (http://dev.hubspot.com/)")
    until(lambda: counted(world) == {"refused:signature_missing": 1})


def test_an_accepted_delivery_ends_what_the_status_tells(world: World, receiver: Caller, until: Until) -> None:
    receiver("POST", "/elsewhere", **signed(GOOD))
    receiver("POST", "/", **signed(GOOD, secret="wrong"))
    until(lambda: refusing(world) == "not_found, signature_invalid")
    # Refused before, written down after: that is no later refusal.
    receiver("POST", "/", **signed(GOOD, secret="wrong"))
    assert receiver("POST", "/", **signed(GOOD)).status == 204
    until(lambda: counted(world).get("refused:signature_invalid") == 2)
    assert refusing(world) is None
    assert world.sql("select refused from sync.status")[0]["refused"] == 3


def test_health_stays_good_and_says_why_deliveries_are_refused(receiver: Caller) -> None:
    assert receiver("GET", "/healthz").json == {"status": "ok"}
    receiver("GET", "/wp-admin")
    assert receiver("GET", "/healthz").json == {"status": "ok"}
    receiver("POST", "/", **signed(GOOD, secret="wrong"))
    reply = receiver("GET", "/healthz")
    assert (reply.status, reply.json) == (200, {"status": "refusing", "code": "signature_invalid"})
    receiver("POST", "/", **signed(GOOD))
    assert receiver("GET", "/healthz").json == {"status": "ok"}


def test_what_was_refused_while_the_database_was_away_is_counted_later(
    world: World, receiver: Caller, until: Until, logged: Any
) -> None:
    world.sql("alter table sync.event rename to event_away")
    receiver("POST", "/", **signed(GOOD, secret="wrong"))
    until(lambda: [line for line in logged if line["event"] == "webhook.uncounted"])
    world.sql("alter table sync.event_away rename to event")
    until(lambda: counted(world).get("refused:signature_invalid") == 1)


def test_a_refusal_is_not_kept_waiting_by_the_database(world: World, receiver: Caller, until: Until) -> None:
    with world.connection.transaction():
        world.sql("lock table sync.event")
        for _ in range(50):
            assert receiver("POST", "/", data=Stream(b"x")).status == 401
    until(lambda: counted(world) == {"stray:signature_missing": 50})


def test_a_wrong_secret_is_seen_in_the_log_the_figures_and_the_status(
    world: World, database: Database, tmp_path: Path, until: Until
) -> None:
    environment = webhook_environment(world, HUBSPOT_CLIENT_SECRET="wrong")
    with running_servers.server("webhook", environment, tmp_path / "log") as webhook:
        delivery = signed(GOOD)
        headers = {name: str(value) for name, value in delivery.items() if name != "data"}
        assert ask(webhook.port, "POST", "/", delivery["data"], **headers)[0] == 401
        until(lambda: refusing(world) == "signature_invalid")
        assert orjson.loads(ask(webhook.port, "GET", "/healthz")[2])["code"] == "signature_invalid"
    lines = [orjson.loads(line) for line in webhook.log.splitlines() if line.startswith("{")]
    assert ("warning", "signature_invalid") in [(line["level"], line.get("code")) for line in lines]
    figures = api_in_process(world, database).admin("GET", "/metrics").body.decode()
    assert 'sync_events{kind="refused:signature_invalid"} 1.0' in figures
    assert "sync_refused 1.0" in figures
