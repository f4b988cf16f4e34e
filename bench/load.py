"""Load from outside: wrk for HTTP, pgbench for what Postgres alone could do. Both end by themselves."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

CONNECTIONS = 16
SECONDS = 8


class ToolMissing(Exception):
    """A bench needs a program that is not installed."""


def pgbench(dsn: str, scripts: Sequence[str], folder: Path, *, clients: int = CONNECTIONS) -> float:
    """Return the transactions per second of some scripts, of which each client takes any at a time."""
    into = conninfo_to_dict(dsn)
    command = [_tool("pgbench", "postgresql-contrib"), "-n", "-c", str(clients), "-j", "2", "-T", str(SECONDS)]
    command += ["-M", "simple"]
    for n, script in enumerate(scripts):
        file = folder / f"pgbench{n}.sql"
        file.write_text(script)
        command += ["-f", str(file)]
    command += ["-h", str(into["host"]), "-U", str(into["user"]), str(into["dbname"])]
    ran = _run(command)
    return float(_found(r"tps = ([\d.]+)", ran))


def wrk(url: str, script: str, folder: Path, *, connections: int = CONNECTIONS) -> float:
    """Return the requests per second of a Lua script; raise if any was not answered with success."""
    file = folder / "load.lua"
    file.write_text(script)
    command = [_tool("wrk", "wrk"), "-t", "2", "-c", str(connections), "-d", f"{SECONDS}s", "--timeout", f"{SECONDS}s"]
    command += ["-s", str(file), url]
    ran = _run(command)
    if "Non-2xx" in ran or "Socket errors" in ran:
        raise RuntimeError(ran)
    return float(_found(r"Requests/sec:\s+([\d.]+)", ran))


def _run(command: Sequence[str]) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS + 30)
    if ran.returncode != 0:
        raise RuntimeError(ran.stderr[-2000:])
    return ran.stdout


def _tool(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise ToolMissing(f"needs {name} (Debian: {package})")
    return path


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise RuntimeError(text)
    return match[1]
