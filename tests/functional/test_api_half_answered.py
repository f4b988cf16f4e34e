"""A batch of which HubSpot, or the database, answers a part: each item is told what became of it, and of no other."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from systems import ApiInProcess
from test_api_batch import person, statuses

from reconciler.adapters.postgres.database import Busy, DatabaseDown
from reconciler.adapters.postgres.desk import PostgresDesk
from reconciler.adapters.postgres.marks import PostgresMarks
from reconciler.core.contact import CustomerId
from reconciler.core.errors import Transient

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
def four(api: ApiInProcess) -> ApiInProcess:
    """An API with four customers on both sides."""
    assert statuses(api.admin("POST", "/batch", items("create"))) == [201] * 4
    return api


def leave_one_out(monkeypatch: pytest.MonkeyPatch, api: ApiInProcess, path: str) -> None:
    """HubSpot does the next such call, and its answer is without one of the records."""

    def spoil(fault: Any, answer: Any) -> Any:
        body = orjson.loads(answer.body)
        del body["results"][1]
        return replace(answer, body=orjson.dumps(body))

    monkeypatch.setattr("sandbox.api.spoil", spoil)
    api.world.portal.faults.add(action="empty", when="after", path_contains=path)


def lose(monkeypatch: pytest.MonkeyPatch, api: ApiInProcess, name: str) -> None:
    """Somebody else has one of the claims by the time that it is used."""
    take: Callable[..., Any] = getattr(PostgresDesk, name)

    def taken(desk: PostgresDesk, uuids: Any) -> Any:
        claims = take(desk, uuids)
        uuid = claims[1].uuid
        api.world.sql("update sync.link set fence = nextval('sync.number') where uuid = %s", uuid)
        return claims

    monkeypatch.setattr(PostgresDesk, name, taken)


def test_a_create_that_hubspot_leaves_out_of_its_answer_fails_alone(
    api: ApiInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_one_out(monkeypatch, api, "/batch/create")
    reply = api.admin("POST", "/batch", items("create"), Idempotency_Key="k")
    assert sorted(statuses(reply)) == [201, 201, 201, 500]
    assert [each["message"] for each in reply.json if each["status"] == 500] == ["Error creating customer"]
    settle(api)
    again = api.admin("POST", "/batch", items("create"), Idempotency_Key="k")
    assert statuses(again) == [201] * 4
    assert len(api.world.portal.contacts) == 4


def test_an_update_that_hubspot_leaves_out_of_its_answer_fails_alone(
    four: ApiInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_one_out(monkeypatch, four, "/batch/update")
    assert sorted(statuses(four.admin("POST", "/batch", items("update", phone="1")))) == [200, 200, 200, 500]
    settle(four)


@pytest.mark.parametrize(("op", "status"), [("update", 200), ("delete", 204)])
def test_an_item_whose_claim_was_lost_fails_alone(
    four: ApiInProcess, monkeypatch: pytest.MonkeyPatch, op: str, status: int
) -> None:
    lose(monkeypatch, four, "lease")
    more = {"phone": "1"} if op == "update" else {}
    assert sorted(statuses(four.admin("POST", "/batch", items(op, **more)))) == [status] * 3 + [500]
    settle(four)


def test_a_create_whose_reservation_ended_fails_alone(api: ApiInProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    lose(monkeypatch, api, "reserve")
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
    ("error", "expected"),
    [(Busy("busy"), [201, 201, 201, 503]), (DatabaseDown("down"), [201, 503, 503, 503])],
    ids=["busy", "down"],
)
def test_an_item_that_cannot_be_read_back_fails_alone_and_a_database_that_is_away_is_not_asked_again(
    api: ApiInProcess, monkeypatch: pytest.MonkeyPatch, error: Transient, expected: list[int]
) -> None:
    by_uuid, looks = PostgresDesk.by_uuid, list[CustomerId]()

    def failing(desk: PostgresDesk, uuids: Any) -> Any:
        looks.extend(uuids)
        if len(looks) == 2:
            raise error
        return by_uuid(desk, uuids)

    monkeypatch.setattr(PostgresDesk, "by_uuid", failing)
    assert sorted(statuses(api.admin("POST", "/batch", items("create")))) == expected
    assert len(looks) == (4 if isinstance(error, Busy) else 2)
    settle(api)


@pytest.mark.parametrize("error", [Busy("busy"), DatabaseDown("down")], ids=["busy", "down"])
def test_a_write_that_is_done_is_told_although_its_claim_cannot_be_ended(
    api: ApiInProcess, monkeypatch: pytest.MonkeyPatch, error: Transient, logged: Any
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(PostgresMarks, "finish", raising(error))
        assert api.admin("POST", "/", person(0)).status == 201
        api.world.sql("update sync.link set lease_until = null")
        assert api.admin("PUT", f"/{person(0)['email']}", {"phone": "1"}).status == 200
        assert [each["reason"] for each in logged if each["event"] == "write.claims_left"] == [error.reason] * 2
        api.world.sql("update sync.link set lease_until = null")
        assert api.admin("DELETE", f"/{person(0)['email']}").status == 204
    settle(api)
    assert api.world.portal.contacts == []


@pytest.mark.parametrize("name", ["end", "fail"])
def test_an_answer_is_given_although_it_cannot_be_kept(
    api: ApiInProcess, monkeypatch: pytest.MonkeyPatch, name: str, logged: Any
) -> None:
    if name == "fail":
        api.world.portal.faults.add(action="cut", path_contains="/batch/create", times=None)
    monkeypatch.setattr(PostgresDesk, name, raising(DatabaseDown("down")))
    reply = api.admin("POST", "/", person(0), Idempotency_Key="k")
    assert reply.status == (201 if name == "end" else 500)
    assert [each["reason"] for each in logged if each["event"] == "api.answer_not_kept"] == ["down"]
    settle(api)


def raising(error: Transient) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail
