"""Idempotency-Key: a write that is sent again is not done again."""

import json
from collections.abc import Callable
from typing import Any

import forging
import pytest
from callers import Caller, Reply
from systems import JWT_SECRET, KAI, ApiInProcess

from api.auth import ALGORITHM

KEY = "8e03978e-40d5-43e8-bc93-6894a57f9324"
PUT = ("PUT", "/kai@hubspot.com", {"phone": "1"})
BATCH = ("POST", "/batch", [{"op": "upsert", "email": "kai@hubspot.com", "phone": "1"}])


def again(api: ApiInProcess, *request: Any, **headers: str) -> tuple[Reply, Reply]:
    """The answers to a request and to its repetition."""
    first, second = (api.admin(*request, Idempotency_Key=KEY, **headers) for _ in range(2))
    return first, second


def test_a_repeated_create_is_answered_as_before_and_creates_nothing(api: ApiInProcess) -> None:
    first, second = again(api, "POST", "/", KAI)
    assert (first.status, second.status) == (201, 201)
    assert first.json == second.json
    assert len(api.world.portal.contacts) == 1
    assert api.world.sql("select count(*) from customer")[0]["count"] == 1


def test_the_answer_stays_the_same_when_the_customer_has_changed(api: ApiInProcess) -> None:
    first = api.admin("POST", "/", KAI, Idempotency_Key=KEY)
    assert api.admin("PUT", "/kai@hubspot.com", {"phone": "1"}).status == 200
    assert api.admin("POST", "/", KAI, Idempotency_Key=KEY).json == first.json
    api.admin("DELETE", "/kai@hubspot.com")
    assert api.admin("POST", "/", KAI, Idempotency_Key=KEY).json == first.json
    assert api.user("GET", "/kai@hubspot.com").status == 404


@pytest.mark.parametrize("request_", [PUT, BATCH], ids=["PUT", "batch"])
def test_a_repeated_change_is_done_once(api: ApiInProcess, request_: Any) -> None:
    api.admin("POST", "/", KAI)
    first = api.admin(*request_, Idempotency_Key=KEY)
    api.world.sql("update customer set phone = 'newer'")
    api.world.quiet()
    revision = api.world.portal.revision
    second = api.admin(*request_, Idempotency_Key=KEY)
    assert first.status == second.status
    assert first.body == second.body or first.json == second.json
    assert api.world.portal.revision == revision
    assert api.user("GET", "/kai@hubspot.com").json["phone"] == "newer"


def test_a_replayed_update_says_where_the_customer_was_moved(api: ApiInProcess) -> None:
    """The path names nobody any more when the request is repeated."""
    api.admin("POST", "/", KAI)
    first, second = again(api, "PUT", "/kai@hubspot.com", {"email": "new@hubspot.com"})
    assert (first.status, second.status) == (200, 200)


def test_a_replayed_update_is_not_held_against_its_own_precondition(api: ApiInProcess) -> None:
    tag = api.admin("POST", "/", KAI).headers["etag"]
    first, second = again(api, *PUT, If_Match=tag)
    assert (first.status, second.status) == (200, 200)


def test_a_deletion_is_idempotent_by_its_key_too(api: ApiInProcess) -> None:
    api.admin("POST", "/", KAI)
    first, second = again(api, "DELETE", "/kai@hubspot.com")
    assert (first.status, second.status) == (204, 204)


def test_a_stored_create_is_repeated_without_a_second_customer(api: ApiInProcess) -> None:
    first, second = again(api, "POST", "/", KAI, Prefer="respond-async")
    assert (first.status, second.status) == (202, 202)
    assert first.json == second.json
    assert second.headers["preference-applied"] == "respond-async"


@pytest.mark.parametrize("body", [{**KAI, "email": "a@b"}, {}, {**KAI, "vip": True}])
def test_a_body_that_is_not_valid_does_not_use_the_key_up(api: ApiInProcess, body: dict[str, Any]) -> None:
    assert api.admin("POST", "/", body, Idempotency_Key=KEY).status == 400
    assert api.admin("POST", "/", KAI, Idempotency_Key=KEY).status == 201


