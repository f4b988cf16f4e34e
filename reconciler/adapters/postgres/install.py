"""`db init`: brings a database to schema.sql, also a large one at work, and says in words what stands in the way.

A new database takes schema.sql whole. On a table that is there each section is a transaction of its own, which waits
only briefly for a lock and then lets all others go first; what takes long (indexes, keys of old rows) is done
before the section that wants it, without locking others out. Interrupted anywhere, the next run goes on.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
import psycopg
from psycopg import Connection, errors
from psycopg.rows import DictRow, dict_row
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random

from reconciler.adapters.postgres.border import Column, Columns, border, place
from reconciler.adapters.postgres.queries import INSTALL, named, statements
from reconciler.core.errors import Busy, DatabaseDown, SyncError
from reconciler.mapping.file import MappingFile

PATIENCE = 900.0
"""Seconds to try for a lock that others hold."""

PORTION = 10
"""Blocks of the table whose rows get a key in one transaction: a write of one of them waits for it."""

_HEADER = re.compile(r"^-- (\w[^\n]*?) -{20,}$", re.MULTILINE)
_INDEX = re.compile(r"create (?:unique )?index if not exists (\w+) on customer\b[^;]*;")
KEY_INDEX = "create unique index if not exists customer_uuid_is_unique on customer (uuid);"

SHIPPED = ("The table", "Columns", "Keys", "Indexes on customer", "From 0.1.0")
"""Sections about the table that the schema makes."""

NO_PATH = "select set_config('search_path', 'pg_catalog, pg_temp', true);\n"
PORTION_OF_ROWS = 5000
ALONE = "select pg_advisory_xact_lock(hashtext('sync.border'));\n"
TRIGGERS = "create or replace trigger"

DOUBLES = {
    "customer_uuid_is_unique": "several customers have one uuid; find them with: "
    "select uuid, count(*) from {place} group by 1 having count(*) > 1",
    "customer_address_is_unique_among_live": "several live customers have one address; find them with: "
    "select sync.address(email), count(*) from {place} where deletedat is null group by 1 having count(*) > 1",
}
"""What stands in the way of a unique index."""


class Refused(SyncError):
    """The database does not take the schema; the text says why, and what to do."""


class Ambiguous(Refused):
    """A column has another property than before: the owner says whether it was renamed."""


def install(
    dsn: str, schema: str, mapping: MappingFile | None = None, renamed: Mapping[str, str] | None = None
) -> list[str]:
    """Apply `schema` to the database; raise `Refused` if it cannot be, `Busy` if others held a lock all the time.

    Return what was done, in lines for people.

    `mapping`: for a table of the owner's, to which nothing is added but triggers; else for the table of the schema.
    `renamed`: properties by the names that they had in the mapping before.
    """
    with _connected(dsn) as line:
        if mapping is None:
            _Installer(line, schema).run()
            return ["schema applied"]
        return _Adopter(line, schema, mapping, renamed or {}).run()


def fit(dsn: str, mapping: MappingFile) -> bool:
    """Let the border follow what the owner altered in the table; say whether there was something."""
    with _connected(dsn) as line:
        return _Adopter(line, "", mapping, {}).fit()


def remove(dsn: str) -> list[str]:
    """Take away all that `install` made, but for a table that the schema made, and its rows; return what went."""
    with _connected(dsn) as line:
        return _Remover(line, "").run()


@contextmanager
def _connected(dsn: str) -> Iterator[Connection[DictRow]]:
    with (
        _in_words(),
        Connection[DictRow].connect(dsn, row_factory=dict_row, autocommit=True, connect_timeout=5) as line,
    ):
        yield line


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except (errors.RaiseException, errors.InsufficientPrivilege) as error:
        raise Refused(error.diag.message_primary or "refused") from error
    except (errors.SyntaxError, errors.UndefinedFunction, errors.DatatypeMismatch) as error:
        said = error.diag.message_primary or "not valid"
        raise Refused(
            f"SQL of the mapping file: {said}; run `mapping check`, and name functions with their schema"
        ) from error
    except (errors.LockNotAvailable, errors.DeadlockDetected) as error:
        raise Busy("another transaction held customer all the time; run this again", delay=1.0) from error
    except psycopg.OperationalError as error:
        raise DatabaseDown("database unavailable", delay=2.0) from error


VERSION = 2
"""The version of schema.sql that this program goes with (`sync.version()`)."""


class _Steps:
    """Runs the sections of a schema, each in a transaction that lets others go first."""

    def __init__(self, line: Connection[DictRow], schema: str) -> None:
        self._line, self._schema, self._statements = line, schema, named(INSTALL)
        self._head, self._sections = _sections(schema)

    def _require_no_later_version(self) -> None:
        if self._rows("has_version")[0]["found"]:
            version = self._rows("version")[0]["version"]
            if version > VERSION:
                raise Refused(f"the database is of version {version}, this program of version {VERSION}: upgrade it")

    def _take_time(self) -> None:
        """Let what is no transaction take its time, where Postgres itself answers: a pooler's session is not ours."""
        row = self._line.execute(statements()["backend"]).fetchone()
        if row is not None and row["backend"] == self._line.info.backend_pid:
            self._rows("at_leisure")

    def _rows(self, name: str, /, **values: Any) -> list[DictRow]:
        cursor = self._line.execute(self._statements[name], values or None)
        return cursor.fetchall() if cursor.description else []

    def _apply(self, text: str) -> None:
        """Run a text in a transaction; when others are in its way for long, let them go first and try again."""
        for attempt in Retrying(
            retry=retry_if_exception_type((errors.LockNotAvailable, errors.DeadlockDetected)),
            wait=wait_random(0.3, 0.9),
            stop=stop_after_delay(PATIENCE),
            reraise=True,
        ):
            with attempt, self._line.transaction():
                self._line.execute(self._statements["in_a_while"])
                self._line.execute(text)


