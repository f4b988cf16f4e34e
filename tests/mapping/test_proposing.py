"""A mapping file from values alone: the table that fits, its columns, and what nobody can know."""

from typing import Any

import pytest

from reconciler.mapping.catalogue import Catalogue, Column, Found, Sample, Unique
from reconciler.mapping.choosing import NoTable, choose
from reconciler.mapping.file import DeadMark, MappingFile
from reconciler.mapping.properties import Property
from reconciler.mapping.proposing import Proposal, propose
from reconciler.mapping.reading import parse

PROPERTIES = {
    name: Property(name=name)
    for name in ("email", "firstname", "lastname", "phone", "company", "city", "date_of_birth", "industry")
} | {
    "score": Property(name="score", type="number", form="number"),
    "lead_status": Property(name="lead_status", type="enumeration", form="select", options=("NEW",)),
    "num_notes": Property(name="num_notes", type="number", form="number", is_writable=False),
}


def column(name: str, type: str = "text", **more: Any) -> Column:
    quoted = name if name.islower() and name != "primary" else f'"{name}"'
    return Column(name=name, **{"quoted": quoted, "type": type, "base": type, **more})


def needed(name: str, type: str = "text", **more: Any) -> Column:
    return column(name, type, is_required=True, **more)


ID = needed("id", "int4", is_filled=True)


def table(name: str, *columns: Column, rows: int = 10, uniques: tuple[Unique, ...] = ()) -> Found:
    key = Unique(name="pkey", columns=("id",))
    return Found(name=name, columns=(ID, *columns), rows=rows, key=("id",), uniques=(key, *uniques))


def catalogue(*tables: Found) -> Catalogue:
    return Catalogue(tables={each.name: each for each in tables}, names=tuple(each.name for each in tables))


def proposal(*tables: Found, samples: dict[str, Sample] | None = None, name: str | None = None) -> Proposal:
    known = catalogue(*tables)
    return propose(choose(known, name), known, PROPERTIES, samples or {})


def proposed(*columns: Column, samples: dict[str, Sample] | None = None) -> tuple[MappingFile, str]:
    text = proposal(table("public.users", column("email"), *columns), samples=samples).text
    return parse(text), text


NAMES = (column("first_name"), column("last_name"))


@pytest.mark.parametrize(
    ("tables", "chosen"),
    [
        ([table("public.users", column("email")), table("public.audit_log", column("email"))], "public.users"),
        ([table("public.clients", column("email"), *NAMES), table("public.leads", column("email"))], "public.clients"),
        (
            [table("public.customers", column("email")), table("public.users", column("email"), rows=0)],
            "public.customers",
        ),
        ([table("shop.person", column("mail"), *NAMES), table("public.orders", column("email"))], "shop.person"),
        (
            [table("public.users", column("email")), table("public.user_invitations", column("email"), *NAMES)],
            "public.users",
        ),
    ],
)
def test_the_table_of_people_is_chosen(tables: list[Found], chosen: str) -> None:
    assert choose(catalogue(*tables), None).found.name == chosen
    assert choose(catalogue(*reversed(tables)), None).found.name == chosen


def test_a_table_is_asked_for_with_its_schema_or_without() -> None:
    tables = catalogue(table("public.users", column("email")), table("public.things", column("email")))
    assert choose(tables, "things").found.name == choose(tables, "public.things").found.name == "public.things"
    with pytest.raises(NoTable, match=r"no table user: users is one"):
        choose(tables, "user")


def test_a_database_without_addresses_has_no_table_for_it() -> None:
    with pytest.raises(NoTable, match="no table has a column of addresses"):
        choose(catalogue(table("public.users", column("name"))), None)


