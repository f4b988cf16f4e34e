"""A batch of which HubSpot, or the database, answers a part: each item is told what became of it, and of no other."""

from typing import Any

import psycopg
import pytest
from disturbed import DisturbedPool, raising
from systems import ApiInProcess
from test_api_batch import person, statuses

BUSY, DOWN = psycopg.errors.LockNotAvailable(), psycopg.OperationalError()

FOUR = range(4)


def items(op: str, **more: Any) -> list[dict[str, Any]]:
    """An item each about four people."""
    wanted = person if op == "create" else lambda n: {"email": person(n)["email"]}
    return [{"op": op, **wanted(n), **more} for n in FOUR]


def settle(api: ApiInProcess) -> None:
    api.world.portal.faults.clear()
    api.world.sql("update sync.intent set deadline = now() - interval '1 second'")
    api.world.quiet()
    api.world.assert_equal()
    assert api.world.sql("select 1 from sync.intent") == []


@pytest.fixture
def api(disturbed_api: ApiInProcess) -> ApiInProcess:
    return disturbed_api


@pytest.fixture
def four(api: ApiInProcess) -> ApiInProcess:
    """An API with four customers on both sides."""
    assert statuses(api.admin("POST", "/batch", items("create"))) == [201] * 4
    return api


def leave_one_out(api: ApiInProcess, path: str) -> None:
    """HubSpot does the next such call, and its answer is without one of the records."""
    api.world.portal.faults.add(action="omit", when="after", path_contains=path)


def lose_a_claim(api: ApiInProcess, pool: DisturbedPool) -> None:
    """Another worker has one of the claims by the time that they are used."""

    def steal() -> None:
        del pool.before["load"]
        one = "select uuid from sync.link where lease_until > now() order by uuid limit 1"
        api.world.sql(f"update sync.link set fence = nextval('sync.number') where uuid = ({one})")

    pool.before["load"] = steal


def test_a_create_that_hubspot_leaves_out_of_its_answer_fails_alone(
    api: ApiInProcess,
) -> None:
    leave_one_out(api, "/batch/create")
    reply = api.admin("POST", "/batch", items("create"), Idempotency_Key="k")
    assert sorted(statuses(reply)) == [201, 201, 201, 500]
    assert [each["message"] for each in reply.json if each["status"] == 500] == ["Error creating customer"]
    settle(api)
    again = api.admin("POST", "/batch", items("create"), Idempotency_Key="k")
    assert statuses(again) == [201] * 4
    assert len(api.world.portal.contacts) == 4


def test_an_update_that_hubspot_leaves_out_of_its_answer_fails_alone(
    four: ApiInProcess,
) -> None:
    leave_one_out(four, "/batch/update")
    assert sorted(statuses(four.admin("POST", "/batch", items("update", phone="1")))) == [200, 200, 200, 500]
    settle(four)


@pytest.mark.parametrize(("op", "status"), [("update", 200), ("delete", 204)])
def test_an_item_whose_claim_was_lost_fails_alone(
    four: ApiInProcess, pool: DisturbedPool, op: str, status: int
) -> None:
    lose_a_claim(four, pool)
    more = {"phone": "1"} if op == "update" else {}
    assert sorted(statuses(four.admin("POST", "/batch", items(op, **more)))) == [status] * 3 + [500]
    settle(four)


def test_a_create_whose_reservation_ended_fails_alone(api: ApiInProcess, pool: DisturbedPool) -> None:
    lose_a_claim(api, pool)
    assert sorted(statuses(api.admin("POST", "/batch", items("create")))) == [201, 201, 201, 500]
    settle(api)


def test_updates_are_told_although_the_create_beside_them_fails(four: ApiInProcess) -> None:
    """A customer that HubSpot has not got yet is created there by its first change."""
    four.world.insert(**person(4))
    four.world.portal.faults.add(action="cut", path_contains="/batch/create", times=None)
    changes = [*items("update", phone="1"), {"op": "update", "email": person(4)["email"], "phone": "1"}]
    assert statuses(four.admin("POST", "/batch", changes)) == [200, 200, 200, 200, 500]
    settle(four)


def test_who_is_refused_is_told_although_the_call_for_the_others_fails(four: ApiInProcess) -> None:
    four.world.portal.faults.add(action="cut", when="after", path_contains="/batch/create", times=None)
    assert statuses(four.admin("POST", "/batch", [*items("create"), {"op": "create", **person(4)}])) == [409] * 4 + [
        500
    ]
    settle(four)


@pytest.mark.parametrize(
    ("error", "expected"), [(BUSY, [201, 201, 201, 503]), (DOWN, [201, 503, 503, 503])], ids=["busy", "down"]
)
def test_an_item_that_cannot_be_read_back_fails_alone_and_a_database_that_is_away_is_not_asked_again(
    api: ApiInProcess, pool: DisturbedPool, error: psycopg.Error, expected: list[int]
) -> None:
    looks = []

    def look() -> None:
        looks.append(1)
        if len(looks) == 2:
            raise error

    pool.before["customers_by_uuid"] = look
    assert sorted(statuses(api.admin("POST", "/batch", items("create")))) == expected
    assert len(looks) == (4 if error is BUSY else 2)
    settle(api)


@pytest.mark.parametrize("error", [BUSY, DOWN], ids=["busy", "down"])
def test_a_write_that_is_done_is_told_although_its_claim_cannot_be_ended(
    api: ApiInProcess, pool: DisturbedPool, error: psycopg.Error, logged: Any
) -> None:
    pool.before["end_claims"] = raising(error)
    assert api.admin("POST", "/", person(0)).status == 201
    api.world.sql("update sync.link set lease_until = null")
    assert api.admin("PUT", f"/{person(0)['email']}", {"phone": "1"}).status == 200
    assert len([each for each in logged if each["event"] == "write.claims_left"]) == 2
    api.world.sql("update sync.link set lease_until = null")
    assert api.admin("DELETE", f"/{person(0)['email']}").status == 204
    settle(api)
    assert api.world.portal.contacts == []


@pytest.mark.parametrize("name", ["end_request", "fail_request"])
def test_an_answer_is_given_although_it_cannot_be_kept(
    api: ApiInProcess, pool: DisturbedPool, name: str, logged: Any
) -> None:
    if name == "fail_request":
        api.world.portal.faults.add(action="cut", path_contains="/batch/create", times=None)
    pool.before[name] = raising(DOWN)
    reply = api.admin("POST", "/", person(0), Idempotency_Key="k")
    assert reply.status == (201 if name == "end_request" else 500)
    assert len([each for each in logged if each["event"] == "api.answer_not_kept"]) == 1
    settle(api)
