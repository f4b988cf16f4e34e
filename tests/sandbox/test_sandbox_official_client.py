"""HubSpot's own Python client on the wire: what it sends is understood, what it reads is complete."""

from types import SimpleNamespace

import pytest
from hubspot import HubSpot
from hubspot.crm.contacts import (
    ApiException,
    BatchInputSimplePublicObjectBatchInput,
    BatchInputSimplePublicObjectBatchInputForCreate,
    BatchInputSimplePublicObjectBatchInputUpsert,
    BatchInputSimplePublicObjectId,
    BatchReadInputSimplePublicObjectId,
    BatchResponseSimplePublicObject,
    BatchResponseSimplePublicObjectWithErrors,
    PublicGdprDeleteInput,
    PublicMergeInput,
    PublicObjectSearchRequest,
    SimplePublicObjectInput,
    SimplePublicObjectInputForCreate,
)
from hubspot.crm.properties import ApiException as PropertyException
from hubspot.crm.properties import OptionInput, PropertyCreate

from sandbox import Sandbox


def create_input(**properties: str) -> SimplePublicObjectInputForCreate:
    return SimplePublicObjectInputForCreate(properties=properties, associations=[])


@pytest.fixture
def client(sandbox: Sandbox) -> SimpleNamespace:
    crm = HubSpot(access_token=sandbox.token).crm
    contacts = crm.contacts
    apis = {"basic": contacts.basic_api, "batch": contacts.batch_api, "search": contacts.search_api}
    apis["definitions"] = crm.properties.core_api
    for api in apis.values():
        api.api_client.configuration.host = sandbox.url
    yield SimpleNamespace(**apis)
    for api in apis.values():
        api.api_client.rest_client.pool_manager.clear()
        api.api_client.close()


def test_a_property_and_its_values(client: SimpleNamespace) -> None:
    options = [OptionInput(label=each.upper(), value=each, hidden=False, display_order=-1) for each in "ab"]
    wanted = PropertyCreate(
        name="topics",
        label="Topics",
        type="enumeration",
        field_type="checkbox",
        group_name="contactinformation",
        options=options,
    )
    made = client.definitions.create("contacts", wanted)
    assert made == client.definitions.get_by_name("contacts", "topics")
    assert [(option.value, option.display_order) for option in made.options] == [("a", -1), ("b", -1)]
    assert made.modification_metadata.read_only_value is False
    with pytest.raises(PropertyException) as again:
        client.definitions.create("contacts", wanted)
    assert again.value.status == 409
    assert client.basic.create(create_input(topics="b;a")).properties["topics"] == "b;a"


def test_single_contacts(client: SimpleNamespace) -> None:
    made = client.basic.create(create_input(email="a+b@hubspot.com", firstname="Maria"))
    read = client.basic.get_by_id(
        "a+b@hubspot.com",
        id_property="email",
        properties=["firstname", "phone"],
        properties_with_history=["firstname"],
    )
    assert (read.id, read.properties["phone"]) == (made.id, None)
    assert read.properties_with_history["firstname"][0].source_type == "INTEGRATION"
    changed = client.basic.update(made.id, SimplePublicObjectInput(properties={"firstname": "Ada", "phone": None}))
    assert changed.properties["firstname"] == "Ada"
    assert client.basic.get_page(limit=10).results[0].properties["firstname"] == "Ada"
    client.basic.archive(made.id)
    with pytest.raises(ApiException) as missing:
        client.basic.get_by_id(made.id)
    assert missing.value.status == 404
    assert missing.value.headers["X-HubSpot-NotFound"] == "true"
    assert client.basic.get_by_id(made.id, archived=True).archived_at is not None


def test_a_conflict_is_an_exception_with_the_holder_in_its_body(client: SimpleNamespace) -> None:
    made = client.basic.create(create_input(email="maria@hubspot.com"))
    with pytest.raises(ApiException) as conflict:
        client.basic.create(create_input(email="maria@hubspot.com"))
    assert f"Existing ID: {made.id}" in conflict.value.body


def test_batches(client: SimpleNamespace) -> None:
    inputs = [
        {"properties": {"email": f"u{n}@hubspot.com"}, "associations": [], "objectWriteTraceId": str(n)}
        for n in range(3)
    ]
    made = client.batch.create(BatchInputSimplePublicObjectBatchInputForCreate(inputs=inputs))
    assert isinstance(made, BatchResponseSimplePublicObject)
    again = client.batch.create(BatchInputSimplePublicObjectBatchInputForCreate(inputs=inputs))
    assert isinstance(again, BatchResponseSimplePublicObjectWithErrors)
    assert (again.num_errors, len(again.errors), again.results) == (3, 3, [])
    ids = [each.id for each in made.results]
    updates = [{"id": each, "properties": {"firstname": "Ada"}} for each in ids]
    updated = client.batch.update(BatchInputSimplePublicObjectBatchInput(inputs=updates))
    assert {each.id for each in updated.results} == set(ids)
    wanted = BatchReadInputSimplePublicObjectId(
        inputs=[{"id": "u1@hubspot.com"}, {"id": "no@hubspot.com"}],
        id_property="email",
        properties=["firstname"],
        properties_with_history=[],
    )
    read = client.batch.read(wanted)
    assert [each.properties["firstname"] for each in read.results] == ["Ada"]
    assert read.errors[0].context == {"ids": ["no@hubspot.com"]}
    upserts = [{"id": "u9@hubspot.com", "idProperty": "email", "properties": {}}]
    upserted = client.batch.upsert(BatchInputSimplePublicObjectBatchInputUpsert(inputs=upserts))
    assert upserted.results[0].new is True
    client.batch.archive(BatchInputSimplePublicObjectId(inputs=[{"id": each} for each in ids]))
    assert [each.id for each in client.basic.get_page().results] == [upserted.results[0].id]


def test_search_merge_and_erasure(client: SimpleNamespace, sandbox: Sandbox) -> None:
    one, two = (client.basic.create(create_input(email=f"{name}@hubspot.com")) for name in "ab")
    survivor = client.basic.merge(PublicMergeInput(primary_object_id=one.id, object_id_to_merge=two.id))
    assert client.basic.get_by_id(two.id).id == survivor.id
    condition = {"propertyName": "email", "operator": "EQ", "value": "a@hubspot.com"}
    request = PublicObjectSearchRequest(
        filter_groups=[{"filters": [condition]}],
        sorts=["-lastmodifieddate"],
        limit=10,
        after="0",
        properties=["email"],
    )
    found = client.search.do_search(request)
    assert (found.total, found.results[0].id) == (1, survivor.id)
    client.basic.purge(PublicGdprDeleteInput(object_id=survivor.id))
    assert sandbox.portal.contacts == []
