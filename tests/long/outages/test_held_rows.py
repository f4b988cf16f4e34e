"""A user's transaction that stays open holds one row; everybody else, and every other row, goes on."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import running_servers
from histories import READ, UPDATE, calls, change, during, link, row, settle, there
from raw_http import ask
from states import assert_sound, assert_unspent, people
from systems import ApiInProcess, api_environment, as_admin
from world import World, until

ADMIN = as_admin()
PATIENT = 10
"""Seconds that a caller waits; the rule is five, and the machine of a test may be slow."""


@contextmanager
def held(world: World, *emails: str) -> Iterator[Any]:
    """A user's transaction holds these rows; it is rolled back at the end, unless it was ended before."""
    with psycopg.connect(world.dsn) as user:
        user.execute("update customer set company = 'held' where email = any(%s)", [list(emails)])
        yield user
        user.rollback()


def uuid_of(world: World, email: str) -> Any:
    return world.customer(email)["uuid"]


def test_a_held_row_keeps_nobody_else_waiting(world: World, tmp_path: Path) -> None:
    """However many want the row: reads, writes of others and the health are answered meanwhile."""
    people(world, 4)
    with running_servers.server("api", api_environment(world), tmp_path / "log") as api:

        def status(method: str, path: str, body: bytes | None = None) -> tuple[int, str | None]:
            answer = ask(api.port, method, path, body, **ADMIN)
            return answer[0], answer[1].get("retry-after")

        until(lambda: status("PUT", "/c1@example.com", b'{"phone": "0"}')[0] == 200)
        wanting, stopped, refused = 24, threading.Event(), []

        def want() -> None:
            while not stopped.is_set():
                refused.append(status("PUT", "/c0@example.com", b'{"phone": "1"}'))

        with held(world, "c0@example.com"), ThreadPoolExecutor(wanting) as threads:
            wants = [threads.submit(want) for _ in range(wanting)]
            try:
                until(lambda: len(refused) >= wanting, seconds=PATIENT)
                for n in range(10):
                    assert status("GET", "/c2@example.com")[0] == 200
                    assert status("PUT", "/c3@example.com", b'{"phone": "%d"}' % n)[0] == 200
                    assert status("GET", "/livez")[0] == 200
                    assert status("GET", "/readyz")[0] == 200
            finally:
                stopped.set()
            for each in wants:
                each.result(PATIENT)
        assert {code for code, _ in refused} == {503}
        assert all(after is not None and int(after) > 0 for _, after in refused)
    assert world.contact("c0@example.com")["phone"] is None
    assert_sound(world)


@pytest.mark.parametrize("end", ["commit", "rollback"])
@pytest.mark.parametrize("method", ["PUT", "DELETE", "later"])
def test_a_write_of_a_held_row_is_refused_and_leaves_both_sides_as_they_were(
    world: World, api: ApiInProcess, method: str, end: str
) -> None:
    people(world, 2)
    with held(world, "c0@example.com") as user:
        revision = world.portal.revision
        if method == "DELETE":
            reply = api.admin("DELETE", "/c0@example.com")
        else:
            headers = {"Prefer": "respond-async"} if method == "later" else {}
            reply = api.admin("PUT", "/c0@example.com", {"phone": "1"}, **headers)
        assert reply.status == 503
        assert int(reply.headers["retry-after"]) > 0
        assert world.portal.revision == revision
        getattr(user, end)()
    settle(world)
    assert world.contact("c0@example.com")["company"] == ("held" if end == "commit" else None)
    assert_sound(world)


@pytest.mark.parametrize("end", ["commit", "rollback"])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_write_whose_row_is_held_while_hubspot_is_called_is_settled_when_it_is_free(
    world: World, api: ApiInProcess, method: str, end: str
) -> None:
    people(world, 2)
    uuid = uuid_of(world, "c0@example.com")
    with psycopg.connect(world.dsn) as user:

        def hold() -> None:
            user.execute("update customer set company = 'held' where uuid = %s", [uuid])

        during(world, UPDATE if method == "PUT" else "/batch/archive", hold)
        if method == "PUT":
            reply = api.admin("PUT", "/c0@example.com", {"phone": "1"})
        else:
            reply = api.admin("DELETE", "/c0@example.com")
        assert (reply.status, reply.json["code"]) == (503, "customer_held")
        world.parts.reconciler.drain()
        getattr(user, end)()
    settle(world)
    if method == "PUT":
        assert row(world, uuid)["phone"] == world.contact("c0@example.com")["phone"] == "1"
        assert row(world, uuid)["company"] == ("held" if end == "commit" else None)
    else:
        assert row(world, uuid)["deletedat"] is not None
        assert world.contact("c0@example.com") is None
    assert_sound(world)


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_contact_that_is_made_while_its_row_is_held_is_not_made_twice(world: World, end: str) -> None:
    uuid = world.insert(firstname="Nobody")
    with psycopg.connect(world.dsn) as user:
        during(
            world, "/batch/create", lambda: user.execute("update customer set company = 'held' where uuid = %s", [uuid])
        )
        world.parts.reconciler.drain()
        assert len(world.portal.contacts) == 1
        getattr(user, end)()
    settle(world)
    assert len(world.portal.contacts) == 1
    assert row(world, uuid)["contactid"] == int(world.portal.contacts[0].id)
    assert_sound(world)


