"""Anything may happen on real Postgres and a real sandbox, and in the end nothing is lost, doubled or restless.

STATE_MACHINE_EXAMPLES says how many histories are tried, STATE_MACHINE_STEPS how long each may be.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from typing import Any, ClassVar
from uuid import uuid4

import psycopg
import pytest
from histories import Caller
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from psycopg.conninfo import make_conninfo
from sides import Sides
from structlog.testing import capture_logs
from verdict import problems
from world import World

from reconciler.adapters.postgres.database import Database, open_pool
from reconciler.core.errors import SyncError, Transient
from reconciler.core.values import Value

EXAMPLES = int(os.environ.get("STATE_MACHINE_EXAMPLES", "6"))
STEPS = int(os.environ.get("STATE_MACHINE_STEPS", "40"))

TEXTS = ("firstname", "phone", "company", "website")
STAGES = ("subscriber", "lead", "customer", "evangelist")
CALLS = ("/batch/read", "/batch/create", "/batch/update", "/batch/archive")

who = st.integers(0, 5)
field = st.sampled_from(TEXTS)
call = st.sampled_from(CALLS)
moment = st.sampled_from(["before", "after"])


@contextmanager
def both_sides(server: str, template: str) -> Iterator[Sides]:
    """Open a database and a sandbox of its own for one history."""
    name = f"history_{uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'create database "{name}" template "{template}"')
        dsn = make_conninfo(server, dbname=name)
        try:
            with open_pool(dsn, size=4) as pool, World.open(dsn, Database(pool)) as world:
                sides = Sides(world)
                sides.call_api = Caller(world)
                yield sides
        finally:
            connection.execute(f'drop database "{name}" with (force)')


class TwoSides(RuleBasedStateMachine):
    """People on both sides, the sync between them, and what goes wrong."""

    opened: ClassVar[Callable[[], AbstractContextManager[Sides]]]

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.sides = self._stack.enter_context(type(self).opened())
        self.events = self._stack.enter_context(capture_logs())

    @initialize()
    def begin(self) -> None:
        """Some people are there already, linked."""
        for _ in range(2):
            self.sides.insert(self._address())
            self.sides.create_contact(self._address())
        for event in self.sides.waiting:
            self.sides.arrive(event)
        self.sides.waiting.clear()
        self.sides.world.quiet()

    # People at SQL.

    @rule(has_address=st.integers(0, 9))
    def insert(self, has_address: int) -> None:
        self.sides.insert(self._address() if has_address else None)

    @rule(n=who, field=field)
    def change(self, n: int, field: str) -> None:
        if row := pick(self.sides.rows(), n):
            self.sides.change(row, {field: self.sides.new(field)})

    @rule(n=who, field=field, empty=st.sampled_from([None, ""]))
    def blank(self, n: int, field: str, empty: Value) -> None:
        if row := pick(self.sides.rows(), n):
            self.sides.change(row, {field: empty})

    @rule(n=who, stage=st.sampled_from(STAGES))
    def move_stage(self, n: int, stage: str) -> None:
        if row := pick(self.sides.rows(), n):
            self.sides.change(row, {"lifecyclestage": stage})

    @rule(n=who)
    def rename(self, n: int) -> None:
        if row := pick(self.sides.rows(), n):
            self.sides.change(row, {"email": self._address()})

    @rule(n=who, other=who)
    def take_the_address_of_a_contact(self, n: int, other: int) -> None:
        row, record = pick(self.sides.rows(), n), pick(self.sides.records(), other)
        if row and record and record.get("email"):
            self.sides.change(row, {"email": record.get("email")})

    @rule(n=who, other=who)
    def swap(self, n: int, other: int) -> None:
        rows = [row for row in self.sides.rows() if row["email"]]
        if len(rows) > 1:
            self.sides.swap(*two(rows, n, other))

    @rule(n=who, hard=st.booleans())
    def remove(self, n: int, hard: bool) -> None:
        if row := pick(self.sides.rows(), n):
            self.sides.remove(row, hard=hard)

    @rule(n=who)
    def restore(self, n: int) -> None:
        if row := pick(self.sides.rows(alive=False), n):
            self.sides.restore(row)

    # People in HubSpot.

    @rule(has_address=st.integers(0, 9))
    def create_contact(self, has_address: int) -> None:
        self.sides.create_contact(self._address() if has_address else None)

    @rule(n=who)
    def create_there_whom_we_know(self, n: int) -> None:
        if row := pick(self.sides.rows(), n):
            self.sides.create_contact(row["email"])

    @rule(n=who, field=field)
    def edit_contact(self, n: int, field: str) -> None:
        if record := pick(self.sides.records(), n):
            self.sides.edit_contact(record, {field: self.sides.new(field)})

    @rule(n=who, field=field)
    def blank_contact(self, n: int, field: str) -> None:
        if record := pick(self.sides.records(), n):
            self.sides.edit_contact(record, {field: None})

    @rule(n=who)
    def rename_contact(self, n: int) -> None:
        if record := pick(self.sides.records(), n):
            self.sides.edit_contact(record, {"email": self._address()})

    @rule(n=who, other=who)
    def swap_contacts(self, n: int, other: int) -> None:
        records = [record for record in self.sides.records() if record.get("email")]
        if len(records) > 1:
            self.sides.swap_contacts(*two(records, n, other))

    @rule(n=who)
    def delete_contact(self, n: int) -> None:
        if record := pick(self.sides.records(), n):
            self.sides.delete_contact(record)

    @rule(n=who)
    def restore_contact(self, n: int) -> None:
        if record := pick(self.sides.records(alive=False), n):
            self.sides.restore_contact(record)

    @rule(n=who, other=who)
    def merge_contact(self, n: int, other: int) -> None:
        if len(records := self.sides.records()) > 1:
            self.sides.merge_contact(*two(records, n, other))

    # Callers of the API.

    @rule()
    def post(self) -> None:
        self.sides.post(self._address())

    @rule(n=who, field=field)
    def put(self, n: int, field: str) -> None:
        if row := pick(self._reachable(), n):
            self.sides.put(row, {field: self.sides.new(field)})

    @rule(n=who)
    def put_another_address(self, n: int) -> None:
        if row := pick(self._reachable(), n):
            self.sides.put(row, {"email": self._address()})

    @rule(n=who)
    def delete_by_api(self, n: int) -> None:
        if row := pick(self._reachable(), n):
            self.sides.delete_by_api(row)

    # The sync, and what goes wrong with it.

    @rule(n=who, is_told_again=st.booleans())
    def deliver(self, n: int, is_told_again: bool) -> None:
        if event := pick(self.sides.waiting, n):
            self.sides.arrive(event)
            if not is_told_again:
                self.sides.waiting.remove(event)

    @rule(n=who)
    def drop(self, n: int) -> None:
        if event := pick(self.sides.waiting, n):
            self.sides.waiting.remove(event)

    @rule()
    def drain(self) -> None:
        self.sides.world.parts.reconciler.drain()

    @rule()
    def poll(self) -> None:
        with suppress(Transient):
            self.sides.world.parts.poll.recent()

    @rule()
    def sweep(self) -> None:
        # It refuses to believe a listing that is empty; the job comes again.
        with suppress(SyncError):
            self.sides.world.parts.sweep.run()

    @rule(path=call, when=moment, action=st.sampled_from(["cut", "status", "429"]))
    def fail_next(self, path: str, when: str, action: str) -> None:
        self.sides.portal.faults.add(action=action, path_contains=path, when="before" if action == "429" else when)

    @rule(path=call, when=moment)
    def die(self, path: str, when: str) -> None:
        self.sides.drain_and_die(path, when=when)

    @rule(seconds=st.sampled_from([1, 10, 46, 70]))
    def pass_time(self, seconds: int) -> None:
        self.sides.pass_time(seconds)

    def teardown(self) -> None:
        with self._stack:
            self.sides.settle()
            assert problems(self.sides) == []
            self.sides.world.assert_fixpoint()
            bugs = [event for event in self.events if event["log_level"] == "error"]
            assert not bugs, bugs

    def _address(self) -> str:
        return f"{self.sides.new('p')}@example.com"

    def _reachable(self) -> list[Any]:
        return [row for row in self.sides.rows() if row["email"]]


def pick(among: list[Any], n: int) -> Any:
    """Return one of them, or None where there is none."""
    return among[n % len(among)] if among else None


def two(among: list[Any], n: int, other: int) -> tuple[Any, Any]:
    """Return two different ones."""
    first = n % len(among)
    return among[first], among[(first + 1 + other % (len(among) - 1)) % len(among)]


@pytest.mark.timeout(0)
def test_whatever_happens_both_sides_agree_and_nothing_is_lost(server: str, template: str) -> None:
    machine = type("OnPostgres", (TwoSides,), {"opened": staticmethod(partial(both_sides, server, template))})
    run_state_machine_as_test(
        machine,
        settings=settings(
            deadline=None,
            print_blob=True,
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            suppress_health_check=list(HealthCheck),
        ),
    )
