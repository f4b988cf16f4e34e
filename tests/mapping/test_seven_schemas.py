"""Seven public schemas: each is proposed without help, and nothing of what is proposed is refused."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reconciler.commands.mapping import check, suggest
from reconciler.mapping.file import DeadMark, MappingFile
from reconciler.mapping.reading import parse

SCHEMAS = Path(__file__).parent / "schemas"
FILES = Path(__file__).parent / "files"

GROUPED = {"firstname": None, "lastname": None}
"""Names that SQL reads out of one column."""


@dataclass(frozen=True)
class Expected:
    """What of a schema is to be found; `where` is offered as a comment."""

    table: str
    key: str
    columns: dict[str, str | None]
    deleted: Any = "row"
    created: str | None = None
    updated: str | None = None
    insert: Any = field(default_factory=dict)
    where: str | None = None
    requires: tuple[str, ...] = ("email",)
    said: tuple[str, ...] = ()


NAMES: dict[str, str | None] = {"email": "email", "firstname": "first_name", "lastname": "last_name"}

EXPECTED = {
    "01_pagila": Expected(
        table="public.customer",
        key="customer_id",
        columns=NAMES,
        deleted=DeadMark(column="activebool", alive=True),
        created="create_date",
        updated="last_update",
        insert=False,
        where="store_id = 1",
        requires=("email", "firstname", "lastname"),
        said=("400 of 400 rows are in scope",),
    ),
    "02_chinook": Expected(
        table="public.customer",
        key="customer_id",
        columns={
            **NAMES,
            **{name: name for name in ("company", "address", "city", "state", "country", "phone", "fax")},
            "zip": "postal_code",
        },
        requires=("email", "firstname", "lastname"),
        said=("phone: character varying(24)",),
    ),
    "03_medusa": Expected(
        table="public.customer",
        key="id",
        columns={**NAMES, "company": "company_name", "phone": "phone"},
        deleted=DeadMark(column="deleted_at"),
        created="created_at",
        updated="updated_at",
        insert={"id": "gen_random_uuid()::text"},
        where="has_account",
        said=(
            "addresses that several rows in scope have: 40",
            "IDX_customer_email_has_account_unique",
            "20 of these are dead",
        ),
    ),
    "06_chatwoot": Expected(
        table="public.contacts",
        key="id",
        columns={"email": "email", **GROUPED, "phone": "phone_number"},
        created="created_at",
        updated="updated_at",
        insert=False,
        where="account_id = 1",
        said=("addresses that several rows in scope have: 84", "uniq_email_per_account_contact"),
    ),
    "07_calcom": Expected(
        table="public.users",
        key="id",
        columns={"email": "email", **GROUPED},
        created="created",
        where="role <> 'ADMIN' and \\\"organizationId\\\" = 1",
        said=("users_email_username_key",),
    ),
    "10_discourse": Expected(
        table="public.users",
        key="id",
        columns={"email": "email", **GROUPED, "date_of_birth": "date_of_birth"},
        deleted=DeadMark(column="active", alive=True),
        created="created_at",
        updated="updated_at",
        insert={
            "username": "left($email, 60)",
            "username_lower": "lower(left($email, 60))",
            "trust_level": "0",
            "active": "true",
        },
        where="not admin",
        said=("index_user_emails_on_email",),
    ),
    "12_django": Expected(
        table="public.auth_user",
        key="id",
        columns=NAMES,
        deleted=DeadMark(column="is_active", alive=True),
        created="date_joined",
        insert={
            "password": "'!'",
            "is_superuser": "false",
            "username": "left($email, 150)",
            "is_staff": "false",
            "is_active": "true",
        },
        where="not is_staff and not is_superuser",
        said=("addresses that several rows in scope have: 5",),
    ),
}


@dataclass(frozen=True)
class Proposed:
    """What was proposed for a schema, and where it was found."""

    name: str
    dsn: str
    text: str
    file: MappingFile


@pytest.fixture(params=EXPECTED)
def proposed(request: Any, owned: Callable[..., str], settings_for: Callable[..., Any]) -> Proposed:
    dsn = owned((SCHEMAS / f"{request.param}.sql").read_text())
    text = suggest(settings_for(dsn), None).text
    return Proposed(request.param, dsn, text, parse(text))


def test_a_schema_is_proposed_without_help_and_nothing_of_it_is_refused(
    proposed: Proposed, settings_for: Callable[..., Any]
) -> None:
    expected, file = EXPECTED[proposed.name], proposed.file
    assert file.table.name == expected.table
    assert file.table.key == (expected.key,)
    assert {name: each.column for name, each in file.mapped.items()} == expected.columns
    assert (file.table.deleted, file.table.created, file.table.updated) == (
        expected.deleted,
        expected.created,
        expected.updated,
    )
    assert file.table.insert == expected.insert
    assert file.table.where is None
    assert expected.where is None or f'# where = "{expected.where}"' in proposed.text
    assert file.contacts.requires == expected.requires
    remarks = check(settings_for(proposed.dsn, proposed.text))
    assert [str(each) for each in remarks if each.is_refused] == []
    lines = "\n".join(map(str, remarks))
    assert all(words in lines for words in expected.said)
    assert "@" not in lines


def test_what_stands_as_a_comment_fits_too(proposed: Proposed, settings_for: Callable[..., Any]) -> None:
    text = proposed.text.replace("# where = ", "where = ").replace("# zone = ", "zone = ")
    remarks = check(settings_for(proposed.dsn, text))
    assert [str(each) for each in remarks if each.is_refused] == []


def test_one_name_column_is_read_and_written_as_one(
    owned: Callable[..., str], settings_for: Callable[..., Any]
) -> None:
    dsn = owned((SCHEMAS / "07_calcom.sql").read_text())
    file = parse(suggest(settings_for(dsn), None).text)
    first, last = (file.fields[name].read for name in ("firstname", "lastname"))
    with psycopg.connect(dsn) as connection:
        row = connection.execute(f"select {first}, {last} from users where id = 7").fetchone()
    assert row == ("First7", "Last7")
    write = file.groups["name"].write["name"]
    assert "$firstname" in write
    assert "$lastname" in write


def test_a_joined_table_holds_the_first_address(owned: Callable[..., str], settings_for: Callable[..., Any]) -> None:
    dsn = owned((SCHEMAS / "10_discourse.sql").read_text())
    (joined,) = parse(suggest(settings_for(dsn), None).text).joined
    assert (joined.table, joined.on, joined.where) == ("public.user_emails", ("user_id",), '"primary"')
    assert joined.insert == {"created_at": "now()", "updated_at": "now()", "primary": "true"}


def test_a_proposal_leaves_the_database_as_it_was(owned: Callable[..., str], settings_for: Callable[..., Any]) -> None:
    dsn = owned((SCHEMAS / "12_django.sql").read_text())
    shape = "select count(*), sum(hashtext((oid, xmin)::text)) from pg_class where relkind <> 't'"
    with psycopg.connect(dsn, autocommit=True) as connection:
        before = connection.execute(shape).fetchone()
        text = suggest(settings_for(dsn), None).text
        check(settings_for(dsn, text))
        assert connection.execute(shape).fetchone() == before


@pytest.mark.parametrize("path", sorted(FILES.glob("*.toml")), ids=lambda path: path.stem)
def test_of_a_mapping_that_is_kept_equal_nothing_is_refused_but_properties_to_be_made(
    owned: Callable[..., str], settings_for: Callable[..., Any], path: Path
) -> None:
    dsn = owned((SCHEMAS / f"{path.stem}.sql").read_text())
    lines = [str(each) for each in check(settings_for(dsn, path.read_text())) if each.is_refused]
    assert [line for line in lines if "no such property in HubSpot" not in line] == []
