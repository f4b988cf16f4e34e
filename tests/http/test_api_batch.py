"""POST /batch runs up to a thousand items; each ends in an outcome of its own."""

from typing import Any

import pytest
from systems import KAI, ApiInProcess

READ = {"op": "read", "email": "kai@hubspot.com"}


def person(n: int, **more: Any) -> dict[str, Any]:
    return {"email": f"person{n}@hubspot.com", "firstname": f"First {n}", "lastname": f"Last {n}", **more}


def statuses(reply: Any) -> list[int]:
    assert reply.status == 207
    return [outcome["status"] for outcome in reply.json]


def test_every_operation_ends_in_its_outcome_in_input_order(api: ApiInProcess) -> None:
    for n in (1, 2, 3):
        assert api.admin("POST", "/", person(n)).status == 201
    reply = api.admin(
        "POST",
        "/batch",
        [
            {"op": "read", "email": "person1@hubspot.com"},
            {"op": "create", **person(4)},
            {"op": "update", "email": "person2@hubspot.com", "phone": "2"},
            {"op": "delete", "email": "person3@hubspot.com"},
            {"op": "upsert", **person(5)},
            {"op": "upsert", "email": "person1@hubspot.com", "phone": "1"},
            {"op": "read", "email": "nobody@hubspot.com"},
            {"op": "create", **person(2)},
        ],
    )
    assert statuses(reply) == [200, 201, 200, 204, 201, 200, 404, 409]
    outcomes = reply.json
    assert outcomes[0]["customer"]["firstname"] == "First 1"
    assert outcomes[1]["customer"]["email"] == "person4@hubspot.com"
    assert outcomes[2]["customer"]["phone"] == "2"
    assert outcomes[3] == {"status": 204}
    assert outcomes[5]["customer"]["phone"] == "1"
    assert outcomes[6]["error"] == outcomes[6]["message"] == "Customer with email nobody@hubspot.com not found"
    holder = api.world.portal.contact("person2@hubspot.com").id
    assert outcomes[7]["message"] == f"HubSpot API Error (409): Contact already exists. Existing ID: {holder}"
    api.world.quiet()
    api.world.assert_equal()


def test_an_outcome_has_the_customer_as_a_read_would_show_it(api: ApiInProcess) -> None:
    outcome = api.admin("POST", "/batch", [{"op": "create", **KAI}]).json[0]
    assert outcome["customer"] == api.user("GET", "/kai@hubspot.com").json


def test_every_failed_outcome_has_what_every_error_has(shared_api: ApiInProcess) -> None:
    items = [
        {"op": "create", "email": "no address"},
        {"op": "read", "email": "nobody@hubspot.com"},
        {"op": "create", **KAI},
    ]
    for outcome in shared_api.admin("POST", "/batch", items).json:
        assert {"status", "message", "code", "request_id"} <= outcome.keys()


def test_a_change_of_address_goes_by_new_email(api: ApiInProcess) -> None:
    api.admin("POST", "/", KAI)
    item = {"op": "update", "email": "kai@hubspot.com", "new_email": "New@hubspot.com", "phone": "1"}
    assert statuses(api.admin("POST", "/batch", [item])) == [200]
    assert api.user("GET", "/new@hubspot.com").json["phone"] == "1"
    assert api.user("GET", "/kai@hubspot.com").status == 404
    api.world.quiet()
    api.world.assert_equal()


def test_a_bad_item_harms_nobody(api: ApiInProcess) -> None:
    items: list[Any] = [{"op": "create", **person(n)} for n in range(20)]
    bad: list[Any] = [
        *({}, None, 7, "x", [], {"op": "create"}, {"op": "explode", "email": "a@b.co"}, {"email": "a@b.co"}),
        *({"op": "create", **person(91), "firstname": ""}, {"op": "create", **person(92), "firstname": None}),
        *({"op": "create", **person(93), "vip": True}, {"op": "create", **person(94), "phone": 5}),
        *({"op": "read", "email": "a@b"}, {"op": "create", **person(95), "lifecyclestage": "no-such-stage"}),
        {"op": "update", "email": "person1@hubspot.com", "new_email": None},
    ]
    mixed = [item for pair in zip(items, [*bad, *bad[:5]], strict=True) for item in pair]
    found = statuses(api.admin("POST", "/batch", mixed))
    assert found[::2] == [201] * 20
    assert set(found[1::2]) == {400}
    api.world.quiet()
    api.world.assert_equal()
    assert len(api.world.portal.contacts) == 20


def test_items_about_one_address_run_one_after_the_other(api: ApiInProcess) -> None:
    kai = {"email": "kai@hubspot.com"}
    items = [
        *(
            {"op": "read", **kai},
            {"op": "create", **KAI},
            {"op": "create", **KAI},
            {"op": "update", **kai, "phone": "1"},
        ),
        *(
            {"op": "delete", **kai},
            {"op": "read", **kai},
            {"op": "upsert", **KAI},
            {"op": "read", "email": "KAI@hubspot.com"},
        ),
    ]
    assert statuses(api.admin("POST", "/batch", items)) == [404, 201, 409, 200, 204, 404, 201, 200]
    api.world.quiet()
    api.world.assert_equal()


