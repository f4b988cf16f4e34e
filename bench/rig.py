"""What every bench stands on: a durable Postgres, the local HubSpot in a process of its own, the product's processes.

Everything listens on loopback or a Unix socket and ends with the bench.
"""

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import orjson
import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from dev.embedded import running
from reconciler.process import log
from reconciler.process.settings import Sync, load
from reconciler.process.wiring import Parts, open_parts

ROOT = Path(__file__).parents[1]
TICK = os.sysconf("SC_CLK_TCK")
DEADLINE = 60.0
"""Seconds to wait for a process to be there."""
UNBRAKED = "100000000"
"""More than any bench makes or changes: it is the operator who wants that here."""


class Postgres:
    """The server of a run: fresh databases, and the CPU time that it has used."""

    def __init__(self, folder: Path, dsn: str) -> None:
        self._folder, self._server, self._count = folder, dsn, 0

    def database(self, schema: bool = True) -> str:
        """Return the connection string of a new database."""
        self._count += 1
        name = f"bench_{self._count}"
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(f'create database "{name}"')
        dsn = make_conninfo(self._server, dbname=name)
        if schema:
            with psycopg.connect(dsn) as connection:
                connection.execute((ROOT / "schema.sql").read_bytes())
        return dsn

    def cpu(self) -> float:
        """Return the CPU seconds of the server with all its backends, living and ended."""
        postmaster = int((self._folder / "pgdata" / "postmaster.pid").read_text().splitlines()[0])
        total = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(") ")[2].split()
            except OSError:
                continue
            if int(fields[1]) == postmaster:
                total += int(fields[11]) + int(fields[12])
            elif stat.parent.name == str(postmaster):
                total += sum(map(int, fields[11:15]))
        return total / TICK


class Sandbox:
    """The local HubSpot, driven through its control side."""

    def __init__(self, url: str) -> None:
        self.url = url

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call the control side."""
        return self._call(method, f"/sandbox/{path}", body, {})

    def api(self, path: str, body: Any) -> Any:
        """Call HubSpot's API as another client than the product, past its rate limit when that is off."""
        return self._call("POST", path, body, {"Authorization": "Bearer pat-sandbox-token"})

    def set(self, **settings: Any) -> None:
        """Change the settings of the sandbox."""
        self.control("PATCH", "settings", settings)

    def people(self, count: int) -> None:
        """Let there be so many contacts more, without an event."""
        self.control("POST", "import", {"count": count})

    @property
    def calls(self) -> dict[str, int]:
        """Calls since they were cleared, by method and path."""
        counts: dict[str, int] = self.control("GET", "calls")["counts"]
        return counts

    def _call(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
        data = None if body is None else orjson.dumps(body)
        headers = {**headers, "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=DEADLINE * 5) as reply:
            return orjson.loads(reply.read() or b"null")


class Rig:
    """Puts both sides and the processes of one bench together."""

    def __init__(self, postgres: Postgres, stack: ExitStack) -> None:
        self.postgres, self._stack = postgres, stack
        self.dsn = postgres.database()

    def sandbox(self, **settings: Any) -> Sandbox:
        """Start a HubSpot without limits, but for what `settings` say."""
        wanted = {"port": 0, "rate_per_10s": 0, "search_per_second": 0, "daily_limit": 0, "calls_kept": 0, **settings}
        environment = {f"SANDBOX_{name.upper()}": str(value) for name, value in wanted.items()}
        process = self.start(["-m", "sandbox"], environment, stdout=subprocess.PIPE)
        assert process.stdout is not None
        return Sandbox(process.stdout.readline().split()[-1])

    def environment(self, sandbox: Sandbox, **settings: Any) -> dict[str, str]:
        """Return the settings of a process of the product on these two sides; no rate or brake of ours unless set."""
        return {
            "DATABASE_URL": self.dsn,
            "HUBSPOT_ACCESS_TOKEN": "pat-sandbox-token",
            "HUBSPOT_BASE_URL": sandbox.url,
            "HUBSPOT_RATE_PER_10S": "10000",
            "HUBSPOT_DAILY_LIMIT": "100000000",
            "BRAKE_CREATE": UNBRAKED,
            "BRAKE_REWRITE": UNBRAKED,
            "LOG_LEVEL": "warning",
            **{name.upper(): str(value) for name, value in settings.items()},
        }

    def parts(self, sandbox: Sandbox, **settings: Any) -> Parts:
        """Build the sync in this process."""
        loaded = load(Sync, self.environment(sandbox, **settings))
        log.configure(style=loaded.log_format, level=loaded.log_level, process="bench")
        parts = self._stack.enter_context(open_parts(loaded))
        parts.budget.shape()
        return parts

    def start(
        self, command: Sequence[str], environment: dict[str, str], *, stdout: int | None = None, host: str = ""
    ) -> "subprocess.Popen[str]":
        """Start a Python process that ends with the bench; `host` is a network namespace."""
        there = ["ip", "netns", "exec", host] if host else []
        environment = {**_bare(), **environment}
        process = subprocess.Popen(
            [*there, sys.executable, *command], cwd=ROOT, env=environment, stdout=stdout, text=True
        )
        self._stack.callback(end, process)
        return process

    def sql(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        """Run a statement and return its rows."""
        with psycopg.connect(self.dsn, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def rig() -> Iterator[Callable[[], Rig]]:
    """Run a Postgres; each call then returns a rig on a database of its own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        dsn = stack.enter_context(running(folder))
        postgres = Postgres(folder, dsn)
        yield lambda: Rig(postgres, stack.enter_context(ExitStack()))


def until(condition: Callable[[], Any], *, seconds: float = DEADLINE, pause: float = 0.02) -> Any:
    """Wait until the condition holds and return what it said; fail after the deadline."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError("it did not happen in time")
        time.sleep(pause)
    return answer


def _bare() -> dict[str, str]:
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV")
    return {name: os.environ[name] for name in kept if name in os.environ}


def end(process: "subprocess.Popen[str]") -> None:
    """Stop a process; one that is stopped already stays so."""
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
