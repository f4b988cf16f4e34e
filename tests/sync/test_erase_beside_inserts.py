"""An erase waits for the inserts that may not know of it, and for no others; none of them waits for it."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from typing import Any

import psycopg
import pytest
from histories import Person, assert_erased, change, row
from psycopg.errors import CheckViolation
from world import World, until

from reconciler.commands.erase import StillDue, erase

OF_KAI = {"company": "Acme"}

MOMENT = "100ms"
"""What an application has patience for."""

WAITING = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"


@contextmanager
def inserting(world: World, email: str) -> Iterator[Any]:
    """An application's transaction with an insert, which stays open."""
    with psycopg.connect(world.dsn) as application:
        application.execute("insert into customer (email) values (%s)", [email])
        yield application


def erased_once(world: World, address: str) -> bool:
    """Look once as the command does, which comes again."""
    try:
        return erase(world.parts, address, patience=0)
    except StillDue:
        return False


def in_the_end(world: World) -> bool:
    return erased_once(world, "kai@example.com")


def test_inserts_do_not_wait_for_an_erase_that_waits(world: World, kai: Person) -> None:
    with inserting(world, "uwe@example.com") as application:
        asked, stopped = threading.Event(), threading.Event()

        def ask() -> None:
            while not stopped.is_set():
                assert not in_the_end(world)
                asked.set()

        with ThreadPoolExecutor(1) as operator:
            operating = operator.submit(ask)
            try:
                with psycopg.connect(world.dsn, autocommit=True) as other:
                    other.execute(f"set lock_timeout = '{MOMENT}'")
                    for n in count():
                        other.execute("insert into customer (email) values (%s)", [f"c{n}@example.com"])
                        if n >= 50 and asked.is_set():
                            break
            finally:
                stopped.set()
            operating.result()
        assert row(world, kai[0])["erasedat"] is None
        application.commit()
    until(lambda: in_the_end(world))
    assert_erased(world)


def test_an_erase_does_not_starve_among_inserts_that_overlap(world: World, kai: Person) -> None:
    """There is always one open, and each outlasts any wait of the erase."""
    with psycopg.connect(world.dsn) as one, psycopg.connect(world.dsn) as other:
        for n, (ending, beginning) in enumerate([(one, other), (other, one)] * 3):
            beginning.execute("insert into customer (email) values (%s)", [f"c{n}@example.com"])
            ending.commit()
            if in_the_end(world):
                break
        else:
            raise AssertionError("it starves")
    assert_erased(world)


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_an_insert_of_the_address_that_began_before_is_erased_too(world: World, kai: Person, end: str) -> None:
    world.sql("update customer set deletedat = now()")
    world.quiet()
    with inserting(world, "kai@example.com") as application:
        assert not in_the_end(world)
        with pytest.raises(CheckViolation):
            # Not alive, so that it does not wait for the other.
            world.insert(email="kai@example.com", deletedat="2026-01-01")
        getattr(application, end)()
    until(lambda: in_the_end(world))
    world.quiet()
    assert_erased(world)


def test_an_insert_that_ends_while_it_is_looked_for_is_erased_too(world: World, kai: Person) -> None:
    """What the erase has found of the person is out of date when it asks which inserts are still under way."""
    world.sql("update customer set deletedat = now()")
    world.sql("select sync.make_salt()")
    world.quiet()
    # It would give up the wait that it is caught in.
    world.sql("alter function sync.erase(uuid, boolean) set lock_timeout = '30s'")
    with inserting(world, "kai@example.com") as application, psycopg.connect(world.dsn) as other:
        other.execute("insert into sync.tombstone (hash) values (sync.hash_of('kai@example.com'))")
        with ThreadPoolExecutor(1) as operator:
            operating = operator.submit(_erase_unannounced, world, kai)
            until(lambda: world.sql(WAITING))
            application.commit()
            other.rollback()
        operating.result()
    assert_erased(world)


def _erase_unannounced(world: World, kai: Person) -> None:
    with psycopg.connect(world.dsn) as operator:
        operator.execute("set local sync.own = on")
        operator.execute("select sync.erase(%s)", [kai[0]])


def test_a_former_address_that_an_insert_under_way_takes_is_anothers(world: World, kai: Person) -> None:
    change(world, kai[0], email="new@example.com")
    world.quiet()
    with inserting(world, "kai@example.com") as application:
        assert not erased_once(world, "new@example.com")
        application.commit()
    until(lambda: erased_once(world, "new@example.com"))
    assert [each["email"] for each in world.sql("select email from customer where deletedat is null")] == [
        "kai@example.com"
    ]
    world.quiet()
    world.sweep()
    assert [each.email for each in world.portal.contacts] == ["kai@example.com"]
    world.assert_equal()
    world.assert_fixpoint()
