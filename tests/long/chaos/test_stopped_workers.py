"""A process is stopped (SIGSTOP) at a HubSpot call until its lease is over and others have done its work. It wakes up:
nothing changes that is not its own.

`after`: HubSpot has answered, the answer waits. `late`: the call takes effect only when the others are done.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ports
import psutil
import pytest
from crowd import Client
from herd import herd, listens
from ledger import Ledger
from systems import JWT_SECRET, api_environment
from world import World, until

from api.auth import Role, Tokens

READ, CREATE, UPDATE, ARCHIVE = (f"/batch/{name}" for name in ("read", "create", "update", "archive"))
HOURS = "36000"
LATE = pytest.param("late", marks=pytest.mark.long)


class Sleeper:
    """A process that is stopped at its next call of a kind, and continued when the test says so."""

    def __init__(self, world: World, pid: int) -> None:
        self._world, self._processes = world, [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        self._stopped, self._woken = threading.Event(), threading.Event()

    def stop_at(self, path: str, when: str) -> None:
        """Stop after the effect of the call (`after`), or hold the effect back until it wakes (`late`)."""

        def strike() -> None:
            self.stop()
            self._stopped.set()
            if when == "late":
                self._woken.wait(60)

        effect = "after" if when == "after" else "before"
        self._world.portal.faults.add(action="run", path_contains=path, run=strike, when=effect)

    def stop(self) -> None:
        """Stop it; on a busy machine some of its threads go on for a while after the signal."""
        for each in self._processes:
            os.kill(each.pid, signal.SIGSTOP)
        until(lambda: all(each.status() == psutil.STATUS_STOPPED for each in self._processes))

    def wait_until_it_sleeps(self) -> None:
        assert self._stopped.wait(30), "it never made the call"

    def wake(self) -> None:
        self._woken.set()
        for each in self._processes:
            os.kill(each.pid, signal.SIGCONT)

    def end_what_it_does(self) -> None:
        """Let it end its batch, and itself after it."""
        until(lambda: self.is_ended() or self.terminate())

    def terminate(self) -> None:
        """Tell it to end, once."""
        self._processes[0].terminate()

    def is_ended(self) -> bool:
        return not self._processes[0].is_running() or self._processes[0].status() == psutil.STATUS_ZOMBIE


@contextmanager
def sleeper(world: World, module: str, folder: Path, **settings: str) -> Iterator[tuple[Sleeper, int]]:
    """A process of ours that has nothing to do yet, and the port it may listen on."""
    port = ports.free_port()
    quiet = {"POLL_INTERVAL": HOURS, "SWEEP_INTERVAL": HOURS, "API_PORT": str(port), **settings}
    with herd(folder, {**api_environment(world), **quiet}, {module: module}) as processes:
        processes.start(module)
        if module == "api":
            until(lambda: listens(port))
        else:
            until(lambda: _beats(world) >= {"drain", "poll", "sweep"}, seconds=60)
        asleep = Sleeper(world, processes.process(module).pid)
        try:
            yield asleep, port
        finally:
            with suppress(ProcessLookupError):
                asleep.wake()
        assert processes.bugs() == []


def _beats(world: World) -> set[str]:
    return {row["job"] for row in world.sql("select job from sync.heartbeat where at > '-infinity'")}


def _time_passes(world: World) -> None:
    """The lease of the one that sleeps ends, the deadline of what it sent, and what its other threads had open."""
    world.sql(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and state ^@ 'idle in transaction' and pid <> pg_backend_pid()"
    )
    world.sql("update sync.link set lease_until = now() - interval '1 s' where lease_until is not null")
    world.sql("update sync.intent set deadline = now() - interval '1 s'")


def _kai(world: World) -> Any:
    uuid = world.insert(email="kai@example.com", firstname="Kai", company="a", phone="1")
    world.quiet()
    return uuid


def _rows(world: World) -> list[dict[str, Any]]:
    return world.sql("select * from customer order by uuid")


def _tell(world: World) -> None:
    """HubSpot tells of what took effect late, as of everything."""
    world.event(*[contact.id for contact in world.portal.contacts])
    world.quiet()


CHANGES: dict[str, tuple[str, Callable[[World], Any], Callable[[World], Any]]] = {
    "pushing": (
        UPDATE,
        lambda world: world.sql("update customer set company = 'b'"),
        lambda world: world.sql("update customer set company = 'c'"),
    ),
    "about to push": (
        READ,
        lambda world: world.sql("update customer set company = 'b'"),
        lambda world: world.sql("update customer set company = 'c'"),
    ),
    "about to pull": (
        READ,
        lambda world: _edited(world, company="b"),
        lambda world: _edited(world, company="c"),
    ),
    "about to pull what is taken back": (
        READ,
        lambda world: _edited(world, company="b"),
        lambda world: _edited(world, company="a"),
    ),
    "archiving": (
        ARCHIVE,
        lambda world: world.sql("delete from customer where email = 'kai@example.com'"),
        lambda world: None,
    ),
    "creating": (
        CREATE,
        lambda world: world.insert(email="ada@example.com", company="b"),
        lambda world: world.sql("update customer set company = 'c' where email = 'ada@example.com'"),
    ),
}


def _edited(world: World, **values: str) -> None:
    """A person's edit in HubSpot, told by webhook."""
    contact = world.portal.contact("kai@example.com")
    assert contact is not None
    world.portal.edit(contact.id, values)
    world.event(contact.id)


