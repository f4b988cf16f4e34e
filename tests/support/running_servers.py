"""Real server processes on a free port of this machine, started as an operator starts them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from ports import free_port

ROOT = Path(__file__).parents[2]
START = 30.0
STOP = 15.0


@dataclass(frozen=True)
class Server:
    """A process that listens; `log` is what it wrote so far."""

    process: "subprocess.Popen[bytes]"
    port: int
    log_file: Path

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


def bare(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment with these settings and nothing else of ours."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, **environment}


@contextmanager
def server(module: str, environment: Mapping[str, str], log_file: Path, *, port: int | None = None) -> Iterator[Server]:
    """Run `python -m module` until the end of the block; it is ended by its pid."""
    port = port or free_port()
    settings = bare({**environment, f"{module.upper()}_HOST": "127.0.0.1", f"{module.upper()}_PORT": str(port)})
    with log_file.open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", module], cwd=ROOT, env=settings, stdout=log, stderr=log)
        running = Server(process, port, log_file)
        try:
            _wait_for(running)
            yield running
        finally:
            _end(running)


def _wait_for(running: Server) -> None:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        assert running.process.poll() is None, running.log
        try:
            with socket.create_connection(("127.0.0.1", running.port), timeout=5) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                if connection.recv(12).startswith(b"HTTP/1.1"):
                    return
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"it does not listen: {running.log}")


def _end(running: Server) -> None:
    left = running.workers() if running.process.poll() is None else []
    running.process.send_signal(signal.SIGTERM)
    try:
        running.process.wait(STOP)
    except subprocess.TimeoutExpired:
        running.process.kill()
        running.process.wait()
    for worker in left:
        if worker.is_running():
            worker.kill()
