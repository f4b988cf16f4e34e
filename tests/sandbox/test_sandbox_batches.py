"""Batch endpoints: what refuses the whole, what is told for each input, and in which order."""

import pytest

from sandbox import Sandbox
from sandbox.routes import OBJECTS


def new(email: str, **more: str) -> dict[str, object]:
    return {"properties": {"email": email}, **more}


def traced(*emails: str) -> list[dict[str, object]]:
    return [new(email, objectWriteTraceId=str(number)) for number, email in enumerate(emails)]


def test_results_are_never_in_the_order_of_the_inputs(call) -> None:
    emails = [f"u{number}@hubspot.com" for number in range(20)]
    reply = call.batch("create", *map(new, emails))
    assert (reply.status, reply.json["status"]) == (201, "COMPLETE")
    answered = [each["properties"]["email"] for each in reply.json["results"]]
    assert answered != emails
    assert sorted(answered) == sorted(emails)
    two = call.batch("read", {"id": emails[0]}, {"id": emails[1]}, idProperty="email", properties=["email"])
    assert [each["properties"]["email"] for each in two.json["results"]] == [emails[1], emails[0]]


def test_one_batch_has_one_modified_date(call) -> None:
    created = call.batch("create", *(new(f"u{number}@hubspot.com") for number in range(50))).json["results"]
    assert len({each["updatedAt"] for each in created}) == 1
    inputs = [{"id": each["id"], "properties": {"firstname": "Ada"}} for each in created]
    assert len({each["updatedAt"] for each in call.batch("update", *inputs).json["results"]}) == 1


def test_a_create_without_trace_ids_is_all_or_nothing(call, sandbox: Sandbox) -> None:
    call.create(email="taken@hubspot.com")
    reply = call.batch("create", new("free@hubspot.com"), new("taken@hubspot.com"))
    assert (reply.status, reply.message) == (409, "Contact already exists")
    assert sandbox.portal.contact("free@hubspot.com") is None
    sandbox.portal.set(named_batch_conflict=True)
    assert "Existing ID: " in call.batch("create", new("taken@hubspot.com")).message


def test_a_create_with_trace_ids_names_each_bad_input(call, sandbox: Sandbox) -> None:
    holder = call.create(email="taken@hubspot.com")
    bad = {"properties": {"nope": "1"}, "objectWriteTraceId": "9"}
    reply = call.batch("create", *traced("free@hubspot.com", "taken@hubspot.com"), bad)
    assert (reply.status, reply.json["numErrors"]) == (207, 2)
    conflict, invalid = reply.json["errors"]
    assert conflict["category"] == "CONFLICT"
    assert conflict["context"] == {"objectWriteTraceId": ["1"], "existingId": [holder]}
    assert invalid["category"] == "VALIDATION_ERROR"
    assert invalid["context"] == {"objectWriteTraceId": ["9"]}
    assert [each["objectWriteTraceId"] for each in reply.json["results"]] == ["0"]
    assert sandbox.portal.contact("free@hubspot.com") is not None


def test_trace_ids_that_are_not_distinct_do_not_count(call) -> None:
    call.create(email="taken@hubspot.com")
    inputs = [
        new("free@hubspot.com", objectWriteTraceId="1"),
        new("taken@hubspot.com", objectWriteTraceId="1"),
    ]
    assert call.batch("create", *inputs).status == 409


def test_the_same_address_twice_conflicts_with_itself(call, sandbox: Sandbox) -> None:
    assert call.batch("create", new("a@hubspot.com"), new("a@hubspot.com")).status == 409
    assert sandbox.portal.contacts == []
    reply = call.batch("create", *traced("a@hubspot.com", "a@hubspot.com"))
    assert (reply.status, len(reply.json["results"]), reply.json["numErrors"]) == (207, 1, 1)


def test_a_read_lists_all_missing_ids_in_one_entry(call) -> None:
    contact = call.create(email="a@hubspot.com")
    reply = call.batch("read", {"id": "5"}, {"id": contact}, {"id": "x"}, properties=["email"])
    assert (reply.status, reply.json["numErrors"]) == (207, 1)
    (entry,) = reply.json["errors"]
    assert entry["context"] == {"ids": ["5", "x"]}
    assert entry["category"] == "OBJECT_NOT_FOUND"
    assert [each["id"] for each in reply.json["results"]] == [contact]