def test_of_a_batch_only_the_held_rows_items_are_refused(world: World, api: ApiInProcess) -> None:
    people(world, 6)
    items = [{"op": "update", "email": f"c{n}@example.com", "phone": str(n)} for n in range(5)]
    items.append({"op": "delete", "email": "c5@example.com"})
    with held(world, "c2@example.com"):
        outcomes = api.admin("POST", "/batch", items).json
    assert [outcome["status"] for outcome in outcomes] == [200, 200, 503, 200, 200, 204]
    assert_sound(world)


def test_a_row_that_a_foreign_key_points_to_is_not_held(world: World, api: ApiInProcess) -> None:
    people(world, 1)
    with psycopg.connect(world.dsn) as user:
        user.execute("select from customer where email = 'c0@example.com' for key share")
        assert api.admin("PUT", "/c0@example.com", {"phone": "1"}).status == 200
        world.portal.edit(world.portal.contact("c0@example.com").id, {"company": "there"})
        world.event(world.portal.contact("c0@example.com").id)
        world.quiet()
        assert world.customer("c0@example.com")["company"] == "there"


def now(world: World) -> datetime:
    """The database's time."""
    return world.sql("select clock_timestamp() as now")[0]["now"]


def next_look(world: World, uuid: Any) -> datetime:
    """When a customer, or its contact, is looked at next."""
    rows = world.sql(
        "select due, attempts, crashes from sync.mark "
        "where subject in ('u:' || %s::text, 'c:' || (select contact from sync.link where uuid = %s))",
        uuid,
        uuid,
    )
    assert [(each["attempts"], each["crashes"]) for each in rows] == [(0, 0)]
    return rows[0]["due"]


def look(world: World) -> None:
    world.sql("update sync.mark set due = now() where due > now()")
    world.parts.reconciler.drain()


def test_the_reconciler_looks_at_a_held_row_more_and_more_seldom_and_at_the_others_as_ever(world: World) -> None:
    people(world, 5)
    uuids = [uuid_of(world, f"c{n}@example.com") for n in range(5)]
    contacts = [link(world, uuid)["contact"] for uuid in uuids]
    with held(world, "c2@example.com"):
        for contact in contacts:
            world.portal.edit(contact, {"phone": "2"})
        world.event(*contacts)
        for seconds in (1, 8, 30, 30, 30):
            pause, before = timedelta(seconds=seconds), now(world)
            look(world)
            assert before + pause <= next_look(world, uuids[2]) <= now(world) + pause
            assert [row(world, uuid)["phone"] for uuid in uuids] == ["2", "2", None, "2", "2"]
        # It is not looked at alone, as what fails its batch is.
        reads = calls(world, READ)
        for contact in contacts:
            world.portal.edit(contact, {"phone": "3"})
        world.event(*contacts)
        look(world)
        assert calls(world, READ) == reads + 1
        assert [row(world, uuid)["phone"] for uuid in uuids] == ["3", "3", None, "3", "3"]
        assert_unspent(world)
    assert_sound(world)
    assert row(world, uuids[2])["phone"] == "3"


def test_what_is_pushed_while_its_row_is_held_does_not_hold_its_batch_up(world: World) -> None:
    people(world, 5)
    uuids = [uuid_of(world, f"c{n}@example.com") for n in range(5)]
    for uuid in uuids:
        change(world, uuid, phone="2")
    with psycopg.connect(world.dsn) as user:
        during(world, UPDATE, lambda: user.execute("select from customer where uuid = %s for update", [uuids[2]]))
        world.parts.reconciler.drain()
        assert {there(world, link(world, uuid)["contact"], "phone") for uuid in uuids} == {"2"}
        open_intents = world.sql("select uuid from sync.intent")
        assert [each["uuid"] for each in open_intents] == [uuids[2]]
        assert_unspent(world)
    settle(world)
    assert_sound(world)


def test_two_contacts_merged_while_a_row_is_held_wait_alone(world: World) -> None:
    people(world, 4)
    uuids = [uuid_of(world, f"c{n}@example.com") for n in range(4)]
    contacts = [link(world, uuid)["contact"] for uuid in uuids]
    with held(world, "c0@example.com"):
        world.portal.merge(contacts[0], contacts[1])
        world.portal.edit(contacts[3], {"phone": "3"})
        world.event(*contacts)
        world.parts.reconciler.drain()
        assert row(world, uuids[3])["phone"] == "3"
        assert world.sql("select 1 from sync.mark where attempts > 0 or crashes > 0") == []
    settle(world)
    world.quiet()
    world.assert_equal()
