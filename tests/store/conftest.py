"""Both implementations of each port: whoever asks for `store`, `remote` or `opened` runs once against each."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from uuid import uuid4

import psycopg
import pytest
from in_memory import InMemory
from in_postgres import InPostgres
from psycopg.conninfo import make_conninfo
from remotes import Opened, Remote, real, simulated
from stores import Store

from reconciler.adapters.postgres.database import Database, open_pool


@pytest.fixture(scope="session")
def postgres(server: str, template: str) -> Iterator[InPostgres]:
    """One database for all contract tests; each begins with it empty."""
    name = f"contract_{uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'create database "{name}" template "{template}"')
        dsn = make_conninfo(server, dbname=name)
        with open_pool(dsn, size=4) as pool, closing(InPostgres(dsn, Database(pool))) as store:
            yield store
        connection.execute(f'drop database "{name}" with (force)')


@pytest.fixture(params=["memory", "postgres"])
def store(request: pytest.FixtureRequest) -> Store:
    if request.param == "memory":
        return InMemory()
    postgres: InPostgres = request.getfixturevalue("postgres")
    postgres.empty()
    return postgres


@pytest.fixture(params=["simulated", "real"])
def opened(request: pytest.FixtureRequest) -> Iterator[Opened]:
    """Open a HubSpot with these settings."""
    with ExitStack() as stack:
        yield lambda **how: simulated(**how) if request.param == "simulated" else stack.enter_context(real(**how))


@pytest.fixture
def remote(opened: Opened) -> Remote:
    return opened()
