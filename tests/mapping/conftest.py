"""A portal, and databases of owners: as a command meets them before there is a schema of ours."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from reconciler.process.settings import Look, load
from sandbox.running import Sandbox, start


@pytest.fixture(scope="module")
def portal() -> Iterator[Sandbox]:
    with start() as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def owned(server: str) -> Iterator[Callable[[str], str]]:
    """Make databases with an owner's schema, and return their connection strings."""
    made: list[str] = []

    def make(schema: str, how: str = "") -> str:
        name = f"owned_{uuid4().hex[:12]}"
        admin.execute(f'create database "{name}" {how}')
        made.append(name)
        dsn = make_conninfo(server, dbname=name)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(schema)
        return dsn

    with psycopg.connect(server, autocommit=True) as admin:
        yield make
        for name in made:
            admin.execute(f'drop database "{name}" with (force)')


@pytest.fixture
def settings_for(portal: Sandbox, tmp_path: Path) -> Callable[..., Look]:
    """The settings of a command on a database, with the text of a mapping file."""

    def make(dsn: str, text: str | None = None, **more: str) -> Look:
        file = tmp_path / "mapping.toml"
        if text is not None:
            file.write_text(text)
            more["MAPPING_FILE"] = str(file)
        return load(Look, {**environment(dsn, portal), **more})

    return make


def environment(dsn: str, portal: Sandbox) -> dict[str, str]:
    return {"DATABASE_URL": dsn, "HUBSPOT_BASE_URL": portal.url, "HUBSPOT_ACCESS_TOKEN": portal.token}
