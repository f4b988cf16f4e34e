"""The real processes, to be killed and started again: Postgres under its supervisor, API, receiver, reconcilers."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
from running_servers import ROOT, bare
from world import until

from dev.embedded import running

GONE = 30.0


class Postgres:
    """A durable embedded server that can be killed and started again on its data."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._stack = folder, ExitStack()
        self.dsn = self._stack.enter_context(running(folder, durable=True))
        self.kills = 0

    @property
    def socket_file(self) -> str:
        return f"{self.dsn.split()[0].removeprefix('host=')}/.s.PGSQL.5432"

    def connect(self) -> socket.socket:
        """A connection to the server as it is now, for the proxy."""
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            line.connect(self.socket_file)
        except OSError:
            line.close()
            raise
        return line

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Kill every process of the server (SIGKILL), or tell it to end at once (SIGQUIT)."""
        self.kills += 1
        kill_tree([self._postmaster()], number)

    def start(self) -> None:
        """Start it again the way it was started first."""
        self._stack.close()
        self.dsn = self._stack.enter_context(running(self._folder, durable=True))
        until(self._answers, seconds=GONE)

    def close(self) -> None:
        self._stack.close()

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError), psycopg.connect(self.dsn):
            return True
        return False

    def _postmaster(self) -> psutil.Process:
        wanted = f"unix_socket_directories={Path(self.socket_file).parent}"
        for each in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                if any(wanted in part for part in each.cmdline()):
                    return each
        raise AssertionError("there is no server to kill")


def kill_tree(roots: Sequence[psutil.Process], number: int) -> None:
    """Signal processes with all they started, and wait until they are gone."""
    family = list(roots)
    for root in roots:
        with suppress(psutil.Error):
            if number == signal.SIGKILL:
                # So that it starts nobody else meanwhile, who would hold on to what it leaves.
                root.suspend()
            family += root.children(recursive=True)
    for each in family if number == signal.SIGKILL else roots:
        with suppress(psutil.Error):
            each.send_signal(number)
    until(lambda: not any(_lives(each) for each in family), seconds=GONE)


def _lives(process: psutil.Process) -> bool:
    # A zombie waits for its parent, and for nobody else.
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


class Herd:
    """Processes by name, each with a log that outlives its kills."""

    def __init__(self, folder: Path, environment: Mapping[str, str], modules: Mapping[str, str]) -> None:
        self._folder, self._environment, self._modules = folder, bare(environment), dict(modules)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.kills = 0

    @property
    def names(self) -> list[str]:
        return list(self._modules)

    def start(self, name: str) -> None:
        with (self._folder / f"{name}.log").open("ab") as log:
            command = [sys.executable, "-m", self._modules[name]]
            process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)
        self._running[name] = process

    def process(self, name: str) -> psutil.Process:
        return psutil.Process(self._running[name].pid)

    def is_started(self, name: str) -> bool:
        """Whether it was started, and neither killed since nor found dead by a kill."""
        return name in self._running

    def kill(self, name: str, *, only_worker: bool = False) -> None:
        """Kill a process and what it started; `only_worker`: only that, its parent starts another."""
        self.kills += 1
        if self._running[name].poll() is not None:
            self._running.pop(name)
            return
        process = self.process(name)
        if only_worker and (workers := process.children(recursive=True)):
            for each in workers:
                with suppress(psutil.Error):
                    each.kill()
            return
        kill_tree([process], signal.SIGKILL)
        self._running.pop(name).wait()

    def end(self) -> None:
        """Kill all that still runs."""
        for name in list(self._running):
            self.kill(name)

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run an operator's command to its end."""
        command = [sys.executable, "-m", "reconciler", *arguments]
        return subprocess.run(command, cwd=ROOT, env=self._environment, capture_output=True, text=True, timeout=120)

    def bugs(self) -> list[str]:
        """What the processes logged that nobody expected."""
        lines = [line for log in self._folder.glob("*.log") for line in log.read_text(errors="replace").splitlines()]
        return [line[:2000] for line in lines if '.bug"' in line or '"job.failed"' in line or "Traceback" in line]


@contextmanager
def herd(folder: Path, environment: Mapping[str, str], modules: Mapping[str, str]) -> Iterator[Herd]:
    """Processes of which none is left at the end."""
    processes = Herd(folder, environment, modules)
    try:
        yield processes
    finally:
        processes.end()


def listens(port: int) -> bool:
    """Whether somebody accepts connections on a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
