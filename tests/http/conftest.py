"""The API and the webhook receiver as a caller meets them: in process on a real Postgres and a sandbox, and as
real processes on a port of this machine."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import orjson
import pytest
import running_servers
import structlog
from databases import Databases
from disturbed import DisturbedPool
from raw_http import ask
from systems import (
    KAI,
    ApiInProcess,
    Hook,
    Logged,
    ServedApi,
    api_environment,
    api_in_process,
    webhook_environment,
)
from world import World

from api.auth import Role
from reconciler.adapters.postgres.database import Database, open_pool


@pytest.fixture(scope="session")
def all_logged() -> Logged:
    logged = Logged()
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, logged])
    return logged


@pytest.fixture(autouse=True)
def logged(all_logged: Logged) -> Iterator[Logged]:
    """What a test makes the code log; a bug among it fails the test."""
    all_logged.clear()
    yield all_logged
    assert not [event for event in all_logged if event["event"].endswith(".bug")]


@pytest.fixture
def make_api(world: World, database: Database) -> Callable[..., ApiInProcess]:
    """Make an API with settings of one's own."""
    return lambda **more: api_in_process(world, database, **more)


@pytest.fixture
def api(make_api: Callable[..., ApiInProcess]) -> ApiInProcess:
    return make_api()


@pytest.fixture
def disturbed_api(world: World, pool: DisturbedPool) -> ApiInProcess:
    return api_in_process(world, Database(pool))


@pytest.fixture(scope="session")
def shared_world(databases: Databases) -> Iterator[World]:
    """Two sides for all the requests that must leave no trace on either."""
    with ExitStack() as stack:
        lent = stack.enter_context(databases.lend())
        yield stack.enter_context(World.open(lent.dsn, Database(lent.pool)))


@pytest.fixture(scope="session")
def shared_api(shared_world: World) -> Iterator[ApiInProcess]:
    """An API with one customer, Kai, for requests that change nothing."""
    with open_pool(shared_world.dsn, size=8) as pool:
        api = api_in_process(shared_world, Database(pool))
        assert api.admin("POST", "/", KAI).status == 201
        yield api


@pytest.fixture(scope="session")
def served_world(databases: Databases) -> Iterator[World]:
    """Two sides for the processes below, where requests do leave a trace."""
    with ExitStack() as stack:
        lent = stack.enter_context(databases.lend())
        yield stack.enter_context(World.open(lent.dsn, Database(lent.pool)))


@pytest.fixture(scope="session")
def served_api(
    served_world: World, shared_api: ApiInProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedApi]:
    """`python -m api`, with one customer, Kai."""
    authorization = f"Bearer {shared_api.services.tokens.issue(Role.ADMIN)}"
    environment = api_environment(served_world)
    with running_servers.server("api", environment, tmp_path_factory.mktemp("api") / "log") as server:
        named = {"Authorization": authorization, "Content-Type": "application/json"}
        assert ask(server.port, "POST", "/", orjson.dumps(KAI), **named)[0] == 201
        yield ServedApi(served_world, server, authorization)


@pytest.fixture(scope="session")
def served_webhook(served_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[running_servers.Server]:
    """`python -m webhook` on the same two sides."""
    environment = webhook_environment(served_world)
    with running_servers.server("webhook", environment, tmp_path_factory.mktemp("webhook") / "log") as server:
        yield server


@pytest.fixture
def make_hook(dsn: str, database: Database) -> Iterator[Callable[..., Hook]]:
    """Make a receiver with parts of one's own."""
    made: list[Hook] = []

    def make(**changes: Any) -> Hook:
        made.append(Hook(dsn, database, **changes))
        return made[-1]

    yield make
    for hook in made:
        hook.connection.close()


@pytest.fixture
def hook(make_hook: Callable[..., Hook]) -> Hook:
    return make_hook()
