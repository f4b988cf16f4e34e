"""What it costs when nothing happens, for portals of two sizes."""

import time
from collections.abc import Callable, Iterator

from bench.report import Line
from bench.rig import Rig
from bench.system import linked, started

SIZES = (100, 20_000)
SETTLING = 180
"""Seconds after which what was made at the start is out of the poll's overlap."""

SECONDS = 120


def idle(make: Callable[[], Rig]) -> Iterator[Line]:
    """Calls of all processes with the default intervals, once what was made at the start is settled."""
    systems = []
    for people in SIZES:
        rig = make()
        sandbox = rig.sandbox()
        linked(rig, sandbox, people)
        systems.append((people, started(rig, sandbox)))
    time.sleep(SETTLING)
    for _, system in systems:
        system.sandbox.control("DELETE", "calls")
    time.sleep(SECONDS)
    for people, system in systems:
        counts = system.sandbox.calls
        beside = ", ".join(f"{count} {name}" for name, count in counts.items())
        value = sum(counts.values()) / SECONDS * 60
        yield Line(what=f"idle: {people:,} contacts", value=value, unit="calls/min", at_most=3, beside=beside)
