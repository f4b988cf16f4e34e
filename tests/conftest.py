"""Real parts for every test: a Postgres database of its own (cloned from a template), a sandbox of its own."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import memory
import psycopg
import pytest
from databases import Databases, Lent
from disturbed import DisturbedPool
from psycopg.conninfo import make_conninfo
from world import World

from dev.embedded import running
from reconciler.adapters.postgres.database import Database, open_pool

ROOT = Path(__file__).parents[1]

TRIALS = ("dev", "proxied", "long")
"""The folders whose tests are trials of whole processes."""

LONGEST = (
    *("test_seeds.py", "test_deaths.py", "test_half_sent.py", "test_state_machine.py"),
    *("test_api_held.py", "test_log_details.py", "test_copied_database.py", "test_http_probes.py", "test_absence.py"),
)

# Whoever was started in the background by a shell ignores it; some tests are killed by it.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", action="store_true", help="record the gateway's cassettes anew")
    parser.addoption("--binaries", type=Path, help="the folder of another Postgres' programs than the embedded one's")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Twice as many as cores: while one worker computes, others wait. Trials start processes, and get one more only."""
    cores = os.cpu_count() or 1
    return cores * 2 if "not trial" in config.option.markexpr else cores + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Trials are marked. The longest files go first, so that of several processes none waits for them at the end."""
    for item in items:
        folder, *rest = item.path.relative_to(ROOT / "tests").parts
        if folder in TRIALS and rest[0] != "planted":
            item.add_marker("trial")
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    """A Postgres server: the one DATABASE_URL names, else an embedded one, or of the programs in --binaries."""
    if url := os.environ.get("DATABASE_URL"):
        yield url
    else:
        with (
            memory.folder() as folder,
            running(folder, durable=False, binaries=request.config.getoption("binaries")) as dsn,
        ):
            yield dsn


@pytest.fixture(scope="session")
def template(server: str) -> Iterator[str]:
    """A database with the schema, to be cloned."""
    name = f"template_{uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'create database "{name}"')
        with psycopg.connect(make_conninfo(server, dbname=name)) as fresh:
            fresh.execute((ROOT / "schema.sql").read_bytes())
        yield name
        connection.execute(f'drop database "{name}" with (force)')


@pytest.fixture(scope="session")
def databases(server: str, template: str) -> Iterator[Databases]:
    with Databases.open(server, template) as databases:
        yield databases


@pytest.fixture
def lent(databases: Databases) -> Iterator[Lent]:
    with databases.lend() as lent:
        yield lent


@pytest.fixture
def dsn(lent: Lent) -> str:
    """The connection string of a database without a row."""
    return lent.dsn


@pytest.fixture
def empty(server: str) -> Iterator[str]:
    """The connection string of a database without the schema."""
    name = f"empty_{uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'create database "{name}"')
        yield make_conninfo(server, dbname=name)
        connection.execute(f'drop database "{name}" with (force)')


@pytest.fixture
def database(lent: Lent) -> Database:
    return Database(lent.pool)


@pytest.fixture
def pool(dsn: str) -> Iterator[DisturbedPool]:
    """The connections of another process, before whose statements something may happen."""
    with open_pool(dsn, size=8) as pool:
        yield DisturbedPool(pool)


@pytest.fixture
def world(dsn: str, database: Database) -> Iterator[World]:
    """Both sides, and the sync between them with nothing running: a test says when to look."""
    with World.open(dsn, database) as world:
        yield world


@pytest.fixture
def until() -> Callable[..., None]:
    """Wait for a condition with a deadline."""
    from world import until

    return until
