"""Real reconciler processes, started as an operator starts them and ended by their pid."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from running_servers import ROOT, bare
from systems import api_environment
from world import World, until

STOP = 15.0


@dataclass(frozen=True)
class Running:
    """A process and the file it logs to."""

    process: "subprocess.Popen[bytes]"
    log_file: Path

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def events(self, *names: str) -> list[dict[str, Any]]:
        """What it logged under these names."""
        lines = [orjson.loads(line) for line in self.log.splitlines() if line.startswith("{") and line.endswith("}")]
        return [line for line in lines if line["event"] in names]

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)


def environment_of(world: World, **settings: str) -> dict[str, str]:
    """The settings of a reconciler on these two sides; an empty one is not set."""
    kept = {name: value for name, value in api_environment(world).items() if not name.startswith(("JWT", "TOKEN"))}
    return {name: value for name, value in {**kept, **settings}.items() if value}


@contextmanager
def running(command: Sequence[str], environment: dict[str, str], log_file: Path) -> Iterator[Running]:
    """Run a command until the end of the block."""
    with log_file.open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=bare(environment), stdout=log, stderr=log)
    try:
        yield Running(process, log_file)
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def reconciler(
    world: World, log_file: Path, *, command: Sequence[str] = ("-m", "reconciler"), **settings: str
) -> Iterator[Running]:
    """Run a reconciler that has started."""
    with running([sys.executable, *command], environment_of(world, **settings), log_file) as started:
        until(lambda: started.events("reconciler.started") or started.process.poll() is not None, seconds=40)
        assert started.process.poll() is None, started.log
        yield started


@contextmanager
def reconcilers(world: World, folder: Path, count: int, **settings: str) -> Iterator[list[Running]]:
    """Run several at once; all of them have started."""
    with ExitStack() as stack:
        environment = environment_of(world, **settings)
        command = [sys.executable, "-m", "reconciler"]
        found = [stack.enter_context(running(command, environment, folder / f"log{n}")) for n in range(count)]
        for each in found:
            until(lambda each=each: each.events("reconciler.started") or each.process.poll() is not None, seconds=60)
            assert each.process.poll() is None, each.log
        yield found
