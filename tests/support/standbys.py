"""A streaming replica of the tests' own server."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from dev import embedded


@contextmanager
def standby_of(server: str, folder: Path) -> Iterator[str]:
    if "DATABASE_URL" in os.environ:
        pytest.skip("a replica of the embedded server is made here, not of another one")
    host = embedded._host(folder)
    into = conninfo_to_dict(server)
    where = ["-h", str(into["host"]), "-U", str(into["user"]), "-D", str(host.folder / "pgdata")]
    assert host.start("pg_basebackup", *where, "-R", "-c", "fast").wait(120) == 0
    with embedded.running(folder, durable=False) as dsn:
        yield dsn
