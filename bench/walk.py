"""Backfill and sweep against HubSpot's rate at several latencies: contacts a second, calls a contact, memory."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.report import Line
from bench.rig import Rig, Sandbox
from reconciler.core.ports import Lane

RATES = (100, 190)
"""Calls in ten seconds, of HubSpot's smaller and larger plans."""

SECONDS = 100
"""Time that a walk takes at the ceiling; twice that where an answer takes so long that start and end would show."""

MANY = 1_000_000


def walk50(make: Callable[[], Rig]) -> Iterator[Line]:
    """At 50 ms an answer."""
    return _walks(make, 50, SECONDS)


def walk200(make: Callable[[], Rig]) -> Iterator[Line]:
    """At 200 ms an answer."""
    return _walks(make, 200, SECONDS)


def walk800(make: Callable[[], Rig]) -> Iterator[Line]:
    """At 800 ms an answer."""
    return _walks(make, 800, 2 * SECONDS)


def _walks(make: Callable[[], Rig], latency: int, seconds: int) -> Iterator[Line]:
    for rate in RATES:
        rig, people = make(), rate * 10 * seconds
        sandbox = rig.sandbox(rate_per_10s=rate, search_per_second=5, latency_ms=latency)
        sandbox.people(people)
        parts = rig.parts(sandbox, hubspot_rate_per_10s=rate)
        for what in ("backfill", "sweep"):
            sandbox.control("DELETE", "calls")
            began = time.monotonic()
            parts.sweep.run(Lane.BULK)
            taken = time.monotonic() - began
            yield from _lines(f"{what} {rate}/10 s, {latency} ms", people, taken, rate, sandbox)
            rig.sql("vacuum analyze")
            time.sleep(11)  # the next one begins with a free window, as this one did


def _lines(what: str, people: int, taken: float, rate: int, sandbox: Sandbox) -> Iterator[Line]:
    ceiling, calls = rate * 10, sum(sandbox.calls.values())
    beside = f"{people / taken:,.0f} of {ceiling:,} contacts/s"
    yield Line(what=f"{what}: ceiling", value=people / taken / ceiling * 100, unit="%", at_least=97, beside=beside)
    yield Line(what=f"{what}: calls", value=calls / people, unit="a contact", at_most=0.0105, beside=f"{calls} calls")


def memory(make: Callable[[], Rig]) -> Iterator[Line]:
    """The backfill of a million contacts, as a process, without a rate limit."""
    rig = make()
    sandbox = rig.sandbox()
    sandbox.people(MANY)
    process = rig.start(["-m", "reconciler", "backfill"], rig.environment(sandbox))
    peaks: list[int] = []
    while process.poll() is None:
        peaks.append(_peak(process.pid) or peaks[-1])
        time.sleep(0.5)
    assert process.returncode == 0
    found = rig.sql("select count(*) from customer")[0]["count"]
    tenth = peaks[len(peaks) // 10] / 1024
    beside = f"{found:,} customers; after a tenth of the time {tenth:.0f} MB"
    yield Line(what="backfill: memory at its peak", value=peaks[-1] / 1024, unit="MB", at_most=150, beside=beside)


def _peak(pid: int) -> int:
    """Return the peak resident size in kB; 0 when the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)
