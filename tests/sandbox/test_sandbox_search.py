"""Search: operators, limits, paging, and an index that is behind the store."""

import pytest

from sandbox import Sandbox, start
from sandbox.routes import OBJECTS


def where(name: str, operator: str, value: object = None, **more: object) -> dict[str, object]:
    return {"propertyName": name, "operator": operator, **({} if value is None else {"value": value}), **more}


def ids(reply) -> list[str]:
    assert reply.status == 200, reply.body
    return [each["id"] for each in reply.json["results"]]


BY_ID = [{"propertyName": "hs_object_id", "direction": "ASCENDING"}]
BY_TIME = [{"propertyName": "lastmodifieddate", "direction": "DESCENDING"}]


@pytest.fixture
def people(sandbox: Sandbox) -> dict[str, str]:
    sandbox.portal.set(search_per_second=0)
    rows = {
        "maria": {
            "email": "Maria@hubspot.com",
            "firstname": "Maria",
            "company": "ACME Inc",
            "numemployees": "1-5",
        },
        "ada": {"email": "ada@lovelace.org", "firstname": "Ada", "lifecyclestage": "customer"},
        "kai": {"email": "kai@hubspot.com", "firstname": "Kai Ove", "phone": "+1 555"},
    }
    return {name: str(sandbox.portal.create(values).id) for name, values in rows.items()}


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (where("email", "EQ", "maria@HUBSPOT.com"), "maria"),
        (where("firstname", "EQ", "ADA"), "ada"),
        (where("firstname", "NEQ", "ada"), "maria kai"),
        (where("email", "IN", values=["kai@hubspot.com", "nobody@x.com"]), "kai"),
        (where("email", "IN", values=["KAI@hubspot.com"]), ""),
        (where("firstname", "NOT_IN", values=["ada", "maria"]), "kai"),
        (where("phone", "HAS_PROPERTY"), "kai"),
        (where("phone", "NOT_HAS_PROPERTY"), "maria ada"),
        (where("email", "CONTAINS_TOKEN", "hubspot.com"), "maria kai"),
        (where("email", "CONTAINS_TOKEN", "*@hubspot.com"), "maria kai"),
        (where("email", "CONTAINS_TOKEN", "hubspot.org"), ""),
        (where("company", "CONTAINS_TOKEN", "acm"), ""),
        (where("company", "CONTAINS_TOKEN", "acme"), "maria"),
        (where("company", "NOT_CONTAINS_TOKEN", "acme"), ""),
        (where("lifecyclestage", "EQ", "customer"), "ada"),
        (where("lifecyclestage", "EQ", "CUSTOMER"), ""),
        (where("firstname", "GT", "kai"), "maria kai"),
        (where("firstname", "BETWEEN", "a", highValue="b"), "ada"),
        (where("createdate", "GTE", "2020-01-01T00:00:00+02:00"), "maria ada kai"),
        (where("createdate", "LT", "1600000000000"), ""),
    ],
)
def test_an_operator_finds(call, people: dict[str, str], condition: dict[str, object], found: str) -> None:
    assert ids(call.search(condition)) == [people[name] for name in found.split()]


def test_groups_are_alternatives_and_filters_add_up(call, people: dict[str, str]) -> None:
    groups = [
        {"filters": [where("firstname", "EQ", "ada"), where("lifecyclestage", "EQ", "customer")]},
        {"filters": [where("firstname", "EQ", "maria"), where("lifecyclestage", "EQ", "customer")]},
        {"filters": [where("email", "EQ", "kai@hubspot.com")]},
    ]
    reply = call("POST", f"{OBJECTS}/search", {"filterGroups": groups})
    assert ids(reply) == [people["ada"], people["kai"]]


def test_words_find_the_beginnings_of_words(call, people: dict[str, str]) -> None:
    assert ids(call("POST", f"{OBJECTS}/search", {"query": "hub mar"})) == [people["maria"]]


