"""The catalogue of the owner's database -> values, in one transaction that writes nothing.

Reads with ACCESS SHARE alone; who asks for a mapping's proposal or check may do so beside the work that goes on.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors
from psycopg.rows import dict_row

from reconciler.adapters.postgres.database import LINE, Row, Rows, Timely, Work
from reconciler.adapters.postgres.queries import statements
from reconciler.core.errors import Busy, DatabaseDown, PrivilegeMissing
from reconciler.mapping.catalogue import UTF8, Catalogue, Column, Found, Relation, Rule, Trigger, Unique

DEADLINE = 30.0
"""Seconds in which every statement is answered: longer than Postgres itself lets one run."""

Grouped = Mapping[int, Rows]
"""Rows by the table that they are about."""


@contextmanager
def open_line(dsn: str) -> Iterator[Timely]:
    """Connect for a look; what goes wrong is said in words, without the connection string."""
    try:
        with Timely.connect(dsn, row_factory=dict_row, autocommit=True, client_encoding=UTF8, **LINE) as line:
            line.deadline = DEADLINE
            yield line
    except (errors.LockNotAvailable, errors.QueryCanceled) as error:
        raise Busy("the database did not answer in time", delay=1.0) from error
    except errors.InsufficientPrivilege as error:
        raise PrivilegeMissing(error.diag.message_primary or "a privilege is missing") from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        why = "could not be reached" if error.sqlstate is None else f"gave up ({type(error).__name__})"
        raise DatabaseDown(f"the database {why}", delay=2.0) from error


@contextmanager
def looking(line: Timely) -> Iterator[None]:
    """Look at one moment of the database; nothing can be written."""
    line.execute(statements()["look_on"], prepare=False)
    try:
        yield
    finally:
        if not line.closed:
            line.rollback()


def read_catalogue(line: Timely, names: Collection[str] | None = None) -> Catalogue:
    """Return the tables with these names, and the names of all; without names the tables that are no view.

    A database of another encoding is not looked at: its names may be no text.
    """
    work = Work(line)
    place = work.row("catalogue_place") or {}
    if place.get("encoding") != UTF8:
        return Catalogue(**place)
    known = work.rows("catalogue_names")
    wanted = [row for row in known if _is_wanted(row, names)]
    ids = [row["id"] for row in wanted]
    of = {
        "columns": _grouped(work.rows("catalogue_columns", ids=ids)),
        "uniques": _grouped(work.rows("catalogue_uniques", ids=ids)),
        "rules": _grouped(work.rows("catalogue_rules", ids=ids) if names is not None else []),
        "triggers": _grouped(work.rows("catalogue_triggers", ids=ids)),
    }
    return Catalogue(
        **place,
        names=tuple(row["name"] for row in known),
        tables={row["name"]: _table(row, of) for row in wanted},
    )


def _is_wanted(row: Row, names: Collection[str] | None) -> bool:
    if names is not None:
        return row["name"] in names
    return row["relation"] in (Relation.TABLE, Relation.PARTITIONED) and not row["is_partition"]


def _grouped(rows: Rows) -> Grouped:
    grouped: defaultdict[int, Rows] = defaultdict(list)
    for row in rows:
        grouped[row.pop("id")].append(row)
    return grouped


def _table(row: Row, of: Mapping[str, Grouped]) -> Found:
    uniques = of["uniques"][row["id"]]
    return Found(
        name=row["name"],
        relation=Relation(row["relation"]),
        rows=row["rows"],
        columns=tuple(_column(each) for each in of["columns"][row["id"]]),
        uniques=tuple(_unique(each) for each in uniques),
        rules=tuple(Rule(name=e["name"], columns=tuple(e["columns"]), text=e["text"]) for e in of["rules"][row["id"]]),
        triggers=tuple(Trigger(**each) for each in of["triggers"][row["id"]]),
        hides_rows=row["hides_rows"],
        may=frozenset(row["may"]),
        key=next((tuple(each["columns"]) for each in uniques if each["is_primary"]), ()),
    )


def _column(row: dict[str, Any]) -> Column:
    lists = {"labels": tuple(row["labels"]), "may": frozenset(row["may"])}
    return Column(**{**row, **lists})


def _unique(row: Row) -> Unique:
    return Unique(name=row["name"], columns=tuple(row["columns"]), is_plain=row["is_plain"])