def test_a_refusal_is_repeated_as_it_was(api: ApiInProcess) -> None:
    api.admin("POST", "/", KAI)
    first, second = again(api, "POST", "/", {**KAI, "firstname": "Other"})
    assert (first.status, second.status) == (409, 409)
    without_id = [{**reply.json, "request_id": ""} for reply in (first, second)]
    assert without_id[0] == without_id[1]


@pytest.mark.parametrize(
    "other",
    [
        ("POST", "/", {**KAI, "phone": "1"}),
        ("POST", "/batch", [{"op": "create", **KAI}]),
        ("PUT", "/kai@hubspot.com", KAI),
    ],
    ids=["other body", "other path", "other method"],
)
def test_a_key_that_was_used_for_another_request_is_refused(api: ApiInProcess, other: Any) -> None:
    assert api.admin("POST", "/", KAI, Idempotency_Key=KEY).status == 201
    before = api.state()
    reply = api.admin(*other, Idempotency_Key=KEY)
    assert (reply.status, reply.json["code"]) == (422, "key_reused")
    assert api.state() == before


@pytest.mark.parametrize("key", ["", "x" * 256, "x" * 50_000, "tab\there", "\x7f", "caf\xe9\x85"])
def test_a_key_that_cannot_be_kept_is_refused(shared_api: ApiInProcess, key: str) -> None:
    before = shared_api.state()
    reply = shared_api.admin("POST", "/", {**KAI, "email": "new@hubspot.com"}, Idempotency_Key=key)
    assert (reply.status, reply.json["code"]) == (400, "invalid_key")
    assert shared_api.state() == before


@pytest.mark.parametrize("key", ["x", "x" * 255, "with spaces ; and % signs", "'; drop table customer; --"])
def test_any_printable_key_up_to_255_characters_is_taken(api: ApiInProcess, key: str) -> None:
    for _ in range(2):
        assert api.admin("POST", "/", KAI, Idempotency_Key=key).status == 201


@pytest.mark.parametrize("request_", [("POST", "/", KAI), PUT, BATCH], ids=["POST", "PUT", "batch"])
def test_a_repetition_while_the_first_runs_is_asked_to_wait(api: ApiInProcess, request_: Any) -> None:
    if request_[1] != "/":
        api.admin("POST", "/", KAI)
    seen: list[Reply] = []
    api.world.portal.faults.add(
        action="run", method="POST", run=lambda: seen.append(api.admin(*request_, Idempotency_Key=KEY))
    )
    assert api.admin(*request_, Idempotency_Key=KEY).status in (200, 201, 207)
    (during,) = seen
    assert (during.status, during.json["code"]) == (409, "in_flight")
    assert int(during.headers["retry-after"]) > 0
    assert api.admin(*request_, Idempotency_Key=KEY).status in (200, 201, 207)


def test_a_failure_on_our_side_is_not_kept(api: ApiInProcess) -> None:
    api.world.portal.faults.add(action="status", status=503, method="POST", times=3)
    assert api.admin("POST", "/", KAI, Idempotency_Key=KEY).status == 500
    assert api.admin("POST", "/", KAI, Idempotency_Key=KEY).status == 201
    api.world.quiet()
    api.world.assert_equal()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_create_whose_answer_was_lost_ends_as_one_customer_when_it_is_repeated(api: ApiInProcess, when: str) -> None:
    api.world.portal.faults.add(action="cut", when=when, method="POST")
    assert api.admin("POST", "/", KAI, Idempotency_Key=KEY).status == 500
    settled = repeated_until_settled(api, "POST", "/", KAI)
    assert settled.status == 201
    assert settled.json["email"] == "kai@hubspot.com"
    api.world.quiet()
    assert len(api.world.portal.contacts) == 1
    assert api.user("GET", "/kai@hubspot.com").json["uuid"] == settled.json["uuid"]
    api.world.assert_equal()


def test_a_batch_whose_answer_was_lost_ends_as_one_customer_each_when_it_is_repeated(api: ApiInProcess) -> None:
    items = [{"op": "upsert", **KAI, "email": f"person{n}@hubspot.com"} for n in range(3)]
    api.world.portal.faults.add(action="cut", when="after", path_contains="/batch/create")
    first = api.admin("POST", "/batch", items, Idempotency_Key=KEY)
    assert [outcome["status"] for outcome in first.json] == [500] * 3
    api.world.sql("update sync.intent set deadline = now() - interval '1 second'")
    api.world.quiet()
    second = api.admin("POST", "/batch", items, Idempotency_Key=KEY)
    assert {outcome["status"] for outcome in second.json} <= {200, 201}
    api.world.assert_equal()
    assert len(api.world.portal.contacts) == 3


