"""How soon the API answers."""

import time
from collections.abc import Callable, Iterator

from bench.get import SECRET, answers, free_port
from bench.report import Line
from bench.rig import Rig, until

TIMES = 5


def start(make: Callable[[], Rig]) -> Iterator[Line]:
    """`python -m api` until its first answer; the best of several starts, and the worst beside it."""
    rig = make()
    sandbox = rig.sandbox()
    taken = sorted(_start(rig, rig.environment(sandbox, jwt_secret=SECRET, api_port=free_port())) for _ in range(TIMES))
    beside = f"{taken[0]:.2f} to {taken[-1]:.2f} s in {TIMES} starts"
    yield Line(what="start: API to its first answer", value=taken[TIMES // 2], unit="s", at_most=1, beside=beside)


def _start(rig: Rig, environment: dict[str, str]) -> float:
    began = time.monotonic()
    process = rig.start(["-m", "api"], environment)
    until(lambda: answers(f"http://127.0.0.1:{environment['API_PORT']}/healthz"), pause=0.005)
    taken = time.monotonic() - began
    process.terminate()
    process.wait(20)
    return taken
