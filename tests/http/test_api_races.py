"""Calls that meet other calls, and the sync itself, half-way."""

import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from systems import KAI, ApiInProcess

from reconciler.adapters.postgres.queries import statements
from reconciler.adapters.postgres.rows import claim_of


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Run the calls in threads that start together; return what they returned, in order."""
    results: list[Any] = [None] * len(calls)
    barrier = threading.Barrier(len(calls))

    def run(n: int) -> None:
        barrier.wait()
        results[n] = calls[n]()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def statuses(replies: Sequence[Any]) -> list[int]:
    return sorted(reply.status for reply in replies)


def test_of_many_creates_of_one_address_one_succeeds(api: ApiInProcess) -> None:
    replies = at_once(*[lambda n=n: api.admin("POST", "/", {**KAI, "firstname": str(n)}) for n in range(8)])
    assert statuses(replies) == [201] + [409] * 7
    (winner,) = [reply.json for reply in replies if reply.status == 201]
    assert api.user("GET", "/kai@hubspot.com").json["firstname"] == winner["firstname"]
    assert len(api.world.portal.contacts) == 1
    api.world.quiet()
    api.world.assert_equal()


def test_of_many_repetitions_at_once_one_is_done(api: ApiInProcess) -> None:
    replies = at_once(*[lambda: api.admin("POST", "/", KAI, Idempotency_Key="k")] * 8)
    assert set(statuses(replies)) <= {201, 409}
    assert {reply.json["code"] for reply in replies if reply.status == 409} <= {"in_flight"}
    assert len({reply.json["uuid"] for reply in replies if reply.status == 201}) == 1
    assert len(api.world.portal.contacts) == 1


def test_changes_of_different_fields_at_once_are_all_kept(api: ApiInProcess) -> None:
    api.admin("POST", "/", KAI)
    fields = ["firstname", "lastname", "phone", "company", "website"]
    replies = at_once(*[lambda c=c: api.admin("PUT", "/kai@hubspot.com", {c: f"new {c}"}) for c in fields])
    assert statuses(replies) == [200] * 5
    customer = api.user("GET", "/kai@hubspot.com").json
    assert {field: customer[field] for field in fields} == {field: f"new {field}" for field in fields}
    api.world.quiet()
    api.world.assert_equal()


def test_changes_of_one_field_at_once_end_in_one_of_them_on_both_sides(api: ApiInProcess) -> None:
    api.admin("POST", "/", KAI)
    replies = at_once(*[lambda n=n: api.admin("PUT", "/kai@hubspot.com", {"phone": str(n)}) for n in range(6)])
    assert statuses(replies) == [200] * 6
    api.world.quiet()
    api.world.assert_equal()
    assert api.world.customer("kai@hubspot.com")["phone"] in {str(n) for n in range(6)}


def test_a_change_and_a_deletion_at_once_end_alike_on_both_sides(api: ApiInProcess) -> None:
    api.admin("POST", "/", KAI)
    change, deletion = at_once(
        lambda: api.admin("PUT", "/kai@hubspot.com", {"phone": "1"}), lambda: api.admin("DELETE", "/kai@hubspot.com")
    )
    assert change.status in (200, 404, 500)
    assert deletion.status == 204
    api.world.quiet()
    api.world.assert_equal()
    assert api.user("GET", "/kai@hubspot.com").status == 404


def test_two_customers_who_want_one_address_at_once_do_not_both_get_it(api: ApiInProcess) -> None:
    for name in ("one", "two"):
        assert api.admin("POST", "/", {**KAI, "email": f"{name}@hubspot.com"}).status == 201
    replies = at_once(
        *[lambda n=n: api.admin("PUT", f"/{n}@hubspot.com", {"email": "new@hubspot.com"}) for n in ("one", "two")]
    )
    assert statuses(replies) == [200, 409]
    api.world.quiet()
    api.world.assert_equal()


@pytest.mark.parametrize("_", range(5))
def test_batches_over_the_same_addresses_at_once_end_alike_on_both_sides(api: ApiInProcess, _: int) -> None:
    items = [{"op": "upsert", **KAI, "email": f"person{n}@hubspot.com"} for n in range(50)]
    replies = at_once(*[lambda order=order: api.admin("POST", "/batch", items[::order]) for order in (1, -1, 1, -1)])
    assert statuses(replies) == [207] * 4
    assert {outcome["status"] for reply in replies for outcome in reply.json} <= {200, 201, 409}
    api.world.quiet()
    api.world.assert_equal()
    assert len(api.world.portal.contacts) == 50


def test_an_address_that_another_request_is_creating_refuses_its_item_only(api: ApiInProcess) -> None:
    seen: list[Any] = []
    items = [{"op": "create", **KAI, "email": f"{name}@hubspot.com"} for name in ("other", "kai", "another")]
    api.world.portal.faults.add(
        action="run", path_contains="/batch/create", run=lambda: seen.append(api.admin("POST", "/batch", items))
    )
    assert api.admin("POST", "/", KAI).status == 201
    assert [outcome["status"] for outcome in seen[0].json] == [201, 409, 201]
    api.world.quiet()
    api.world.assert_equal()


def test_an_address_that_two_batches_reserve_at_the_same_moment_refuses_one_item_only(
    api: ApiInProcess, until: Callable[..., Any]
) -> None:
    """Both have looked and found the address free; a lock makes them wait for each other right before they write."""
    replies: list[Any] = []

    def create(name: str) -> None:
        items = [{"op": "create", **KAI, "email": f"{each}@hubspot.com"} for each in (name, "both", f"more-{name}")]
        replies.append([outcome["status"] for outcome in api.admin("POST", "/batch", items).json])

    threads = [threading.Thread(target=create, args=(name,)) for name in ("one", "two")]
    with psycopg.connect(api.world.dsn) as operator:
        operator.execute("lock table sync.intent in share mode")
        for thread in threads:
            thread.start()
        until(lambda: len(api.world.sql("select pid from pg_locks where not granted")) == 2)
        operator.rollback()
    for thread in threads:
        thread.join()
    assert sorted(replies) == [[201, 201, 201], [201, 409, 201]]
    api.world.quiet()
    api.world.assert_equal()


@pytest.mark.parametrize("prefer", [None, "respond-async"])
def test_a_contact_that_the_sync_brings_in_during_the_create_is_the_same_customer(
    api: ApiInProcess, prefer: str | None
) -> None:
    world = api.world

    def arrive() -> None:
        for contact in world.portal.contacts:
            world.event(contact.id)
        world.parts.reconciler.drain()

    world.portal.faults.add(action="run", when="after", path_contains="/batch/create", run=arrive)
    reply = api.admin("POST", "/", KAI, Prefer=prefer)
    assert reply.status == (202 if prefer else 201)
    world.quiet()
    assert api.user("GET", "/kai@hubspot.com").json["uuid"] == reply.json["uuid"]
    world.assert_equal()
    assert len(world.portal.contacts) == 1


def test_a_contact_that_a_worker_is_just_claiming_is_still_the_created_customer(
    api: ApiInProcess, until: Callable[..., Any]
) -> None:
    """The worker's claim is not committed yet when the create's answer is; they meet at the contact's id."""
    world, claimed, answered = api.world, [], threading.Event()
    with psycopg.connect(world.dsn, row_factory=dict_row) as worker:

        def claim() -> None:
            world.event(*[contact.id for contact in world.portal.contacts])
            worker.execute(statements()["begin_own"])
            asked = {"lanes": [0, 1, 2, 3], "limit": 10, "lease": 45, "only": None}
            claimed.extend(worker.execute(statements()["claim"], asked).fetchall())
            committing.start()

        def commit() -> None:
            until(lambda: answered.is_set() or world.sql("select pid from pg_locks where not granted"))
            worker.commit()

        committing = threading.Thread(target=commit)
        world.portal.faults.add(action="run", when="after", path_contains="/batch/create", run=claim)
        reply = api.admin("POST", "/", KAI)
        answered.set()
        committing.join()
    assert reply.status == 201
    world.parts.reconciler.reconcile([claim_of(row) for row in claimed])
    world.quiet()
    world.assert_equal()
    assert api.user("GET", "/kai@hubspot.com").json["uuid"] == reply.json["uuid"]
    assert world.sql("select count(*) from customer")[0]["count"] == 1


