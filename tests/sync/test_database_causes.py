"""What the database is in the way with is a cause of the system: it has a name, spends nothing and ends by itself."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from histories import Person, count, row
from psycopg.conninfo import make_conninfo
from world import World

from reconciler.adapters.postgres.database import Database, open_pool
from reconciler.adapters.postgres.install import Refused, install
from reconciler.core.errors import Transient

SCHEMA = Path(__file__).parents[2] / "schema.sql"
RENAME = ("alter table customer rename column company to firm", "alter table customer rename column firm to company")
READ_ONLY = ("alter database {name} set default_transaction_read_only = on", "alter database {name} reset all")
GRANT = ("revoke update on customer from {role}", "grant update on customer to {role}")


@contextmanager
def fresh(world: World, user: str | None = None) -> Iterator[World]:
    """The same world seen by a process that connects now."""
    before, dsn = world.parts, make_conninfo(world.dsn, **({"user": user} if user else {}))
    with open_pool(dsn, size=4) as pool:
        world.parts = world.rebuilt(Database(pool))
        yield world
    world.parts = before


def owner(world: World, statement: str, role: str) -> None:
    name = f'"{world.connection.info.dbname}"'
    with psycopg.connect(world.dsn, autocommit=True) as connection:
        connection.execute("set default_transaction_read_only = off")
        connection.execute(statement.format(name=name, role=role))


@pytest.mark.parametrize(("statements", "cause"), [(RENAME, "schema"), (READ_ONLY, "read_only"), (GRANT, "privilege")])
def test_a_database_in_the_way_is_named_and_spends_nothing(
    world: World, kai: Person, syncer: str, statements: tuple[str, str], cause: str
) -> None:
    breaks, mends = statements
    world.portal.edit(str(kai[1]), {"company": "there"})
    world.event(kai[1])
    owner(world, breaks, syncer)
    with fresh(world, syncer) as now:
        for _ in range(4):
            with suppress(Transient):
                now.parts.reconciler.drain()
        assert {each["cause"] for each in now.parts.database.rows("causes")} == {cause}
    owner(world, mends, syncer)
    assert count(world, "sync.mark where attempts > 0 or delays > 0") == 0
    with fresh(world, syncer) as now:
        assert now.parts.database.rows("causes") == []
        now.quiet()
    assert row(world, kai[0])["company"] == "there"
    world.assert_equal()


def test_a_column_that_was_renamed_is_not_made_anew_empty(world: World, kai: Person) -> None:
    world.sql(RENAME[0])
    with pytest.raises(Refused, match="customer lacks company"):
        install(world.dsn, SCHEMA.read_text())
    world.sql(RENAME[1])
    install(world.dsn, SCHEMA.read_text())
    world.quiet()
    assert world.contact("kai@example.com")["company"] == row(world, kai[0])["company"]