def test_two_customers_may_swap_their_addresses(api: ApiInProcess) -> None:
    assert statuses(api.admin("POST", "/batch", [{"op": "create", **person(n)} for n in (1, 2)])) == [201, 201]
    one, two, free = (f"{name}@hubspot.com" for name in ("person1", "person2", "free"))
    moves = [(one, free), (two, one), (free, two)]
    items = [{"op": "update", "email": old, "new_email": new} for old, new in moves]
    assert statuses(api.admin("POST", "/batch", items)) == [200, 200, 200]
    assert api.user("GET", "/person1@hubspot.com").json["firstname"] == "First 2"
    api.world.quiet()
    api.world.assert_equal()


def test_a_thousand_items_are_ten_calls_of_hubspot(api: ApiInProcess) -> None:
    items = [{"op": "create", **person(n)} for n in range(1000)]
    api.world.portal.calls.clear()
    assert statuses(api.admin("POST", "/batch", items)) == [201] * 1000
    assert api.world.portal.calls.total == 10
    api.world.portal.calls.clear()
    changes = [{"op": "update", "email": item["email"], "phone": "1"} for item in items]
    assert statuses(api.admin("POST", "/batch", changes)) == [200] * 1000
    assert api.world.portal.calls.total == 10
    reads = [{"op": "read", "email": item["email"]} for item in items]
    api.world.portal.calls.clear()
    assert [outcome["customer"]["email"] for outcome in api.admin("POST", "/batch", reads).json] == [
        item["email"] for item in items
    ]
    deletes = [{"op": "delete", "email": item["email"]} for item in items]
    assert statuses(api.admin("POST", "/batch", deletes)) == [204] * 1000
    assert api.world.portal.calls.total == 10
    assert api.world.portal.contacts == []
    api.world.assert_equal()


@pytest.mark.parametrize("body", [[], {}, None, "x", 7, [READ] * 1001, {"items": [READ]}])
def test_a_body_that_is_no_list_of_up_to_a_thousand_is_refused_whole(shared_api: ApiInProcess, body: Any) -> None:
    reply = shared_api.admin("POST", "/batch", body)
    assert (reply.status, reply.json["message"]) == (400, "Invalid body")


def test_a_thousand_items_with_long_values_are_taken(shared_api: ApiInProcess) -> None:
    items = [{**READ, "op": "update", "email": "nobody@hubspot.com", "company": "x" * 7000}] * 1000
    assert set(statuses(shared_api.admin("POST", "/batch", items))) == {404}


def test_a_failure_of_hubspot_is_every_item_s_own(api: ApiInProcess) -> None:
    assert api.admin("POST", "/", KAI).status == 201
    api.world.portal.faults.add(action="cut", path_contains="/batch/create", times=None)
    reply = api.admin("POST", "/batch", [{"op": "create", **person(1)}, READ, {"op": "create", **person(2)}])
    assert statuses(reply) == [500, 200, 500]
    assert reply.json[0]["message"] == "Error creating customer"
    api.world.portal.faults.clear()
    api.world.sql("update sync.intent set deadline = now() - interval '1 second'")
    api.world.quiet()
    api.world.assert_equal()


@pytest.mark.parametrize(
    ("op", "message"),
    [
        ("update", "Error updating customer"),
        ("delete", "Error deleting customer"),
        ("upsert", "Error updating customer"),
    ],
)
def test_a_failed_item_is_told_in_the_words_of_its_call(api: ApiInProcess, op: str, message: str) -> None:
    assert api.admin("POST", "/", KAI).status == 201
    api.world.portal.faults.add(action="status", status=500, path_contains="/batch/", times=None)
    item = {"op": op, "email": "kai@hubspot.com", **({} if op == "delete" else {"phone": "1"})}
    reply = api.admin("POST", "/batch", [item])
    assert statuses(reply) == [500]
    assert reply.json[0]["message"] == message


def test_one_value_that_hubspot_refuses_is_refused_alone(api: ApiInProcess) -> None:
    items = [{"op": "create", **person(n)} for n in range(100)]
    items[50]["lifecyclestage"] = "no-such-stage"
    assert statuses(api.admin("POST", "/batch", items)) == [*[201] * 50, 400, *[201] * 49]
    api.world.quiet()
    api.world.assert_equal()


def test_an_erased_address_refuses_its_item_only(api: ApiInProcess) -> None:
    from reconciler.commands.erase import erase

    api.admin("POST", "/", KAI)
    assert erase(api.world.parts, "kai@hubspot.com")
    assert statuses(api.admin("POST", "/batch", [{"op": "create", **KAI}, {"op": "create", **person(1)}])) == [409, 201]
