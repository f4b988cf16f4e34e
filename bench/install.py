"""What `db init` costs those who work on the table meanwhile."""

import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg

from bench.report import Line
from bench.rig import Rig

ROWS = 1_000_000
SECONDS = 30.0
WORK = {
    "read": "select company from customer where id = %s",
    "write": "update customer set company = 'c' where id = %s",
}
PAUSE = 0.002


def install(make: Callable[[], Rig]) -> Iterator[Line]:
    """`db init` on the owner's 1,000,000 rows beside reads and writes: the longest that one of them took."""
    rig = make()
    dsn = rig.postgres.database(schema=False)
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute(
            "create table customer (id bigint generated always as identity primary key, email text, company text)"
        )
        owner.execute(
            f"insert into customer (email) select 'person' || n || '@example.com' from generate_series(1, {ROWS}) n"
        )
        owner.execute("vacuum analyze customer")
    with worked(dsn) as quiet:
        time.sleep(SECONDS)
    began = time.monotonic()
    with worked(dsn) as busy:
        process = rig.start(["-m", "reconciler", "db", "init"], {"DATABASE_URL": dsn}, stdout=subprocess.DEVNULL)
        if process.wait() != 0:
            raise RuntimeError("db init failed")
    taken = time.monotonic() - began
    for kind in WORK:
        beside = f"{quiet[kind]:.0f} ms without, in {SECONDS:.0f} s; it took {taken:.0f} s"
        what = f"db init on 1,000,000 rows: longest {kind}"
        yield Line(what=what, value=busy[kind], unit="ms", at_most=200, beside=beside)


@contextmanager
def worked(dsn: str) -> Iterator[dict[str, float]]:
    """Read and write rows by chance all the while; at the end it says how many milliseconds the longest took."""
    stop, longest = threading.Event(), dict.fromkeys(WORK, 0.0)

    def go(kind: str) -> None:
        rows = random.Random(kind)
        with psycopg.connect(dsn, autocommit=True) as connection:
            while not stop.wait(PAUSE):
                began = time.monotonic()
                connection.execute(WORK[kind].encode(), [rows.randint(1, ROWS)])
                longest[kind] = max(longest[kind], (time.monotonic() - began) * 1000)

    with ThreadPoolExecutor(len(WORK)) as threads:
        at_work = [threads.submit(go, kind) for kind in WORK]
        try:
            yield longest
        finally:
            stop.set()
    for each in at_work:
        each.result()
