"""The border to a table of the owner's, as SQL: what `border.sql.jinja` says, in expressions made from the mapping.

A field's value is read as canonical text (`raw`, with {"unfit": why} for what no property can hold) and written by way
of `jsonb_populate_record`, so that each column's own type has the last word.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from reconciler.core.fields import Fields
from reconciler.core.kinds import Direction, Kind, WhenEmpty
from reconciler.mapping.checks import fill
from reconciler.mapping.file import DeadMark, Group, Joined, MappedField, MappingFile
from reconciler.mapping.reading import fields_of

_TEMPLATES = Environment(
    loader=PackageLoader("reconciler.adapters.postgres", ""),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=False,
)

_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "$": "\\044"}

GONE = """'{"unfit": "its column is gone, or of another type"}'::jsonb"""

NUMBERS = frozenset({"int2", "int4", "int8", "numeric", "float4", "float8"})
TIMES = frozenset({"date", "timestamp", "timestamptz"})
READABLE = {
    Kind.NUMBER: NUMBERS,
    Kind.BOOLEAN: frozenset({"bool"}),
    Kind.DATE: TIMES,
    Kind.DATETIME: TIMES,
}
"""The types whose every value can be read as one of the kind: a column of another type by now stops its field."""

ROW = "row_"
"""What a row is called where the owner's SQL names its columns."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the catalogue: its type as Postgres writes it and by its name alone, a domain's own; and what it is
    filled with where nothing is given. Nobody writes one that is `generated`.
    """

    type: str
    base: str
    not_null: bool = False
    default: str | None = None
    generated: bool = False

    @property
    def is_text(self) -> bool:
        return self.base in ("text", "varchar", "bpchar", "citext")

    @property
    def is_zoneless(self) -> bool:
        """Whether it holds times, or days, of a zone that the column does not say."""
        return self.base in ("timestamp", "date")


Columns = Mapping[str, Column]


def border(
    mapping: MappingFile, columns: Columns, joined: Sequence[Columns] = (), *, reads_expressions: bool = True
) -> str:
    """Return the sections of the schema that are about the owner's table.

    `joined` has the columns of each joined table. Fields whose column is not there stop; so do those of `read`, unless
    their SQL can be read.
    """
    names = _Border(mapping, columns, joined, reads_expressions=reads_expressions).names()
    return _TEMPLATES.get_template("border.sql.jinja").render(names)


def quoted(name: str) -> str:
    """Return a name as SQL takes it."""
    return '"' + name.replace('"', '""') + '"'


def place(table: str) -> str:
    """Return a table that is named as schema.table as SQL takes it."""
    schema, name = table.split(".", 1)
    return f"{quoted(schema)}.{quoted(name)}"


def literal(text: str) -> str:
    """Return a text as SQL takes it, on one line, also inside a body in dollars."""
    simple = text.replace("'", "''")
    escaped = simple
    for plain, code in _ESCAPES.items():
        escaped = escaped.replace(plain, code)
    return f"'{simple}'" if escaped == simple else f"E'{escaped}'"


def _substituted(sql: str, fields: Iterable[str], alias: str) -> str:
    return fill(sql, {name: f"{alias}.{quoted('$' + name)}" for name in fields})


@dataclass(frozen=True)
class _Field:
    """One field in SQL."""

    name: str
    mapped: MappedField
    columns: Columns
    zone: str
    empty: str | None
    is_unreadable: bool = False
    joined: int | None = None

    @property
    def literal(self) -> str:
        return literal(self.name)

    @property
    def place(self) -> str:
        return quoted(self.mapped.column or "")

    @property
    def column_literal(self) -> str:
        return literal(self.mapped.column or "")

    @property
    def is_gone(self) -> bool:
        """Whether the owner took its column away: then the field stops, and nothing is emptied for it."""
        if self.mapped.column is None:
            return self.is_unreadable
        return self.mapped.column not in self.columns or not self._is_readable

    @property
    def _is_readable(self) -> bool:
        """Whether values of the column's type can be of the field's kind."""
        holds = READABLE.get(self.mapped.type)
        return holds is None or self.mapped.values is not None or self.column.base in holds

    @property
    def column(self) -> Column:
        return self.columns[self.mapped.column or ""]

    @property
    def in_zone(self) -> str:
        return literal(self.mapped.zone or self.zone)

    @property
    def nothing(self) -> str | None:
        """What stands for nothing in the column, None for NULL."""
        if self.mapped.empty is not None:
            return self.mapped.empty
        if self.mapped.column is not None and self.column.not_null and self.column.is_text:
            return self.empty
        return None

    def source(self, row: str, reads: str) -> str:
        """Return what holds the value, in its own type."""
        if self.joined is not None:
            return f"j{self.joined}.{quoted(self.mapped.column or '')}"
        return f"{reads}.{quoted(self.name)}" if self.mapped.column is None else f"{row}.{quoted(self.mapped.column)}"

    def raw(self, row: str, reads: str) -> str:
        """Return the value as JSON: a text, null, or why no property can hold it."""
        if self.is_gone:
            return GONE
        source = self.source(row, reads)
        column = None if self.mapped.column is None else self.column
        match self.mapped.type:
            case Kind.NUMBER:
                return f"sync.of_number({source}::text::numeric)"
            case Kind.BOOLEAN if self.mapped.values is None:
                return f"to_jsonb({source}::text)"
            case Kind.DATE if column is not None and column.base == "timestamptz":
                return f"sync.of_date(({source} at time zone {self.in_zone})::date)"
            case Kind.DATE:
                return f"sync.of_date({source}::date)"
            case Kind.DATETIME if column is not None and column.is_zoneless:
                return f"sync.of_time({source}::timestamp at time zone {self.in_zone})"
            case Kind.DATETIME:
                return f"sync.of_time({source}::timestamptz)"
            case Kind.SET:
                return f"sync.of_set({self._elements(source)})"
            case _ if self.mapped.values is not None:
                return self._option(source)
            case _:
                return f"to_jsonb({source}::text)"

    def _option(self, source: str) -> str:
        options = " ".join(f"when {literal(one)} then {literal(other)}" for one, other in self._values())
        # In quotes, as JSON: a missing counterpart is no text.
        known = f"to_jsonb(case {source}::text {options} end)"
        odd = """'{"unfit": "a value without an option"}'::jsonb"""
        return f"case when {self._filled(source)} is null then 'null'::jsonb else coalesce({known}, {odd}) end"

    def _filled(self, source: str) -> str:
        """Return the text of the value; null where it stands for nothing."""
        filled = f"nullif({source}::text, '')"
        return filled if not self.nothing else f"nullif({filled}, {literal(self.nothing)})"

    def _elements(self, source: str) -> str:
        if self.mapped.values is None:
            return f"{source}::text[]"
        options = " ".join(f"when {literal(one)} then {literal(other)}" for one, other in self._values())
        return f"array(select case e {options} else chr(1) end from unnest({source}::text[]) e where e is not null)"

    def _values(self) -> Iterable[tuple[str, str]]:
        return (self.mapped.values or {}).items()

    def canonical(self, row: str, reads: str) -> str:
        """Return the canonical text; null where the value is empty, or does not fit."""
        if self.is_gone:
            return "null::text"
        source = self.source(row, reads)
        match self.mapped.type:
            case Kind.EMAIL:
                return f"sync.address({source}::text)"
            case Kind.TEXT:
                return self._filled(source)
            case Kind.ENUM if self.mapped.values is None:
                return self._filled(source)
            case _:
                return f"sync.fitting({self.raw(row, reads)})"

    @property
    def to_column(self) -> str:
        """Return what the column is to hold, as JSON, of `vals`."""
        value = f"(vals ->> {self.literal})"
        if self.mapped.type is Kind.SET:
            return self._to_array(value)
        if self.mapped.values is not None:
            back = " ".join(f"when {literal(other)} then {literal(one)}" for one, other in self._values())
            # An option that the column has no counterpart for is written as it is: the column refuses it.
            value = f"(case {value} {back} else {value} end)"
        if self.mapped.type is Kind.DATETIME and self.column.is_zoneless:
            value = f"(({value}::timestamptz at time zone {self.in_zone})::text)"
        return value if self.nothing is None else f"coalesce({value}, {literal(self.nothing)})"

    def _to_array(self, value: str) -> str:
        elements = f"unnest(string_to_array({value}, ';')) with ordinality each(e, n)"
        back = " ".join(f"when {literal(other)} then {literal(one)}" for one, other in self._values())
        each = f"case e {back} else e end" if back else "e"
        nothing = "'[]'::jsonb" if self.column.not_null else "null::jsonb"
        return f"coalesce((select jsonb_agg({each} order by n) from {elements}), {nothing})"

    def present(self, row: str, reads: str) -> str:
        """Return whether a new row has a value; what is joined comes by itself."""
        if self.joined is not None:
            return "false"
        return f"{self.canonical(row, reads)} is not null"

    def differs(self, row: str, reads: str, old: str, old_reads: str) -> str:
        if self.is_gone or self.joined is not None:
            return "false"
        if self.mapped.column is not None and self.column.base in ("json", "xml", "point"):
            return f"{self.raw(row, reads)} is distinct from {self.raw(old, old_reads)}"
        # Another case of the same letters may be the same text to the column.
        exactly = '::text collate "C"' if self.mapped.column is not None and self.column.is_text else ""
        return f"{self.source(row, reads)}{exactly} is distinct from {self.source(old, old_reads)}{exactly}"

    def wanted(self, vals: str) -> str:
        """Return the canonical text of what the column is given."""
        value = f"{vals} ->> {self.literal}"
        return f"sync.address({value})" if self.mapped.type is Kind.EMAIL else value


class _Border:
    """The expressions that the template names."""

    def __init__(
        self, mapping: MappingFile, columns: Columns, joined: Sequence[Columns], *, reads_expressions: bool
    ) -> None:
        self._mapping, self._table, self._columns = mapping, mapping.table, columns
        self._core: Fields = fields_of(mapping)
        self._fields = [
            _Field(name, mapped, columns, mapping.table.zone, mapping.table.empty, not reads_expressions)
            for name, mapped in mapping.fields.items()
        ]
        self._fields += [
            _Field(name, mapped, joined[n], mapping.table.zone, mapping.table.empty, joined=n)
            for n, each in enumerate(mapping.joined)
            for name, mapped in each.fields.items()
        ]

    def names(self) -> dict[str, object]:
        """Return what the template is rendered with."""
        mark = self._table.deleted
        one_way = [f.name for f in self._fields if self._core[f.name].direction is Direction.TO_POSTGRES]
        inbound_only = [*one_way, *(f.name for f in self._fields if f.is_gone and f.name not in one_way)]
        keeping = [f.name for f in self._fields if self._core[f.name].when_empty is WhenEmpty.KEEP]
        return {
            "table": {"name": place(self._table.name), "literal": literal(place(self._table.name))},
            "fields": self._fields,
            "columns": self._written(),
            "joined": [self._join(n, each) for n, each in enumerate(self._mapping.joined)],
            "joins": self._joins,
            "written": self._written(),
            "wanted": lambda vals: _object((f.literal, f.wanted(vals)) for f in self._written()),
            "shown": _object((f.literal, f.canonical("p", "")) for f in self._written()),
            "needed": "array[" + ", ".join(literal(name) for name in self._needed()) + "]::text[]",
            "inbound_only": inbound_only,
            "keeping": keeping,
            "drop_stays": lambda side: self._drop_stays(side, inbound_only, keeping),
            "key": self._key,
            "key_after": self._key_after,
            "one_key": lambda one, other: " and ".join(
                f"{one}.{quoted(name)} = {other}.{quoted(name)}" for name in self._table.key
            ),
            "readdressed": self._readdressed("rn", "ro"),
            "key_missing": lambda row: f"{row}.{quoted(self._table.key[0])} is null",
            "key_columns": self._key_columns,
            "raw": self._raw,
            "canonical": self._canonical,
            "created": lambda row: self._time(self._table.created, row),
            "updated": lambda row: self._time(self._table.updated, row),
            "dead_since": self._dead_since,
            "is_dead": self._is_dead,
            "same_key": self._same_key,
            "key_text": self._key_text,
            "key_of_json": self._key_of_json,
            "new_uuid": self._new_uuid,
            "address": self._address,
            "reads": self._reads,
            "in_scope": self._in_scope,
            "scope": lambda alias: f"{alias}.in_scope" if self._table.where else "true",
            "scope_of": self._scope_of,
            "insert": self._insert(),
            "given": self._given,
            "sets": self._sets(),
            "is_written": self._is_written(),
            "deletes": mark == "row",
            "marks_dead": isinstance(mark, DeadMark),
            "emptied": self._emptied(),
            "releases": str(not self._email.is_gone and not self._email.column.not_null).lower(),
            "archives_leaving": "true" if self._table.leaves == "archive" else "false",
        }

    @property
    def _email(self) -> _Field:
        return next(f for f in self._fields if f.name == "email")

    def _needed(self) -> list[str]:
        """Return the columns without which no row can be told from another, or the living from the dead."""
        mark = self._table.deleted
        return [*self._table.key, *([mark.column] if isinstance(mark, DeadMark) else [])]

    def _written(self) -> list[_Field]:
        """Return the fields whose column the sync may write."""
        fields = (f for f in self._fields if f.mapped.column is not None and f.joined is None and not f.is_gone)
        return [f for f in fields if not f.column.generated]

    def _is_written(self) -> str:
        """Return whether something of a write is about the row itself."""
        elsewhere = [f.literal for f in self._fields if f.joined is not None]
        own = f"(w.vals - array[{', '.join(elsewhere)}]::text[])" if elsewhere else "w.vals"
        return f"{own} <> '{{}}'" + (" or w.alive is not null" if isinstance(self._table.deleted, DeadMark) else "")

    def _address(self, row: str, reads: str) -> str:
        """Return the canonical address of a row; one that stands elsewhere is looked up there."""
        n = self._email.joined
        if n is None:
            return f"sync.indexed({self._email.canonical(row, reads)})"
        of = self._mapping.joined[n]
        own = self._same_row(f"j{n}", of, row)
        found = f"{self._email.canonical(row, reads)} from {place(of.table)} j{n}"
        return f"sync.indexed((select {found} where {own} and {self._fits(of, f'j{n}')} limit 1))"

    def _same_row(self, one: str, each: Joined, row: str) -> str:
        pairs = zip(each.on, self._table.key, strict=True)
        return " and ".join(f"{one}.{quoted(a)} = {row}.{quoted(b)}" for a, b in pairs)

    def _joins(self, row: str) -> str:
        """Return the joined tables, each with one row at most."""
        return "\n".join(self._joining(n, each, row) for n, each in enumerate(self._mapping.joined))

    def _joining(self, n: int, each: Joined, row: str) -> str:
        own = self._same_row(f"j{n}", each, row)
        scope = f"cross join lateral (select ({each.where}) as fits from (select e.*) as {ROW}) s" if each.where else ""
        inside = f"select e.* from {place(each.table)} e {scope} {'where s.fits' if each.where else ''}"
        return f"left join ({inside}) j{n} on {own}"

    def _fits(self, each: Joined, row: str) -> str:
        """Return whether a row of a joined table is the one that counts."""
        return f"(select ({each.where}) from (select {row}.*) as {ROW})" if each.where else "true"

    def _join(self, n: int, each: Joined) -> dict[str, object]:
        fields = [f for f in self._fields if f.joined == n and not f.is_gone]
        names = [f.name for f in self._fields]
        given = {column: f"({_substituted(sql, names, 'g')})" for column, sql in each.insert.items()}
        given |= {on: self._key_part(at) for at, on in enumerate(each.on)}
        given |= {f.mapped.column or "": f"p.{quoted(f.mapped.column or '')}" for f in fields}
        populated = f"jsonb_populate_record(j.*, sync.joined_columns_{n}(write_joined_{n}.vals))"
        keys = [f"j.{quoted(on)}" for on in each.on]
        same = " and ".join(f"{key} = {self._key_part(at)}" for at, key in enumerate(keys))
        return {
            "table": place(each.table),
            "fields": fields,
            "names": "array[" + ", ".join(f.literal for f in fields) + "]::text[]",
            "same_key": same,
            "fits": lambda row: self._fits(each, row),
            "key": lambda row: self._key_text_of(row, each.on),
            "has_address": self._email.joined == n and not self._email.is_gone,
            "sets": [
                {"column": quoted(c), "sql": f"(select p.{quoted(c)} from {populated} p)"}
                for c in (f.mapped.column for f in fields)
                if c is not None
            ],
            "insert": [{"column": quoted(column), "sql": sql} for column, sql in given.items()],
        }

    def _key_part(self, at: int) -> str:
        """Return one column of a key that stands in `i.key`."""
        name = self._table.key[at]
        found = "i.key" if len(self._table.key) == 1 else f"(i.key::jsonb ->> {at})"
        return f"{found}::{self._columns[name].type}"

    def _raw(self, row: str, reads: str) -> str:
        return _object((f.literal, f.raw(row, reads)) for f in self._fields)

    def _canonical(self, row: str, reads: str) -> str:
        return f"jsonb_strip_nulls({_object((f.literal, f.canonical(row, reads)) for f in self._fields)})"

    def _time(self, column: str | None, row: str) -> str:
        if column is None or column not in self._columns:
            return "null::timestamptz"
        return f"sync.readable({self._moment(column, row)})"

    def _moment(self, column: str, row: str) -> str:
        if self._columns[column].base == "timestamptz":
            return f"{row}.{quoted(column)}"
        return f"({row}.{quoted(column)}::timestamp at time zone {literal(self._table.zone)})"

    def _dead_since(self, row: str, identity: str) -> str:
        mark = self._table.deleted
        known = f"coalesce({identity}.deadsince, timestamptz 'epoch')"
        if not isinstance(mark, DeadMark):
            return f"case when {identity}.mergedinto is not null then {known} end"
        if mark.alive is None:
            return self._moment(mark.column, row)
        return f"case when {self._is_dead(row)} then {known} end"

    def _is_dead(self, row: str) -> str:
        mark = self._table.deleted
        if not isinstance(mark, DeadMark):
            return "false"
        column = f"{row}.{quoted(mark.column)}"
        if mark.alive is None:
            return f"({column} is not null)"
        return f"({column}::text is distinct from {literal(_text(mark.alive))})"

    def _same_key(self, row: str, key: str) -> str:
        if len(self._table.key) == 1:
            name = self._table.key[0]
            return f"{row}.{quoted(name)} = {key}::{self._columns[name].type}"
        each = (
            f"{row}.{quoted(name)} = ({key}::jsonb ->> {n})::{self._columns[name].type}"
            for n, name in enumerate(self._table.key)
        )
        return " and ".join(each)

    def _key_text(self, row: str) -> str:
        return self._key_text_of(row, self._table.key)

    def _key_text_of(self, row: str, key: Sequence[str]) -> str:
        if len(key) == 1:
            return f"{row}.{quoted(key[0])}::text"
        return f"jsonb_build_array({', '.join(f'{row}.{quoted(name)}::text' for name in key)})::text"

    @property
    def _key(self) -> str:
        """Return the key as people see it."""
        if len(self._table.key) == 1:
            return f"to_jsonb(t.{quoted(self._table.key[0])})"
        return _object((literal(name), f"t.{quoted(name)}") for name in self._table.key)

    def _readdressed(self, reads: str, old_reads: str) -> str:
        """Return whether a row has another address; where it stands in another table, that one tells."""
        if self._email.is_gone or self._email.joined is not None:
            return "false"
        return f"{self._email.source('n', reads)} is distinct from {self._email.source('o', old_reads)}"

    def _key_columns(self, row: str, order: str = "") -> str:
        return ", ".join(f"{row}.{quoted(name)} {order}".strip() for name in self._table.key)

    def _key_after(self, row: str, key: str) -> str:
        """Return whether a row comes after that key."""
        if len(self._table.key) == 1:
            name = self._table.key[0]
            return f"{row}.{quoted(name)} > {key}::{self._columns[name].type}"
        parts = (f"({key}::jsonb ->> {n})::{self._columns[name].type}" for n, name in enumerate(self._table.key))
        return f"({self._key_columns(row)}) > ({', '.join(parts)})"

    def _key_of_json(self, row: str) -> str:
        if len(self._table.key) == 1:
            return f"({row} ->> {literal(self._table.key[0])})"
        return f"jsonb_build_array({', '.join(f'{row} ->> {literal(name)}' for name in self._table.key)})::text"

    @property
    def _is_uuid(self) -> bool:
        return len(self._table.key) == 1 and self._columns[self._table.key[0]].base == "uuid"

    def _new_uuid(self, row: str) -> str:
        return f"{row}.{quoted(self._table.key[0])}" if self._is_uuid else "gen_random_uuid()"

    def _expressions(self) -> list[_Field]:
        return [f for f in self._fields if f.mapped.column is None and not f.is_gone]

    def _reads_from(self, row: str, reads: str) -> str:
        found = ", ".join(f"({f.mapped.read}) as {quoted(f.name)}" for f in self._expressions())
        return f"from (select {found} from (select {row}.*) as {ROW}) as {reads}" if found else ""

    def _reads(self, row: str, reads: str) -> str:
        found = self._reads_from(row, reads)
        return f"cross join lateral {found.removeprefix('from ')}" if found else ""

    def _scope_of(self, row: str, alias: str) -> str:
        if not self._table.where:
            return ""
        inside = f"coalesce(({self._table.where}), false)"
        return f"cross join lateral (select {inside} as in_scope from (select {row}.*) as {ROW}) as {alias}"

    def _in_scope(self, row: str, alias: str) -> str:
        return f"{self._scope_of(row, alias)} where {alias}.in_scope" if self._table.where else ""

    def _drop_stays(self, side: str, inbound_only: list[str], keeping: list[str]) -> str:
        dropped = side
        if inbound_only:
            dropped = f"({dropped} - array[{', '.join(map(literal, inbound_only))}]::text[])"
        if keeping:
            # Emptied here: that stays. A value that is new here does not.
            names = f"unnest(array[{', '.join(map(literal, keeping))}]::text[]) name"
            dropped = f"({dropped} - array(select name from {names} where not canonical ? name))"
        return dropped

    def _given(self, vals: str) -> str:
        """Return the values of `vals` as typed columns named `$field`, for the owner's SQL."""
        types = {Kind.NUMBER: "numeric", Kind.BOOLEAN: "boolean", Kind.DATE: "date", Kind.DATETIME: "timestamptz"}
        named = (
            f"string_to_array({vals} ->> {f.literal}, ';') as {quoted('$' + f.name)}"
            if f.mapped.type is Kind.SET
            else f"({vals} ->> {f.literal})::{types.get(f.mapped.type, 'text')} as {quoted('$' + f.name)}"
            for f in self._fields
        )
        return f"select {', '.join(named)}"

    def _insert(self) -> list[dict[str, str]] | None:
        """Return the columns of a new row with what they get."""
        if self._table.insert is False:
            return None
        names = [f.name for f in self._fields]
        given = {column: f"({_substituted(sql, names, 'g')})" for column, sql in self._table.insert.items()}
        for f in self._written():
            assert f.mapped.column is not None
            given.setdefault(f.mapped.column, self._or_default(f.mapped.column, f))
        for column in (self._table.created, self._table.updated):
            if column is not None and column in self._columns:
                given.setdefault(column, self._now(column))
        if self._is_uuid:
            given.setdefault(self._table.key[0], "w.uuid")
        for name, group in self._groups():
            for column, sql in group.write.items():
                given[column] = f"({_substituted(sql, self._of_group(name), 'g')})"
        return [{"column": quoted(column), "sql": sql} for column, sql in given.items()]

    def _or_default(self, column: str, field: _Field) -> str:
        found, shown = f"p.{quoted(column)}", self._columns[column]
        if shown.default is not None:
            return f"coalesce({found}, {shown.default})"
        return found if field.nothing is None else f"coalesce({found}, {literal(field.nothing)})"

    def _now(self, column: str) -> str:
        if self._columns[column].base == "timestamptz":
            return "clock_timestamp()"
        return f"(clock_timestamp() at time zone {literal(self._table.zone)})"

    def _groups(self) -> list[tuple[str, Group]]:
        """Return the groups whose values can be read and written."""
        found = self._mapping.groups.items()
        is_readable = all(not f.is_gone for f in self._fields if f.mapped.column is None)
        return [(name, group) for name, group in found if is_readable and self._columns.keys() >= group.write.keys()]

    def _of_group(self, name: str) -> list[str]:
        return [f.name for f in self._fields if f.mapped.group == name]

    def _sets(self) -> list[dict[str, str]]:
        """Return the columns of an UPDATE with what they get, beside the ones that hold a field each."""
        sets: dict[str, str] = {}
        for name, group in self._groups():
            sets.update({column: self._regrouped(name, column, sql) for column, sql in group.write.items()})
        mark = self._table.deleted
        if isinstance(mark, DeadMark):
            sets[mark.column] = self._marked(mark)
        if self._table.updated is not None and self._table.updated in self._columns:
            sets[self._table.updated] = self._now(self._table.updated)
        return [{"column": quoted(column), "sql": sql} for column, sql in sets.items()]

    def _regrouped(self, group: str, column: str, sql: str) -> str:
        """Return a column of a group: written anew where one of its values is, from those and the others as read."""
        names = self._of_group(group)
        present = self._reads_from("t", "r")
        values = ", ".join(
            f"case when w.vals ? {literal(n)} then w.vals ->> {literal(n)} else r.{quoted(n)}::text end"
            f" as {quoted('$' + n)}"
            for n in names
        )
        written = _substituted(sql, names, "g")
        source = f"(select {values} {present}) g, (select t.*) as {ROW}"
        named = ", ".join(map(literal, names))
        return f"case when w.vals ?| array[{named}] then (select {written} from {source}) else t.{quoted(column)} end"

    def _marked(self, mark: DeadMark, lives: str = "w.alive") -> str:
        column = quoted(mark.column)
        if mark.alive is None:
            dead, alive = f"coalesce(t.{column}, {self._now(mark.column)})", "null"
        elif isinstance(mark.alive, bool):
            dead, alive = str(not mark.alive).lower(), str(mark.alive).lower()
        else:
            dead, alive = f"({mark.dead or 'null'})", literal(mark.alive)
        kept = f"case when {self._is_dead('t')} then t.{column} else {dead} end"
        return f"case when {lives} is null then t.{column} when {lives} then {alive} else {kept} end"

    def _emptied(self) -> list[dict[str, str]]:
        """Return what an erase makes of the columns."""
        emptied: dict[str, str] = {}
        for f in self._written():
            assert f.mapped.column is not None
            if not f.column.not_null:
                emptied[f.mapped.column] = "null"
            elif f.column.is_text:
                emptied[f.mapped.column] = literal(f.nothing or "")
        for _, group in self._groups():
            for column in group.write:
                emptied[column] = "''" if self._columns[column].not_null else "null"
        mark = self._table.deleted
        if isinstance(mark, DeadMark):
            emptied[mark.column] = self._marked(mark, "false")
        return [{"column": quoted(column), "sql": sql} for column, sql in emptied.items()]


def _object(pairs: Iterable[tuple[str, str]]) -> str:
    # Postgres passes a hundred arguments at most.
    listed = [f"{key}, {value}" for key, value in pairs]
    parts = [listed[start : start + 40] for start in range(0, len(listed), 40)]
    return "(" + " || ".join(f"jsonb_build_object({', '.join(part)})" for part in parts) + ")"


def _text(alive: bool | str) -> str:
    return alive if isinstance(alive, str) else str(alive).lower()