class _Installer(_Steps):
    """Walks through the sections of the schema."""

    def __init__(self, line: Connection[DictRow], schema: str) -> None:
        super().__init__(line, schema)
        self._beginning = self._head + self._sections["The table"]
        self._before: dict[str, Callable[[], None]] = {"Keys": self._fill_keys, "Indexes on customer": self._index}

    def run(self) -> None:
        self._require_no_later_version()
        if faults := self._faults():
            raise Refused("\n".join(faults))
        if not self._rows("place"):
            self._apply(self._schema)
            return
        self._take_time()
        for name, section in self._sections.items():
            self._before.get(name, lambda: None)()
            self._apply(self._beginning + section)

    def _faults(self) -> list[str]:
        """What stands in the way."""
        found = self._rows("faults")
        if self._rows("is_installed")[0]["found"]:
            found += self._rows("lost")
        return [row["fault"] for row in found]

    def _fill_keys(self) -> None:
        """Give old rows a key, a portion at a time, and the column its NOT NULL without a look at all rows."""
        for row in self._rows("blocks"):
            for first in range(0, row["blocks"] + 1, PORTION):
                self._fill("fill_keys", first=f"({first},0)", last=f"({first + PORTION},0)")
            self._fill("fill_rest")
            self._apply(self._statements["promise_keys"])
            self._rows("check_keys")
            self._apply(self._statements["require_keys"])
        if not self._rows("has_unique_key")[0]["found"]:
            self._build(KEY_INDEX)

    def _fill(self, name: str, **values: Any) -> None:
        with self._line.transaction():
            self._rows("quietly")
            self._rows(name, **values)

    def _index(self) -> None:
        """Build the indexes that the next section would build, beside the work that goes on."""
        for match in _INDEX.finditer(self._sections["Indexes on customer"]):
            if self._rows("index_state", name=match[1]) != [{"valid": True}]:
                self._build(match[0])

    def _build(self, statement: str) -> None:
        """Build one index; what an interrupted or refused build leaves behind goes first."""
        name = _INDEX.findall(statement)[0]
        drop = f"drop index concurrently if exists {name}"
        self._line.execute(drop)
        try:
            self._line.execute(statement.replace("index if", "index concurrently if"))
        except errors.UniqueViolation as error:
            self._line.execute(drop)
            place = self._rows("place")[0]["name"]
            raise Refused(DOUBLES[name].format(place=place)) from error