def test_a_key_is_its_caller_s_own(api: ApiInProcess) -> None:
    """What a token of another role holds under a key is nobody else's business; users cannot write at all."""
    assert api.admin("POST", "/", KAI, Idempotency_Key=KEY).status == 201
    assert api.user("POST", "/", KAI, Idempotency_Key=KEY).status == 403


def test_a_key_on_a_read_means_nothing(shared_api: ApiInProcess) -> None:
    assert shared_api.user("GET", "/kai@hubspot.com", Idempotency_Key="x" * 300).status == 200


def repeated_until_settled(api: ApiInProcess, *request: Any) -> Reply:
    """Repeat as a client does that is told to wait, letting the deadline of what is open pass."""
    api.world.sql("update sync.intent set deadline = now() - interval '1 second'")
    api.world.sql("update sync.link set lease_until = null")
    return api.admin(*request, Idempotency_Key=KEY)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_create_is_safe_to_repeat_while_its_outcome_is_still_open(
    api: ApiInProcess, when: str, make_api: Callable[..., ApiInProcess]
) -> None:
    api.world.portal.faults.add(action="cut", when=when, method="POST")
    assert api.admin("POST", "/", KAI, Idempotency_Key=KEY).status == 500
    early = make_api().admin("POST", "/", KAI, Idempotency_Key=KEY)
    assert early.status in (201, 409, 500)
    api.world.sql("update sync.intent set deadline = now() - interval '1 second'")
    api.world.quiet()
    api.world.assert_equal()
    assert len(api.world.portal.contacts) == 1 or early.status != 201


def caller_named(api: ApiInProcess, subject: str) -> Caller:
    """An admin with a token for this subject, which need not be sound text."""
    payload = json.dumps(forging.claims(sub=subject)).encode()
    token = forging.token(JWT_SECRET, {"alg": ALGORITHM}, payload)
    return api.anyone.with_headers(Authorization=f"Bearer {token}")


@pytest.mark.parametrize("other", ["uwe", "KAI", "kai ", "admin", "user", "\x00", "x" * 5000, "\ud800"])
def test_two_subjects_of_one_role_do_not_share_keys(api: ApiInProcess, other: str) -> None:
    kai, uwe = caller_named(api, "kai"), caller_named(api, other)
    assert kai("POST", "/", KAI, Idempotency_Key=KEY).status == 201
    reply = uwe("POST", "/", {**KAI, "email": "other@hubspot.com"}, Idempotency_Key=KEY)
    assert (reply.status, reply.json["email"]) == (201, "other@hubspot.com")
    assert kai("POST", "/", KAI, Idempotency_Key=KEY).json["email"] == KAI["email"]


def test_a_new_token_of_the_same_subject_finds_its_keys(api: ApiInProcess) -> None:
    first = caller_named(api, "kai")("POST", "/", KAI, Idempotency_Key=KEY)
    assert caller_named(api, "kai")("POST", "/", KAI, Idempotency_Key=KEY).json == first.json


@pytest.mark.parametrize("subject", ["admin", "user"])
def test_a_row_of_before_keys_were_the_subjects_answers_nobody(api: ApiInProcess, subject: str) -> None:
    api.world.sql(
        "insert into sync.idempotency (caller, key, request, uuid, status, body, lease_until) "
        "values (%s, %s, 'another request', gen_random_uuid(), 201, '{}', now())",
        subject,
        KEY,
    )
    assert caller_named(api, subject)("POST", "/", KAI, Idempotency_Key=KEY).status == 201


def test_no_row_says_in_clear_who_called_nor_how_the_caller_names_the_request(api: ApiInProcess) -> None:
    reply = caller_named(api, "kai@hubspot.com")("POST", "/", KAI, Idempotency_Key="make-kai@hubspot.com")
    assert reply.status == 201
    (row,) = api.world.sql("select caller, key from sync.idempotency")
    assert "kai" not in row["caller"] + row["key"]
