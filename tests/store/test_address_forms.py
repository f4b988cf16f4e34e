"""An address has one canonical form, the same in Python and SQL, whatever blanks, letters and locale it meets."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.conninfo import make_conninfo
from world import World

from reconciler.adapters.postgres.customer_store import PostgresCustomerStore
from reconciler.commands.backfill import Backfill
from reconciler.commands.erase import erase
from reconciler.core.letters import RUNS
from reconciler.core.values import normalise_email

ROOT = Path(__file__).parents[2]
LOCALES = ("C", "C.UTF-8", "tr")

ENDS = ["\r", "\n", "\r\n", "\t", "\v", "\x1f", "\x85", "\u00a0", "\u3000", " \t\u2009"]


@cache
def everything() -> list[str]:
    """Every character that a text may have."""
    return [chr(code) for code in range(1, 0x110000) if not 0xD800 <= code < 0xE000]


def telling() -> list[str]:
    """The characters at which a form could show."""
    return [c for c in everything() if c < "\u3100" or c.isspace() or c != c.lower() or c != c.upper()]


@pytest.fixture(scope="module")
def connections(server: str) -> Iterator[dict[str, "psycopg.Connection[tuple[str | None]]"]]:
    """A database under each locale that this server has, with the schema."""
    found = {}
    with psycopg.connect(server, autocommit=True) as connection:
        for locale in LOCALES:
            name = f"locale_{uuid4().hex[:12]}"
            how = "locale_provider icu icu_locale 'tr' locale 'C'" if locale == "tr" else f"locale '{locale}'"
            try:
                connection.execute(f"create database \"{name}\" template template0 encoding 'UTF8' {how}".encode())
            except psycopg.DatabaseError:
                continue
            found[locale] = psycopg.connect(make_conninfo(server, dbname=name), autocommit=True)
            found[locale].execute((ROOT / "schema.sql").read_bytes())
        assert "C" in found
        assert len(found) > 1
        yield found
        for opened in found.values():
            connection.execute(f'drop database "{opened.info.dbname}" with (force)'.encode())
            opened.close()


def canonical(connection: "psycopg.Connection[tuple[str | None]]", texts: list[str]) -> list[str | None]:
    question = "select sync.address(each) from unnest(%s::text[]) with ordinality as asked(each, n) order by n"
    return [row[0] for row in connection.execute(question, [texts])]


def assert_agreed(connections: dict[str, "psycopg.Connection[tuple[str | None]]"], texts: list[str]) -> None:
    here = [normalise_email(text) for text in texts]
    for locale, connection in connections.items():
        different = [t for t, h, s in zip(texts, here, canonical(connection, texts), strict=True) if h != s]
        assert not different, (locale, different[:10])


def test_python_and_sql_agree_on_every_character(
    connections: dict[str, "psycopg.Connection[tuple[str | None]]"],
) -> None:
    assert_agreed(connections, ["".join(everything()[n : n + 64]) for n in range(0, len(everything()), 64)])


@pytest.mark.parametrize("form", ["{}", "{}@x.de{}", "ΑΣ{}"])
def test_python_and_sql_agree_wherever_a_character_stands(
    connections: dict[str, "psycopg.Connection[tuple[str | None]]"], form: str
) -> None:
    assert_agreed(connections, [form.replace("{}", character) for character in telling()])


@given(st.lists(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])), max_size=50))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_python_and_sql_agree_on_any_text(
    connections: dict[str, "psycopg.Connection[tuple[str | None]]"], texts: list[str]
) -> None:
    here = [normalise_email(text) for text in texts]
    assert [normalise_email(text) for text in here] == here
    for connection in connections.values():
        assert canonical(connection, texts) == here


def test_no_letter_is_told_by_its_neighbours_and_none_by_the_language() -> None:
    assert normalise_email("ΑΣ") == "ας".replace("ς", "σ")
    assert normalise_email("İ@X.DE") == "i̇@x.de"
    assert normalise_email("I@X.DE") == "i@x.de"
    assert normalise_email("\r\n\u00a0") is None


def test_the_letters_are_those_of_this_pythons_unicode_where_it_knows_them() -> None:
    known = {c for c in everything() if c != c.lower()}
    assert {c: normalise_email(c) for c in known if len(c.lower()) == 1} | {"İ": "i̇"} == {c: c.lower() for c in known}


def test_the_schema_has_the_same_letters() -> None:
    found = re.search(r"runs text := '([^']+)'", (ROOT / "schema.sql").read_text())
    assert found
    assert found[1].split() == RUNS.split()


@pytest.mark.parametrize("end", ENDS)
def test_a_row_whose_address_ends_in_any_blank_is_erased_and_stays_so(world: World, end: str) -> None:
    uuid = world.insert(email=f"Kai@example.com{end}", firstname="Kai")
    world.quiet()
    assert erase(world.parts, "kai@example.com")
    world.quiet()
    gone = world.sql("select email, firstname, erasedat from customer where uuid = %s", uuid)[0]
    assert gone["erasedat"] is not None
    assert gone["email"] is gone["firstname"] is None
    assert world.portal.contacts == []
    for again in ("kai@example.com", *(f"KAI@example.com{blank}" for blank in ENDS)):
        with pytest.raises(psycopg.errors.CheckViolation, match="this address was erased"):
            world.insert(email=again)


@pytest.mark.parametrize("address", ["kai@example.com\t", "\u00a0KAI@example.com", "KÄİΣ@example.com"])
def test_a_row_in_another_form_is_linked_once_by_the_backfill(world: World, address: str) -> None:
    world.portal.create({"email": normalise_email(address) or ""})
    world.insert(email=address)
    Backfill(world.parts).run()
    assert len(world.portal.contacts) == 1
    assert world.sql("select count(*) from customer") == [{"count": 1}]
    world.sweep()
    world.assert_fixpoint()


@pytest.mark.parametrize("end", ENDS)
def test_a_row_is_found_and_holds_its_address_whatever_it_ends_in(world: World, end: str) -> None:
    world.insert(email=f"kai@example.com{end}")
    assert list(PostgresCustomerStore(world.parts.database).by_address({"kai@example.com"})) == ["kai@example.com"]
    with pytest.raises(psycopg.errors.UniqueViolation):
        world.insert(email="kai@example.com")


def test_rows_without_an_address_hold_none(world: World) -> None:
    world.insert(email="", firstname="A")
    world.insert(email=" \t", firstname="B")
    world.insert(firstname="C")
    assert world.sql("select count(*) from customer") == [{"count": 3}]
