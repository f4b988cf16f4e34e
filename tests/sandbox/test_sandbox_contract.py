"""Every kind of answer against the schemas of HubSpot's own OpenAPI documents."""

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from sandbox import Sandbox
from sandbox.routes import OBJECTS, PROPERTIES

CONTACT = {"properties": {"email": "maria@hubspot.com", "firstname": "Maria"}}


@pytest.fixture
def conforms(reference) -> Callable[..., None]:
    """Checks an answer against what a document says for a path, a method and a status."""

    def check(document: str, path: str, reply: Any, method: str = "post") -> None:
        spec = json.loads(reference(f"specs/{document}.v3.json").read_text())
        described = spec["paths"][path][method]["responses"][str(reply.status)]
        if reply.status == 204:
            assert reply.body == b""
            return
        schema = described["content"]["application/json"]["schema"]
        jsonschema.validate(reply.json, {**schema, "components": _nullable_values(spec["components"])})

    return check


def _nullable_values(components: dict[str, Any]) -> dict[str, Any]:
    # The documents call every value a string; on the wire a property that was never set is null.
    for schema in components["schemas"].values():
        properties = schema.get("properties", {}).get("properties", {})
        if properties.get("additionalProperties", {}).get("type") == "string":
            properties["additionalProperties"] = {"type": ["string", "null"]}
    return components


def test_single_contacts(call, conforms) -> None:
    created = call("POST", OBJECTS, CONTACT)
    conforms("contacts", OBJECTS, created)
    one, path = f"{OBJECTS}/{created.json['id']}", f"{OBJECTS}/{{contactId}}"
    conforms("contacts", path, call("PATCH", one, {"properties": {"lastname": "Johnson"}}), "patch")
    conforms("contacts", path, call("GET", f"{one}?properties=phone&propertiesWithHistory=email"), "get")
    conforms("contacts", path, call("DELETE", one), "delete")
    conforms("contacts", path, call("GET", f"{one}?archived=true"), "get")


def test_lists_and_searches(call, conforms, sandbox: Sandbox) -> None:
    sandbox.portal.load(5, "p")
    conforms("contacts", OBJECTS, call("GET", f"{OBJECTS}?limit=2&propertiesWithHistory=email"), "get")
    conforms("contacts", f"{OBJECTS}/search", call("POST", f"{OBJECTS}/search", {"limit": 2}))


def test_batches_that_succeed(call, conforms) -> None:
    created = call.batch("create", CONTACT)
    conforms("contacts", f"{OBJECTS}/batch/create", created)
    key = created.json["results"][0]["id"]
    conforms("contacts", f"{OBJECTS}/batch/read", call.batch("read", {"id": key}, properties=["phone"]))
    updated = call.batch("update", {"id": key, "properties": {"phone": "1"}})
    conforms("contacts", f"{OBJECTS}/batch/update", updated)
    upserts = [{"id": f"{name}@hubspot.com", "idProperty": "email", "properties": {}} for name in ("maria", "ada")]
    conforms("contacts", f"{OBJECTS}/batch/upsert", call.batch("upsert", *upserts))
    conforms("contacts", f"{OBJECTS}/batch/archive", call.batch("archive", {"id": key}))


def test_batches_that_succeed_in_part(call, conforms) -> None:
    call.create(email="maria@hubspot.com")
    # The documents ask for `links` and `errors` in each entry, the wire has neither.
    for verb, inputs in {
        "read": [{"id": "5"}],
        "update": [{"id": "5", "properties": {"phone": "1"}}],
        "create": [{**CONTACT, "objectWriteTraceId": "1"}],
    }.items():
        reply = call.batch(verb, *inputs)
        assert reply.status == 207
        with pytest.raises(jsonschema.ValidationError, match="required property") as failure:
            conforms("contacts", f"{OBJECTS}/batch/{verb}", reply)
        assert list(failure.value.absolute_path)[0] == "errors"
        assert {"status", "category", "message", "context"} <= reply.json["errors"][0].keys()


def test_merge_and_erasure(call, conforms) -> None:
    one, two = call.create(firstname="a"), call.create(firstname="b")
    merged = call("POST", f"{OBJECTS}/merge", {"primaryObjectId": one, "objectIdToMerge": two})
    conforms("contacts", f"{OBJECTS}/merge", merged)
    conforms("contacts", f"{OBJECTS}/gdpr-delete", call("POST", f"{OBJECTS}/gdpr-delete", {"objectId": one}))


def test_definitions_and_account(call, conforms) -> None:
    path = "/crm/v3/properties/{objectType}"
    conforms("properties", path, call("GET", PROPERTIES), "get")
    conforms("properties", f"{path}/{{propertyName}}", call("GET", f"{PROPERTIES}/lifecyclestage"), "get")
    definition = {"label": "Born", "type": "date", "fieldType": "date", "groupName": "contactinformation"}
    conforms("properties", path, call("POST", PROPERTIES, {"name": "born", **definition}))
    for name in ("/account-info/v3/details", "/account-info/v3/api-usage/daily/private-apps"):
        conforms("accountInfo", name, call("GET", name), "get")


def test_every_contact_path_of_the_document_is_served(call, reference) -> None:
    spec = json.loads(reference("specs/contacts.v3.json").read_text())
    for path, methods in spec["paths"].items():
        for method in methods.keys() & {"get", "post", "patch", "delete"}:
            reply = call(method.upper(), path.replace("{contactId}", "1"), None if method == "get" else {})
            served = reply.status != 404 or reply.headers["X-HubSpot-NotFound"] == "true"
            assert served, (method, path)
