"""A Postgres whose data lies on a small disk of its own, which can be filled."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from running_servers import ROOT

STOP = 30.0

MOUNT = 'mount -t tmpfs -o size="$1" none "$2" && exec "$3" -m dev.embedded --not-durable "$2/postgres"'


@dataclass(frozen=True)
class Disk:
    """The disk, seen from outside."""

    folder: Path

    def fill(self) -> None:
        """Leave no byte free."""
        with suppress(OSError), (self.folder / "filler").open("wb", buffering=0) as filler:
            while filler.write(bytes(4096)):
                pass

    def free(self) -> None:
        (self.folder / "filler").unlink()


def can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "-Urm", "sh", "-c", "mount -t tmpfs -o size=1m none /mnt"]
    return subprocess.run(command, capture_output=True).returncode == 0


@contextmanager
def on_a_small_disk(folder: Path, size: str) -> Iterator[tuple[str, Disk]]:
    """Run a server with the schema on a disk of this size; yield its connection string and the disk."""
    if not can_mount():
        pytest.skip("no disk of one's own can be mounted on this machine (unshare)")
    mount = folder / "disk"
    mount.mkdir()
    supervisor = subprocess.Popen(
        ["unshare", "-Urm", "sh", "-c", MOUNT, "sh", size, str(mount), sys.executable],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=ROOT,
    )
    assert supervisor.stdin is not None
    assert supervisor.stdout is not None
    try:
        dsn = supervisor.stdout.readline().strip()
        assert dsn.startswith("host="), dsn or "no server"
        with psycopg.connect(dsn) as connection:
            connection.execute((ROOT / "schema.sql").read_bytes())
        yield dsn, Disk(Path(f"/proc/{supervisor.pid}/root") / os.path.relpath(mount, "/"))
    finally:
        supervisor.stdin.close()
        supervisor.wait(STOP)
        supervisor.stdout.close()
