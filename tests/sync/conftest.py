"""Who most histories are about, and the role of a sync that owns no table."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from histories import Caller, Person, person
from world import World


@pytest.fixture
def kai(world: World, request: pytest.FixtureRequest) -> Person:
    """Kai, with what else the test's module has OF_KAI."""
    more = getattr(request.module, "OF_KAI", {})
    return person(world, **{"email": "kai@example.com", "firstname": "Kai", "company": "a", **more})


@pytest.fixture
def uwe(world: World, kai: Person) -> Person:
    return person(world, email="uwe@example.com", firstname="Uwe")


@pytest.fixture
def caller(world: World) -> Caller:
    return Caller(world)


@pytest.fixture
def syncer(world: World) -> Iterator[str]:
    """A role of the sync's own with plain rights."""
    name = f"syncer_{uuid4().hex[:8]}"
    world.sql(f"create role {name} login")
    for grant in (
        "usage on schema public, sync",
        "all on all tables in schema sync",
        "all on all sequences in schema sync",
        "execute on all functions in schema sync",
        "select, insert, update, delete on customer",
    ):
        world.sql(f"grant {grant} to {name}")
    yield name
    world.sql(f"drop owned by {name}")
    world.sql(f"drop role {name}")
