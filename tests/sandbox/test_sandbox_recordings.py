"""Recorded traffic of the real HubSpot, replayed: same statuses, keys and headers, same error bodies."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox import Sandbox, start
from sandbox.routes import OBJECTS
from sandbox.settings import Settings

REFERENCE = Path(__file__).parents[1] / "reference"

# Calculated where a portal has the feature, or added by HubSpot since the recordings were made.
PARTICULAR = {"hs_full_name_or_email"}
SINCE = {"url"}
COUNTED = {
    "x-hubspot-ratelimit-daily",
    "x-hubspot-ratelimit-daily-remaining",
    "x-hubspot-ratelimit-interval-milliseconds",
    "x-hubspot-ratelimit-max",
    "x-hubspot-ratelimit-remaining",
    "x-hubspot-ratelimit-secondly",
    "x-hubspot-ratelimit-secondly-remaining",
    "x-hubspot-notfound",
    "x-hubspot-correlation-id",
    "content-type",
    "location",
    "retry-after",
}
CASSETTES = (
    "lifecycle__contacts__find",
    "contacts__find_by_id",
    "contacts__find_missing_user_by_email",
    "contacts__find_missing_user_by_email_bang",
    "contacts__find_test_user_by_email",
    "contacts__list_first_no_props",
    "contacts__list_first_with_props",
    "contacts__patch_last_name",
    "contacts__search",
    "contacts__search_by_email",
    "contacts__search_by_string",
    "lifecycle__contacts__batches__search",
    "lifecycle__contacts__batches__search_archive",
    "lifecycle__contacts__find_delete",
    "contacts__find_by_id_no_scope",
    "contacts__properties_no_scope",
)


class Loader(yaml.SafeLoader):
    """YAML with the binary tag of the recorder."""


Loader.add_constructor("!binary", lambda loader, node: base64.b64decode(loader.construct_scalar(node)).decode())


def interactions(path: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for each in yaml.load(path.read_text(), Loader)["http_interactions"]:
        yield each["request"], each["response"]


def prepare(sandbox: Sandbox) -> dict[str, str]:
    """Make the people that the recordings speak of; return their recorded ids and those they have here."""
    create, app = sandbox.portal.create, sandbox.portal.app
    people = {
        "73279037630": {"email": "test@example.org", "firstname": "Test", "lastname": "User"},
        "73133404393": {"email": "patchme@example.com", "firstname": "Patch", "lastname": "Meyup"},
        "1": {"email": "test@example.com", "firstname": "Test", "lastname": "User"},
    }
    return {old: str(create(values, by=app).id) for old, values in people.items()}


def shape(value: Any) -> Any:
    """Reduce a body to its keys and kinds."""
    if isinstance(value, dict):
        kept = value.items() - {} if not value else value.items()
        return {key: shape(each) for key, each in kept if key not in PARTICULAR | SINCE}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def header_names(headers: Any) -> set[str]:
    return {name.lower() for name in headers} & COUNTED


@pytest.mark.parametrize("name", CASSETTES)
def test_a_recording_replayed_has_the_same_shape(caller, reference, name: str) -> None:
    path = reference(f"recordings/ruby_hubspot_api/{name}.yml")
    with start(search_per_second=0, missing_scopes="no_scope" in name) as sandbox:
        ids = prepare(sandbox)
        if name.startswith("contacts__search"):
            people = (
                {"email": f"test{n}@example.org", "firstname": f"Test {n}", "lastname": "User"} for n in range(1, 11)
            )
            for values in people:
                sandbox.portal.create(values)
        if name == "lifecycle__contacts__find":
            sandbox.portal.erase(ids["73279037630"])
            sandbox.portal.set(blocklisted="allow")
        call = caller(sandbox)
        for request, response in interactions(path):
            target, sent = request["uri"].removeprefix("https://api.hubapi.com"), request["body"]["string"]
            for old, new in ids.items():
                target = target.replace(f"/{old}", f"/{new}") if target.endswith(f"/{old}") else target
            reply = call(request["method"].upper(), target, sent.encode() if sent else None)
            assert reply.status == response["status"]["code"], reply.body
            assert header_names(reply.headers) == header_names(response["headers"])
            assert_same_body(reply, response)


def assert_same_body(reply: Any, response: dict[str, Any]) -> None:
    recorded = response["body"]["string"]
    kind = response["headers"].get("Content-Type", [""])[0]
    assert reply.headers["Content-Type"] == (kind or None)
    if not recorded or kind.startswith("text/html"):
        assert reply.body.decode().strip() == recorded.strip()
        return
    expected = json.loads(recorded)
    if "total" in expected:
        assert shape(reply.json).keys() >= shape(expected).keys() - {"paging"}
        assert shape(reply.json["results"]) == shape(expected["results"])
    else:
        assert shape(reply.json) == shape(expected)


@pytest.fixture(scope="module")
def bodies() -> dict[str, dict[str, Any]]:
    return {each["id"]: each for each in json.loads((REFERENCE / "recordings/errors/error-bodies.json").read_text())}


def taken(call: Any, sandbox: Sandbox) -> Any:
    call.create(email="x@y.com")
    return call("POST", OBJECTS, {"properties": {"email": "x@y.com"}})


def taken_in_a_batch(call: Any, sandbox: Sandbox) -> Any:
    call.create(email="x@y.com")
    return call.batch("create", {"properties": {"email": "x@y.com"}})


def taken_in_a_race(call: Any, sandbox: Sandbox) -> Any:
    sandbox.portal.set(race_share=1)
    return taken(call, sandbox)


def taken_with_trace(call: Any, sandbox: Sandbox) -> Any:
    call.create(email="x@y.com")
    return call.batch("create", {"properties": {"email": "x@y.com"}, "objectWriteTraceId": "0"})


def limited(policy: str) -> Any:
    def answer(call: Any, sandbox: Sandbox) -> Any:
        sandbox.portal.faults.add(action="429", policy=policy)
        return call("GET", OBJECTS)

    return answer


def without_token(call: Any, sandbox: Sandbox) -> Any:
    return call("GET", OBJECTS, Authorization="")


def broken(call: Any, sandbox: Sandbox) -> Any:
    sandbox.portal.faults.add(action="status", status=500)
    return call("GET", OBJECTS)


def unknown_path_as_json(call: Any, sandbox: Sandbox) -> Any:
    sandbox.portal.set(unknown_path_form="json")
    return call("GET", "/no/such/path")


def empty_patch(call: Any, sandbox: Sandbox) -> Any:
    return call("PATCH", f"{OBJECTS}/{call.create(firstname='Maria')}", {"properties": {}})


def same_id_twice(call: Any, sandbox: Sandbox) -> Any:
    return call.batch("update", *[{"id": "123456", "properties": {"firstname": "x"}}] * 2)


def update_by_email(call: Any, sandbox: Sandbox) -> Any:
    return call.batch("update", {"id": "a@b.com", "idProperty": "email", "properties": {"firstname": "x"}})


def create_with(**properties: str) -> Any:
    return lambda call, sandbox: call("POST", OBJECTS, {"properties": properties})


# An error of the recordings, how to get it here, and what of its text is the portal's own or shortened there.
CASES = {
    "409-create-conflict": taken,
    "409-create-conflict-no-id": taken_in_a_batch,
    "400-unique-value-race": taken_in_a_race,
    "207-batch-create-conflict": taken_with_trace,
    "400-property-doesnt-exist": create_with(description="x"),
    "400-invalid-email": create_with(email="example.lcom "),
    "400-no-properties": empty_patch,
    "400-bad-json": lambda call, sandbox: call("POST", f"{OBJECTS}/merge", {}),
    "400-batch-update-duplicate-ids": same_id_twice,
    "400-batch-history-limit": lambda call, sandbox: call.batch(
        "read", *[{"id": "1"}] * 51, propertiesWithHistory=["email"]
    ),
    "400-batch-update-by-email": update_by_email,
    "400-too-many-filter-groups": lambda call, sandbox: call(
        "POST", f"{OBJECTS}/search", {"filterGroups": [{"filters": []}] * 6}
    ),
    "401-no-credentials": without_token,
    "404-json": unknown_path_as_json,
    "404-object-not-found": lambda call, sandbox: call("GET", f"{OBJECTS}/0"),
    "429-docs-daily": limited("DAILY"),
    "429-ten-secondly": limited("TEN_SECONDLY_ROLLING"),
    "207-batch-read-missing": lambda call, sandbox: call.batch(
        "read", {"id": "person3@example.com"}, {"id": "person2@example.com"}, idProperty="email"
    ),
    "500": broken,
}
LATER = {"localizedErrorMessage", "portalId"}


@pytest.mark.parametrize("name", CASES)
def test_an_error_has_the_recorded_body(call, sandbox: Sandbox, bodies, name: str) -> None:
    recorded = bodies[name]
    reply = CASES[name](call, sandbox)
    assert reply.status == recorded["status"]
    answered = reply.json
    assert answered.keys() - {"category", "correlationId", "errors"} == recorded["body"].keys() - {
        "category",
        "correlationId",
        "errors",
    }
    for key in ("status", "category", "errorType", "policyName", "errors"):
        if key in recorded["body"]:
            assert anonymous(answered[key]) == anonymous(recorded["body"][key])
    if "message" in answered:
        assert anonymous(plain(answered["message"])) == anonymous(plain(recorded["body"]["message"]))


def anonymous(value: Any) -> Any:
    """Replace the ids of a portal, wherever they stand."""
    text = json.dumps(value)
    return json.loads("".join("#" if character.isdigit() else character for character in text).replace("##", "#"))


def plain(message: str) -> Any:
    """Split off the list that stands in a text, without what only newer answers have."""
    head, marker, listed = message.partition("not valid: ")
    if not marker:
        return _squeezed(message)
    return [head, [{k: v for k, v in each.items() if k not in LATER} for each in json.loads(listed)]]


def _squeezed(message: str) -> str:
    return " ".join("#" if any(c.isdigit() for c in word) else word for word in message.split())


def test_a_missing_record_is_the_recorded_page(call, bodies) -> None:
    recorded = bodies["404-html"]
    reply = call("GET", f"{OBJECTS}/5")
    assert reply.body.decode() == recorded["body"]
    assert {name: reply.headers[name] for name in recorded["headers"]} == recorded["headers"]


def test_an_invalid_option_is_told_with_the_options_dumped(call, bodies) -> None:
    recorded = json.loads(bodies["400-invalid-option"]["body"]["message"].partition("not valid: ")[2])[0]
    reply = call("POST", OBJECTS, {"properties": {"lifecyclestage": "PROSPECT1"}})
    told = json.loads(reply.message.partition("not valid: ")[2])[0]
    assert told["error"] == recorded["error"]
    assert told["message"].partition("[")[0] == recorded["message"].partition("[")[0]
    lines = [line.partition(":")[0] for line in recorded["message"].partition("[")[2].split("\n")][:7]
    assert [line.partition(":")[0] for line in told["message"].partition("[")[2].split("\n")][:7] == lines


def test_the_recorded_portal_defines_what_is_defined_here_alike(reference, sandbox: Sandbox, call) -> None:
    ((_, response),) = interactions(reference("recordings/ruby_hubspot_api/contacts__properties.yml"))
    recorded = {each["name"]: each for each in json.loads(response["body"]["string"])["results"]}
    here = {each["name"]: each for each in call("GET", "/crm/v3/properties/contacts").json["results"]}
    # Addresses became unique, and the additional ones a property to choose from, after the recording.
    later = {"email", "hs_additional_emails"}
    for name in recorded.keys() & here.keys() - later:
        assert here[name]["type"] == recorded[name]["type"], name
        read_only = recorded[name]["modificationMetadata"]["readOnlyValue"]
        assert here[name]["modificationMetadata"]["readOnlyValue"] == read_only, name
        if name in ("lifecyclestage", "hs_lead_status", "numemployees"):
            assert [each["value"] for each in here[name]["options"]] == [
                each["value"] for each in recorded[name]["options"]
            ]
    assert here.keys() - recorded.keys() == PARTICULAR


def test_the_defaults_are_the_recorded_limits() -> None:
    settings = Settings()
    assert (settings.rate_per_10s, settings.daily_limit) == (100, 250_000)
