"""Who most histories are about."""

import pytest
from histories import Caller, Person, person
from world import World


@pytest.fixture
def kai(world: World) -> Person:
    return person(world, email="kai@example.com", firstname="Kai", company="a")


@pytest.fixture
def uwe(world: World, kai: Person) -> Person:
    return person(world, email="uwe@example.com", firstname="Uwe")


@pytest.fixture
def caller(world: World) -> Caller:
    return Caller(world)
