"""An import in HubSpot: a flood of events, while people go on with their work."""

import time
from collections.abc import Callable, Iterator
from itertools import count

from bench.report import Line, percentile
from bench.rig import Rig
from bench.system import linked, started

PEOPLE = 30_000
RATE = 190
LATENCY = 50
EVERYDAY = 200


def flood(make: Callable[[], Rig]) -> Iterator[Line]:
    """An import of 30,000 contacts, several events each; API writes meanwhile."""
    rig = make()
    twin = rig.twin(webhook_timeout_ms=2000, events_kept=1_000_000)
    linked(rig, twin, EVERYDAY)
    system = started(rig, twin, hubspot_rate_per_10s=RATE, api_processes=1)
    system.rest()
    twin.set(rate_per_10s=RATE, latency_ms=LATENCY)
    began = time.monotonic()
    twin.control("POST", "import", {"count": PEOPLE, "prefix": "flood"})
    writes = []
    for n in count():
        writes.append(system.put(f"person{n % EVERYDAY + 1}@example.com", company=f"during {n}"))
        if rig.sql("select count(*) from customer")[0]["count"] >= PEOPLE + EVERYDAY and n > EVERYDAY:
            break
        time.sleep(0.2)
    taken = time.monotonic() - began
    events = twin.control("GET", "events?limit=1000000")["events"]
    first = sum(each["state"] == "delivered" and each["attempt"] == 0 for each in events)
    beside = f"{len(events):,} events"
    yield Line(what="flood: answered under 2 s", value=first / len(events) * 100, unit="%", at_least=100, beside=beside)
    beside = f"{PEOPLE / taken:,.0f} of {RATE * 10:,} contacts/s, {len(writes)} writes meanwhile"
    value = PEOPLE / taken / RATE / 10 * 100
    yield Line(what="flood: drained, share of the ceiling", value=value, unit="%", at_least=95, beside=beside)
    beside = f"median {percentile(writes, 50):.2f} s"
    yield Line(what="flood: API writes, 99 %", value=percentile(writes, 99), unit="s", at_most=5, beside=beside)
