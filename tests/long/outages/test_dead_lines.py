"""A line to Postgres that goes dead in silence: the kernel in between goes on acknowledging, and no answer comes."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import running_servers
from deliveries import event, signed
from raw_http import ask
from silent_lines import Line, line_to
from states import people
from systems import api_environment, as_admin, webhook_environment
from world import World, until

from reconciler.adapters.postgres.database import Database, open_pool
from reconciler.adapters.postgres.listen import listen
from reconciler.core.errors import DatabaseDown

IN_TIME = 8.0
"""Seconds within which every caller has an answer."""

ADMIN = as_admin()


@pytest.fixture
def line(world: World) -> Iterator[Line]:
    with line_to(world.dsn) as line:
        yield line


def answered(port: int, method: str, path: str, body: bytes | None = None, **headers: str) -> int:
    """Return the status of a call, which must come in time."""
    return ask(port, method, path, body, seconds=IN_TIME, **headers)[0]


def test_the_api_answers_again_within_seconds(world: World, line: Line, tmp_path: Path) -> None:
    people(world, 4)
    with running_servers.server("api", api_environment(world, DATABASE_URL=line.dsn), tmp_path / "log") as api:

        def get() -> int:
            return answered(api.port, "GET", "/c0@example.com", **ADMIN)

        def put() -> int:
            return answered(api.port, "PUT", "/c1@example.com", b'{"phone": "1"}', **ADMIN)

        until(lambda: (get(), put(), answered(api.port, "GET", "/readyz")) == (200, 200, 200))
        line.go_dead()
        assert answered(api.port, "GET", "/livez") == 200
        assert {get(), put(), answered(api.port, "GET", "/readyz")} <= {200, 503}
        assert answered(api.port, "GET", "/healthz") in (200, 503)
        until(lambda: (get(), put(), answered(api.port, "GET", "/readyz")) == (200, 200, 200))


def test_the_receiver_takes_deliveries_again_within_seconds(world: World, line: Line, tmp_path: Path) -> None:
    environment = webhook_environment(world, DATABASE_URL=line.dsn)
    with running_servers.server("webhook", environment, tmp_path / "log") as webhook:

        def deliver() -> int:
            delivery = signed([event(101)])
            data = delivery.pop("data")
            return answered(webhook.port, "POST", "/", data, **{name: str(value) for name, value in delivery.items()})

        until(lambda: deliver() == 204)
        line.go_dead()
        assert answered(webhook.port, "GET", "/healthz") == 200
        assert deliver() in (204, 503)
        until(lambda: deliver() == 204)


def test_a_connection_that_does_not_answer_is_given_up_and_its_pool_gets_new_ones(line: Line) -> None:
    with open_pool(line.dsn, size=4, deadline=0.5) as pool:
        database = Database(pool)
        with ExitStack() as stack:
            for _ in range(4):
                stack.enter_context(pool.connection(timeout=20))
        line.go_dead()
        with pytest.raises(DatabaseDown):
            database.rows("clock")
        assert until(lambda: database.rows("clock"))


@pytest.mark.parametrize("when", ["in a transaction", "at its end"])
def test_a_transaction_whose_line_goes_dead_is_an_outage(line: Line, when: str) -> None:
    def work(database: Database) -> None:
        with database.own() as work:
            work.rows("clock")
            line.go_dead()
            if when == "in a transaction":
                work.rows("clock")

    with open_pool(line.dsn, size=1, deadline=0.5) as pool, pytest.raises(DatabaseDown):
        work(Database(pool))


def test_a_connection_that_is_made_and_never_answered_is_given_up(line: Line) -> None:
    line.take_nothing(now=True)
    with open_pool(line.dsn, size=1, wait=0.5) as pool:
        with pytest.raises(DatabaseDown):
            Database(pool).rows("clock")
        line.take_nothing(now=False)
        assert until(lambda: rows_or_none(Database(pool)), seconds=30)


def rows_or_none(database: Database) -> Any:
    try:
        return database.rows("clock")
    except DatabaseDown:
        return None


def test_a_listener_whose_line_went_dead_hears_again(world: World, line: Line) -> None:
    heard, stopped = threading.Event(), threading.Event()
    thread = threading.Thread(target=listen, args=(lambda: line.dsn, heard.set, stopped))
    thread.start()
    try:
        until(lambda: is_heard(world, heard, 0))
        line.go_dead()
        until(lambda: is_heard(world, heard, 1), seconds=60)
    finally:
        stopped.set()
        thread.join()


def is_heard(world: World, heard: threading.Event, n: int) -> bool:
    heard.clear()
    world.insert(email=f"{n}.{time.monotonic_ns()}@example.com")
    return heard.wait(1)
