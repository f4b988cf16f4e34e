"""Before the first write: whose HubSpot account it is, and whether the database is one of ours."""

from collections.abc import Callable
from pathlib import Path

import pytest
from systems import KAI, ApiInProcess, api_in_process
from world import World

from reconciler.adapters.postgres.database import Database, open_pool
from reconciler.adapters.postgres.install import install
from reconciler.commands.erase import erase
from reconciler.core.errors import WrongPortal

ROOT = Path(__file__).parents[2]


def belongs_to(world: World, account: int) -> None:
    """Link the database with a HubSpot account."""
    world.sql("delete from sync.setting where name = 'portal'")
    world.sql("insert into sync.setting (name, value) values ('portal', %s)", str(account))


@pytest.fixture
def misled(world: World, make_api: Callable[..., ApiInProcess]) -> ApiInProcess:
    """An API whose token is for another account than the one its database belongs to; nothing was written yet."""
    api = make_api()
    assert api.admin("POST", "/", json=KAI).status == 201
    world.quiet()
    belongs_to(world, 555)
    return make_api()


CALLS = [("POST", "/", {**KAI, "email": "uwe@hubspot.com"}), ("PUT", "/kai@hubspot.com", {"company": "b"})]


@pytest.mark.parametrize(("method", "path", "body"), [*CALLS, ("DELETE", "/kai@hubspot.com", None)])
@pytest.mark.parametrize("key", [None, "k"])
def test_nothing_is_written_into_another_account(
    misled: ApiInProcess, method: str, path: str, body: dict[str, str] | None, key: str | None
) -> None:
    before = misled.state()
    json = {} if body is None else {"json": body}
    reply = misled.admin(method, path, **json, Idempotency_Key=key)
    assert (reply.status, reply.json["code"]) == (503, "wrong_account")
    assert misled.state() == before


def test_a_batch_writes_nothing_into_another_account_and_reads(misled: ApiInProcess) -> None:
    before = misled.state()
    items = [{"op": "delete", "email": "kai@hubspot.com"}, {"op": "read", "email": "kai@hubspot.com"}]
    reply = misled.admin("POST", "/batch", json=items)
    assert [outcome["status"] for outcome in reply.json] == [503, 200]
    assert misled.state() == before


def test_who_has_another_accounts_token_is_not_ready_until_it_is_replaced(misled: ApiInProcess) -> None:
    assert misled.admin("PUT", "/kai@hubspot.com", json={"company": "b"}).status == 503
    assert (misled.anyone("GET", "/readyz").status, misled.user("GET", "/kai@hubspot.com").status) == (503, 200)
    belongs_to(misled.world, misled.world.portal.settings.portal_id)
    assert misled.admin("PUT", "/kai@hubspot.com", json={"company": "b"}).status == 200
    assert misled.anyone("GET", "/readyz").status == 200


def test_nobody_is_erased_in_another_account(misled: ApiInProcess) -> None:
    before = misled.state()
    with pytest.raises(WrongPortal):
        erase(misled.world.parts, KAI["email"])
    assert misled.state() == before


def test_an_api_that_began_before_the_schema_was_there_works_once_it_is(world: World, empty: str) -> None:
    with open_pool(empty, size=4) as pool:
        api = api_in_process(world, Database(pool))
        assert api.anyone("GET", "/readyz").status == 503
        assert api.admin("POST", "/", json=KAI).status == 503
        install(empty, (ROOT / "schema.sql").read_text())
        assert api.anyone("GET", "/readyz").status == 200
        assert api.admin("POST", "/", json=KAI).status == 201
