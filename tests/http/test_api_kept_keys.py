"""An idempotency key is its request's for as long as that runs, and only who has the key says how it ended."""

from typing import Any

import psycopg
from disturbed import DisturbedPool, raising
from systems import KAI, ApiInProcess
from test_api_batch import person, statuses

LAPSE = "update sync.idempotency set lease_until = now() - interval '1 second' where status is null"


def repeated_during(api: ApiInProcess, request: Any, *, calls: int) -> list[Any]:
    """The answers to a request, and to its repetition in its last call of HubSpot; each call before takes long."""
    replies: list[Any] = []
    for call in range(calls - 1):
        api.world.portal.faults.add(action="run", method="POST", skip=call, run=lambda: api.world.sql(LAPSE) and None)
    api.world.portal.faults.add(
        action="run",
        method="POST",
        skip=calls - 1,
        run=lambda: replies.append(api.admin(*request, Idempotency_Key="k")),
    )
    return [api.admin(*request, Idempotency_Key="k"), *replies]


def test_a_long_batch_keeps_its_key_from_chunk_to_chunk(api: ApiInProcess) -> None:
    people = [person(n) for n in range(250)]
    api.admin("POST", "/batch", [{"op": "create", **each} for each in people])
    deletes = [{"op": "delete", "email": each["email"]} for each in people]
    first, during = repeated_during(api, ("POST", "/batch", deletes), calls=3)
    assert statuses(first) == [204] * 250
    assert (during.status, during.json["code"]) == (409, "in_flight")
    assert statuses(api.admin("POST", "/batch", deletes, Idempotency_Key="k")) == [204] * 250


def test_a_long_batch_keeps_its_key_from_wave_to_wave(api: ApiInProcess) -> None:
    api.admin("POST", "/", KAI)
    puts = [{"op": "update", "email": KAI["email"], "phone": str(n)} for n in range(3)]
    first, during = repeated_during(api, ("POST", "/batch", puts), calls=3)
    assert statuses(first) == [200] * 3
    assert (during.status, during.json["code"]) == (409, "in_flight")


def test_a_batch_goes_on_where_its_key_cannot_be_kept_for_a_moment(
    disturbed_api: ApiInProcess, pool: DisturbedPool
) -> None:
    pool.before["renew_request"] = raising(psycopg.OperationalError())
    assert statuses(disturbed_api.admin("POST", "/batch", [{"op": "create", **KAI}], Idempotency_Key="k")) == [201]


def test_a_request_whose_key_was_taken_over_says_nothing_of_how_it_ended(api: ApiInProcess) -> None:
    """The first took too long and fails in the end; the repetition, meanwhile, has done it."""
    api.admin("POST", "/", KAI)
    put = ("PUT", f"/{KAI['email']}", {"phone": "1"})
    second: list[Any] = []

    def repeat() -> None:
        api.world.sql(LAPSE)
        second.append(api.admin(*put, Idempotency_Key="k"))
        api.world.portal.faults.add(action="cut", path_contains="/batch/update", times=None)
        raise ConnectionAbortedError

    api.world.portal.faults.add(action="run", path_contains="/batch/update", run=repeat)
    assert api.admin(*put, Idempotency_Key="k").status == 500
    api.world.portal.faults.clear()
    assert second[0].status == 200
    api.world.sql("update customer set phone = 'newer'")
    assert api.admin(*put, Idempotency_Key="k").status == 200
    assert api.user("GET", f"/{KAI['email']}").json["phone"] == "newer"
