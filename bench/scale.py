"""How work spreads: one, two and four hosts, each a network namespace with a reconciler, on one Postgres and budget."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from bench.load import ToolMissing
from bench.report import Line
from bench.rig import Rig, Twin, until
from bench.system import System, linked

PEOPLE = 12_000
LATENCY = 200
RATE = 190
HOSTS = (1, 2, 4)
BRIDGE, NETWORK = "benchbr", "10.77.0"


def scale(make: Callable[[], Rig]) -> Iterator[Line]:
    """A mass UPDATE of 12,000 rows drained by several hosts: with no rate, then at HubSpot's larger one."""
    if os.geteuid() != 0 or shutil.which("ip") is None or _ip("link", "add", BRIDGE, "type", "bridge") != 0:
        raise ToolMissing("needs root and ip (Debian: iproute2), to make network namespaces")
    try:
        _ip("addr", "add", f"{NETWORK}.1/24", "dev", BRIDGE)
        _ip("link", "set", BRIDGE, "up")
        alone = 0.0
        for hosts in HOSTS:
            taken, _ = _drained(make(), hosts, rate=0)
            alone = alone or taken
            beside = f"{taken:.1f} s, {PEOPLE / taken:,.0f} rows/s; {os.cpu_count()} cores for everything"
            what = f"scale: {hosts} host(s), no rate, times one"
            yield Line(what=what, value=alone / taken, unit="x", at_least=0, beside=beside)
        taken, refused = _drained(make(), HOSTS[-1], rate=RATE)
        beside = f"{taken:.1f} s for {PEOPLE:,} rows"
        what = f"scale: {HOSTS[-1]} hosts at {RATE}/10 s, calls refused"
        yield Line(what=what, value=refused, unit="calls", at_most=0, beside=beside)
    finally:
        _ip("link", "del", BRIDGE)


def _drained(rig: Rig, hosts: int, *, rate: int) -> tuple[float, int]:
    """Return the seconds it took, and the calls that HubSpot refused."""
    twin = rig.twin(host=f"{NETWORK}.1", calls_kept=100_000)
    linked(rig, twin, PEOPLE)
    system = System(rig, twin, "")
    environment = rig.environment(twin, poll_interval=3600, hubspot_rate_per_10s=rate or 10_000)
    rig.sql("update sync.heartbeat set at = now(), taken = now() where job like 'poll%'")
    with ExitStack() as stack:
        for n in range(hosts):
            rig.start(["-m", "reconciler"], environment, host=stack.enter_context(_host(n)))
        until(lambda: len(rig.sql("select 1 from pg_stat_activity where query = 'listen sync_dirty'")) >= hosts)
        system.rest()
        time.sleep(11)
        twin.set(latency_ms=LATENCY, rate_per_10s=rate)
        twin.control("DELETE", "calls")
        began = time.monotonic()
        rig.sql("update customer set company = 'another'")
        system.rest()
        taken = time.monotonic() - began
    return taken, _refused(twin)


def _refused(twin: Twin) -> int:
    return sum(call["status"] == 429 for call in twin.control("GET", "calls")["recent"])


@contextmanager
def _host(n: int) -> Iterator[str]:
    """Make a network namespace on the bridge."""
    name = f"bench{n}"
    try:
        for command in (
            ("netns", "add", name),
            ("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name),
            ("link", "set", name, "master", BRIDGE, "up"),
            ("-n", name, "addr", "add", f"{NETWORK}.{n + 2}/24", "dev", "eth0"),
            ("-n", name, "link", "set", "eth0", "up"),
        ):
            _ip(*command)
        yield name
    finally:
        _ip("netns", "del", name)


def _ip(*arguments: str) -> int:
    return subprocess.run(["ip", *arguments], capture_output=True).returncode
