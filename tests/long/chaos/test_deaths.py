"""Every flow, killed or cut off at every step, before the step and after it: what was begun ends whole, once.

The steps are SQL statements, commits and HubSpot calls. CHAOS_STRIDE is how many ends lie between two that are
tried (1: all of them), CHAOS_SEED with which one to begin; CHAOS_ONLY="12,after,waits" is one end of a chosen flow.
"""

import os
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import pytest
from acts import Act, Acting, Said
from deaths import NAME, End, Victims
from deliveries import SECRET
from flows import FLOWS, OVERLAP, Flow
from systems import api_environment
from world import World, until

STRIDE = int(os.environ.get("CHAOS_STRIDE", "300"))
CALLERS = ("repeats", "waits", "gives up")
"""What a caller without an answer does: ask again at once, ask again when all is settled, never ask again."""

ORPHANS = """
select to_jsonb(l) as link from sync.link l left join customer c using (uuid)
where c.uuid is null and alive is distinct from false or c.uuid is not null and c.deletedat is null and contact is null
"""

KEPT = ("secret", "lane", "slot", "day")


@pytest.fixture
def environment(world: World) -> dict[str, str]:
    return {**api_environment(world), "HUBSPOT_CLIENT_SECRET": SECRET, "POLL_OVERLAP": str(OVERLAP)}


@pytest.fixture
def acting(world: World, environment: dict[str, str]) -> Acting:
    """The process that is started after a death; where it waits, the time of what died has passed."""
    return Acting(environment, world.parts.database, nap=lambda _: time_passes(world))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", ["kill", pytest.param("fail", marks=pytest.mark.long)])
@pytest.mark.parametrize("name", list(FLOWS))
def test_a_flow_that_ends_at_any_step_ends_whole_and_once(
    world: World, environment: dict[str, str], acting: Acting, victims: Victims, seed: int, name: str, how: str
) -> None:
    flow = FLOWS[name]
    steps = undisturbed(world, environment, victims, flow)
    broken = []
    first = seed + 7 * list(FLOWS).index(name) + (how == "fail") * 3
    for n, when, caller in sample(flow, steps, first):
        try:
            die_and_heal(world, environment, acting, victims, flow, {"how": how, "when": when, "n": n}, caller)
        except AssertionError as error:
            broken.append(f"{how} {when} step {n} ({steps[n - 1]}), the caller {caller}: {error}")
    assert not broken, "\n\n".join(broken)


def die_and_heal(
    world: World,
    environment: dict[str, str],
    acting: Acting,
    victims: Victims,
    flow: Flow,
    doom: dict[str, Any],
    caller: str,
) -> None:
    """One death, what its caller then does, and what must have come of it."""
    begin_anew(world)
    acts = flow.begin(world)
    end = victims.order(environment, acts, **doom)
    # A run may be over before that step: marks of one moment are worked off in one pass or in two.
    is_early = not end.is_killed and len(end.steps) < doom["n"]
    assert is_early or end.is_killed == (doom["how"] == "kill")
    assert not end.bugs, end.bugs
    is_told = heal(world, acting, flow, acts, end, caller)
    must = not flow.is_asked or is_told or caller != "gives up"
    assert_whole(world, flow, is_done=must)


def undisturbed(world: World, environment: dict[str, str], victims: Victims, flow: Flow) -> list[str]:
    """Run a flow to its end and return its steps."""
    begin_anew(world)
    end = victims.order(environment, flow.begin(world))
    assert all(is_final(Said(**said)) for said in end.said), end
    assert end.bugs == []
    settle(world)
    assert_whole(world, flow, is_done=True)
    return end.steps