def test_a_read_follows_secondary_addresses_merged_ids_and_numbers(call, sandbox: Sandbox) -> None:
    one, two = call.create(email="a@hubspot.com"), call.create(email="b@hubspot.com")
    survivor = sandbox.portal.merge(one, two)
    by_email = call.batch("read", {"id": "B@hubspot.com"}, idProperty="email").json["results"]
    by_id = call.batch("read", {"id": one}, {"id": int(two)}).json["results"]
    assert [each["id"] for each in by_email + by_id] == [str(survivor.id)] * 2


def test_a_read_of_the_bin_shows_archived_ones_only(call) -> None:
    live, dead = call.create(email="a@hubspot.com"), call.create(email="b@hubspot.com")
    call("DELETE", f"{OBJECTS}/{dead}")
    reply = call("POST", f"{OBJECTS}/batch/read?archived=true", {"inputs": [{"id": live}, {"id": dead}]})
    assert [each["id"] for each in reply.json["results"]] == [dead]
    assert reply.json["errors"][0]["context"] == {"ids": [live]}


def test_histories_are_read_for_fifty_at_most(call) -> None:
    contact = call.create(firstname="Maria")
    call("PATCH", f"{OBJECTS}/{contact}", {"properties": {"firstname": "Ada"}})
    reply = call.batch("read", {"id": contact}, propertiesWithHistory=["firstname"])
    lines = reply.json["results"][0]["propertiesWithHistory"]["firstname"]
    assert [line["value"] for line in lines] == ["Ada", "Maria"]
    refused = call.batch("read", *[{"id": "1"}] * 51, propertiesWithHistory=["firstname"])
    assert refused.status == 400
    assert "property histories is 50" in refused.message


@pytest.mark.parametrize("verb", ["read", "create", "update", "upsert", "archive"])
def test_more_than_a_hundred_inputs_are_refused(call, verb: str) -> None:
    inputs = [{"id": str(number), "properties": {}} for number in range(1, 102)]
    assert call.batch(verb, *inputs).status == 400


@pytest.mark.parametrize("bad", [5, None, {"id": {}}, {"id": True}, {"id": "1", "idProperty": []}, {"id": ""}])
def test_an_input_that_cannot_be_read_is_refused(call, bad: object) -> None:
    for verb in ("read", "update", "upsert", "archive"):
        assert call.batch(verb, bad).status == 400


@pytest.mark.parametrize("verb", ["read", "create", "update", "upsert", "archive"])
def test_a_body_without_inputs_is_refused(call, verb: str) -> None:
    reply = call("POST", f"{OBJECTS}/batch/{verb}", {})
    assert reply.status == 400
    assert "Some required fields were not set: [inputs]" in reply.message


def test_an_update_tells_missing_ids_and_leaves_merged_ones_out(call, sandbox: Sandbox) -> None:
    ids = [call.create(email=f"u{number}@hubspot.com") for number in range(3)]
    sandbox.portal.merge(ids[0], ids[1])
    reply = call.batch("update", *({"id": each, "properties": {"firstname": "Ada"}} for each in [*ids, "7"]))
    assert reply.status == 207
    assert [each["id"] for each in reply.json["results"]] == [ids[2]]
    assert reply.json["errors"][0]["context"] == {"ids": ["7"]}
    quiet = call.batch("update", {"id": ids[0], "properties": {"firstname": "Bo"}})
    assert (quiet.status, quiet.json["results"]) == (200, [])


def test_an_update_with_one_bad_value_changes_nothing(call) -> None:
    ids = [call.create(firstname="Maria") for _ in range(2)]
    good = {"id": ids[0], "properties": {"firstname": "Ada"}}
    bad = {"id": ids[1], "properties": {"lifecyclestage": "nope"}}
    assert call.batch("update", good, bad).status == 400
    assert call.read(ids[0], "firstname")["firstname"] == "Maria"


def test_an_update_with_one_taken_address_changes_nothing(call) -> None:
    ids = [call.create(email=f"u{number}@hubspot.com") for number in range(3)]
    good = {"id": ids[0], "properties": {"email": "new@hubspot.com"}}
    bad = {"id": ids[1], "properties": {"email": "u2@hubspot.com"}}
    assert call.batch("update", good, bad).status == 409
    assert call.read(ids[0], "email")["email"] == "u0@hubspot.com"
    assert call("GET", f"{OBJECTS}/u0@hubspot.com?idProperty=email").json["id"] == ids[0]
    assert call("GET", f"{OBJECTS}/new@hubspot.com?idProperty=email").status == 404


def test_an_update_with_an_id_twice_is_refused(call) -> None:
    contact = call.create(firstname="Maria")
    each = {"id": contact, "properties": {"firstname": "Ada"}}
    reply = call.batch("update", each, each)
    assert reply.status == 400
    assert reply.message == f"Duplicate IDs found in batch input: [{contact}]. IDs must be unique"
    assert reply.json["context"] == {"ids": [contact]}