def test_columns_are_found_by_what_they_are_called() -> None:
    file, _ = proposed(
        column("givenName"), column("surname"), column("phone_number"), column("CompanyName"), column("score", "int4")
    )
    assert {name: each.column for name, each in file.fields.items()} == {
        "email": "email",
        "firstname": "givenName",
        "lastname": "surname",
        "phone": "phone_number",
        "company": "CompanyName",
        "score": "score",
    }
    assert file.fields["score"].type == "number"


def test_what_does_not_fit_its_property_is_left_out_or_only_shown() -> None:
    file, _ = proposed(
        column("phone", "jsonb"),
        column("num_notes", "int4"),
        column("lead_status", "status", labels=("new",)),
        column("birthday", "date"),
        column("industry", is_computed=True),
    )
    directions = {name: str(each.direction) for name, each in file.fields.items()}
    assert directions == {"email": "both", "date_of_birth": "to_hubspot", "industry": "to_hubspot"}


FULL = column("name")
LAST = column("last_name")


@pytest.mark.parametrize(
    ("columns", "samples", "shown"),
    [
        ((FULL,), {}, {"firstname": None, "lastname": None}),
        ((FULL, *NAMES), {}, {"firstname": "first_name", "lastname": "last_name"}),
        ((FULL, LAST), {"last_name": Sample(rows=9, filled=3)}, {"firstname": "name", "lastname": "last_name"}),
        ((FULL, LAST), {"last_name": Sample(rows=9)}, {"firstname": None, "lastname": None}),
        ((FULL, LAST), {"last_name": Sample()}, {"firstname": "name", "lastname": "last_name"}),
        ((LAST,), {}, {"lastname": "last_name"}),
        ((), {}, {}),
    ],
)
def test_names_are_where_the_rows_have_them(
    columns: tuple[Column, ...], samples: dict[str, Sample], shown: dict[str, str | None]
) -> None:
    file, _ = proposed(*columns, samples=samples)
    assert {name: each.column for name, each in file.fields.items() if name != "email"} == shown
    assert bool(file.groups) is (None in shown.values())


def test_a_name_that_may_not_be_null_is_written_as_an_empty_one() -> None:
    assert proposed(FULL)[0].groups["name"].write["name"].startswith("nullif(")
    assert proposed(needed("name"))[0].groups["name"].write["name"].startswith("concat_ws(")


@pytest.mark.parametrize(
    ("columns", "deleted"),
    [
        ((), "row"),
        ((column("deleted_at", "timestamptz"),), DeadMark(column="deleted_at")),
        ((column("deletedAt", "timestamp"), column("active", "bool")), DeadMark(column="deletedAt")),
        ((needed("is_deleted", "bool"),), DeadMark(column="is_deleted", alive=False)),
        ((column("is_active", "bool"),), DeadMark(column="is_active", alive=True)),
        ((column("active", "int4"), column("activebool", "bool")), DeadMark(column="activebool", alive=True)),
        ((column("active", "int4"),), "row"),
        ((needed("deleted_at", "timestamptz"),), "row"),
    ],
)
def test_a_dead_row_is_told_by_its_mark(columns: tuple[Column, ...], deleted: Any) -> None:
    assert proposed(*columns)[0].table.deleted == deleted


def test_a_flag_of_life_is_set_on_a_new_row() -> None:
    assert proposed(column("is_active", "bool"))[0].table.insert == {"is_active": "true"}


@pytest.mark.parametrize(
    ("columns", "where"),
    [
        ((needed("is_staff", "bool"),), "not is_staff"),
        ((column("is_admin", "bool"),), "is_admin is not true"),
        ((column("role", "role", labels=("USER", "ADMIN")),), "role <> 'ADMIN'"),
        ((column("role"),), "role <> 'admin'"),
        ((column("tenant_id", "int4"),), "tenant_id = 1"),
        ((column("org_id", "uuid"),), "org_id = '...'"),
    ],
)
def test_staff_and_tenants_are_asked_about(columns: tuple[Column, ...], where: str) -> None:
    file, text = proposed(*columns)
    assert file.table.where is None
    assert f'# where = "{where}"' in text


