"""SQL of a mapping file -> what Postgres says of it, and what the owner's rows come to under it.

Rows are counted in a transaction that writes nothing. SQL is tried on a temporary table like the owner's, in a
transaction that is taken back: there Postgres itself says whether a `where` is immutable (it takes no other as the
predicate of an index), and whether a value fits its column, without a lock on the owner's table that anybody meets.
A value of the owner's rows is never told: where a row is what fails, its error stays unsaid but for its kind.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

import psycopg
from psycopg import errors, sql

from reconciler.adapters.postgres.database import Rows, Timely, Work
from reconciler.adapters.postgres.queries import statements
from reconciler.core.kinds import Kind
from reconciler.mapping.catalogue import Column, Found, Sample
from reconciler.mapping.checks import ADDRESS
from reconciler.mapping.evidence import Doubles, Evidence, Trial, Use
from reconciler.mapping.file import Joined, MappingFile
from reconciler.mapping.parts import dead_mark, parts_of
from reconciler.mapping.problems import KeyPath

NOT_IMMUTABLE = "it is not immutable: what it says of a row may change although the row does not"

REFUSALS = (psycopg.DataError, psycopg.ProgrammingError, psycopg.NotSupportedError, psycopg.InternalError)
"""What Postgres says of SQL that it does not take, or that fails."""


class Tables:
    """Runs statements over the owner's tables, with names and SQL of the file put in."""

    def __init__(self, line: Timely) -> None:
        self._line = line

    def rows(self, name: str, /, **parts: sql.Composable) -> Rows:
        """Run a statement and return its rows; it can be but one, whatever the file says."""
        return self._cursor(name, parts).fetchall()

    def run(self, name: str, /, **parts: sql.Composable) -> Sequence[Any]:
        """Run a statement and return what its columns are."""
        return self._cursor(name, parts).description or ()

    def _cursor(self, name: str, parts: dict[str, sql.Composable]) -> psycopg.Cursor[Any]:
        # Asked for in binary form, a text of several statements is refused.
        return self._line.execute(sql.SQL(statements()[name]).format(**parts), prepare=False, binary=True)


def named(name: str) -> sql.Identifier:
    """Return `schema.table` as SQL."""
    return sql.Identifier(*name.split(".", 1))


def written(text: str) -> sql.SQL:
    """Return SQL of the file; what follows a comment in it stands on a line of its own."""
    return sql.SQL(f"{text}\n")


class Noting(Tables):
    """Runs counts; what is refused is noted under a path, and says nothing of a row."""

    def __init__(self, line: Timely, path: KeyPath, faults: dict[KeyPath, str], slow: list[str]) -> None:
        super().__init__(line)
        self._path, self._faults, self._slow = path, faults, slow

    def rows(self, name: str, /, **parts: sql.Composable) -> Rows:
        try:
            with self._line.transaction():
                return super().rows(name, **parts)
        except errors.QueryCanceled:
            self._slow.append(str(self._path[-1]))
        except errors.SyntaxError:
            self._faults[self._path] = "it is no single expression"
        except (errors.InsufficientPrivilege, errors.UndefinedColumn, errors.UndefinedTable):
            # The catalogue, or a trial, says it in better words.
            pass
        except REFUSALS as error:
            self._faults[self._path] = f"it fails on a row ({type(error).__name__})"
        return []


class Measures:
    """Counts the rows of a mapping, inside of a look."""

    def __init__(self, line: Timely, file: MappingFile) -> None:
        self._line, self._file = line, file
        self._main = next(parts_of(file))
        self._faults: dict[KeyPath, str] = {}
        self._slow: list[str] = []
        self._scope = {"table": named(self._main.name), "where": _where(self._main.where), "alive": _alive(file)}

    def take(self, columns: Iterable[str]) -> Evidence:
        """Count the rows, of these columns the filled ones too; what fails, or takes too long, is noted."""
        counts = self._at("table", "where").rows("measure_rows", **self._scope)
        if not counts:
            return Evidence(faults=self._faults, slow=tuple(self._slow))
        filled = {name: rows[0]["filled"] for name in columns if (rows := self._filled(name))}
        several = {index: keys for index in range(len(self._file.joined)) if (keys := self._several(index))}
        doubles, values = self._doubles(), self._values()
        self._read()
        return Evidence(
            **counts[0],
            faults=self._faults,
            filled=filled,
            doubles=doubles,
            several=several,
            values=values,
            slow=tuple(self._slow),
        )

    def _at(self, *path: str | int) -> Noting:
        return Noting(self._line, path, self._faults, self._slow)

    def _filled(self, name: str) -> Rows:
        return self._at(name).rows("measure_filled", column=sql.Identifier(name), **self._scope)

    def _read(self) -> None:
        for name, field in self._main.fields.items():
            if field.read is not None:
                at = self._at("fields", name, "read")
                at.rows("measure_read", read=written(field.read), **self._scope)

    def _values(self) -> dict[str, frozenset[str]]:
        """Return the values of columns whose values are options in HubSpot."""
        fields = self._main.fields
        chosen = {name: place for name, place in self._main.mapped.items() if fields[name].type is Kind.ENUM}
        return {name: frozenset(row["value"] for row in self._distinct(place)) for name, place in chosen.items()}

    def _distinct(self, place: str) -> Rows:
        return self._at(place).rows("measure_values", column=sql.Identifier(place), **self._scope)

    def _several(self, index: int) -> int:
        joined = self._file.joined[index]
        rows = self._at("joined", index, "where").rows("measure_several", **_joined(joined), on=_list(joined.on))
        return rows[0]["keys"] if rows else 0

    def _doubles(self) -> Doubles:
        rows = self._doubled()
        keys = dict.fromkeys(each for row in rows for each in (row["one"], row["another"]))
        return Doubles(addresses=rows[0]["addresses"] if rows else 0, keys=tuple(keys))

    def _doubled(self) -> Rows:
        key, own = _as_text(self._main.key), self._main.mapped.get(ADDRESS)
        if own is not None:
            return self._at(own).rows("measure_doubles", address=sql.Identifier(own), key=key, **self._scope)
        for joined in self._file.joined:
            place = joined.fields[ADDRESS].column if ADDRESS in joined.fields else None
            if place is not None:
                parts = {**_joined(joined), "on": _as_text(joined.on), "address": sql.Identifier(place)}
                return self._at(place).rows("measure_doubles_joined", key=key, **parts, **self._scope)
        return []


