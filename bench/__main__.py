"""`python -m bench [NAME...]`: run the benches and print a line per figure. Exit code 1 if a target was missed."""

import sys
import time
from collections.abc import Callable, Iterator

from bench.adoption import adoption
from bench.engine import engine
from bench.flood import flood
from bench.get import get
from bench.house import house
from bench.idle import idle
from bench.install import install
from bench.latency import latency
from bench.load import ToolMissing
from bench.report import Line
from bench.rig import Rig, rig
from bench.scale import scale
from bench.server import server
from bench.start import start
from bench.trigger import trigger
from bench.update import update
from bench.walk import memory, walk50, walk200, walk800
from bench.webhook import webhook

BENCHES: dict[str, Callable[[Callable[[], Rig]], Iterator[Line]]] = {
    each.__name__: each
    for each in (
        get,
        server,
        webhook,
        engine,
        walk50,
        walk200,
        walk800,
        memory,
        update,
        idle,
        latency,
        flood,
        scale,
        trigger,
        install,
        adoption,
        start,
        house,
    )
}


def main(names: list[str]) -> int:
    """Run these benches, or all."""
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        print(f"no bench {', '.join(unknown)}; there are: {' '.join(BENCHES)}", file=sys.stderr)
        return 2
    missed = 0
    for name in names or list(BENCHES):
        began = time.monotonic()
        try:
            with rig() as make:
                for line in BENCHES[name](make):
                    print(line, flush=True)
                    missed += not line.is_met
        except ToolMissing as error:
            print(f"{name}: skipped, {error}", flush=True)
        print(f"{'':<52} {name} took {time.monotonic() - began:.0f} s", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
