"""An import in HubSpot: a flood of events, while people go on with their work."""

import time
from collections.abc import Callable, Iterator

from bench.report import Line, percentile
from bench.rig import Rig
from bench.system import linked, started

PEOPLE = 60_000
RATE = 190
LATENCY = 50
EVERYDAY = 200
PAUSE = 2.0
"""Seconds between two writes of the people at work."""

LOOK = 0.2
"""Seconds between two looks whether all have arrived."""


def flood(make: Callable[[], Rig]) -> Iterator[Line]:
    """An import of 60,000 contacts, seven events each; API writes meanwhile."""
    rig = make()
    sandbox = rig.sandbox(webhook_timeout_ms=2000, events_kept=1_000_000)
    linked(rig, sandbox, EVERYDAY)
    system = started(rig, sandbox, hubspot_rate_per_10s=RATE, api_processes=1)
    system.rest()
    sandbox.set(rate_per_10s=RATE, latency_ms=LATENCY)
    sandbox.control("POST", "import", {"count": PEOPLE, "prefix": "flood"})
    sandbox.control("DELETE", "calls")
    began, due = time.monotonic(), PEOPLE + EVERYDAY - _customers(rig)
    writes: list[float] = []
    while _customers(rig) < PEOPLE + EVERYDAY:
        n = len(writes)
        if time.monotonic() - began > n * PAUSE:
            writes.append(system.put(f"person{n % EVERYDAY + 1}@example.com", company=f"during {n}"))
        time.sleep(LOOK)
    taken, calls = time.monotonic() - began, sandbox.control("GET", "calls")
    system.rest()
    # What happened before there was a receiver was not sent.
    events = [each for each in sandbox.control("GET", "events?limit=1000000")["events"] if each["state"] != "unsent"]
    first = sum(each["state"] == "delivered" and each["attempt"] == 0 for each in events)
    beside = f"{len(events):,} events"
    yield Line(what="flood: answered under 2 s", value=first / len(events) * 100, unit="%", at_least=100, beside=beside)
    refused = calls["statuses"].get("429", 0)
    beside = f"{due / taken:,.0f} contacts/s and {len(writes)} writes meanwhile, {refused} answers 429"
    value = sum(calls["counts"].values()) / taken / RATE * 10 * 100
    yield Line(what="flood: drained, share of the calls", value=value, unit="%", at_least=95, beside=beside)
    beside = f"median {percentile(writes, 50):.2f} s"
    yield Line(what="flood: API writes, 99 %", value=percentile(writes, 99), unit="s", at_most=5, beside=beside)


def _customers(rig: Rig) -> int:
    return int(rig.sql("select count(*) from customer")[0]["count"])