@pytest.mark.parametrize("when", ["after", LATE])
@pytest.mark.parametrize("doing", list(CHANGES))
def test_a_reconciler_that_wakes_after_its_lease_changes_nothing_that_is_not_its_own(
    world: World, tmp_path: Path, doing: str, when: str
) -> None:
    path, first, second = CHANGES[doing]
    _kai(world)
    with sleeper(world, "reconciler", tmp_path) as (asleep, _):
        asleep.stop_at(path, when)
        first(world)
        world.sql("notify sync_dirty")
        asleep.wait_until_it_sleeps()
        second(world)
        _time_passes(world)
        world.quiet()
        rows, revision = _rows(world), world.portal.revision
        asleep.wake()
        asleep.end_what_it_does()
        world.quiet()
    if when == "after" or path == READ:
        assert (_rows(world), world.portal.revision) == (rows, revision)
    _tell(world)
    _assert_the_second_change_won(world)


def _assert_the_second_change_won(world: World) -> None:
    values = world.sql("select company from customer where deletedat is null")
    assert all(row["company"] in ("a", "c") for row in values), values
    for table in ("sync.parked", "sync.intent", "sync.mark"):
        assert world.sql(f"select * from {table}") == [], table
    assert len({contact.email for contact in world.portal.contacts}) == len(world.portal.contacts)
    world.assert_equal()
    world.assert_fixpoint()


def test_an_answer_that_is_committed_late_does_not_turn_the_base_back(world: World, tmp_path: Path) -> None:
    _kai(world)
    with sleeper(world, "reconciler", tmp_path) as (asleep, _):
        asleep.stop_at(UPDATE, "after")
        world.sql("update customer set company = 'b'")
        asleep.wait_until_it_sleeps()
        world.sql("update customer set company = 'c'")
        _time_passes(world)
        world.quiet()
        asleep.wake()
        asleep.end_what_it_does()
    _edited(world, company="d")
    world.quiet()
    assert world.sql("select company from customer") == [{"company": "d"}]
    assert world.sql("select * from sync.conflict") == []
    world.assert_equal()
    world.assert_fixpoint()


@pytest.mark.parametrize("doing", ["pushing", "about to push", "about to pull"])
def test_a_change_made_while_its_record_is_worked_on_is_not_forgotten(world: World, tmp_path: Path, doing: str) -> None:
    path, first, second = CHANGES[doing]
    _kai(world)
    with sleeper(world, "reconciler", tmp_path) as (asleep, _):
        asleep.stop_at(path, "after")
        first(world)
        asleep.wait_until_it_sleeps()
        second(world)
        world.sql("select sync.fold()")
        asleep.wake()
        until(
            lambda: world.customer("kai@example.com")["company"] == world.contact("kai@example.com")["company"] == "c"
        )
    _time_passes(world)
    world.quiet()
    _assert_the_second_change_won(world)


def test_a_reconciler_that_was_stopped_and_continued_ends_when_it_is_told_to(world: World, tmp_path: Path) -> None:
    _kai(world)
    with sleeper(world, "reconciler", tmp_path) as (asleep, _):
        asleep.stop_at(READ, "late")
        world.sql("update customer set company = 'b'")
        asleep.wait_until_it_sleeps()
        asleep.wake()
        asleep.terminate()
        until(asleep.is_ended, seconds=15)


@pytest.mark.parametrize("when", ["after", LATE])
@pytest.mark.parametrize("doing", ["PUT", "POST", "DELETE"])
def test_an_api_that_wakes_after_its_lease_answers_and_undoes_nobodys_work(
    world: World, tmp_path: Path, doing: str, when: str
) -> None:
    path, target, body = CALLS[doing]
    _kai(world)
    with sleeper(world, "api", tmp_path) as (asleep, port):
        asleep.stop_at(path, when)
        client = Client("caller", Ledger(), 1, port, Tokens(JWT_SECRET).issue(Role.ADMIN))
        answers: list[Any] = []
        calling = threading.Thread(target=lambda: answers.append(client.ask(doing, target, body)), daemon=True)
        calling.start()
        asleep.wait_until_it_sleeps()
        world.sql("update customer set company = 'c' where deletedat is null")
        _time_passes(world)
        world.quiet()
        asleep.wake()
        calling.join(60)
    assert [answer and answer[0] for answer in answers] == [{"PUT": 200, "POST": 201, "DELETE": 204}[doing]]
    _time_passes(world)
    _tell(world)
    _assert_the_second_change_won(world)


CALLS = {
    "PUT": (UPDATE, "/kai@example.com", {"company": "b"}),
    "POST": (CREATE, "/", {"email": "ada@example.com", "firstname": "Ada", "lastname": "L", "company": "c"}),
    "DELETE": (ARCHIVE, "/kai@example.com", None),
}
