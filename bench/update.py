"""A mass UPDATE in SQL on its way to HubSpot."""

import time
from collections.abc import Callable, Iterator

from bench.report import Line
from bench.rig import Rig
from bench.system import linked, started

PEOPLE = 10_000
RATE = 100
LATENCY = 200


def update(make: Callable[[], Rig]) -> Iterator[Line]:
    """10,000 rows at 100 calls in 10 s and 200 ms an answer; then 10,000 rows whose values stay."""
    rig = make()
    sandbox = rig.sandbox()
    linked(rig, sandbox, PEOPLE)
    system = started(rig, sandbox, hubspot_rate_per_10s=RATE, poll_interval=3600)
    system.rest()
    time.sleep(11)
    sandbox.set(rate_per_10s=RATE, latency_ms=LATENCY, webhook_url=None)
    sandbox.control("DELETE", "calls")
    began = time.monotonic()
    rig.sql("update customer set company = 'another'")
    system.rest()
    taken = time.monotonic() - began
    calls = sum(sandbox.calls.values())
    beside = ", ".join(f"{count} {name.rpartition('/')[2]}" for name, count in sandbox.calls.items())
    yield Line(what="update: calls a changed row", value=calls / PEOPLE, unit="", at_most=0.011, beside=beside)
    ceiling = calls / RATE * 10
    beside = f"{taken:.1f} s for {calls} calls; {ceiling:.0f} s at the rate, {ceiling - 10:.0f} s with a free window"
    yield Line(what="update: share of the ceiling", value=ceiling / taken * 100, unit="%", at_least=95, beside=beside)
    sandbox.control("DELETE", "calls")
    rig.sql("update customer set company = company, updatedat = now()")
    time.sleep(3)
    system.rest()
    calls = sum(sandbox.calls.values())
    yield Line(what="update: calls for rows that stay the same", value=calls, unit="calls", at_most=0)
