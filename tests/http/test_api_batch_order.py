"""POST /batch owes order to each person only: what is about different people goes to HubSpot together."""

from typing import Any

from systems import ApiInProcess
from test_api_batch import person, statuses

WRITES = ("/batch/create", "/batch/update", "/batch/archive", "/batch/upsert")


def writes(api: ApiInProcess) -> int:
    """How many calls HubSpot was asked to write."""
    return sum(n for call, n in api.world.portal.calls.counts.items() if call.endswith(WRITES))


def made(api: ApiInProcess, count: int) -> list[str]:
    items = [{"op": "create", **person(n)} for n in range(count)]
    assert statuses(api.admin("POST", "/batch", items)) == [201] * count
    api.world.portal.calls.clear()
    return [item["email"] for item in items]


def test_reads_of_people_updated_before_cost_no_call(api: ApiInProcess) -> None:
    emails = made(api, 210)
    items: list[dict[str, Any]] = []
    for n, email in enumerate(emails):
        items.append({"op": "update", "email": email, "phone": f"new {n}"})
        if n % 5 == 4 and n < 200:
            items.append({"op": "read", "email": emails[n - 3]})
    reply = api.admin("POST", "/batch", items)
    assert statuses(reply) == [200] * 250
    assert all(outcome["customer"]["phone"].startswith("new") for outcome in reply.json)
    assert writes(api) == 3
    api.world.quiet()
    api.world.assert_equal()


def test_what_each_person_goes_through_is_as_many_waves_as_the_longest_of_it(api: ApiInProcess) -> None:
    emails = made(api, 50)
    rounds = [{"op": "read"}, {"op": "update", "phone": "1"}, {"op": "read"}, {"op": "update", "phone": "2"}]
    items = [{**each, "email": email} for email in emails for each in [*rounds, {"op": "delete"}]]
    reply = api.admin("POST", "/batch", items)
    assert statuses(reply) == [200, 200, 200, 200, 204] * 50
    assert [outcome["customer"]["phone"] for outcome in reply.json[2::5]] == ["1"] * 50
    assert writes(api) == 3
    api.world.quiet()
    api.world.assert_equal()


def test_a_later_item_meets_the_person_under_the_new_address(api: ApiInProcess) -> None:
    one, two, three = made(api, 3)
    items = [
        {"op": "update", "email": one, "new_email": "moved@hubspot.com"},
        {"op": "update", "email": two, "phone": "2"},
        {"op": "read", "email": one},
        {"op": "update", "email": "moved@hubspot.com", "new_email": "again@hubspot.com"},
        {"op": "upsert", **person(0), "email": one, "phone": "another"},
        {"op": "read", "email": "again@hubspot.com"},
        {"op": "update", "email": three, "new_email": "moved@hubspot.com"},
        {"op": "read", "email": "Moved@hubspot.com"},
    ]
    reply = api.admin("POST", "/batch", items)
    assert statuses(reply) == [200, 200, 404, 200, 201, 200, 200, 200]
    assert [reply.json[n]["customer"]["firstname"] for n in (5, 7)] == ["First 0", "First 2"]
    assert writes(api) == 4
    api.world.quiet()
    api.world.assert_equal()
