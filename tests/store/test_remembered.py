"""What the sync remembers of answered requests when a person is erased: only what that person is in goes."""

from typing import Any

import pytest
from histories import CREATE, Caller, assert_erased, change, count, during, person, traces
from world import World

from reconciler.commands.erase import StillDue, erase

KAI, UWE = "kai@example.com", "uwe@example.com"

Request = tuple[str, str, Any]


def made(email: str, **more: Any) -> dict[str, Any]:
    return {"email": email, "firstname": "Kai", "lastname": "Bo", **more}


WRITES: dict[str, Request] = {
    "POST": ("POST", "/", made("mia@example.com", company="old")),
    "PUT": ("PUT", f"/{UWE}", {"company": "old"}),
    "DELETE": ("DELETE", f"/{UWE}", None),
    "batch": ("POST", "/batch", [{"op": "upsert", "email": UWE, "company": "old"}]),
    "refused": ("POST", "/", made(UWE)),
}


def _bare(reply: tuple[int, Any]) -> tuple[int, Any]:
    """An answer without the id of the request that it was given to."""
    status, body = reply
    return status, {**body, "request_id": ""} if isinstance(body, dict) else body


@pytest.mark.parametrize("name", WRITES)
def test_an_erase_lets_no_write_run_again_that_is_about_another_person(world: World, name: str) -> None:
    caller = Caller(world)
    person(world, email=KAI)
    person(world, email=UWE)
    first = caller(*WRITES[name], idempotency_key="k")
    world.sql("update customer set company = 'newer' where deletedat is null")
    world.quiet()
    assert erase(world.parts, KAI)
    revision = world.portal.revision
    second = caller(*WRITES[name], idempotency_key="k")
    assert _bare(second) == _bare(first)
    assert world.portal.revision == revision
    assert not world.sql("select 1 from customer where company = 'old' and deletedat is null")


@pytest.mark.parametrize("other", ["i@example.com", "kai@example.com.au", "xkai@example.com", "kai@example.co"])
def test_an_address_that_contains_the_erased_one_is_another_persons(world: World, other: str) -> None:
    caller = Caller(world)
    person(world, email=KAI)
    first = caller.post({"email": other, "company": f"write to {other}"}, idempotency_key="k")
    assert first[0] == 201
    world.quiet()
    logged = count(world, "sync.history")
    assert erase(world.parts, KAI)
    assert caller.post({"email": other, "company": f"write to {other}"}, idempotency_key="k") == first
    assert count(world, "sync.history") == logged - 1


def test_an_erase_takes_the_outcomes_about_the_person_and_leaves_the_others_of_the_batch(world: World) -> None:
    caller = Caller(world)
    items = [{"op": "upsert", **made(email), "company": "old"} for email in (KAI, UWE, "mia@example.com")]
    _, first = caller("POST", "/batch", items, idempotency_key="k")
    assert [outcome["status"] for outcome in first] == [201, 201, 201]
    world.sql("update customer set company = 'newer'")
    world.quiet()
    assert erase(world.parts, KAI)
    revision = world.portal.revision
    status, second = caller("POST", "/batch", items, idempotency_key="k")
    assert (status, second[1:]) == (207, first[1:])
    assert (second[0]["status"], second[0]["code"]) == (409, "erased_subject")
    assert world.portal.revision == revision
    assert_erased(world, KAI)
    kept = str(world.sql("select body from sync.idempotency"))
    assert first[0]["customer"]["contactid"] not in kept
    assert first[0]["customer"]["uuid"] not in kept


def test_an_erase_takes_what_is_remembered_under_a_former_address(world: World) -> None:
    caller = Caller(world)
    caller.post({"email": "old@example.com"}, idempotency_key="made")
    caller.put("old@example.com", {"email": KAI})
    caller("POST", "/batch", [{"op": "read", "email": "old@example.com"}], idempotency_key="missing")
    world.quiet()
    assert erase(world.parts, KAI)
    assert_erased(world, KAI, "old@example.com")


def test_an_erase_takes_every_row_from_before_keys_were_the_subjects(world: World) -> None:
    person(world, email=KAI)
    world.sql(
        "insert into sync.idempotency (caller, key, request, uuid, lease_until) "
        "values ('admin', 'make-kai@example.com', 'r', gen_random_uuid(), now())"
    )
    assert erase(world.parts, KAI)
    assert_erased(world, KAI)


def test_an_erase_takes_answers_whose_text_names_the_person(world: World) -> None:
    caller = Caller(world)
    _, contact = person(world, email="uwe@example.com")
    change_of = {"company": "ask Kai@Example.com, please", "phone": "kai@example.com."}
    caller.post({"email": "uwe@example.com"}, idempotency_key="taken")
    caller("POST", "/batch", [{"op": "update", "email": UWE, **change_of}], idempotency_key="named")
    person(world, email=KAI)
    caller.post({"email": KAI}, idempotency_key="refused")
    assert erase(world.parts, KAI)
    remembered = " ".join(str(row["body"]) for row in world.sql("select body from sync.idempotency")).lower()
    assert KAI not in remembered
    assert str(contact) in remembered


def test_an_answer_that_comes_after_the_erase_is_not_remembered(world: World) -> None:
    """A request under way has read the person before the erase, and is answered after it."""
    caller = Caller(world)
    person(world, email=KAI)
    person(world, email=UWE)
    items = [{"op": "read", "email": KAI}, {"op": "update", "email": UWE, "company": "Acme 2"}]
    during(world, "/batch/update", lambda: erase(world.parts, KAI))
    status, outcomes = caller("POST", "/batch", items, idempotency_key="k")
    assert (status, [outcome["status"] for outcome in outcomes]) == (207, [200, 200])
    assert traces(world, KAI) == []
    _, again = caller("POST", "/batch", items, idempotency_key="k")
    assert (again[0]["code"], again[1]) == ("erased_subject", outcomes[1])


def test_an_erase_during_anothers_put_does_not_let_it_run_again(world: World) -> None:
    caller = Caller(world)
    person(world, email=KAI)
    uuid, _ = person(world, email=UWE)
    during(world, "/batch/update", lambda: erase(world.parts, KAI), when="before")
    assert caller.put(UWE, {"company": "1"}, idempotency_key="k")[0] == 200
    change(world, uuid, company="newer")
    world.quiet()
    caller.put(UWE, {"company": "1"}, idempotency_key="k")
    assert world.sql("select company from customer where uuid = %s", uuid)[0]["company"] == "newer"


def test_a_create_under_way_that_is_erased_is_not_remembered(world: World) -> None:
    caller = Caller(world)
    said: list[str] = []

    def erase_at_once() -> None:
        try:
            erase(world.parts, KAI, patience=0)
        except StillDue as error:
            said.append(error.reason)

    during(world, CREATE, erase_at_once)
    assert caller.post({"email": KAI}, idempotency_key="k")[0] == 201
    assert len(said) == 1
    assert "under way" in said[0]
    world.quiet()
    assert_erased(world, KAI)
    assert world.portal.contacts == []
    status, again = caller.post({"email": KAI}, idempotency_key="k")
    assert (status, again["code"]) == (409, "erased_subject")
