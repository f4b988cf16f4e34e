"""The tables of a mapping file as parts of one form: the owner's table, and each joined one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reconciler.core.kinds import Direction
from reconciler.mapping.file import DeadMark, Joined, MappedField, MappingFile, Table
from reconciler.mapping.problems import KeyPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A table and what is kept of it. `insert` is None where no row is made; `roles` are columns of the sync's own."""

    path: KeyPath
    name: str
    key: tuple[str, ...]
    where: str | None
    insert: Mapping[str, str] | None
    fields: Mapping[str, MappedField]
    roles: Mapping[str, str]
    shared: Mapping[str, KeyPath]

    @property
    def is_main(self) -> bool:
        return self.path == ("table",)

    @property
    def has_sql(self) -> bool:
        """Whether SQL of the file stands over it."""
        reads = any(field.read is not None for field in self.fields.values())
        return self.where is not None or reads or bool(self.insert or self.shared)

    @property
    def mapped(self) -> dict[str, str]:
        """The column of each property that has one."""
        return {name: field.column for name, field in self.fields.items() if field.column is not None}

    @property
    def edited(self) -> set[str]:
        """The columns that an update of ours writes."""
        roles = {column for role, column in self.roles.items() if role != "created"}
        return {*self._taken, *self.shared, *roles}

    @property
    def made(self) -> set[str]:
        """The columns that an insert of ours writes."""
        created = {column for role, column in self.roles.items() if role in ("created", "updated")}
        on = set() if self.is_main else set(self.key)
        return {*self._taken, *self.shared, *created, *on, *(self.insert or ())}

    @property
    def read(self) -> set[str]:
        """The columns that are read."""
        return {*self.key, *self.mapped.values(), *self.roles.values(), *self.shared}

    @property
    def _taken(self) -> set[str]:
        """The columns that take HubSpot's values."""
        return {
            column for name, column in self.mapped.items() if self.fields[name].direction is not Direction.TO_HUBSPOT
        }


def parts_of(file: MappingFile) -> Iterator[Part]:
    """Go through the tables of a file, the owner's table first."""
    yield Part(
        path=("table",),
        name=file.table.name,
        key=file.table.key,
        where=file.table.where,
        insert=None if file.table.insert is False else file.table.insert,
        fields=file.fields,
        roles=_roles(file.table),
        shared={
            column: ("groups", name, "write", column) for name, each in file.groups.items() for column in each.write
        },
    )
    for index, joined in enumerate(file.joined):
        yield _joined(index, joined)


def dead_mark(table: Table) -> DeadMark | None:
    """Return the column that tells a dead row, if one does."""
    return table.deleted if isinstance(table.deleted, DeadMark) else None


def _roles(table: Table) -> dict[str, str]:
    mark = dead_mark(table)
    roles = {"created": table.created, "updated": table.updated, "deleted": mark.column if mark else None}
    return {role: column for role, column in roles.items() if column is not None}


def _shared(file: MappingFile) -> dict[str, KeyPath]:
    return {column: ("groups", name, "write", column) for name, each in file.groups.items() for column in each.write}


def _joined(index: int, joined: Joined) -> Part:
    return Part(
        path=("joined", index),
        name=joined.table,
        key=joined.on,
        where=joined.where,
        insert=joined.insert,
        fields=joined.fields,
        roles={},
        shared={},
    )
