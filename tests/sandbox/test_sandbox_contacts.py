"""Single contacts: create, read, update, delete, and what HubSpot refuses."""

import pytest

from sandbox import HubSpotError, Sandbox, start
from sandbox.routes import OBJECTS


def test_a_create_answers_what_was_sent_and_what_hubspot_derives(call, sandbox: Sandbox) -> None:
    reply = call("POST", OBJECTS, {"properties": {"email": "maria@hubspot.com", "phone": "+1 555-1234"}})
    assert reply.status == 201
    assert reply.headers["Location"] == f"{sandbox.url}{OBJECTS}/{reply.json['id']}"
    properties = reply.json["properties"]
    assert properties["lifecyclestage"] == "lead"
    assert properties["hs_object_source_id"] == str(sandbox.portal.settings.app_id)
    assert properties["hs_searchable_calculated_phone_number"] == "15551234"
    assert properties["hs_object_id"] == reply.json["id"]
    assert reply.json["url"].endswith(f"/record/0-1/{reply.json['id']}")
    assert reply.json["archived"] is False


def test_an_update_answers_only_what_was_sent_and_system_properties(call) -> None:
    contact = call.create(email="maria@hubspot.com", firstname="Maria")
    properties = call("PATCH", f"{OBJECTS}/{contact}", {"properties": {"lastname": "Johnson"}}).json["properties"]
    assert properties["lastname"] == "Johnson"
    assert "email" not in properties
    assert "firstname" not in properties


def test_a_property_never_set_is_null_and_a_cleared_one_is_empty(call) -> None:
    contact = call.create(email="maria@hubspot.com", firstname="Maria")
    call("PATCH", f"{OBJECTS}/{contact}", {"properties": {"firstname": "", "lastname": ""}})
    read = call.read(contact, "firstname", "lastname", "no_such_property")
    assert read["firstname"] == ""
    assert read["lastname"] is None
    assert "no_such_property" not in read


def test_a_write_of_the_stored_value_does_not_move_the_modified_date(call, sandbox: Sandbox) -> None:
    contact = call.create(email="maria@hubspot.com", firstname="Maria")
    before, revision = call.read(contact, "lastmodifieddate"), sandbox.portal.revision
    reply = call("PATCH", f"{OBJECTS}/{contact}", {"properties": {"firstname": "Maria"}})
    assert reply.status == 200
    assert call.read(contact, "lastmodifieddate") == before
    assert sandbox.portal.revision == revision


def test_all_values_come_back_as_strings(call) -> None:
    reply = call("POST", OBJECTS, {"properties": {"firstname": 5, "lastname": True}})
    assert (reply.json["properties"]["firstname"], reply.json["properties"]["lastname"]) == ("5", "true")


def test_an_address_is_trimmed_and_found_whatever_its_case(call) -> None:
    contact = call.create(email=" Maria@HubSpot.com ")
    assert call.read("maria@hubspot.com?idProperty=email&", "email")["email"] == "Maria@HubSpot.com"
    assert call("GET", f"{OBJECTS}/MARIA%40HUBSPOT.COM?idProperty=email").json["id"] == contact


def test_an_address_is_lowered_when_the_portal_does_that() -> None:
    with start(lowercase_email=True) as sandbox:
        assert sandbox.portal.create({"email": "Maria@HubSpot.com"}).email == "maria@hubspot.com"


@pytest.mark.parametrize("address", ["example.lcom", "a@b", "a@@b.com", "a b@c.com", ".a@b.com", "a..b@c.com", "a@b.c"])
def test_a_bad_address_is_refused(call, address: str) -> None:
    reply = call("POST", OBJECTS, {"properties": {"email": f"{address} "}})
    assert reply.status == 400
    assert f"Email address {address} is invalid" in reply.message
    assert reply.json["errors"][0]["code"] == "INVALID_EMAIL"


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({"no_such_property": "1"}, "PROPERTY_DOESNT_EXIST"),
        ({"createdate": "2020-01-01"}, "READ_ONLY_VALUE"),
        ({"hs_additional_emails": "a@b.com"}, "READ_ONLY_VALUE"),
        ({"lifecyclestage": "Lead"}, "INVALID_OPTION"),
        ({"closedate": "soon"}, "INVALID_LONG"),
    ],
)
def test_one_bad_property_refuses_the_whole_write(call, properties: dict[str, str], code: str) -> None:
    contact = call.create(email="maria@hubspot.com", firstname="Maria")
    reply = call("PATCH", f"{OBJECTS}/{contact}", {"properties": {"firstname": "Ada", **properties}})
    assert reply.status == 400
    assert reply.json["category"] == "VALIDATION_ERROR"
    assert reply.message.startswith("Property values were not valid: [")
    assert [error["code"] for error in reply.json["errors"]] == [code]
    assert call.read(contact, "firstname")["firstname"] == "Maria"


