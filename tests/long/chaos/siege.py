"""The whole system under siege: both sides behind bad lines, the real processes, and what must hold at the end."""

import socket
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import psycopg
from crowd import PATIENCE, Clerk, Client, Person, Program
from deliveries import SECRET
from herd import Herd, Postgres, listens
from ledger import Ledger
from ports import free_port
from proxy import Proxy
from psycopg.rows import dict_row
from systems import ISSUER_KEY, JWT_SECRET
from world import until

from api.auth import Role, Tokens
from sandbox import Sandbox
from simulation.mapped import FIELDS, normalised

HEALING = 90.0
UNBRAKED = "100000000"
MODULES = {"api": "api", "webhook": "webhook", "reconciler 1": "reconciler", "reconciler 2": "reconciler"}
ORPHANS = """
select to_jsonb(l) as link from sync.link l left join customer c using (uuid)
where c.uuid is null and alive is distinct from false or c.uuid is not null and c.deletedat is null and contact is null
"""


class System:
    """All of it: Postgres and HubSpot behind bad lines, the processes, and who writes."""

    def __init__(self, folder: Path, sandbox: Sandbox, postgres: Postgres, seed: int) -> None:
        self.sandbox, self.postgres = sandbox, postgres
        self.seed, self.random = seed, Random(seed)
        host, port = urlsplit(sandbox.url).netloc.split(":")
        self.to_postgres = Proxy(postgres.connect, Random(seed))
        self.to_hubspot = Proxy(lambda: _connected(host, int(port)), Random(seed))
        self.api_port, self.webhook_port = free_port(), free_port()
        self.folder, self.ledger = folder, Ledger()

    @property
    def dsn(self) -> str:
        """Postgres behind the bad line."""
        place = f"host=127.0.0.1 port={self.to_postgres.port} sslmode=disable gssencmode=disable"
        return f"{place} user=postgres dbname=postgres"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.dsn,
            "HUBSPOT_ACCESS_TOKEN": self.sandbox.token,
            "HUBSPOT_BASE_URL": f"http://127.0.0.1:{self.to_hubspot.port}",
            "HUBSPOT_RATE_PER_10S": "5000",
            "HUBSPOT_SEARCH_PER_SECOND": "100",
            "HUBSPOT_CLIENT_SECRET": SECRET,
            "HUBSPOT_WEBHOOK_URL": f"http://127.0.0.1:{self.webhook_port}/",
            "JWT_SECRET": JWT_SECRET,
            "TOKEN_ISSUER_KEY": ISSUER_KEY,
            "API_PORT": str(self.api_port),
            "WEBHOOK_PORT": str(self.webhook_port),
            "POLL_INTERVAL": "1",
            # What is written in these minutes is no accident.
            "BRAKE_CREATE": UNBRAKED,
            "BRAKE_REWRITE": UNBRAKED,
            # No safety net: every mark must do.
            "SWEEP_INTERVAL": "36000",
        }

    def clients(self, count: int) -> list[Client]:
        token = Tokens(JWT_SECRET).issue(Role.ADMIN)
        return [Client(f"api{n}", self.ledger, self.seed, self.api_port, token) for n in range(count)]

    def crowd(self) -> list[Person]:
        """Everybody who writes."""
        programs = [Program(f"sql{n}", self.ledger, self.seed, lambda: self.dsn) for n in range(2)]
        return [*self.clients(3), *programs, Clerk("people", self.ledger, self.seed, self.sandbox.portal)]

    def sql(self, statement: str) -> list[dict[str, Any]]:
        """Ask Postgres itself, past the bad line."""
        with psycopg.connect(self.postgres.dsn, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def here(self) -> dict[str, dict[str, Any]]:
        rows = self.sql(f"select {', '.join(FIELDS)} from customer where deletedat is null")
        return {row["email"]: row for row in rows}

    def there(self) -> dict[str, dict[str, Any]]:
        contacts = self.sandbox.portal.contacts
        return {c.email or "": dict(normalised({name: c.get(name) for name in FIELDS})) for c in contacts}

    def is_at_rest(self) -> bool:
        open_work = (
            "(select count(*) from sync.mark) + (select count(*) from sync.intent) + (select count(*) from sync.dirty)"
        )
        if self.sandbox.portal.outbox.waiting or self.sql(f"select {open_work} as n")[0]["n"]:
            return False
        return self.here() == self.there()


def _connected(host: str, port: int) -> socket.socket:
    return socket.create_connection((host, port), timeout=5)


def prepare(processes: Herd) -> None:
    """Make the schema; deletions are no accident here."""
    for command in (("db", "init"), ("allow", "delete", "100000"), ("allow", "blank", "100000")):
        done = processes.run(*command)
        assert done.returncode == 0, done.stderr


def start_all(system: System, processes: Herd) -> None:
    for name in processes.names:
        processes.start(name)
    until(lambda: listens(system.api_port) and listens(system.webhook_port), seconds=60)


def heal(system: System, processes: Herd, crowd: Sequence[Person]) -> None:
    """Start everything anew in fine weather; what the dead held ends in a minute, which is brought forward."""
    for person in crowd:
        person.stopped.set()
    processes.end()
    system.to_postgres.cut_all()
    system.sql("update sync.intent set deadline = now()")
    system.sql("update sync.link set lease_until = null")
    system.sql("update sync.mark set due = now()")
    system.sql("update sync.idempotency set lease_until = now() where status is null")
    system.sql("update sync.heartbeat set taken = '-infinity'")
    start_all(system, processes)
    for person in crowd:
        person.join(2 * PATIENCE)
    with suppress(AssertionError):
        until(system.is_at_rest, seconds=HEALING)


def summary(system: System, processes: Herd, crowd: Sequence[Person]) -> str:
    """One line: what was written, what was killed, what is lost."""
    acked = ", ".join(f"{count} by {by}" for by, count in sorted(system.ledger.counts.items()))
    repeats = sum(person.repeats for person in crowd if isinstance(person, Client))
    here, there = system.here(), system.there()
    differences = sum(here.get(email) != there.get(email) for email in here.keys() | there.keys())
    return (
        f"chaos: seed {system.seed}; columns acknowledged: {acked}; requests repeated: {repeats}; "
        f"processes killed: {processes.kills}; Postgres killed: {system.postgres.kills}; lines cut: "
        f"{system.to_postgres.struck} to Postgres, {system.to_hubspot.struck} to HubSpot; "
        f"people: {len(here)}; differences: {differences}"
    )


def assert_all_is_well(system: System, processes: Herd, crowd: Sequence[Person]) -> None:
    """Nothing lost, nothing left over, both sides equal to the audit too, and no bug in any log."""
    audit = processes.run("audit")
    found = {
        "writers that failed": [person.failure for person in crowd if person.failure],
        "requests never answered": [each for person in crowd for each in person.unanswered],
        "the audit": [] if audit.returncode == 0 else [audit.stdout, audit.stderr],
        "bugs": processes.bugs(),
        **lost(system),
        **left_over(system),
    }
    assert {what: which for what, which in found.items() if which} == {}


def lost(system: System) -> dict[str, list[Any]]:
    """What was acknowledged and is not there, who differs, and who was refused what is right."""
    here, there = system.here(), system.there()
    rows = system.sql("select c.email, property, kept, lost from sync.conflict join customer c using (uuid)")
    logged = {(row["email"], row["property"], row[side]) for row in rows for side in ("kept", "lost")}
    return {
        "differences": [(here.get(e), there.get(e)) for e in here.keys() | there.keys() if here.get(e) != there.get(e)],
        "acknowledged and lost": system.ledger.lost(here, logged),
        "wrongly refused": system.ledger.refused,
    }


def left_over(system: System) -> dict[str, list[Any]]:
    """Addresses that ever had two contacts, what is parked, work that nobody does, links without both ends."""
    bin_, _ = system.sandbox.portal.page(0, 100_000, True)
    addresses = Counter(contact.email for contact in [*system.sandbox.portal.contacts, *bin_])
    tables = ("sync.parked", "sync.mark", "sync.intent", "sync.dirty")
    return {
        "contacts twice": [email for email, count in addresses.items() if count > 1],
        **{table: system.sql(f"select * from {table}") for table in tables},
        "links without both ends": system.sql(ORPHANS),
    }
