"""From HubSpot's webhook to Postgres and from Postgres to HubSpot, with the receiver's own worker draining."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ports
import pytest
import running_servers
from callers import Caller
from deliveries import event, signed
from systems import KAI, received, webhook_environment
from world import World

from reconciler.adapters.postgres.database import Database, open_pool
from reconciler.process.settings import Webhook, load

Until = Callable[..., Any]


@pytest.fixture
def receiver(world: World) -> Iterator[Caller]:
    """The receiver as its process puts it together, worker and all, on a pool that ends with the test."""
    settings = load(Webhook, webhook_environment(world, HUBSPOT_CLIENT_SECRET="old,new"))
    with open_pool(world.dsn, size=8) as pool:
        yield received(settings, Database(pool))


def test_what_a_person_does_in_hubspot_reaches_postgres_through_a_real_receiver(
    world: World, tmp_path: Path, until: Until
) -> None:
    port = ports.free_port()
    more = {"HUBSPOT_CLIENT_SECRET": world.sandbox.client_secret, "HUBSPOT_WEBHOOK_URL": f"http://127.0.0.1:{port}/"}
    with running_servers.server("webhook", webhook_environment(world, **more), tmp_path / "log", port=port):
        world.portal.set(webhook_url=f"http://127.0.0.1:{port}/")
        contacts = [world.portal.create({**KAI, "email": f"person{n}@hubspot.com"}) for n in range(20)]
        until(lambda: all(world.customer(f"person{n}@hubspot.com") for n in range(20)))
        world.portal.edit(contacts[0].id, {"phone": "1"})
        world.portal.delete(contacts[1].id)
        until(lambda: world.customer("person0@hubspot.com")["phone"] == "1")
        until(lambda: world.customer("person1@hubspot.com") is None)
        assert world.portal.outbox.wait_until_idle(20)
        assert {delivery.answer for delivery in world.portal.outbox.deliveries} == {204}
        until(lambda: world.sql("select count(*) from sync.mark")[0]["count"] == 0)
        revision = world.portal.revision
        world.portal.outbox.redeliver()
        assert world.portal.outbox.wait_until_idle(20)
        until(lambda: world.sql("select count(*) from sync.mark")[0]["count"] == 0)
        assert world.portal.revision == revision
    world.quiet()
    world.assert_equal()


def test_a_delivery_in_process_brings_the_contact_to_postgres(receiver: Caller, world: World, until: Until) -> None:
    contact = world.portal.create(KAI)
    assert receiver("POST", "/", **signed([event(contact.id, "contact.creation")], secret="new")).status == 204
    until(lambda: world.customer("kai@hubspot.com"))
    world.portal.edit(contact.id, {"phone": "1"})
    assert receiver("POST", "/", **signed([event(contact.id)], secret="old")).status == 204
    until(lambda: world.customer("kai@hubspot.com")["phone"] == "1")
    world.portal.delete(contact.id)
    assert receiver("POST", "/", **signed([event(contact.id, "contact.deletion")], secret="old")).status == 204
    until(lambda: world.customer("kai@hubspot.com") is None)


def test_the_receiver_learns_its_account_and_then_ignores_others(receiver: Caller, world: World, until: Until) -> None:
    until(lambda: world.sql("select 1 as one from sync.setting where name = 'portal'"))
    contact = world.portal.create(KAI)
    assert receiver("POST", "/", **signed([event(contact.id, portalId=5)], secret="old")).status == 204
    assert world.sql("select kind, count from sync.event") == [{"kind": "foreign", "count": 1}]
    assert world.sql("select 1 as one from sync.mark") == []


def test_a_delivery_that_was_taken_before_the_account_was_known_is_drained_too(world: World, until: Until) -> None:
    world.portal.faults.add(action="status", status=500, path_contains="account-info", times=2)
    settings = load(Webhook, webhook_environment(world))
    with open_pool(world.dsn, size=8) as pool:
        receiver = received(settings, Database(pool))
        contact = world.portal.create(KAI)
        assert receiver("POST", "/", **signed([event(contact.id, "contact.creation")])).status == 204
        until(lambda: world.customer("kai@hubspot.com"))


def test_a_change_in_sql_is_pushed_by_the_worker_when_it_wakes(receiver: Caller, world: World, until: Until) -> None:
    world.insert(email="kai@hubspot.com", firstname="Kai")
    until(lambda: world.contact("kai@hubspot.com"))
