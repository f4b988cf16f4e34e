"""What a reader has to follow: functions, files, statements and row versions of one changed contact, and of one PUT.

Counted on a real run, not estimated: functions and files by `sys.setprofile`, statements by their names, row versions
by Postgres. And how the SQL reads.
"""

import io
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import orjson

from api.app import make_app
from api.auth import Role
from api.wiring import Beside, services
from bench.engine import change_everybody
from bench.report import Line
from bench.rig import ROOT, Rig, Sandbox
from reconciler.adapters.postgres.database import Database, Work
from reconciler.adapters.postgres.queries import statements
from reconciler.core.ports import Lane, Subject
from reconciler.process.settings import Api, load
from reconciler.process.wiring import Parts, open_parts

PEOPLE = 5
OURS = tuple(str(ROOT / room) for room in ("reconciler", "api", "webhook"))
RUNNING = frozenset(
    code for run in (Work, Database) for code in (run.rows.__code__, run.row.__code__, run.run.__code__)
)
KEY = "the-benchs-own-signing-key-of-32-bytes"


@dataclass(slots=True)
class Seen:
    """What a run went through."""

    functions: set[CodeType] = field(default_factory=set)
    statements: list[str] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)

    def note(self, frame: FrameType, event: str, _: object) -> None:
        """Take a call from `sys.setprofile`."""
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(OURS):
            return
        if not re.fullmatch(r"<(list|dict|set)comp>|<genexpr>", code.co_name):
            self.functions.add(code)
        if code in RUNNING:
            self.statements.append(frame.f_locals["name"])

    @property
    def files(self) -> set[str]:
        return {code.co_filename for code in self.functions}


def house(make: Callable[[], Rig]) -> Iterator[Line]:
    """One contact that was changed, from its mark to its row; one PUT, there and back; the SQL."""
    rig = make()
    sandbox = rig.sandbox()
    sandbox.people(PEOPLE)
    parts = rig.parts(sandbox, hubspot_threads=1, database_pool=1)
    parts.sweep.run(Lane.BULK)
    yield from _lines("a changed contact", _changed_contact(rig, sandbox, parts), (80, 16, 10, 5))
    yield from _lines("a PUT", _put(rig, sandbox), (90, 18, 8, None))
    yield from _layout()


def _lines(what: str, seen: Seen, targets: tuple[int, int, int, int | None]) -> Iterator[Line]:
    functions, files, count, versions = targets
    yield Line(what=f"house: {what}: functions", value=len(seen.functions), unit="", at_most=functions)
    yield Line(what=f"house: {what}: files", value=len(seen.files), unit="", at_most=files)
    beside = " ".join(seen.statements)
    yield Line(what=f"house: {what}: statements", value=len(seen.statements), unit="", at_most=count, beside=beside)
    if versions is not None:
        beside = ", ".join(f"{count} {table}" for table, count in sorted(seen.versions.items()))
        total = sum(seen.versions.values())
        yield Line(what=f"house: {what}: row versions", value=total, unit="", at_most=versions, beside=beside)


def _changed_contact(rig: Rig, sandbox: Sandbox, parts: Parts) -> Seen:
    (contact, *_) = (row["contactid"] for row in rig.sql("select contactid from customer"))
    for company in ("first, so that all is known and prepared", "second"):
        change_everybody(sandbox, [contact], company=company)
        parts.marks.mark({Subject.contact(contact)}, lane=Lane.FRESH)
        with _watched(rig, parts) as seen:
            parts.reconciler.drain()
    assert rig.sql("select company from customer where contactid = %s", contact) == [{"company": "second"}]
    return seen


def _put(rig: Rig, sandbox: Sandbox) -> Seen:
    (row, *_) = rig.sql("select email from customer")
    settings = load(Api, {**rig.environment(sandbox, database_pool=1), "JWT_SECRET": KEY})
    with open_parts(settings) as parts:
        served = services(settings, parts, Beside(reads=parts.database, health=parts.database))
        app, token = make_app(served), served.tokens.issue(Role.ADMIN)
        for company in ("third", "fourth"):
            with _watched(rig, parts) as seen:
                _call(app, "PUT", f"/{row['email']}", token, {"company": company})
    assert rig.sql("select company from customer where email = %s", row["email"]) == [{"company": "fourth"}]
    return seen


def _call(app: Callable[..., Any], method: str, path: str, token: str, body: Any) -> None:
    data = orjson.dumps(body)
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "bench",
        "HTTP_HOST": "bench",
        "SERVER_PORT": "80",
        "wsgi.input": io.BytesIO(data),
        "wsgi.url_scheme": "http",
        "CONTENT_LENGTH": str(len(data)),
        "CONTENT_TYPE": "application/json",
        "HTTP_AUTHORIZATION": f"Bearer {token}",
    }
    told: list[str] = []
    answer = b"".join(app(environ, lambda status, headers, *_: told.append(status)))
    assert told[0].startswith("2"), (told, answer)


@contextmanager
def _watched(rig: Rig, parts: Parts) -> Iterator[Seen]:
    seen, before = Seen(), _versions(rig, parts)
    sys.setprofile(seen.note)
    try:
        yield seen
    finally:
        sys.setprofile(None)
    after = _versions(rig, parts)
    seen.versions = {table: count - before[table] for table, count in after.items() if count != before[table]}
    # The shared budget is counted in rows, too: they are one for each call, not for each contact.
    for table in ("slot", "day", "hour"):
        seen.versions.pop(table, None)


def _versions(rig: Rig, parts: Parts) -> dict[str, int]:
    # What the connection under test has written is told to the statistics now, not after ten idle seconds.
    with parts.database._pool.connection() as connection:
        connection.execute("select pg_stat_force_next_flush()")
    rows = rig.sql("select relname, n_tup_ins + n_tup_upd + n_tup_del as versions from pg_stat_user_tables")
    return {row["relname"]: row["versions"] for row in rows}


def _layout() -> Iterator[Line]:
    longest = max((" ".join(text.split()) for text in statements().values()), key=len)
    yield Line(what="house: SQL: longest statement", value=len(longest), unit="characters", at_most=900)
    files = [ROOT / "schema.sql", *(ROOT / "reconciler").rglob("*.sql")]
    wide = sum(len(line) > 100 for file in files for line in _text(file).splitlines())
    yield Line(what="house: SQL: lines over 100 columns", value=wide, unit="", at_most=0)
    ctes = sum(len(re.findall(r"\b\w+ as (?:materialized )?\(\n", _text(file))) for file in files)
    told = sum(len(re.findall(r"\b\w+ as (?:materialized )?\(\n\s*--", _text(file))) for file in files)
    yield Line(what="house: SQL: CTEs with a comment", value=told / ctes * 100, unit="%", at_least=100)


def _text(file: Path) -> str:
    return file.read_text()
