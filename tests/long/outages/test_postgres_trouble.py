"""Postgres in trouble: every caller hears so in time, nothing is done by halves, and work goes on by itself."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from clusters import on_a_small_disk
from deliveries import event, signed
from histories import count, person, traces
from hours import Process, pass_time
from processes import environment_of, running
from states import assert_sound, assert_unspent, parked, people
from systems import ApiInProcess, Hook, api_in_process
from world import World, until

from reconciler.adapters.postgres.database import Database, open_pool
from reconciler.process import wiring

IN_TIME = 8.0
"""Seconds within which every caller has an answer; the rule is two, and this machine may be slow."""

LONG = "x" * 60_000

END_COUNTING = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and wait_event_type = 'Lock' and query like '%%insert into sync.day%%'
"""

KILLS = int(os.environ.get("OUTAGE_KILLS", "60"))


def assert_unavailable(reply: Any) -> None:
    assert (reply.status, reply.json["code"]) in ((503, "database_unavailable"), (503, "unavailable"))
    assert int(reply.headers["retry-after"]) > 0


def assert_unavailable_in_time(*calls: Callable[[], Any]) -> None:
    """All of them at once hear that there is no database, and that soon."""

    def timed(call: Callable[[], Any]) -> tuple[Any, float]:
        began = time.monotonic()
        return call(), time.monotonic() - began

    with ThreadPoolExecutor(len(calls)) as threads:
        for reply, seconds in threads.map(timed, calls):
            assert_unavailable(reply)
            assert seconds < IN_TIME


def deliver(hook: Hook, *ids: int) -> Any:
    return hook.call("POST", "/", **signed([event(each) for each in ids]))


def new(email: str, **more: str) -> dict[str, str]:
    return {"email": email, "firstname": "N", "lastname": "N", **more}


def every_call(api: ApiInProcess) -> Iterator[Callable[[], Any]]:
    """One of each kind that needs the database."""
    yield lambda: api.user("GET", "/c0@example.com")
    yield lambda: api.admin("POST", "/", new("now@example.com"))
    yield lambda: api.admin("POST", "/", new("later@example.com"), Prefer="respond-async")
    yield lambda: api.admin("PUT", "/c1@example.com", {"phone": "1"})
    yield lambda: api.admin("DELETE", "/c2@example.com")


def assert_nothing_was_done(world: World) -> None:
    """The calls that were refused have left nothing behind."""
    assert world.customer("now@example.com") is None
    assert world.contact("now@example.com") is None
    assert world.customer("later@example.com") is None
    assert world.customer("c1@example.com")["phone"] is None
    assert world.customer("c2@example.com")
    assert world.contact("c2@example.com")


def test_a_table_locked_by_an_operator_is_said_in_time_and_waited_out(
    world: World, api: ApiInProcess, hook: Hook, stack: ExitStack
) -> None:
    people(world, 10)
    pool = stack.enter_context(open_pool(world.dsn, size=4))
    process = Process(wiring.build(world.settings, Database(pool)), 3600)
    contact = world.portal.contact("c3@example.com")
    world.portal.edit(contact.id, {"phone": "3"})
    with psycopg.connect(world.dsn) as operator:
        operator.execute("lock table customer in access exclusive mode")
        assert_unavailable_in_time(*every_call(api))
        assert deliver(hook, contact.id).status == 204
        process.turn()
        assert_unspent(world)
    assert_nothing_was_done(world)
    assert api.user("GET", "/c0@example.com").status == 200
    pass_time(world, 120)
    assert_sound(world)
    assert world.customer("c3@example.com")["phone"] == "3"


def test_a_session_that_ends_while_a_call_is_counted_is_no_outage_of_hubspots(world: World, api: ApiInProcess) -> None:
    people(world, 2)
    with psycopg.connect(world.dsn) as operator, ThreadPoolExecutor(1) as threads:
        operator.execute("lock table sync.day in access exclusive mode")
        write = threads.submit(api.admin, "PUT", "/c0@example.com", {"phone": "0"})
        until(lambda: world.sql(END_COUNTING))
        operator.rollback()
        assert_unavailable(write.result())
    assert world.sql("select * from sync.causes") == []
    assert api.admin("PUT", "/c1@example.com", {"phone": "1"}).status == 200
    pass_time(world, 120)
    assert_sound(world)