def test_guests_are_asked_about_where_an_address_is_unique_beside_a_flag() -> None:
    both = Unique(name="both", columns=("email", "has_account"))
    found = table("public.users", column("email"), needed("has_account", "bool", is_filled=True), uniques=(both,))
    assert '# where = "has_account"' in proposal(found).text


@pytest.mark.parametrize(
    ("lacking", "sql"),
    [
        (needed("username", "varchar", limit=30), "left($email, 30)"),
        (needed("username_lower"), "lower($email)"),
        (needed("encrypted_password"), "'!'"),
        (needed("is_bot", "bool"), "false"),
        (needed("level", "int4"), "0"),
        (needed("joined", "timestamptz"), "now()"),
        (needed("born", "date"), "current_date"),
        (needed("extra", "jsonb"), "'{}'"),
        (needed("tags", "text", is_array=True), "'{}'"),
        (needed("note"), "''"),
        (needed("kind", "kind", labels=("it's", "b")), "'it''s'"),
        (needed("token", "uuid"), "gen_random_uuid()"),
    ],
)
def test_a_new_row_has_the_simplest_value_that_fits(lacking: Column, sql: str) -> None:
    assert proposed(lacking)[0].table.insert == {lacking.name: sql}


@pytest.mark.parametrize("lacking", [needed("store_id", "int4", references="public.store"), needed("place", "point")])
def test_what_nobody_can_know_is_asked_for_and_no_row_is_made(lacking: Column) -> None:
    file, text = proposed(lacking)
    assert file.table.insert is False
    assert f'# insert = {{ {lacking.name} = "..." }}' in text


def test_a_key_without_a_default_is_made_up_where_it_is_a_text() -> None:
    key = Unique(name="pkey", columns=("id",))
    for base, insert in (("text", {"id": "gen_random_uuid()::text"}), ("int4", False)):
        found = Found(name="public.users", columns=(needed("id", base), column("email")), key=("id",), uniques=(key,))
        assert parse(proposal(found).text).table.insert == insert


def test_addresses_are_found_in_another_table() -> None:
    emails = table(
        "public.user_emails",
        needed("user_id", "int4", references="public.users"),
        needed("email"),
        needed("primary", "bool", is_filled=True),
        needed("created_at", "timestamptz"),
    )
    (joined,) = parse(proposal(table("public.users", FULL), emails).text).joined
    assert (joined.table, joined.on, joined.where) == ("public.user_emails", ("user_id",), '"primary"')
    assert joined.insert == {"created_at": "now()", "primary": "true"}
    assert joined.fields["email"].column == "email"


def test_an_empty_text_is_stored_where_the_application_does_so() -> None:
    first = needed("first_name")
    assert proposed(first)[0].contacts.requires == ("email", "firstname")
    file, _ = proposed(first, samples={"first_name": Sample(rows=5, filled=4, emptied=1)})
    assert (file.table.empty, file.contacts.requires) == ("", ("email",))


def test_whatever_names_a_catalogue_has_the_file_can_be_read() -> None:
    odd = ['a"b', "a'b", "a\\b", "a b", "ä.ö", "a\tb", "a\x7fb", "\"'"]
    columns = [needed(name, "int4", quoted='"' + name.replace('"', '""') + '"') for name in odd]
    file, _ = proposed(*columns, needed('Is "Staff"', "bool", quoted='"Is ""Staff"""', is_filled=True))
    assert file.table.insert == dict.fromkeys(odd, "0")
    first = Column(name="Name", quoted='"Name"', type="text", base="text")
    assert proposed(first)[0].fields["firstname"].read == "split_part(\"Name\", ' ', 1)"


def test_what_is_not_mapped_is_noted_beside_the_file() -> None:
    notes = proposal(table("public.users", column("email"), column("shoe_size", "int4"))).notes
    assert "not mapped: shoe_size" in notes