class Samples:
    """Looks at some rows of a table, inside of a look, and at how its columns are used; no value is told."""

    def __init__(self, line: Timely) -> None:
        self._line = line

    def take(self, found: Found) -> dict[str, Sample]:
        """Return how the columns of text are used that may be read."""
        texts = [column.name for column in found.columns if column.is_text]
        samples = {name: self._of(found.name, name) for name in texts}
        return {name: Sample(**rows[0]) for name, rows in samples.items() if rows}

    def _of(self, table: str, column: str) -> Rows:
        at = Noting(self._line, (column,), {}, [])
        return at.rows("measure_sample", table=named(table), column=sql.Identifier(column))


def _joined(joined: Joined) -> dict[str, sql.Composable]:
    return {"joined": named(joined.table), "joined_where": _where(joined.where)}


def _where(where: str | None) -> sql.Composable:
    return written(where or "true")


def _alive(file: MappingFile) -> sql.Composable:
    mark = dead_mark(file.table)
    if mark is None:
        return sql.SQL(statements()["alive_always"])
    column = sql.Identifier(mark.column)
    if mark.alive is None:
        return sql.SQL(statements()["alive_by_time"]).format(column=column)
    value = mark.alive if isinstance(mark.alive, str) else str(mark.alive).lower()
    return sql.SQL(statements()["alive_by_value"]).format(column=column, alive=sql.Literal(value))


def _list(names: Iterable[str]) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _as_text(names: Iterable[str]) -> sql.Composable:
    return sql.SQL(statements()["key_as_text"]).format(key=_list(names))


def try_all(line: Timely, trials: Iterable[Trial]) -> Evidence:
    """Try SQL on tables of our own; everything is taken back."""
    faults: dict[KeyPath, str] = {}
    shapes: dict[KeyPath, Column] = {}
    line.execute(statements()["trial_on"], prepare=False)
    try:
        for table, of in groupby(trials, key=attrgetter("table")):
            _try_table(line, table, list(of), faults, shapes)
    finally:
        if not line.closed:
            line.rollback()
    return Evidence(faults=faults, shapes=shapes)


def _try_table(
    line: Timely, table: str, trials: list[Trial], faults: dict[KeyPath, str], shapes: dict[KeyPath, Column]
) -> None:
    """Try what stands over one table, on a table like it."""
    try:
        with line.transaction(force_rollback=True):
            Tables(line).run("trial_table", table=named(table))
            for trial in trials:
                _try_one(line, trial, faults, shapes)
    except (*REFUSALS, errors.ReadOnlySqlTransaction) as error:
        words = f"it could not be tried: {error.diag.message_primary}"
        faults.update((trial.path, words) for trial in trials)


def _try_one(line: Timely, trial: Trial, faults: dict[KeyPath, str], shapes: dict[KeyPath, Column]) -> None:
    try:
        with line.transaction():
            described = _run(Tables(line), trial)
        if trial.use is Use.READ:
            shapes[trial.path] = _shape(line, described[0].type_code)
    except errors.InvalidObjectDefinition:
        faults[trial.path] = NOT_IMMUTABLE
    except REFUSALS as error:
        faults[trial.path] = _words(error)


def _run(tables: Tables, trial: Trial) -> Sequence[Any]:
    text, column = written(trial.sql), sql.Identifier(trial.column)
    match trial.use:
        case Use.WHERE:
            return tables.run("trial_where", sql=text)
        case Use.READ:
            tables.run("trial_alone", sql=text)
            return tables.run("trial_read", sql=text)
        case Use.INSERT:
            tables.run("trial_constant", sql=text)
            return tables.run("trial_insert", sql=text, column=column)
        case Use.WRITE:
            tables.run("trial_alone", sql=text)
            return tables.run("trial_write", sql=text, column=column)


def _words(error: psycopg.Error) -> str:
    """Return what Postgres says; the table has no rows, so that it speaks of the file alone."""
    return (error.diag.message_primary or "Postgres refuses it").replace('"mapping_trial"', "the table")


def _shape(line: Timely, oid: int) -> Column:
    row = Work(line).row("trial_type", oid=oid) or {}
    return Column(name="", quoted="", **{**row, "labels": tuple(row["labels"])})
