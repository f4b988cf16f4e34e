"""Where a test's Postgres keeps its data: in memory where there is room, for the disks of shared machines are slow."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

MEMORY = Path("/dev/shm")

ROOM = 4 << 30
"""Free bytes of memory from which on it is used."""


@contextmanager
def folder() -> Iterator[Path]:
    """Make a folder for the while."""
    has_room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM
    with TemporaryDirectory(prefix="hubspot-reconciler-", dir=MEMORY if has_room else None) as path:
        yield Path(path)
