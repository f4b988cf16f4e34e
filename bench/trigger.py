"""What capturing costs a writer of SQL."""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import psycopg

from bench.load import ToolMissing, pgbench
from bench.report import Line
from bench.rig import Rig

ROWS = 100_000
TIMES = 3
CLIENTS = 8
TURNS = 5
CAPTURE = "sync_update"
TRIGGERS = (CAPTURE, "sync_touch")

EDIT = f"""
\\set n random(1, {ROWS})
\\set value random(1, 1000000)
update customer set company = 'c' || :value where uuid = md5(:n::text)::uuid;
"""


def trigger(make: Callable[[], Rig]) -> Iterator[Line]:
    """UPDATEs with and without triggers, in turn: of 100,000 (capture only), and of one each by 8 clients (all)."""
    rig = make()
    rig.sql(
        "insert into customer (uuid, email, firstname, lastname, company) "
        f"select md5(n::text)::uuid, 'person' || n || '@example.com', 'P', 'Q', 'c' from generate_series(1, {ROWS}) n"
    )
    yield _many(rig)
    try:
        yield _single(rig)
    except ToolMissing as error:
        print(f"trigger: single rows skipped, {error}", flush=True)


def _single(rig: Rig) -> Line:
    rates: dict[str, list[float]] = {"enable": [], "disable": []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(TURNS):
            for state, seen in rates.items():
                _turn(rig, state, *TRIGGERS)
                seen.append(pgbench(rig.dsn, [EDIT], Path(folder), clients=CLIENTS))
    with_it, without = median(rates["enable"]), median(rates["disable"])
    beside = f"{with_it:,.0f} a second with, {without:,.0f} without"
    value = (without / with_it - 1) * 100
    what = "trigger: overhead of single UPDATEs by 8 clients"
    return Line(what=what, value=value, unit="%", at_most=15, beside=beside)


def _turn(rig: Rig, state: str, *triggers: str) -> None:
    """Switch the triggers, and leave the tables as they were before the last turn."""
    rig.sql("delete from sync.dirty")
    for name in triggers:
        rig.sql(f"alter table customer {state} trigger {name}")
    rig.sql("vacuum full customer")
    rig.sql("vacuum analyze")
    rig.sql("checkpoint")


def _many(rig: Rig) -> Line:
    taken: dict[str, list[float]] = {"enable": [], "disable": []}
    for n in range(TIMES):
        for state, times in taken.items():
            _turn(rig, state, CAPTURE)
            times.append(_update(rig.dsn, f"{state} {n}"))
    with_it, without = min(taken["enable"]), min(taken["disable"])
    beside = f"{with_it:.2f} s with, {without:.2f} s without"
    value = (with_it / without - 1) * 100
    return Line(what="trigger: overhead of an UPDATE of 100,000", value=value, unit="%", at_most=30, beside=beside)


def _update(dsn: str, company: str) -> float:
    with psycopg.connect(dsn, autocommit=True) as connection:
        began = time.monotonic()
        connection.execute("update customer set company = %s", [company])
        return time.monotonic() - began
