"""A table of the owner's: what its adoption costs those who work on it, and what its columns cost the engine."""

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

import psycopg

from bench.engine import PEOPLE, change_everybody
from bench.install import SECONDS, WORK, worked
from bench.load import ToolMissing, pgbench
from bench.report import Line
from bench.rig import Rig
from reconciler.adapters.postgres.install import install
from reconciler.core.ports import Lane
from reconciler.mapping.reading import load

ROWS = 1_000_000
WRITTEN = 100_000
COLUMNS = 40
CLIENTS = 8
TURNS = 5
SCHEMA = (Path(__file__).parents[1] / "schema.sql").read_text()

TABLE = """
create table customer (
    id bigint generated always as identity primary key, email text, company text, seats integer,
    edited timestamptz not null default now(), deleted timestamptz
)
"""
FILE = """
[table]
name = "public.customer"
key = "id"
updated = "edited"
deleted = { column = "deleted" }
[fields]
email = { column = "email", type = "email" }
company = { column = "company" }
seats = { column = "seats", type = "number" }
"""
EDIT = f"""
\\set n random(1, {WRITTEN})
\\set value random(1, 1000000)
update customer set company = 'c' || :value where id = :n;
"""


def adoption(make: Callable[[], Rig]) -> Iterator[Line]:
    """`db init` and `mapping check` on 1,000,000 rows; what capture costs; an engine of 40 columns."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mapping.toml"
        file.write_text(FILE)
        yield from _adopted(make(), file)
        try:
            yield from _captured(make(), file)
        except ToolMissing as error:
            print(f"adoption: capture skipped, {error}", flush=True)
        yield _wide(make(), Path(folder))


def _adopted(rig: Rig, file: Path) -> Iterator[Line]:
    dsn = _table(rig, ROWS)
    sandbox = rig.sandbox()
    sandbox.control("POST", "properties/seats", {"action": "create", "type": "number"})
    environment = {
        "DATABASE_URL": dsn,
        "HUBSPOT_ACCESS_TOKEN": "pat-sandbox-token",
        "HUBSPOT_BASE_URL": sandbox.url,
        "MAPPING_FILE": str(file),
    }
    began = time.monotonic()
    _run(rig, ["mapping", "check"], environment)
    checked = time.monotonic() - began
    yield Line(what="mapping check on 1,000,000 rows", value=checked, unit="s", at_most=60, beside="")
    with worked(dsn) as quiet:
        time.sleep(SECONDS)
    began = time.monotonic()
    with worked(dsn) as busy:
        _run(rig, ["db", "init"], environment)
    taken = time.monotonic() - began
    for kind in WORK:
        beside = f"{quiet[kind]:.0f} ms without, in {SECONDS:.0f} s; it took {taken:.0f} s"
        what = f"adoption of 1,000,000 rows: longest {kind}"
        yield Line(what=what, value=busy[kind], unit="ms", at_most=200, beside=beside)


def _run(rig: Rig, command: list[str], environment: dict[str, str]) -> None:
    process = rig.start(["-m", "reconciler", *command], environment, stdout=subprocess.DEVNULL)
    if process.wait() != 0:
        raise RuntimeError(f"{' '.join(command)} failed")


def _table(rig: Rig, rows: int) -> str:
    dsn = rig.postgres.database(schema=False)
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute(TABLE)
        owner.execute(
            "insert into customer (email, company, seats) "
            f"select 'person' || n || '@example.com', 'c', n % 100 from generate_series(1, {rows}) n"
        )
        owner.execute("vacuum analyze customer")
    return str(dsn)


def _captured(rig: Rig, file: Path) -> Iterator[Line]:
    dsn = _table(rig, WRITTEN)
    install(dsn, SCHEMA, load(str(file)))
    rates: dict[str, list[float]] = {"enable": [], "disable": []}
    times: dict[str, list[float]] = {"enable": [], "disable": []}
    with tempfile.TemporaryDirectory() as folder, psycopg.connect(dsn, autocommit=True) as owner:
        for n in range(TURNS):
            for state in rates:
                for statement in (
                    "delete from sync.dirty",
                    f"alter table customer {state} trigger sync_update",
                    "vacuum full customer",
                    "vacuum analyze",
                    "checkpoint",
                ):
                    owner.execute(statement.encode())
                rates[state].append(pgbench(dsn, [EDIT], Path(folder), clients=CLIENTS))
                began = time.monotonic()
                owner.execute("update customer set company = %s", [f"{state} {n}"])
                times[state].append(time.monotonic() - began)
    with_it, without = median(rates["enable"]), median(rates["disable"])
    beside = f"{with_it:,.0f} a second with, {without:,.0f} without"
    value = (without / with_it - 1) * 100
    yield Line(what="adoption: overhead of single UPDATEs", value=value, unit="%", at_most=15, beside=beside)
    slow, fast = min(times["enable"]), min(times["disable"])
    beside = f"{slow:.2f} s with, {fast:.2f} s without"
    value = (slow / fast - 1) * 100
    yield Line(what="adoption: overhead of an UPDATE of 100,000", value=value, unit="%", at_most=30, beside=beside)


def _wide(rig: Rig, folder: Path) -> Line:
    """Changed contacts of a table with 40 mapped columns, against the table that ships."""
    names = [f"field{n}" for n in range(COLUMNS - 1)]
    fields = "\n".join(f'{name} = {{ column = "{name}" }}' for name in names)
    file = folder / "wide.toml"
    head = FILE.split("[fields]")[0] + '[fields]\nemail = { column = "email", type = "email" }\n'
    file.write_text(head + fields)
    dsn = rig.postgres.database(schema=False)
    with psycopg.connect(dsn, autocommit=True) as owner:
        columns = ", ".join(f"{name} text" for name in names)
        owner.execute(TABLE.replace("deleted timestamptz", f"deleted timestamptz, {columns}").encode())
    install(dsn, SCHEMA, load(str(file)))
    wide = _changed(rig, names, "field7", database_url=dsn, mapping_file=str(file))
    usual = _changed(rig, [], "company", database_url=rig.dsn)
    beside = f"{1 / wide:,.0f} /s on a core, {1 / usual:,.0f} with the table that ships"
    what = "adoption: changed contacts of 40 columns"
    return Line(what=what, value=usual / wide, unit="x", at_least=0.5, beside=beside)


def _changed(rig: Rig, names: Sequence[str], field: str, **settings: str) -> float:
    """Return the CPU seconds of a changed contact."""
    sandbox = rig.sandbox()
    for name in names:
        sandbox.control("POST", f"properties/{name}", {"action": "create", "type": "string"})
    sandbox.people(PEOPLE)
    parts = rig.parts(sandbox, hubspot_threads=1, **settings)
    parts.sweep.run(Lane.BULK)
    with psycopg.connect(settings["database_url"], autocommit=True) as owner:
        owner.execute("vacuum analyze")
        ids = [row[0] for row in owner.execute("select contact from sync.link").fetchall()]
    change_everybody(sandbox, ids, **{field: f"new {time.time()}"})
    own, database = time.process_time(), rig.postgres.cpu()
    parts.sweep.run(Lane.BULK)
    return (time.process_time() - own + rig.postgres.cpu() - database) / PEOPLE
