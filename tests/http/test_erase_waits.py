"""`python -m reconciler erase` beside others at work: it waits for its own outcome, and says that."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from systems import KAI, ApiInProcess, api_environment
from world import World

ROOT = Path(__file__).parents[2]
READ = "/batch/read"


@contextmanager
def erasing(world: World, then: Callable[[], object]) -> Iterator[list[str]]:
    """Run the command until it says that it waits; then something happens; then it ends. Yields what it printed."""
    words = [sys.executable, "-m", "reconciler", "erase", KAI["email"]]
    with subprocess.Popen(
        words, cwd=ROOT, env=api_environment(world), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = ""
        while "waiting" not in said:
            line = process.stderr.readline()
            assert line, f"it has ended without a wait: {said}"
            said += line
        then()
        printed, rest = process.communicate(timeout=120)
        yield [str(process.returncode), printed, said + rest]


def _assert_gone(world: World) -> None:
    world.quiet()
    assert world.portal.contacts == []
    assert not world.sql("select 1 from customer where email is not null")
    assert world.sql("select 1 from sync.tombstone")


def test_an_erase_waits_for_a_worker_at_the_customer(api: ApiInProcess) -> None:
    assert api.admin("POST", "/", KAI).status == 201
    api.world.sql("update sync.link set lease_until = now() + interval '1 hour'")

    def ended() -> None:
        api.world.sql("update sync.link set lease_until = null")

    with erasing(api.world, ended) as (code, printed, said):
        assert (code, printed) == ("0", "erased\n")
        assert KAI["email"] not in said
    _assert_gone(api.world)


def test_an_erase_that_another_worker_finishes_says_that_it_is_done(api: ApiInProcess) -> None:
    """The contact is gone for good already, and the reconciler is just erasing its customer."""
    assert api.admin("POST", "/", KAI).status == 201
    world = api.world
    contact = world.portal.contact(KAI["email"])
    assert contact is not None
    world.sql("update sync.link set lease_until = now() + interval '1 hour'")

    def finished() -> None:
        world.portal.erase(contact.id)
        world.event(contact.id, privacy=True)
        world.quiet()

    with erasing(world, finished) as (code, printed, _):
        assert (code, printed) == ("0", "erased\n")
    _assert_gone(world)


def test_an_erase_waits_for_a_create_under_way(api: ApiInProcess) -> None:
    world = api.world
    world.insert(email=KAI["email"], company="Acme")
    world.portal.faults.add(action="cut", when="after", path_contains="/batch/create")
    world.parts.reconciler.drain()

    def over() -> None:
        world.sql("update sync.intent set deadline = now() - interval '1 s'")

    with erasing(world, over) as (code, printed, _):
        assert (code, printed) == ("0", "erased\n")
    _assert_gone(world)
