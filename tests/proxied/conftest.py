"""The processes as they are deployed: API and webhook receiver behind the shipped proxy, on one pair of sides."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import running_servers
from databases import Databases
from deployed import Behind, create_kai
from proxies import shipped_proxy
from systems import JWT_SECRET, api_environment, webhook_environment
from world import World

from api.auth import Role, Tokens
from reconciler.adapters.postgres.database import Database


@pytest.fixture(scope="session")
def sides(databases: Databases) -> Iterator[World]:
    """Two sides of their own, for all requests of this folder."""
    with ExitStack() as stack:
        lent = stack.enter_context(databases.lend())
        yield stack.enter_context(World.open(lent.dsn, Database(lent.pool)))


@pytest.fixture(scope="session")
def api_process(sides: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[running_servers.Server]:
    log = tmp_path_factory.mktemp("api") / "log"
    with running_servers.server("api", api_environment(sides), log) as server:
        yield server


@pytest.fixture(scope="session")
def behind(
    sides: World, api_process: running_servers.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Behind]:
    """The deployed shape, with one customer, Kai."""
    log = tmp_path_factory.mktemp("webhook") / "log"
    with (
        running_servers.server("webhook", webhook_environment(sides), log) as webhook,
        shipped_proxy(tmp_path_factory.mktemp("proxy"), api=api_process.port, webhook=webhook.port) as proxy,
    ):
        authorization = f"Bearer {Tokens(JWT_SECRET).issue(Role.ADMIN)}"
        behind = Behind(sides, proxy, api_process, webhook, authorization)
        create_kai(behind)
        yield behind
        assert ".bug" not in api_process.log + webhook.log
        assert "@" not in proxy.log
