"""Outages, pressure and time: HubSpot, Postgres or the clock fail, and nothing is lost, parked or spent for it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from hours import Hours
from structlog.testing import capture_logs
from structlog.types import EventDict
from systems import ApiInProcess, Hook, api_in_process
from world import World

from reconciler.adapters.postgres.database import Database, open_pool

RATES = {"HUBSPOT_RATE_PER_10S": "100", "HUBSPOT_SEARCH_PER_SECOND": "5"}
"""HubSpot's own rates: what follows from them is part of what is tested here."""


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[EventDict]]:
    """What the test makes the code log; a bug among it fails the test."""
    with capture_logs() as logged:
        yield logged
    assert not [event for event in logged if event["event"].endswith((".bug", ".failed"))]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def make_world(stack: ExitStack) -> Callable[..., World]:
    """Make two sides on a database."""

    def make(dsn: str, database: Database | None = None) -> World:
        database = database or Database(stack.enter_context(open_pool(dsn, size=8)))
        world = stack.enter_context(World.open(dsn, database, **RATES))
        world.portal.set(calls_kept=100_000)
        return world

    return make


@pytest.fixture
def world(dsn: str, database: Database, make_world: Callable[..., World]) -> World:
    return make_world(dsn, database)


@pytest.fixture
def hours(world: World, stack: ExitStack) -> Hours:
    """Time on these two sides, with two processes that work."""
    return stack.enter_context(Hours.of(world, processes=2))


@pytest.fixture
def api(world: World, database: Database) -> ApiInProcess:
    return api_in_process(world, database, **RATES)


@pytest.fixture
def make_hook(dsn: str, database: Database, stack: ExitStack) -> Callable[..., Hook]:
    """Make a receiver with parts of one's own."""

    def make(database: Database = database, **changes: object) -> Hook:
        hook = Hook(dsn, database, **changes)
        stack.callback(hook.connection.close)
        return hook

    return make


@pytest.fixture
def hook(make_hook: Callable[..., Hook]) -> Hook:
    return make_hook()
