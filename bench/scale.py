"""How work spreads: one, two and four hosts, each a network namespace with a reconciler, on one Postgres and budget."""

import os
import shutil
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import urlsplit

from bench.load import ToolMissing
from bench.report import Line
from bench.rig import Rig, Sandbox, end, until
from bench.system import System, linked

PEOPLE = 12_000
LATENCY = 200
HOSTS = (1, 2, 4)
BRIDGE, NETWORK = "benchbr", "10.77.0"


def scale(make: Callable[[], Rig]) -> Iterator[Line]:
    """A mass UPDATE of 12,000 rows drained by several hosts, without a rate limit."""
    if os.geteuid() != 0 or shutil.which("ip") is None or _ip("link", "add", BRIDGE, "type", "bridge") != 0:
        raise ToolMissing("needs root and ip (Debian: iproute2), to make network namespaces")
    try:
        _ip("addr", "add", f"{NETWORK}.1/24", "dev", BRIDGE)
        _ip("link", "set", BRIDGE, "up")
        alone = 0.0
        for hosts in HOSTS:
            taken = _drained(make(), hosts)
            alone = alone or taken
            beside = f"{taken:.1f} s, {PEOPLE / taken:,.0f} rows/s; {os.cpu_count()} cores for everything"
            what = f"scale: {hosts} host(s), no rate, times one"
            yield Line(what=what, value=alone / taken, unit="x", at_least=0, beside=beside)
    finally:
        _ip("link", "del", BRIDGE)


def _drained(rig: Rig, hosts: int) -> float:
    """Return the seconds it took."""
    sandbox = rig.sandbox()
    linked(rig, sandbox, PEOPLE)
    system = System(rig, sandbox, "")
    environment = rig.environment(sandbox, poll_interval=3600)
    environment["HUBSPOT_BASE_URL"] = _reachable(sandbox)
    rig.sql("update sync.heartbeat set at = now(), taken = now() where job like 'poll%'")
    with ExitStack() as stack:
        for n in range(hosts):
            host = stack.enter_context(_host(n))
            # Ended before its namespace: that would live on with it, and keep its address.
            stack.callback(end, rig.start(["-m", "reconciler"], environment, host=host))
        until(
            lambda: len(rig.sql("select 1 from pg_stat_activity where query like '%from sync.dirty limit 1%'")) >= hosts
        )
        system.rest()
        sandbox.set(latency_ms=LATENCY)
        began = time.monotonic()
        rig.sql("update customer set company = 'another'")
        system.rest()
        return time.monotonic() - began


def _reachable(sandbox: Sandbox) -> str:
    """Return an address of the sandbox, which listens on loopback only, that the namespaces reach."""
    inside = ("127.0.0.1", urlsplit(sandbox.url).port)

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(inside) as there:
                threading.Thread(target=_copy, args=(there, self.request), daemon=True).start()
                _copy(self.request, there)

    server = socketserver.ThreadingTCPServer((f"{NETWORK}.1", 0), Relay)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://{NETWORK}.1:{server.server_address[1]}"


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


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
