"""The API under granian, and the same app under other WSGI servers, each as many threads in all."""

import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.get import free_port, people, person_lua, up
from bench.load import wrk
from bench.report import Line
from bench.rig import Rig

APP = "api.wiring:application"
OTHERS = {
    "gunicorn": ("gunicorn", f"{APP}()", "-k", "gthread", "-w", "2", "--threads", "4", "-b", "127.0.0.1:{port}"),
    "waitress": ("waitress", "--threads=8", "--listen=127.0.0.1:{port}", "--call", APP),
}


def server(make: Callable[[], Rig]) -> Iterator[Line]:
    """`GET /:email` at 16 connections under each server; all answer the same."""
    rig = make()
    environment = people(rig)
    port = free_port()
    rig.start(["-m", "api"], {**environment, "API_PORT": str(port)})
    with tempfile.TemporaryDirectory() as name:
        ours = wrk(up(port), person_lua(), Path(name))
        for other, command in OTHERS.items():
            if importlib.util.find_spec(other):
                port = free_port()
                rig.start(["-m", *(part.format(port=port) for part in command)], environment)
                theirs = wrk(up(port), person_lua(), Path(name))
                beside = f"{ours:,.0f} and {theirs:,.0f} requests/s"
                yield Line(what=f"granian, times {other}", value=ours / theirs, unit="x", at_least=1, beside=beside)