def sample(flow: Flow, steps: Sequence[str], first: int) -> Iterator[tuple[int, str, str]]:
    """Choose ends: every lost answer to a create or a purge; of commits and calls more than of others."""
    if only := os.environ.get("CHAOS_ONLY"):
        n, when, caller = only.split(",")
        yield int(n), when, caller
        return
    callers = CALLERS if flow.is_asked else CALLERS[:2]
    for n in (n for n, name in enumerate(steps, 1) if name in ("POST /batch/create", "POST /gdpr-delete")):
        yield from ((n, "after", caller) for caller in callers)
    is_seen = [name.startswith("commit") or "/" in name for name in steps]
    for seen, stride in ((True, max(STRIDE // 3, 1)), (False, STRIDE)):
        numbers = [n for n, each in enumerate(is_seen, 1) if each is seen]
        yield from list(product(numbers, ("before", "after"), callers))[first % stride :: stride]


def begin_anew(world: World) -> None:
    """Both sides are empty, and nothing is remembered."""
    world.portal.reset()
    with world.connection.transaction():
        world.sql("set local session_replication_role = replica")
        tables = world.sql("select tablename as name from pg_tables where schemaname = 'sync'")
        for table in ("customer", *(f"sync.{t['name']}" for t in tables if t["name"] not in KEPT)):
            world.sql(f"delete from {table}")


def heal(world: World, acting: Acting, flow: Flow, acts: list[Act], end: End, caller: str) -> bool:
    """Start again after a death; return whether the caller was told that all is done."""
    until(lambda: not world.sql("select 1 from pg_stat_activity where application_name = %s", NAME))
    said = [Said(**each) for each in end.said]
    left = [act for act, each in zip(acts, said, strict=False) if not is_final(each)] + acts[len(said) :]
    is_told = not left
    if caller == "repeats":
        repeat(world, acting, left)
    settle(world)
    if caller == "waits" or (caller == "gives up" and not flow.is_asked):
        repeat(world, acting, left)
    settle(world)
    return is_told


def repeat(world: World, acting: Acting, acts: list[Act]) -> None:
    """Do again what nobody confirmed, until it is confirmed."""
    for act in acts:
        said = acting.run(act)
        for attempt in range(5):
            if is_final(said):
                break
            time_passes(world)
            if attempt:
                world.parts.reconciler.drain()
            said = acting.run(act)
        assert is_final(said), said


def is_final(said: Said) -> bool:
    """Whether an act is done; one that is put off, or refused for a moment, is to be repeated."""
    assert said.bug is None, said.bug
    if said.postponed is not None:
        return False
    items = said.body if said.status == 207 else [{**(said.body or {}), "status": said.status}] if said.status else []
    statuses = {item["status"] for item in items}
    assert statuses <= {200, 201, 204, 404, 409, 500, 503}, said
    is_in_flight = any(item.get("code") == "in_flight" for item in items)
    assert is_in_flight or 409 not in statuses, said
    return not is_in_flight and all(status < 500 for status in statuses)


def time_passes(world: World) -> None:
    """A minute: leases and requests of dead processes end, and the deadline of what they sent goes by."""
    world.sql("update sync.link set lease_until = now() - interval '1 s' where lease_until is not null")
    world.sql("update sync.intent set deadline = now() - interval '1 s'")
    world.sql("update sync.idempotency set lease_until = now() - interval '1 s' where status is null")
    world.sql("update sync.mark set due = now() where due > now()")


def settle(world: World) -> None:
    """Bring everything to rest: now, and again a minute later."""
    world.parts.reconciler.drain()
    time_passes(world)
    world.quiet()


OVERRULED = """
select * from sync.conflict f join customer c using (uuid) where to_jsonb(c) ->> f.property is distinct from f.kept
"""
"""Conflicts but those that an API write's own value won over what it replaced."""


def assert_whole(world: World, flow: Flow, *, is_done: bool) -> None:
    """Nothing is in halves, nothing there twice, nothing parked, nothing left over, and both sides agree."""
    parts = flow.look(world)
    assert None not in parts.values(), f"in halves: {parts}"
    if is_done:
        assert all(parts.values()), f"not done: {parts}"
    world.assert_equal()
    for leftover in ("sync.intent", "sync.mark", "sync.dirty", "sync.parked"):
        assert world.sql(f"select * from {leftover}") == [], leftover
    conflicts = OVERRULED if flow.is_asked else "select * from sync.conflict"
    assert world.sql(conflicts) == [], "a conflict that somebody lost"
    assert world.sql(ORPHANS) == [], "a link without both ends"
    assert_no_doubles(world)
    world.assert_fixpoint()


def assert_no_doubles(world: World) -> None:
    """No address was given to two contacts, those in the bin included, and to no two customers."""
    bin_, _ = world.portal.page(0, 1000, True)
    addresses = [contact.email for contact in [*world.portal.contacts, *bin_] if contact.email]
    assert len(addresses) == len(set(addresses)), addresses
    rows: list[dict[str, Any]] = world.sql("select email from customer where email is not null and mergedinto is null")
    assert len(rows) == len({row["email"] for row in rows}), rows