@pytest.mark.parametrize("phone", ["1", "SQL"])
def test_a_change_in_sql_during_an_update_is_not_overwritten(api: ApiInProcess, phone: str) -> None:
    api.admin("POST", "/", KAI)
    world = api.world
    world.portal.faults.add(
        action="run",
        when="after",
        path_contains="/batch/update",
        run=lambda: world.sql("update customer set phone = 'SQL', company = 'SQL'"),
    )
    assert api.admin("PUT", "/kai@hubspot.com", {"phone": phone}).status == 200
    world.quiet()
    world.assert_equal()
    assert world.customer("kai@hubspot.com")["company"] == "SQL"
    assert world.customer("kai@hubspot.com")["phone"] == "SQL"


def test_a_redirect_of_hubspot_is_not_followed_with_our_token(api: ApiInProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.setblocking(False)
        location = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/"
        for status in (301, 302, 307, 308):
            api.world.portal.faults.add(action="redirect", status=status, location=location, times=3)
            assert api.admin("POST", "/", KAI).status == 500
            api.world.portal.faults.clear()
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


@pytest.mark.parametrize("second", ["PUT", "DELETE"])
def test_of_two_calls_with_one_tag_that_wait_for_a_free_call_one_succeeds(api: ApiInProcess, second: str) -> None:
    assert api.admin("POST", "/", KAI).status == 201
    tagged = api.admin.with_headers(If_Match=api.admin("GET", "/kai@hubspot.com").headers["etag"])
    # Every call of the window is taken, for longer than a lease is waited for.
    api.world.sql("update sync.slot set at = clock_timestamp() - interval '7 s' where kind = 'all'")
    body = {"company": "second"} if second == "PUT" else None
    first, other = at_once(
        lambda: tagged("PUT", "/kai@hubspot.com", {"company": "first"}),
        lambda: tagged(second, "/kai@hubspot.com", body),
    )
    # What comes after the DELETE finds nobody.
    assert sorted([first.status, other.status])[1] == (404 if other.status == 204 else 412)
    api.world.quiet()
    api.world.assert_equal()
    wins = [contact.get("company") for contact in api.world.portal.contacts]
    assert wins == (["first"] if first.status == 200 else ["second"] if second == "PUT" else [])