def test_an_update_without_properties_is_refused(call) -> None:
    contact = call.create(email="maria@hubspot.com")
    reply = call("PATCH", f"{OBJECTS}/{contact}", {"properties": {}})
    assert reply.status == 400
    assert reply.message == "No properties found to update, please provide at least one."


def test_a_null_is_ignored_or_clears(call, sandbox: Sandbox) -> None:
    contact = call.create(email="maria@hubspot.com", firstname="Maria")
    call("PATCH", f"{OBJECTS}/{contact}", {"properties": {"firstname": None}})
    assert call.read(contact, "firstname")["firstname"] == "Maria"
    sandbox.portal.set(null_clears=True)
    call("PATCH", f"{OBJECTS}/{contact}", {"properties": {"firstname": None}})
    assert call.read(contact, "firstname")["firstname"] == ""


def test_a_taken_address_is_refused_with_the_holder_in_the_text(call) -> None:
    holder = call.create(email="maria@hubspot.com")
    other = call.create(email="ada@hubspot.com")
    for reply in (
        call("POST", OBJECTS, {"properties": {"email": "MARIA@hubspot.com"}}),
        call("PATCH", f"{OBJECTS}/{other}", {"properties": {"email": "maria@hubspot.com"}}),
    ):
        assert (reply.status, reply.json["category"]) == (409, "CONFLICT")
        assert reply.message == f"Contact already exists. Existing ID: {holder}"


def test_a_taken_secondary_address_is_refused_in_the_other_form(call, sandbox: Sandbox) -> None:
    holder = call.create(email="maria@hubspot.com")
    sandbox.portal.add_address(holder, "m@hubspot.com")
    reply = call("POST", OBJECTS, {"properties": {"email": "m@hubspot.com"}})
    assert (reply.status, reply.json["category"]) == (400, "VALIDATION_ERROR")
    assert reply.message.endswith(f" {holder} already has that value.")


def test_a_race_gives_the_other_form_for_a_primary_address(call, sandbox: Sandbox) -> None:
    sandbox.portal.set(race_share=1)
    holder = call.create(email="maria@hubspot.com")
    reply = call("POST", OBJECTS, {"properties": {"email": "maria@hubspot.com"}})
    assert reply.status == 400
    assert reply.message.endswith(f" {holder} already has that value.")


def test_a_secondary_address_leads_to_its_owner(call, sandbox: Sandbox) -> None:
    contact = call.create(email="maria@hubspot.com")
    sandbox.portal.add_address(contact, "m@hubspot.com")
    assert call("GET", f"{OBJECTS}/m@hubspot.com?idProperty=email").json["id"] == contact
    call("PATCH", f"{OBJECTS}/m@hubspot.com?idProperty=email", {"properties": {"firstname": "Maria"}})
    read = call.read(contact, "firstname", "hs_additional_emails")
    assert (read["firstname"], read["hs_additional_emails"]) == ("Maria", "m@hubspot.com")


def test_a_secondary_address_made_primary_leaves_the_old_one_with_its_owner(sandbox: Sandbox) -> None:
    contact = sandbox.portal.create({"email": "maria@hubspot.com"})
    sandbox.portal.add_address(contact.id, "m@hubspot.com")
    edited = sandbox.portal.edit(contact.id, {"email": "m@hubspot.com"})
    assert (edited.email, edited.secondary) == ("m@hubspot.com", ("maria@hubspot.com",))


def test_additional_addresses_can_be_written_when_the_portal_allows_it(call, sandbox: Sandbox) -> None:
    sandbox.portal.set(additional_emails_writable=True)
    contact = call.create(email="maria@hubspot.com", hs_additional_emails="m@hubspot.com;n@hubspot.com")
    assert call("GET", f"{OBJECTS}/n@hubspot.com?idProperty=email").json["id"] == contact


def test_a_deleted_contact_is_gone_but_lies_in_the_bin(call) -> None:
    contact = call.create(email="maria@hubspot.com")
    assert call("DELETE", f"{OBJECTS}/{contact}").status == 204
    missing = call("GET", f"{OBJECTS}/{contact}")
    assert (missing.status, missing.headers["X-HubSpot-NotFound"]) == (404, "true")
    assert missing.headers["Content-Type"] == "text/html;charset=iso-8859-1"
    archived = call("GET", f"{OBJECTS}/{contact}?archived=true").json
    assert archived["archived"] is True
    assert "archivedAt" in archived
    assert call("DELETE", f"{OBJECTS}/{contact}").status == 204
    assert call("PATCH", f"{OBJECTS}/{contact}", {"properties": {"firstname": "Ada"}}).status == 404


def test_a_live_contact_is_not_in_the_bin(call) -> None:
    contact = call.create(email="maria@hubspot.com")
    assert call("GET", f"{OBJECTS}/{contact}?archived=true").status == 404


def test_deleting_what_is_not_there_is_a_404_when_the_portal_says_so(call, sandbox: Sandbox) -> None:
    sandbox.portal.set(delete_unknown="404")
    assert call("DELETE", f"{OBJECTS}/12345").status == 404


