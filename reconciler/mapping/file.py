"""The mapping file as frozen models: its form alone. What its parts mean to each other is checked in `checks`.

The JSON Schema of these models is for editors; each description is what a refusal says to write instead. SQL stands
only in `where`, `insert`, `read` and `write`; all other names are as the catalogue has them.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Strict, StringConstraints
from pydantic import Field as Described

from reconciler.core.fields import Policy
from reconciler.core.kinds import Direction, Kind, WhenEmpty

Name = Annotated[str, StringConstraints(pattern=r"^[^\x00]+$")]
"""A column's, as the catalogue has it; Postgres holds no NUL in a text."""

Sql = Annotated[str, StringConstraints(pattern=r"^[^\x00]*[^\x00\s][^\x00]*$")]
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
Texts = Annotated[tuple[Text, ...], Strict(False)]


def _listed(names: object) -> object:
    return [names] if isinstance(names, str) else names


Names = Annotated[
    tuple[Name, ...],
    Strict(False),
    Described(min_length=1),
    BeforeValidator(_listed, json_schema_input_type=Name | Annotated[list[Name], Described(min_length=1)]),
]
"""One name, or a list of them."""


class Part(BaseModel):
    """A part of the file: no key that it does not know, no value of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class DeadMark(Part):
    """The column by which the application tells a dead row: a time; or a flag; or one value among others."""

    column: Name = Described(description='the column of the mark, such as "deleted_at"')
    alive: bool | Text | None = Described(
        default=None,
        description='what a living row has: true or false for a flag, or a text such as "ok"',
    )
    dead: Sql | None = Described(default=None, description="SQL for what a dead row gets, such as \"'gone'\"")


class Table(Part):
    """The owner's table."""

    name: Name = Described(description='the table as schema.table, such as "public.users"')
    key: Names = Described(description='a unique NOT NULL column such as "id", or a list of columns')
    created: Name | None = Described(default=None, description='a column such as "created_at", or leave it out')
    updated: Name | None = Described(default=None, description='a column such as "updated_at", or leave it out')
    where: Sql | None = Described(default=None, description='SQL over the row\'s own columns, such as "not is_staff"')
    leaves: Literal["keep", "archive"] = Described(default="keep", description='"keep" or "archive"')
    deleted: Literal["row", "never"] | DeadMark = Described(
        default="row",
        description='"row", "never", { column = "deleted_at" }, { column = "is_active", alive = true } or '
        '{ column = "status", alive = "ok", dead = "\'gone\'" }',
    )
    empty: Text | None = Described(default=None, description='the text that stands for nothing, such as ""')
    zone: Text = Described(default="UTC", description='a zone of the IANA database, such as "Europe/Berlin"')
    insert: Literal[False] | dict[Name, Sql] = Described(
        default={}, description="false, or SQL by column, such as { password = \"'!'\" }"
    )


class Contacts(Part):
    """Which contacts become rows, and who wins when one meets its row."""

    requires: Texts = Described(default=(), description='a list of mapped properties, such as ["email"]')
    where: dict[Name, Annotated[Texts, Described(min_length=1)]] = Described(
        default={}, description='lists of values by property, such as { lifecyclestage = ["customer"] }'
    )
    leaves: Literal["keep", "delete"] = Described(default="keep", description='"keep" or "delete"')
    first: Literal["newest", "hubspot", "postgres", "fill"] = Described(
        default="newest", description='"newest", "hubspot", "postgres" or "fill"'
    )


class Api(Part):
    """What the API asks for."""

    required: Texts | None = Described(default=None, description='a list of mapped properties, such as ["email"]')


class Create(Part):
    """How a property that HubSpot does not have is made."""

    label: Text = Described(description='what people read, such as "Last seen"')
    group: Text = Described(description='a group of properties, such as "contactinformation"')


class MappedField(Part):
    """One HubSpot property, and where its value stands in the row."""

    column: Name | None = Described(default=None, description='a column such as "first_name"')
    read: Sql | None = Described(default=None, description="SQL such as \"first || ' ' || last\"")
    type: Annotated[Kind, Strict(False)] = Described(
        default=Kind.TEXT, description=", ".join(f'"{kind}"' for kind in Kind)
    )
    direction: Annotated[Direction, Strict(False)] = Described(
        default=Direction.BOTH, description='"both", "to_hubspot" or "to_postgres"'
    )
    policy: Annotated[Policy, Strict(False)] | None = Described(
        default=None, description='"newest", "hubspot", "postgres" or "manual"'
    )
    when_empty: Annotated[WhenEmpty, Strict(False)] = Described(
        default=WhenEmpty.CLEAR, description='"clear" or "keep"'
    )
    values: Annotated[dict[Text, Text], Described(min_length=1)] | None = Described(
        default=None, description="HubSpot's values by the column's, such as { pro = \"Professional\" }"
    )
    create: Create | None = Described(default=None, description='{ label = "Last seen", group = "contactinformation" }')
    empty: Text | None = Described(default=None, description='the text that stands for nothing, such as ""')
    zone: Text | None = Described(default=None, description='a zone of the IANA database, such as "Europe/Berlin"')
    group: Text | None = Described(default=None, description='the name of a part such as [groups.name], here "name"')


class Group(Part):
    """Columns that several properties share."""

    write: Annotated[dict[Name, Sql], Described(min_length=1)] = Described(
        description="SQL by column, such as { name = \"concat_ws(' ', $firstname, $lastname)\" }"
    )


class Joined(Part):
    """A second table with one row per key."""

    table: Name = Described(description='the table as schema.table, such as "public.user_emails"')
    on: Names = Described(description='its column that holds the key, such as "user_id"')
    where: Sql | None = Described(default=None, description='SQL over its own columns, such as "is_primary"')
    insert: dict[Name, Sql] = Described(default={}, description='SQL by column, such as { is_primary = "true" }')
    fields: Annotated[dict[Text, MappedField], Described(min_length=1)] = Described(
        description='fields by property, such as { email = { column = "email", type = "email" } }'
    )


class MappingFile(Part):
    """Which table, which rows, which columns and which properties are kept equal."""

    table: Table = Described(description='a part [table] with at least name = "schema.table" and key = "column"')
    contacts: Contacts = Described(default=Contacts(), description="a part [contacts]")
    api: Api = Described(default=Api(), description='a part [api] such as required = ["email"]')
    fields: dict[Text, MappedField] = Described(
        default={}, description='a part [fields] of lines such as firstname = { column = "first_name" }'
    )
    groups: dict[Text, Group] = Described(default={}, description="parts such as [groups.name]")
    joined: Annotated[tuple[Joined, ...], Strict(False)] = Described(default=(), description="parts [[joined]]")

    @property
    def mapped(self) -> Mapping[str, MappedField]:
        """Every field by its property, those of joined tables after the table's own."""
        return {**self.fields, **{name: field for each in self.joined for name, field in each.fields.items()}}

    @property
    def digest(self) -> str:
        """What tells one mapping from another: whatever is written differently and means the same has the same."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