def test_an_update_by_address_is_refused_unless_the_portal_allows_it(call, sandbox: Sandbox) -> None:
    contact = call.create(email="a@hubspot.com")
    each = {"id": "a@hubspot.com", "idProperty": "email", "properties": {"firstname": "Ada"}}
    refused = call.batch("update", each)
    assert refused.message == "Unable to perform update/upsert by non-unique 0-1 property email"
    sandbox.portal.set(batch_update_by_email=True)
    assert [each["id"] for each in call.batch("update", each).json["results"]] == [contact]


def upsert(key: str, **properties: str) -> dict[str, object]:
    return {"idProperty": "email", "id": key, "properties": properties}


def test_an_upsert_creates_and_updates(call) -> None:
    old = call.create(email="old@hubspot.com")
    reply = call.batch("upsert", upsert("old@hubspot.com", firstname="Ada"), upsert("new@hubspot.com", firstname="Bo"))
    assert reply.status == 200
    results = {each["new"]: each for each in reply.json["results"]}
    assert results[False]["id"] == old
    assert results[True]["properties"]["email"] == "new@hubspot.com"


def test_an_upsert_with_one_bad_input_changes_nothing(call, sandbox: Sandbox) -> None:
    reply = call.batch("upsert", upsert("new@hubspot.com"), upsert("other@hubspot.com", nope="1"))
    assert reply.status == 400
    assert sandbox.portal.contacts == []


def test_an_upsert_by_a_secondary_address_finds_the_owner(call, sandbox: Sandbox) -> None:
    contact = call.create(email="a@hubspot.com")
    sandbox.portal.add_address(contact, "b@hubspot.com")
    sandbox.portal.set(upsert_moves_primary=False)
    call.batch("upsert", upsert("b@hubspot.com", email="b@hubspot.com", firstname="Ada"))
    assert call.read(contact, "email", "firstname")["email"] == "a@hubspot.com"
    sandbox.portal.set(upsert_moves_primary=True)
    call.batch("upsert", upsert("b@hubspot.com", email="b@hubspot.com"))
    assert call.read(contact, "email", "firstname")["email"] == "b@hubspot.com"


def test_an_upsert_that_takes_another_ones_address_is_refused_in_the_other_form(call, sandbox: Sandbox) -> None:
    holder, other = call.create(email="a@hubspot.com"), call.create(email="b@hubspot.com")
    reply = call.batch("upsert", upsert("new@hubspot.com"), upsert("b@hubspot.com", email="a@hubspot.com"))
    assert reply.status == 400
    assert reply.message.endswith(f" on {other}. {holder} already has that value.")
    assert len(sandbox.portal.contacts) == 2


def test_an_upsert_may_silently_do_nothing(call, sandbox: Sandbox) -> None:
    sandbox.portal.set(silent_upserts=1)
    reply = call.batch("upsert", upsert("a@hubspot.com"))
    assert (reply.status, reply.json["results"], "errors" in reply.json) == (200, [], False)
    assert sandbox.portal.contacts == []


def test_an_upsert_with_a_key_twice_is_refused_or_applied(call, sandbox: Sandbox) -> None:
    inputs = upsert("a@hubspot.com", firstname="Ada"), upsert("A@hubspot.com", firstname="Bo")
    assert call.batch("upsert", *inputs).status == 400
    sandbox.portal.set(duplicate_upserts="apply")
    assert call.batch("upsert", *inputs).status == 200
    assert [each.get("firstname") for each in sandbox.portal.contacts] == ["Bo"]


def test_an_upsert_by_a_custom_unique_property(call, sandbox: Sandbox) -> None:
    sandbox.portal.add_property("customer_id", unique=True)
    each = {"idProperty": "customer_id", "id": "c-1", "properties": {"firstname": "Ada"}}
    first, second = call.batch("upsert", each).json, call.batch("upsert", each).json
    assert (first["results"][0]["new"], second["results"][0]["new"]) == (True, False)
    assert call("GET", f"{OBJECTS}/c-1?idProperty=customer_id").status == 200


def test_an_archive_does_not_mind_unknown_ids(call, sandbox: Sandbox) -> None:
    contact = call.create(email="a@hubspot.com")
    reply = call.batch("archive", {"id": int(contact)}, {"id": "5"}, {"id": contact})
    assert (reply.status, reply.body) == (204, b"")
    assert sandbox.portal.contacts == []
