"""The client programs of the server that the tests run on."""

import shutil
import subprocess

import psycopg
import pytest


def program(name: str, dsn: str) -> str:
    """Return where a program of the server's own version is, or of this machine's; without one the test is skipped."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute("select setting from pg_config where name = 'BINDIR'").fetchone()
    found = shutil.which(name, path=row[0] if row else "") or shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} on this machine")
    return found


def dumped(dsn: str, *arguments: str) -> str:
    """Return a database as text; where the program is older than the server, the test is skipped."""
    ran = subprocess.run([program("pg_dump", dsn), *arguments, dsn], capture_output=True, text=True)
    if "version mismatch" in ran.stderr:
        pytest.skip("the pg_dump of this machine is older than the server")
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
