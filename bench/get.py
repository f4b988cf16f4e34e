"""`GET /:email` with a JSON Web Token, beside the same SELECT alone and a peer."""

import importlib.util
import socket
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean

from psycopg.conninfo import conninfo_to_dict

from api.auth import Role, Tokens
from bench.load import pgbench, wrk
from bench.report import Line
from bench.rig import Rig, until

PEOPLE = 10_000
TURNS = 3
SECRET = "bench-secret-of-at-least-32-bytes!!"

SELECT = f"""\\set n random(1, {PEOPLE})
select uuid, email, firstname, lastname, phone, company, website, lifecyclestage, createdat, updatedat, contactid,
hubspotcreatedat, hubspotupdatedat from customer where sync.address(email) = 'person' || :n || '@example.com'
and deletedat is null;
"""


def get(make: Callable[[], Rig]) -> Iterator[Line]:
    """Two processes of the API at 16 connections, without TLS or proxy."""
    rig = make()
    environment = people(rig)
    port = free_port()
    rig.start(["-m", "api"], {**environment, "API_PORT": str(port)})
    with tempfile.TemporaryDirectory() as name:
        folder, url = Path(name), up(port)
        runs: dict[str, Callable[[], float]] = {
            "pgbench": lambda: pgbench(rig.dsn, [SELECT], folder),
            "ours": lambda: wrk(url, person_lua(), folder),
        }
        if all(importlib.util.find_spec(each) for each in ("fastapi", "uvicorn", "asyncpg")):
            peer = _peer(rig)
            runs["peer"] = lambda: wrk(peer, person_lua(), folder)
        # In turns: the machine changes its pace.
        turns = [{name: run() for name, run in runs.items()} for _ in range(TURNS)]
    rates = {name: mean(turn[name] for turn in turns) for name in runs}
    ours, alone, theirs = rates["ours"], rates["pgbench"], rates.get("peer")
    beside = f"{ours:,.0f} of {alone:,.0f} requests/s"
    yield Line(what="GET: share of pgbench", value=ours / alone * 100, unit="%", at_least=25, beside=beside)
    if theirs is not None:
        beside = f"{ours:,.0f} and {theirs:,.0f} requests/s"
        yield Line(what="GET: times FastAPI", value=ours / theirs, unit="x", at_least=1.5, beside=beside)


def people(rig: Rig) -> dict[str, str]:
    """Let there be customers to read; return the environment of an API in two processes."""
    rig.sql(
        "insert into customer (email, firstname, lastname, phone, company) "
        f"select 'person' || n || '@example.com', 'P', 'Q', '1', 'c' from generate_series(1, {PEOPLE}) n"
    )
    rig.sql("vacuum analyze")
    return rig.environment(rig.sandbox(), jwt_secret=SECRET, api_processes=2, api_threads=4)


def _peer(rig: Rig) -> str:
    port, into = free_port(), conninfo_to_dict(rig.dsn)
    environment = {
        "JWT_SECRET": SECRET,
        "PEER_HOST": str(into["host"]),
        "PEER_DATABASE": str(into["dbname"]),
    }
    command = ["-m", "uvicorn", "bench.peer:app", "--port", str(port), "--workers", "2", "--log-level", "warning"]
    rig.start([*command, "--no-access-log"], environment)
    return up(port)


def up(port: int) -> str:
    """Return the address of a server once all its processes answer."""
    url = f"http://127.0.0.1:{port}/"
    until(lambda: answers(url))
    time.sleep(1.0)  # its other process, too
    return url


def answers(url: str) -> bool:
    """Whether something answers there, whatever it says."""
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def person_lua() -> str:
    """Return what wrk is to ask: for any customer, with a token."""
    token = Tokens(SECRET).issue(Role.USER)
    return f"""
wrk.headers["Authorization"] = "Bearer {token}"
request = function()
  return wrk.format("GET", "/person" .. math.random(1, {PEOPLE}) .. "@example.com")
end
"""


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
