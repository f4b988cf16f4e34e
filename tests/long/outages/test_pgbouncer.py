"""Through PgBouncer in transaction mode: no LISTEN, no session settings, no prepared statements; everything works."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from deliveries import event, signed
from poolers import pooled
from processes import environment_of, reconcilers
from raw_http import ask
from running_servers import ROOT, bare, server
from states import assert_sound, due
from systems import api_environment, api_in_process, as_admin, webhook_environment
from world import World, until

from reconciler.adapters.postgres.database import Database, open_pool
from reconciler.commands.erase import erase
from reconciler.core.errors import Busy

KAI = {"email": "kai@example.com", "firstname": "Kai", "lastname": "K"}


@pytest.fixture
def through(dsn: str, tmp_path: Path, stack: ExitStack) -> str:
    """The connection string of this test's database, through the pooler."""
    return stack.enter_context(pooled(dsn, tmp_path))


@pytest.fixture
def database(through: str) -> Iterator[Database]:
    with open_pool(through, size=8) as pool:
        yield Database(pool)


def test_every_way_in_works_through_the_pooler(world: World, database: Database, make_hook: Callable[..., Any]) -> None:
    api, hook = api_in_process(world, database), make_hook()
    assert api.admin("POST", "/", KAI, Idempotency_Key="one").status == 201
    assert api.admin("POST", "/", KAI, Idempotency_Key="one").status == 201
    assert api.admin("PUT", "/kai@example.com", {"phone": "1"}).status == 200
    batch = [{"op": "create", **KAI, "email": f"c{n}@example.com"} for n in range(250)]
    assert {each["status"] for each in api.admin("POST", "/batch", batch).json} == {201}
    world.quiet()

    there = world.portal.create({"email": "there@example.com"})
    assert hook.call("POST", "/", **signed([event(there.id, "contact.creation")])).status == 204
    world.quiet()
    assert world.customer("there@example.com")

    world.sql("update customer set company = 'sql'")
    world.insert(email="sql@example.com")
    world.quiet()
    assert world.contact("c7@example.com")["company"] == "sql"
    assert world.contact("sql@example.com")

    assert api.admin("DELETE", "/c8@example.com").status == 204
    world.portal.delete(world.portal.contact("c9@example.com").id)
    world.sweep()
    assert world.customer("c9@example.com") is None
    assert erase(world.parts, "c10@example.com")
    world.quiet()
    assert world.contact("c10@example.com") is None
    assert world.sql("select count(*) from sync.tombstone") == [{"count": 1}]
    assert_sound(world)


def test_what_the_sync_writes_is_never_taken_for_an_edit_of_somebody_else(world: World, database: Database) -> None:
    """The setting that tells its own writes must not leak into the sessions that others get."""
    contacts = [world.portal.create({"email": f"c{n}@example.com"}) for n in range(50)]

    def edit(n: int) -> None:
        with open_pool(world.dsn, size=1) as pool, pool.connection() as somebody:
            somebody.execute("update customer set company = %s where email = %s", (f"sql{n}", f"c{n}@example.com"))

    world.event(*[contact.id for contact in contacts])
    world.quiet()
    with ThreadPoolExecutor(4) as threads:
        working = [threads.submit(edit, n) for n in range(50)]
        for _ in range(20):
            world.event(*[contact.id for contact in contacts])
            world.parts.reconciler.drain()
        assert all(each.result() is None for each in working)
    world.quiet()
    assert all(world.contact(f"c{n}@example.com")["company"] == f"sql{n}" for n in range(50))
    assert_sound(world)


def command(world: World, through: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = bare(environment_of(world, DATABASE_URL=through))
    return subprocess.run(
        [sys.executable, "-m", "reconciler", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True
    )


def test_real_processes_work_through_the_pooler(world: World, through: str, tmp_path: Path) -> None:
    assert command(world, through, "db", "init").returncode == 0
    with ExitStack() as stack:
        work_of_a_day(world, through, tmp_path, stack)
    assert_sound(world)


def work_of_a_day(world: World, through: str, tmp_path: Path, stack: ExitStack) -> None:
    both = stack.enter_context(reconcilers(world, tmp_path, 2, DATABASE_URL=through, POLL_INTERVAL="1"))
    api_settings = {**api_environment(world), "DATABASE_URL": through}
    api = stack.enter_context(server("api", api_settings, tmp_path / "api"))
    hook_settings = webhook_environment(world, DATABASE_URL=through)
    hook = stack.enter_context(server("webhook", hook_settings, tmp_path / "webhook"))
    admin = as_admin()

    body = b'{"email": "kai@example.com", "firstname": "K", "lastname": "K"}'
    assert ask(api.port, "POST", "/", body, **admin)[0] == 201
    assert ask(api.port, "PUT", "/kai@example.com", b'{"phone": "1"}', **admin)[0] == 200
    there = world.portal.create({"email": "there@example.com"})
    delivery = signed([event(there.id, "contact.creation")])
    headers = {name: value for name, value in delivery.items() if name != "data"}
    assert ask(hook.port, "POST", "/", delivery["data"], **headers)[0] == 204
    until(lambda: world.customer("there@example.com"))
    world.sql("insert into customer (email) select 'c' || n || '@example.com' from generate_series(1, 300) n")
    until(lambda: len(world.portal.contacts) == 302, seconds=60)
    world.portal.edit(there.id, {"phone": "polled"})
    until(lambda: world.customer("there@example.com")["phone"] == "polled", seconds=30)
    assert ask(api.port, "DELETE", "/kai@example.com", **admin)[0] == 204
    assert command(world, through, "erase", "c1@example.com").stdout == "erased\n"
    until(lambda: due(world) == 0, seconds=60)
    assert command(world, through, "audit").returncode == 0
    for log in (*(each.log for each in both), api.log, hook.log):
        assert ".bug" not in log
        assert "job.failed" not in log


def test_nothing_is_prepared_on_a_session_that_others_get(database: Database) -> None:
    for _ in range(20):
        database.rows("customers_by_address", addresses=["kai@example.com"])
        assert database.row("clock")
    with database._pool.connection() as connection:
        for _ in range(20):
            assert connection.execute("select name from pg_prepared_statements").fetchall() == []


def test_no_setting_of_ours_reaches_the_sessions_that_others_get(dsn: str, through: str) -> None:
    settings = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout", "timezone", "sync.own")

    def sessions() -> list[tuple[Any, ...]]:
        """What every session of the pooler has set."""
        with ExitStack() as stack:
            others = [stack.enter_context(psycopg.connect(through)) for _ in range(10)]
            questions = ", ".join(f"current_setting('{name}', true)" for name in settings)
            return [other.execute(f"select {questions}").fetchone() or () for other in others]

    with psycopg.connect(dsn) as connection:
        server = tuple((connection.execute(f"show {name}").fetchone() or ("",))[0] for name in settings[:-1])
    with open_pool(through, size=8) as pool, ThreadPoolExecutor(8) as threads:
        database = Database(pool)
        for _ in range(20):
            list(threads.map(lambda _: database.row("clock"), range(8)))
            with database.own() as work:
                work.row("clock")
        assert {(*session[:-1], session[-1] or "") for session in sessions()} == {(*server, "")}


def test_no_statement_waits_for_ever_behind_the_pooler(dsn: str, database: Database) -> None:
    with psycopg.connect(dsn) as other:
        other.execute("insert into sync.suspended (name, code) values ('phone', 'x')")
        with pytest.raises(Busy):
            database.rows("suspend", fields=["phone"], code="y")