def test_ids_and_times_can_be_ranges_in_any_combination(call, people: dict[str, str]) -> None:
    first, second, third = (int(each) for each in people.values())
    assert ids(call.search(where("hs_object_id", "GT", str(first)), sorts=BY_ID)) == [str(second), str(third)]
    both = where("hs_object_id", "BETWEEN", str(second), highValue=str(third))
    assert ids(call.search(both, where("lastmodifieddate", "GTE", "1000"), sorts=BY_ID)) == [
        str(second),
        str(third),
    ]
    assert ids(call.search(where("hs_object_id", "IN", values=[str(third)]))) == [str(third)]


def test_a_secondary_address_is_found_when_the_portal_does_that(call, sandbox: Sandbox, people: dict[str, str]) -> None:
    sandbox.portal.add_address(people["ada"], "a@l.org")
    assert ids(call.search(where("email", "EQ", "a@l.org"))) == []
    sandbox.portal.set(search_secondary=True)
    assert ids(call.search(where("email", "EQ", "a@l.org"))) == [people["ada"]]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            {"filterGroups": [{"filters": [where("email", "EQ", "x")]}] * 6},
            "too many filterGroups (count: 6, max allowed: 5)",
        ),
        ({"filterGroups": [{"filters": [where("email", "EQ", "x")] * 7}]}, "max allowed: 6"),
        ({"filterGroups": [{"filters": [where("email", "EQ", "x")] * 4}] * 5}, "max allowed: 18"),
        ({"filterGroups": [{"filters": [where("nope", "EQ", "x")]}]}, "Property nope does not exist"),
        ({"filterGroups": [{"filters": [where("email", "LIKE", "x")]}]}, "Invalid operator"),
        ({"filterGroups": [{"filters": [where("email", "EQ")]}]}, "lacks a value"),
        ({"filterGroups": [{"filters": [where("lastmodifieddate", "GT", "soon")]}]}, "Invalid value"),
        ({"sorts": BY_ID + BY_TIME}, "max allowed: 1"),
        ({"sorts": [{"propertyName": "nope"}]}, "Property nope does not exist"),
        ({"limit": 201}, "Invalid limit"),
        ({"after": "x"}, "Invalid after"),
        ({"after": "9999", "limit": 2}, "10000"),
        ({"after": "10000", "limit": 10}, "10000"),
        ({"query": "x" * 3001}, "3000"),
        ({"limit": "9" * 5000}, "Invalid limit"),
        ({"sorts": [{"propertyName": "email", "direction": "UP"}]}, "Invalid input JSON"),
        ({"filterGroups": [{"filters": [where("hs_object_id", "EQ", "9" * 5000)]}]}, "Invalid value"),
    ],
)
def test_a_search_beyond_the_limits_is_refused(call, body: dict[str, object], text: str) -> None:
    reply = call("POST", f"{OBJECTS}/search", body)
    assert (reply.status, reply.json["category"]) == (400, "VALIDATION_ERROR")
    assert text in reply.message


def test_pages_are_offsets_as_strings(call, people: dict[str, str]) -> None:
    first = call.search(where("firstname", "HAS_PROPERTY"), limit="2")
    assert first.json["paging"] == {"next": {"after": "2"}}
    second = call.search(where("firstname", "HAS_PROPERTY"), limit=2, after="2")
    assert "paging" not in second.json
    assert [*ids(first), *ids(second)] == list(people.values())
    assert first.json["total"] == second.json["total"] == 3


def test_the_quick_way_and_the_scan_agree(call, sandbox: Sandbox) -> None:
    sandbox.portal.set(search_per_second=0)
    now = sandbox.portal.ledger.clock()
    sandbox.portal.load(250, "p")
    quick = call.search(where("lastmodifieddate", "GTE", str(now)), sorts=BY_TIME, limit=200)
    scan = call.search(
        where("lastmodifieddate", "GTE", str(now)), where("email", "HAS_PROPERTY"), sorts=BY_TIME, limit=200
    )
    assert quick.json["total"] == scan.json["total"] == 250
    assert ids(quick) == ids(scan)