def test_a_freed_address_gets_a_new_id(call) -> None:
    first = call.create(email="maria@hubspot.com")
    call("DELETE", f"{OBJECTS}/{first}")
    assert call.create(email="maria@hubspot.com") != first


def test_a_restore_brings_the_same_contact_back(call, sandbox: Sandbox) -> None:
    contact = call.create(email="maria@hubspot.com", firstname="Maria")
    sandbox.portal.delete(contact)
    sandbox.portal.restore(contact)
    assert call.read(contact, "firstname")["firstname"] == "Maria"


def test_a_restore_is_refused_when_another_contact_has_the_address(sandbox: Sandbox) -> None:
    old = sandbox.portal.create({"email": "maria@hubspot.com"})
    sandbox.portal.delete(old.id)
    sandbox.portal.create({"email": "maria@hubspot.com"})
    with pytest.raises(HubSpotError, match="already has that value"):
        sandbox.portal.restore(old.id)
    sandbox.portal.set(restore_taken="drop_email")
    assert sandbox.portal.restore(old.id).email == ""


def test_the_bin_is_emptied_after_ninety_days() -> None:
    now = [1_700_000_000_000]
    with start(clock=lambda: now[0]) as sandbox:
        contact = sandbox.portal.create({"email": "maria@hubspot.com"})
        sandbox.portal.delete(contact.id)
        now[0] += 91 * 86_400_000
        with pytest.raises(HubSpotError, match="404"):
            sandbox.portal.restore(contact.id)


@pytest.mark.parametrize("key", ["0", "-5"])
def test_an_id_that_cannot_be_one_is_a_json_404(call, key: str) -> None:
    reply = call("GET", f"{OBJECTS}/{key}")
    assert (reply.status, reply.json["category"]) == (404, "OBJECT_NOT_FOUND")
    assert reply.json["context"] == {"id": [key]}


@pytest.mark.parametrize("key", ["abc", "9" * 5000, "1e3", "%D9%A3", "1%2F2", "%00"])
def test_any_other_strange_id_is_a_record_that_does_not_exist(call, key: str) -> None:
    assert call("GET", f"{OBJECTS}/{key}").headers["X-HubSpot-NotFound"] == "true"
    assert call("DELETE", f"{OBJECTS}/{key}").status == 204
    assert call.batch("read", {"id": "9" * 5000}).status == 207


@pytest.mark.parametrize("text", ["a\x00b", "😀 שלום e\u0301", "x" * 65_536, "=cmd()", "<script>"])
def test_a_text_comes_back_as_it_was_sent(call, text: str) -> None:
    assert call.read(call.create(firstname=text), "firstname")["firstname"] == text


def test_a_text_beyond_the_limit_is_refused(call) -> None:
    assert call("POST", OBJECTS, {"properties": {"firstname": "x" * 65_537}}).status == 400


def test_a_whole_second_has_no_fraction(caller) -> None:
    with start(clock=lambda: 1_645_125_909_000) as sandbox:
        contact = sandbox.portal.create({"email": "maria@hubspot.com"})
        read = caller(sandbox).read(str(contact.id), "email")
    assert read["createdate"] == "2022-02-17T19:25:09Z"


def test_background_processing_moves_the_modified_date_without_a_change() -> None:
    now = [1_700_000_000_000]
    with start(clock=lambda: now[0], touch_ms=8500) as sandbox:
        contact = sandbox.portal.create({"email": "maria@hubspot.com"})
        now[0] += 20_000
        touched = sandbox.portal.contact(contact.id)
    assert touched is not None
    assert touched.modified == contact.modified + 8500
    assert touched.values == contact.values


def test_an_address_in_use_survives_a_swap_only_step_by_step(sandbox: Sandbox) -> None:
    one = sandbox.portal.create({"email": "one@hubspot.com"})
    two = sandbox.portal.create({"email": "two@hubspot.com"})
    with pytest.raises(HubSpotError):
        sandbox.portal.edit(one.id, {"email": "two@hubspot.com"})
    sandbox.portal.edit(two.id, {"email": ""})
    sandbox.portal.edit(one.id, {"email": "two@hubspot.com"})
    assert sandbox.portal.edit(two.id, {"email": "one@hubspot.com"}).email == "one@hubspot.com"


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("(555) 555-5555", "+15555555555"),
        ("+49 30 1234567", "+49301234567"),
        ("+15555555555", "+15555555555"),
        ("555-1234", "555-1234"),
        ("ask Kai: 555 555 5555", "ask Kai: 555 555 5555"),
        ("", None),
    ],
)
def test_phone_numbers_are_rewritten_where_that_is_switched_on(sent: str, stored: str | None) -> None:
    with start(rewrite_phones=True, trim_texts=True) as sandbox:
        contact = sandbox.portal.create({"phone": f" {sent} ", "company": " Acme "})
        assert (contact.get("phone") or None, contact.get("company")) == (stored, "Acme")
