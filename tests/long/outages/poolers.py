"""PgBouncer in transaction mode in front of a Postgres: every transaction may meet another session."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from ports import free_port
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from world import until

from dev.embedded import NAMESPACE

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")

SETTINGS = """
[databases]
* = {upstream}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
server_round_robin = 1
default_pool_size = 10
max_client_conn = 200
server_reset_query_always = 0
"""


def _upstream(dsn: str) -> str:
    parts = conninfo_to_dict(dsn)
    known = {name: parts[name] for name in ("host", "port", "user", "password") if parts.get(name)}
    return " ".join(f"{name}={value}" for name, value in known.items())


def _prefix() -> list[str]:
    """PgBouncer refuses to run as root: there it runs in a user namespace."""
    if os.geteuid() != 0:
        return []
    if shutil.which("unshare") is None or subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode:
        pytest.skip("PgBouncer does not run as root, and there is no user namespace here")
    return list(NAMESPACE)


@contextmanager
def pooled(dsn: str, folder: Path) -> Iterator[str]:
    """Run a pooler in front of the server of this database; yield the connection string through it."""
    if PGBOUNCER is None:
        pytest.skip("no pgbouncer on this machine")
    port = free_port()
    settings = folder / "pgbouncer.ini"
    settings.write_text(SETTINGS.format(upstream=_upstream(dsn), port=port))
    with (folder / "pgbouncer.log").open("wb") as log:
        process = subprocess.Popen([*_prefix(), PGBOUNCER, str(settings)], stdout=log, stderr=log)
    through = make_conninfo(host="127.0.0.1", port=port, user="postgres", dbname=str(conninfo_to_dict(dsn)["dbname"]))
    try:
        until(lambda: process.poll() is not None or _answers(through))
        assert process.poll() is None, (folder / "pgbouncer.log").read_text()
        yield through
    finally:
        process.terminate()
        process.wait(15)


def _answers(dsn: str) -> bool:
    try:
        with psycopg.connect(dsn, connect_timeout=5):
            return True
    except psycopg.OperationalError:
        return False