def test_many_contacts_of_one_millisecond_are_drained_by_id(caller) -> None:
    with start(clock=lambda: 1_700_000_000_000, search_per_second=0, daily_limit=0) as sandbox:
        sandbox.portal.load(1200, "p")
        call, found, last = caller(sandbox), [], 0
        while True:
            at = where("lastmodifieddate", "EQ", "1700000000000")
            page = ids(call.search(at, where("hs_object_id", "GT", str(last)), sorts=BY_ID, limit=200))
            if not page:
                break
            found += page
            last = int(page[-1])
    assert len(found) == len(set(found)) == 1200


def test_filters_see_the_stale_index_and_values_are_fresh(call, sandbox: Sandbox) -> None:
    contact = call.create(email="old@hubspot.com")
    sandbox.portal.set(index_lag_ms=600_000)
    call("PATCH", f"{OBJECTS}/{contact}", {"properties": {"email": "new@hubspot.com"}})
    by_old = call.search(where("email", "EQ", "old@hubspot.com"), properties=["email"])
    assert by_old.json["results"][0]["properties"]["email"] == "new@hubspot.com"
    assert call.search(where("email", "EQ", "new@hubspot.com")).json == {"total": 0, "results": []}
    sandbox.portal.refresh_index()
    assert ids(call.search(where("email", "EQ", "new@hubspot.com"))) == [contact]


def test_a_stale_hit_counts_but_is_not_shown(call, sandbox: Sandbox) -> None:
    contact = call.create(email="a@hubspot.com")
    sandbox.portal.set(index_lag_ms=600_000)
    call("DELETE", f"{OBJECTS}/{contact}")
    assert call.search(where("email", "EQ", "a@hubspot.com")).json == {"total": 1, "results": []}
    sandbox.portal.refresh_index()
    assert call.search(where("email", "EQ", "a@hubspot.com")).json == {"total": 0, "results": []}


def test_a_new_contact_is_absent_until_the_index_has_it(call, sandbox: Sandbox, eventually) -> None:
    sandbox.portal.set(index_lag_ms=50, index_lag_max_ms=80, search_per_second=0)
    contact = call.create(email="a@hubspot.com")
    assert eventually(lambda: ids(call.search(where("email", "EQ", "a@hubspot.com")))) == [contact]


def test_an_older_version_never_replaces_a_newer_one_in_the_index(sandbox: Sandbox) -> None:
    contact = sandbox.portal.create({"firstname": "one"})
    sandbox.portal.set(index_lag_ms=600_000)
    sandbox.portal.edit(contact.id, {"firstname": "two"})
    sandbox.portal.set(index_lag_ms=0)
    sandbox.portal.edit(contact.id, {"firstname": "three"})
    sandbox.portal.refresh_index()
    assert sandbox.portal.ledger.index.documents[contact.id].get("firstname") == "three"


def test_merged_and_archived_contacts_are_not_found(call, sandbox: Sandbox) -> None:
    one, two, three = (call.create(firstname="Ada") for _ in range(3))
    survivor = sandbox.portal.merge(one, two)
    sandbox.portal.delete(three)
    assert ids(call.search(where("firstname", "EQ", "ada"))) == [str(survivor.id)]


def test_a_long_search_body_is_refused_when_the_portal_does_that(call, sandbox: Sandbox) -> None:
    sandbox.portal.set(search_body_limit=3000)
    values = [f"u{number}@hubspot.com" for number in range(200)]
    assert call.search(where("email", "IN", values=values)).status == 400
    assert call.search(where("email", "IN", values=values[:10])).status == 200


def test_a_search_from_epoch_zero_fails(call, sandbox: Sandbox) -> None:
    assert call.search(where("lastmodifieddate", "GTE", "0")).status == 500
    sandbox.portal.set(search_epoch_zero_fails=False)
    assert call.search(where("lastmodifieddate", "GTE", "0")).status == 200
