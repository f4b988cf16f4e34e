"""The copy of the tombstones outside the database: a restored backup must not bring erased people back.

An append-only file of JSON lines: the salt first, then salted hashes and contact ids. No address stands in it.
"""

import os
from pathlib import Path

import orjson

from reconciler.adapters.postgres.database import Database, Rows, Work, to_json
from reconciler.core.contact import CustomerId


def write_tombstones(path: Path, work: Work, stones: Rows) -> None:
    """Append what was erased and make it durable."""
    row = work.row("read_salt")
    lines = [{"salt": row["value"]}] if row is not None and not path.exists() else []
    lines += [{"hash": stone["hash"], "contact": stone["contact"]} for stone in stones]
    with path.open("ab") as file:
        file.write(b"".join(orjson.dumps(line) + b"\n" for line in lines))
        file.flush()
        os.fsync(file.fileno())


def restore_tombstones(path: Path, database: Database) -> int:
    """Apply the file to a restored database and void every old worker's fence; return how many stones it has."""
    lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    salts = [line["salt"] for line in lines if "salt" in line]
    stones = [line for line in lines if "salt" not in line]
    with database.own() as work:
        work.run("restore_salt", salt=salts[-1] if salts else None)
        work.run("restore_tombstones", stones=to_json(stones))
        work.run("bump_numbers")
        for row in work.rows("erased_again"):
            work.rows("erase", uuid=row["uuid"])
    return len(stones)


def erase(work: Work, uuid: CustomerId, copy: Path | None) -> None:
    """Erase by closure; the copy outside the database is written before the transaction ends."""
    stones = work.rows("erase", uuid=uuid)
    if copy is not None:
        write_tombstones(copy, work, stones)