class _Adopter(_Steps):
    """Makes what the sync needs beside a table of the owner's."""

    def __init__(
        self, line: Connection[DictRow], schema: str, mapping: MappingFile, renamed: Mapping[str, str]
    ) -> None:
        super().__init__(line, schema)
        self._mapping, self._renamed = mapping, renamed
        self._fields = {name: field.column or field.read or "" for name, field in mapping.mapped.items()}

    def run(self) -> list[str]:
        """Make it, or bring it to the mapping and to the table as they are now; return what was done."""
        self._require_no_later_version()
        columns = self._columns()
        text = border(self._mapping, columns[0], columns[1:])
        known = self._known()
        state = {"schema": _hashed(self._schema + text), "mapping": self._mapping.digest, "columns": _digest(columns)}
        if known.items() >= state.items() and not self._lacks_triggers():
            return ["nothing to do: the database is as the mapping says"]
        before: dict[str, str] = orjson.loads(known.get("fields", "{}"))
        self._require_clear(before)
        _, made = _sections(text)
        self._take_time()
        for name, section in self._sections.items():
            if name not in SHIPPED:
                self._apply(self._head + NO_PATH + made.get(name, section))
        after = None
        while after := self._rows("find_rows", after=after, most=PORTION_OF_ROWS)[0]["last"]:
            continue
        followed = self._follow(before)
        self._note(fields=orjson.dumps(self._fields).decode(), **state)
        tables, known_rows = ", ".join(self._tables()), self._rows("count_rows")[0]["count"]
        return [
            f"schema sync, and triggers for insert, update and delete on {tables}",
            f"{known_rows} rows are known",
            *followed,
        ]

    def _known(self) -> dict[str, str]:
        """Return what the database was made for."""
        if not self._rows("is_installed")[0]["found"]:
            return {}
        return {row["name"]: row["value"] for row in self._rows("made_for")}

    def _note(self, **state: str) -> None:
        self._rows("note_made_for", state=orjson.dumps(state).decode())

    def _require_clear(self, before: Mapping[str, str]) -> None:
        """Raise `Ambiguous` where a column has another property by now, unless it was said to be renamed."""
        gone = {column: name for name, column in before.items() if name not in self._fields}
        for name, column in self._fields.items():
            if name not in before and column in gone and self._renamed.get(gone[column]) != name:
                old = gone[column]
                raise Ambiguous(
                    f"{column}: its property was {old} and is {name} by now: say --renamed {old}={name} if HubSpot's "
                    f"property has another name; else leave {old} out, run this, and map {name} then"
                )

    def _follow(self, before: Mapping[str, str]) -> list[str]:
        """Bring what is remembered of fields to those of the mapping; return what that was.

        A new one, and one that stands in another column, is compared at bulk pace.
        """
        for old, new in self._renamed.items():
            self._rows("rename_field", old=old, new=new)
        known = {self._renamed.get(name, name): column for name, column in before.items()}
        fresh = [name for name in self._fields if before and name not in known]
        moved = [name for name, column in self._fields.items() if known.get(name, column) != column]
        if gone := [name for name in known if name not in self._fields]:
            self._rows("forget_fields", names=gone)
        if fresh or moved:
            self._rows("mark_all")
        return [
            *(f"{old}: {new} by now" for old, new in self._renamed.items()),
            *(f"{name}: mapped no more, forgotten" for name in gone),
            *(f"{name}: new, filled by the reconciler" for name in fresh),
            *(f"{name}: stands elsewhere, compared by the reconciler" for name in moved),
        ]

    def fit(self) -> bool:
        """Follow what the owner altered since; say whether there was something. Fields without a column stop.

        A table that was made anew under its name has no triggers: it gets them, and a sweep finds what they missed.
        """
        columns, lacks_triggers = self._columns(), self._lacks_triggers()
        if self._known().get("columns") == _digest(columns) and not lacks_triggers:
            return False
        text = border(self._mapping, columns[0], columns[1:])
        try:
            self._redefine(text)
        except errors.UndefinedColumn:
            text = border(self._mapping, columns[0], columns[1:], reads_expressions=False)
            self._redefine(text)
        if lacks_triggers:
            _, *triggers = _sections(text)[1]["Capture"].split(TRIGGERS)
            self._apply(NO_PATH + TRIGGERS + TRIGGERS.join(triggers))
            self._rows("sweep_soon")
        self._rows("mark_unfit")
        self._note(columns=_digest(columns))
        return True

    def _lacks_triggers(self) -> bool:
        return bool(self._rows("triggers_lacking", tables=[place(name) for name in self._tables()]))

    def _redefine(self, text: str) -> None:
        """Replace the functions; the triggers call them by name, so that the table itself is not locked."""
        _, made = _sections(text)
        self._apply(self._head + NO_PATH + ALONE + made["The border"] + made["Capture"].split(TRIGGERS)[0])

    def _columns(self) -> list[Columns]:
        """Return the columns of the table, and of each joined one."""
        return [self._of(name) for name in self._tables()]

    def _tables(self) -> list[str]:
        return [self._mapping.table.name, *(each.table for each in self._mapping.joined)]

    def _of(self, table: str) -> Columns:
        schema, name = table.split(".", 1)
        with self._line.transaction():
            # Types of other schemas are named with these.
            self._line.execute(NO_PATH)
            rows = self._rows("columns", schema=schema, name=name)
        if not rows:
            raise Refused(f"{table}: there is no such table; see `mapping check`")
        return {
            row["name"]: Column(
                type=row["type"],
                base=row["base"],
                not_null=row["required"],
                default=row["filled"],
                generated=row["generated"],
            )
            for row in rows
        }


class _Remover(_Steps):
    """Leaves the table as it was before the first `install`."""

    def run(self) -> list[str]:
        self._take_time()
        triggers = self._rows("triggers")
        for row in triggers:
            self._apply(row["drop"])
        has_schema: bool = self._rows("is_installed")[0]["found"]
        if has_schema:
            self._apply("drop schema sync cascade")
        if not triggers and not has_schema:
            return ["nothing to remove"]
        return [f"removed: schema sync and {len(triggers)} triggers; tables of customers are left with their rows"]


def _digest(columns: Sequence[Columns]) -> str:
    return _hashed(repr([sorted(each.items()) for each in columns]))


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _sections(schema: str) -> tuple[str, dict[str, str]]:
    """Return what stands before the sections, and these by name."""
    head, *parts = _HEADER.split(schema)
    return head, dict(zip(parts[0::2], parts[1::2], strict=True))
