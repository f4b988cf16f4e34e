"""How soon a change is on the other side, at rest, beyond HubSpot's own time (the local one answers at once)."""

import time
from collections.abc import Callable, Iterator

import psycopg

from bench.report import Line, percentile
from bench.rig import Rig, until
from bench.system import System, linked, started

TIMES = 100
PEOPLE = 1000
ECHO = 0.05
"""Seconds after which HubSpot's event of a change has been received."""

CONTACTS = f"select contactid from customer order by email limit {TIMES}"


def latency(make: Callable[[], Rig]) -> Iterator[Line]:
    """A hundred changes each way, one after another."""
    rig = make()
    sandbox = rig.sandbox(webhook_delay_ms=0)
    linked(rig, sandbox, PEOPLE)
    system = started(rig, sandbox)
    system.rest()
    with psycopg.connect(rig.dsn, autocommit=True) as connection:
        edits = [_edit_there(system, connection, n) for n in range(TIMES)]
        commits = [_commit_here(system, connection, n) for n in range(TIMES)]
    writes = [_beyond(system, n, row["contactid"]) for n, row in enumerate(rig.sql(CONTACTS))]
    for what, taken, median, slow in (
        ("edit there to row here", edits, 0.15, 1.0),
        ("SQL commit here to HubSpot", commits, 0.2, 1.0),
        ("API write beyond HubSpot's call", writes, 0.01, 0.05),
    ):
        yield Line(what=f"latency: {what}, median", value=percentile(taken, 50), unit="s", at_most=median)
        yield Line(what=f"latency: {what}, 99 %", value=percentile(taken, 99), unit="s", at_most=slow)


def _beyond(system: System, n: int, contact: int) -> float:
    """Return the seconds of an API write beyond those of the very call to HubSpot, each with nothing else under way."""
    body = {"inputs": [{"id": str(contact), "properties": {"website": f"w{n}"}}]}
    system.rest()
    began = time.monotonic()
    system.sandbox.api("/crm/v3/objects/contacts/batch/update", body)
    alone = time.monotonic() - began
    # Their own events are work, too.
    time.sleep(ECHO)
    system.rest()
    return system.put(f"person{n + 1}@example.com", company=f"w{n}") - alone


def _edit_there(system: System, connection: "psycopg.Connection[tuple[object, ...]]", n: int) -> float:
    email, value = f"person{n + 1}@example.com", f"there {n}"
    row = connection.execute("select contactid from customer where email = %s", [email]).fetchone()
    assert row is not None
    began = time.monotonic()
    system.sandbox.control("PATCH", f"contacts/{row[0]}", {"properties": {"phone": value}})
    question = "select 1 from customer where email = %s and phone = %s"
    until(lambda: connection.execute(question, [email, value]).fetchone(), pause=0.002)
    return time.monotonic() - began


def _commit_here(system: System, connection: "psycopg.Connection[tuple[object, ...]]", n: int) -> float:
    email, value = f"person{n + 1 + TIMES}@example.com", f"here {n}"
    sql = "update customer set phone = %s where email = %s returning contactid"
    row = connection.execute(sql, [value, email]).fetchone()
    assert row is not None
    began = time.monotonic()
    until(lambda: value in str(system.sandbox.control("GET", f"contacts/{row[0]}")), pause=0.002)
    return time.monotonic() - began
