"""Orders processes that die, and tells how they ended."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
NAME = "victim"
"""How a victim's connections are known in Postgres."""


@dataclass(frozen=True, slots=True)
class End:
    """How a victim ended: killed, or with what its acts said and the steps it took."""

    is_killed: bool
    said: list[dict[str, Any]]
    steps: list[str]
    bugs: list[str]


class Victims:
    """Forks of a process that has everything imported, so that each death is cheap."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    @classmethod
    @contextmanager
    def open(cls) -> Iterator["Victims"]:
        paths = [ROOT, ROOT / "tests" / "support"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
        command = [sys.executable, str(Path(__file__).with_name("victim.py"))]
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        assert process.stdout is not None
        with process.stdout, process.stdin:
            assert process.stdout.readline() == "ready\n"
            yield cls(process)
            process.stdin.close()
            process.wait(30)

    def order(
        self,
        environment: Mapping[str, str],
        acts: Sequence[Any],
        *,
        how: str = "kill",
        when: str = "before",
        n: int = 0,
    ) -> End:
        """Let a process act; at its `n`-th step it is killed, or the step fails."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        dsn = f"{environment['DATABASE_URL']} application_name={NAME}"
        doom = {"how": how, "when": when, "n": n}
        order = {"environment": {**environment, "DATABASE_URL": dsn}, "acts": list(acts), "doom": doom}
        self._process.stdin.write(json.dumps(order, default=str) + "\n")
        self._process.stdin.flush()
        end = json.loads(self._process.stdout.readline())
        assert end["signal"] in (0, signal.SIGKILL), end
        if end["signal"]:
            return End(True, end["told"], [], [])
        assert end["told"], "the victim ended without a word"
        *said, last = end["told"]
        return End(False, said, last["steps"], last["bugs"])
