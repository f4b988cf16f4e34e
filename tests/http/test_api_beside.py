"""The API with a real receiver beside it: HubSpot tells of every write at once, and the receiver's worker looks at
the very contacts that the API is still writing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ports
import pytest
import running_servers
from systems import KAI, ApiInProcess, webhook_environment

pytestmark = pytest.mark.trial


@pytest.fixture
def beside(api: ApiInProcess, tmp_path: Path) -> Iterator[ApiInProcess]:
    """An API on two sides that a receiver keeps equal too, told by the sandbox without delay."""
    world, port = api.world, ports.free_port()
    url = f"http://127.0.0.1:{port}/"
    more = {"HUBSPOT_CLIENT_SECRET": world.sandbox.client_secret, "HUBSPOT_WEBHOOK_URL": url}
    with running_servers.server("webhook", webhook_environment(world, **more), tmp_path / "log", port=port):
        world.portal.set(webhook_url=url, webhook_delay_ms=0)
        yield api
        assert world.portal.outbox.wait_until_idle(20)
        assert {delivery.answer for delivery in world.portal.outbox.deliveries} <= {204}
    world.sql("update sync.link set lease_until = null")
    world.quiet()
    world.assert_equal()
    world.assert_fixpoint()


def person(n: int) -> dict[str, Any]:
    return {**KAI, "email": f"person{n}@hubspot.com"}


def test_every_create_is_one_customer(beside: ApiInProcess) -> None:
    replies = [beside.admin("POST", "/", person(n)) for n in range(150)]
    assert {reply.status for reply in replies} == {201}
    told = {reply.json["email"]: reply.json["uuid"] for reply in replies}
    found = {row["email"]: str(row["uuid"]) for row in beside.world.sql("select email, uuid from customer")}
    assert found == told


def test_every_item_of_a_batch_is_one_customer(beside: ApiInProcess) -> None:
    for start in range(0, 300, 30):
        items = [{"op": "create", **person(n)} for n in range(start, start + 30)]
        reply = beside.admin("POST", "/batch", items)
        assert {outcome["status"] for outcome in reply.json} == {201}
        assert [outcome["customer"]["email"] for outcome in reply.json] == [item["email"] for item in items]


def test_what_was_changed_can_be_read_at_once(beside: ApiInProcess) -> None:
    beside.admin("POST", "/", KAI)
    for n in range(80):
        assert beside.admin("PUT", "/kai@hubspot.com", {"phone": str(n), "company": f"Company {n}"}).status == 200
        customer = beside.user("GET", "/kai@hubspot.com").json
        assert (customer["phone"], customer["company"]) == (str(n), f"Company {n}")


def test_an_address_can_be_changed_again_and_again(beside: ApiInProcess) -> None:
    uuid = beside.admin("POST", "/", person(0)).json["uuid"]
    for n in range(40):
        assert beside.admin("PUT", f"/person{n}@hubspot.com", {"email": f"person{n + 1}@hubspot.com"}).status == 200
        assert beside.user("GET", f"/person{n + 1}@hubspot.com").json["uuid"] == uuid


def test_an_address_can_be_deleted_and_created_again_and_again(beside: ApiInProcess) -> None:
    for _ in range(40):
        assert beside.admin("POST", "/", KAI).status == 201
        assert beside.admin("DELETE", "/kai@hubspot.com").status == 204
        assert beside.user("GET", "/kai@hubspot.com").status == 404


def test_what_is_only_stored_here_first_gets_there_once(beside: ApiInProcess) -> None:
    for n in range(40):
        assert beside.admin("POST", "/", person(n), Prefer="respond-async").status == 202
        assert beside.admin("PUT", f"/person{n}@hubspot.com", {"phone": str(n)}).status == 200
    assert len(beside.world.portal.contacts) == 40
    assert {row["phone"] for row in beside.world.sql("select phone from customer")} == {str(n) for n in range(40)}