@contextmanager
def every_connection(dsn: str) -> Iterator[None]:
    """Somebody else holds all the connections that the server has."""
    held: list[psycopg.Connection[Any]] = []
    try:
        while True:
            held.append(psycopg.connect(dsn))
    except psycopg.OperationalError:
        yield
    finally:
        for each in held:
            each.close()


@pytest.mark.skipif("DATABASE_URL" in os.environ, reason="the server is not ours alone")
def test_without_a_free_connection_every_caller_hears_so_in_time(
    world: World, server: str, stack: ExitStack, make_hook: Callable[..., Hook]
) -> None:
    people(world, 10)
    contact = world.portal.contact("c3@example.com")
    world.portal.edit(contact.id, {"phone": "3"})
    with ExitStack() as others:
        # The pool that the system gets has no connection yet.
        pool = open_pool(world.dsn, size=4)
        database = Database(pool)
        api, hook = api_in_process(world, database), make_hook(database=database)
        others.enter_context(every_connection(server))
        stack.enter_context(pool)
        process = Process(wiring.build(world.settings, database), 3600)
        others_too = (lambda: deliver(hook, contact.id), lambda: api.anyone("GET", "/readyz"))
        assert_unavailable_in_time(*every_call(api), *others_too)
        process.turn()
    assert_nothing_was_done(world)
    until(lambda: api.user("GET", "/c0@example.com").status == 200)
    until(lambda: deliver(hook, contact.id).status == 204)
    assert api.admin("PUT", "/c1@example.com", {"phone": "1"}).status == 200
    process.turn()
    assert_unspent(world)
    assert_sound(world)
    assert world.customer("c3@example.com")["phone"] == "3"


def test_a_database_that_only_reads_is_an_outage_and_is_reconnected_to_afterwards(
    world: World, api: ApiInProcess, hook: Hook, database: Database
) -> None:
    people(world, 10)
    contact = world.portal.contact("c3@example.com")
    world.portal.edit(contact.id, {"phone": "3"})
    process = Process(wiring.build(world.settings, database), 3600)
    name = world.connection.info.dbname
    world.sql(f'alter database "{name}" set default_transaction_read_only = on')
    end_sessions(world, hook)
    until(lambda: api.user("GET", "/c0@example.com").status == 200)
    for call in list(every_call(api))[1:]:
        assert_unavailable(call())
    assert_unavailable(deliver(hook, contact.id))
    world.sql("select sync.mark(array_agg('u:' || uuid), 1) from customer")
    process.turn()
    world.sql(f'alter database "{name}" reset default_transaction_read_only')
    until(lambda: deliver(hook, contact.id).status == 204)
    until(lambda: api.admin("PUT", "/c5@example.com", {"phone": "1"}).status == 200)
    assert_nothing_was_done(world)
    pass_time(world, 120)
    assert_unspent(world)
    assert_sound(world)
    assert world.customer("c3@example.com")["phone"] == "3"


def end_sessions(world: World, hook: Hook, *, most: int = 1000) -> int:
    """End some of the sessions of the system, chosen at random; return how many."""
    watching = [world.connection.info.backend_pid, hook.connection.info.backend_pid]
    ended = world.sql(
        "select pg_terminate_backend(pid) from (select pid from pg_stat_activity where datname = current_database() "
        "and backend_type = 'client backend' and pid <> all(%s) order by random() limit %s) each",
        watching,
        most,
    )
    return len(ended)


class Busy:
    """Work in threads of its own, again and again, until it is stopped; the answers are kept."""

    def __init__(self, **work: Callable[[int], Any]) -> None:
        self._stopped = threading.Event()
        self.answers: dict[str, list[Any]] = {name: [] for name in work}
        self._broken: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, args=each, daemon=True) for each in work.items()]
        for thread in self._threads:
            thread.start()

    def _run(self, name: str, work: Callable[[int], Any]) -> None:
        n = 0
        try:
            while not self._stopped.is_set():
                self.answers[name].append(work(n))
                n += 1
        except BaseException as error:
            self._broken.append(error)

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()
        assert self._broken == []


