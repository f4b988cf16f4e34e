"""What is in the way at HubSpot is a cause of the system: it has a name, spends nothing and ends by itself."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from lines import make_authority, terminator
from pydantic import HttpUrl
from states import assert_sound, assert_unspent, people
from world import World

SCOPE = {"context": {"requiredGranularScopes": ["crm.objects.contacts.write"]}}


@contextmanager
def a_revoked_token(world: World, _: Path) -> Iterator[None]:
    token = world.sandbox.token
    world.portal.set(access_token="another")
    yield
    world.portal.set(access_token=token)


@contextmanager
def a_missing_scope(world: World, _: Path) -> Iterator[None]:
    body = {"status": "error", "category": "MISSING_SCOPES", "errors": [SCOPE]}
    world.portal.faults.add(action="status", status=403, body=body, path_contains="/crm/", times=None)
    yield
    world.portal.faults.clear()


@contextmanager
def a_spent_day(world: World, _: Path) -> Iterator[None]:
    world.portal.faults.add(action="429", policy="DAILY", times=None)
    yield
    world.portal.faults.clear()


@contextmanager
def an_untrusted_certificate(world: World, folder: Path) -> Iterator[None]:
    before = world.settings
    with terminator(world.sandbox.url, make_authority(folder / "authority")) as port:
        world.settings = before.model_copy(update={"hubspot_base_url": HttpUrl(f"https://localhost:{port}")})
        world.parts = world.rebuilt()
        yield
    world.settings = before
    world.parts = world.rebuilt()


CAUSES: dict[str, Callable[[World, Path], AbstractContextManager[None]]] = {
    "token_refused": a_revoked_token,
    "scope_missing": a_missing_scope,
    "quota_spent": a_spent_day,
    "tls_failed": an_untrusted_certificate,
}


@pytest.mark.parametrize("cause", CAUSES)
def test_what_is_in_the_way_at_hubspot_is_named_and_spends_nothing(world: World, tmp_path: Path, cause: str) -> None:
    people(world, 5)
    world.sql("update customer set company = 'b'")
    with CAUSES[cause](world, tmp_path):
        for _ in range(4):
            world.sql("update sync.mark set due = now()")
            world.sql("update sync.outage set probe = now()")
            world.parts.reconciler.drain()
        assert [each["cause"] for each in world.sql("select cause from sync.causes")] == [cause]
        assert_unspent(world)
    world.quiet()
    assert world.sql("select cause from sync.causes") == []
    assert world.contact("c4@example.com")["company"] == "b"
    assert_sound(world)
