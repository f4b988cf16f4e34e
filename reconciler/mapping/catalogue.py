"""What the catalogue of Postgres says of the owner's tables, as values: no database is asked here.

An adapter reads them; findings and proposals are made from them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

UTF8 = "UTF8"
"""The one encoding in which a database holds whatever HubSpot does."""

TEXTS = frozenset({"text", "varchar", "bpchar", "citext"})
INTEGERS = frozenset({"int2", "int4", "int8"})
NUMBERS = INTEGERS | {"numeric", "float4", "float8"}
MOMENTS = frozenset({"timestamp", "timestamptz"})


class Relation(StrEnum):
    """What stands behind a name, by its letter in the catalogue."""

    TABLE = "r"
    PARTITIONED = "p"
    VIEW = "v"
    MATERIALISED = "m"
    FOREIGN = "f"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column. `type` is as people write it; `base` its name in the catalogue, of an array the element's.

    `quoted` is the name as SQL has it, `limit` counts characters, `is_filled`: a default gives it a value,
    `is_computed`: nobody may write it, `references` is the table a foreign key leads to, `may` what the role may do.
    """

    name: str
    quoted: str
    type: str
    base: str
    is_array: bool = False
    is_domain: bool = False
    limit: int | None = None
    is_required: bool = False
    is_filled: bool = False
    is_computed: bool = False
    labels: tuple[str, ...] = ()
    references: str | None = None
    may: frozenset[str] = frozenset({"select", "insert", "update"})

    @property
    def lacks_value(self) -> bool:
        """Whether a row cannot be made without a value for it."""
        return self.is_required and not self.is_filled and not self.is_computed

    @property
    def is_flag(self) -> bool:
        return self.base == "bool" and not self.is_array

    @property
    def is_text(self) -> bool:
        return self.base in TEXTS and not self.is_array

    @property
    def is_moment(self) -> bool:
        return self.base in MOMENTS and not self.is_array


@dataclass(frozen=True, slots=True, kw_only=True)
class Unique:
    """A unique index; `columns` are all that it speaks of, `is_plain`: they alone, and in every row."""

    name: str
    columns: tuple[str, ...]
    is_plain: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A CHECK constraint, and the columns that it speaks of."""

    name: str
    columns: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """A BEFORE ROW trigger; `source` is its function's text, None where that is no PL/pgSQL."""

    name: str
    function: str
    source: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A table, or what else has its name. `may` is what the role may do with all of it."""

    name: str
    relation: Relation = Relation.TABLE
    rows: int = 0
    columns: tuple[Column, ...]
    uniques: tuple[Unique, ...] = ()
    rules: tuple[Rule, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    hides_rows: bool = False
    may: frozenset[str] = frozenset({"usage", "delete", "trigger"})
    key: tuple[str, ...] = ()

    @property
    def is_readable(self) -> bool:
        """Whether the role may read all of it."""
        return all("select" in each.may for each in self.columns)

    def column(self, name: str) -> Column | None:
        return next((each for each in self.columns if each.name == name), None)

    def is_key(self, names: tuple[str, ...]) -> bool:
        """Whether no two rows have the same in these columns, and none has nothing there."""
        columns = [self.column(name) for name in names]
        is_required = all(each is not None and each.is_required for each in columns)
        return is_required and any(each.is_plain and set(each.columns) <= set(names) for each in self.uniques)


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """A database as one role sees it: all names, and the tables that were asked for."""

    database: str = ""
    role: str = ""
    encoding: str = UTF8
    may_try: bool = True
    names: tuple[str, ...] = ()
    tables: Mapping[str, Found] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Of some rows: in how many a column is filled, or holds an empty text."""

    rows: int = 0
    filled: int = 0
    emptied: int = 0
