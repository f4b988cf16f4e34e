"""What capturing costs the one who writes SQL."""

import time
from collections.abc import Callable, Iterator

import psycopg

from bench.report import Line
from bench.rig import Rig

ROWS = 100_000
TIMES = 3


def trigger(make: Callable[[], Rig]) -> Iterator[Line]:
    """An UPDATE of 100,000 customers with and without the capturing trigger, in turn."""
    rig = make()
    rig.sql(
        "insert into customer (email, firstname, lastname, company) "
        f"select 'person' || n || '@example.com', 'P', 'Q', 'c' from generate_series(1, {ROWS}) n"
    )
    taken: dict[str, list[float]] = {"enable": [], "disable": []}
    for n in range(TIMES):
        for state, times in taken.items():
            rig.sql("delete from sync.dirty")
            rig.sql(f"alter table customer {state} trigger sync_update")
            rig.sql("vacuum full customer")
            rig.sql("vacuum analyze")
            rig.sql("checkpoint")
            times.append(_update(rig.dsn, f"{state} {n}"))
    with_it, without = min(taken["enable"]), min(taken["disable"])
    beside = f"{with_it:.2f} s with, {without:.2f} s without"
    value = (with_it / without - 1) * 100
    yield Line(what="trigger: overhead of an UPDATE of 100,000", value=value, unit="%", at_most=30, beside=beside)


def _update(dsn: str, company: str) -> float:
    with psycopg.connect(dsn, autocommit=True) as connection:
        began = time.monotonic()
        connection.execute("update customer set company = %s", [company])
        return time.monotonic() - began