def test_sessions_that_are_ended_at_random_cost_nothing_that_was_acknowledged(
    world: World, api: ApiInProcess, hook: Hook, stack: ExitStack
) -> None:
    people(world, 20)
    pool = stack.enter_context(open_pool(world.dsn, size=4))
    parts = wiring.build(world.settings.model_copy(update={"hubspot_rate_per_10s": 5000}), Database(pool))
    parts.budget.shape()
    process = Process(parts, 3600)
    contact = world.portal.contact("c3@example.com")

    def edit_contact(n: int) -> int:
        world.portal.edit(contact.id, {"phone": str(n)})
        return int(deliver(hook, contact.id).status)

    busy = Busy(
        created=lambda n: api.admin("POST", "/", new(f"new{n}@example.com")).status,
        changed=lambda n: api.admin("PUT", "/c1@example.com", {"phone": str(n)}).status,
        kept=lambda n: api.admin("POST", "/", new(f"later{n}@example.com"), Prefer="respond-async").status,
        delivered=edit_contact,
        drained=lambda n: process.turn(),
    )
    ended = 0
    deadline = time.monotonic() + 60
    while ended < KILLS and time.monotonic() < deadline:
        ended += end_sessions(world, hook, most=1)
        time.sleep(0.05)
    busy.stop()
    assert ended >= KILLS

    pass_time(world, 3600)
    world.quiet()
    pass_time(world, 3600)
    world.quiet()
    assert set(busy.answers["created"]) <= {201, 409, 500, 503}
    assert set(busy.answers["changed"]) <= {200, 500, 503}
    assert set(busy.answers["kept"]) <= {202, 503}
    assert set(busy.answers["delivered"]) <= {204, 503}
    for name, done in (("new", 201), ("later", 202)):
        answers = busy.answers["created" if done == 201 else "kept"]
        for n, status in enumerate(answers):
            assert status != done or world.contact(f"{name}{n}@example.com"), f"{name}{n} was acknowledged"
    addresses = [each.email for each in world.portal.contacts]
    assert len(addresses) == len(set(addresses))
    last = max(n for n, status in enumerate(busy.answers["changed"]) if status == 200)
    assert int(world.contact("c1@example.com")["phone"]) >= last
    assert parked(world) == []
    assert_sound(world)


def batch(n: int) -> range:
    """The contacts of a delivery that nobody knows yet."""
    return range((n + 1) * 1000, (n + 1) * 1000 + 100)


def fill_up(hook: Hook) -> int:
    """Deliver until there is no room any more; return how many deliveries were taken."""
    for n in range(1000):
        reply = deliver(hook, *batch(n))
        if reply.status != 204:
            assert_unavailable(reply)
            return n
    raise AssertionError("the disk does not get full")


def test_a_full_disk_refuses_whole_and_takes_again_when_there_is_room(
    tmp_path: Path, stack: ExitStack, make_world: Callable[[str], World]
) -> None:
    dsn, disk = stack.enter_context(on_a_small_disk(tmp_path, "200m"))
    world = make_world(dsn)
    pool = stack.enter_context(open_pool(dsn, size=4))
    database = Database(pool)
    api, hook = api_in_process(world, database), Hook(dsn, database)
    stack.callback(hook.connection.close)
    people(world, 20)

    disk.fill()
    taken = fill_up(hook)
    bodies = [new(f"later{n}@example.com", company=LONG) for n in range(9)]
    kept = [api.admin("POST", "/", body, Prefer="respond-async") for body in bodies]
    assert {reply.status for reply in kept} <= {202, 503}
    assert_unavailable(kept[-1])
    assert api.user("GET", "/c0@example.com").status == 200
    marked = {int(subject[2:]) for subject in hook.marks() if subject.startswith("c:")}
    assert marked == {each for n in range(taken) for each in batch(n)}, "a delivery is there whole or not at all"
    Process(wiring.build(world.settings, database), 3600).turn()

    disk.free()
    until(lambda: deliver(hook, world.portal.contact("c3@example.com").id).status == 204)
    until(lambda: api.admin("PUT", "/c1@example.com", {"phone": "1"}).status == 200)
    pass_time(world, 3600)
    world.quiet()
    for n, reply in enumerate(kept):
        assert (reply.status == 202) == bool(world.contact(f"later{n}@example.com"))
    assert_sound(world)


def test_the_erase_command_comes_again_while_an_insert_is_under_way(world: World, tmp_path: Path) -> None:
    person(world, email="kai@example.com", company="Acme")
    command = [sys.executable, "-m", "reconciler", "erase", "kai@example.com"]
    with (
        psycopg.connect(world.dsn) as application,
        running(command, environment_of(world), tmp_path / "log") as operator,
    ):
        application.execute("insert into customer (email) values ('uwe@example.com')")
        until(lambda: count(world, "sync.tombstone where era is not null"))
        assert operator.process.poll() is None, operator.log
        application.commit()
        assert operator.process.wait(20) == 0, operator.log
    assert traces(world, "kai@example.com") == []
