"""A write that the table's owner refuses leaves both sides as they were, and the answer names the field."""

import pytest
from callers import Reply
from systems import KAI, ApiInProcess

RULES = {
    "a check": ("alter table customer add constraint phone_is_short check (length(phone) <= 20)", "phone"),
    "a key": ("create unique index one_phone on customer (phone)", "phone"),
    "a trigger": (
        "create function owners_check() returns trigger language plpgsql as $$ begin "
        "if length(new.phone) > 20 then raise exception 'no %', new.phone; end if; return new; end $$;"
        "create trigger owners_check before insert or update on customer for each row execute function owners_check()",
        "owners_check",
    ),
    "a trigger without a word": (
        "create function owners_check() returns trigger language plpgsql as $$ begin "
        "if length(new.phone) > 20 then return null; end if; return new; end $$;"
        "create trigger owners_check before insert or update on customer for each row execute function owners_check()",
        "a trigger that returns no row",
    ),
    "a key that is checked late": (
        "alter table customer add constraint one_phone unique (phone) deferrable initially deferred",
        "phone",
    ),
}
BAD = "123456789012345678901234567890"
UWE = {**KAI, "email": "uwe@hubspot.com", "phone": "2"}


@pytest.fixture(params=RULES)
def ruled(api: ApiInProcess, request: pytest.FixtureRequest) -> tuple[ApiInProcess, str]:
    """An API with somebody who has the number, and a rule that lets nobody else have it."""
    statement, field = RULES[request.param]
    api.world.connection.execute(statement)
    if "key" in request.param:
        assert api.admin("POST", "/", {**KAI, "email": "holder@hubspot.com", "phone": BAD}).status == 201
    assert api.admin("POST", "/", {**KAI, "phone": "1"}).status == 201
    api.world.quiet()
    return api, field


def assert_refused(reply: Reply, field: str) -> None:
    assert reply.status == 400
    assert reply.json["code"] == "row_refused"
    assert [each["field"] for each in reply.json["details"]] == [field]


def test_a_refused_put_changes_neither_side(ruled: tuple[ApiInProcess, str]) -> None:
    api, field = ruled
    before = api.state()
    assert_refused(api.admin("PUT", "/kai@hubspot.com", {"phone": BAD, "company": "there"}), field)
    assert api.state() == before
    assert api.admin("PUT", "/kai@hubspot.com", {"phone": "3", "company": "there"}).status == 200
    api.world.quiet()
    api.world.assert_equal()


def test_a_refused_post_makes_nobody_and_the_corrected_one_works(ruled: tuple[ApiInProcess, str]) -> None:
    api, field = ruled
    before = api.state()
    assert_refused(api.admin("POST", "/", {**UWE, "phone": BAD}), field)
    assert api.state() == before
    assert api.admin("POST", "/", UWE).status == 201
    api.world.quiet()
    api.world.assert_equal()


def test_a_refused_item_of_a_batch_keeps_nobody_back(ruled: tuple[ApiInProcess, str]) -> None:
    api, _ = ruled
    items = [
        {"op": "create", **UWE},
        {"op": "create", **UWE, "email": "bad@hubspot.com", "phone": BAD},
        {"op": "update", "email": "kai@hubspot.com", "phone": BAD},
    ]
    reply = api.admin("POST", "/batch", items)
    assert [item["status"] for item in reply.json] == [201, 400, 400]
    api.world.quiet()
    api.world.assert_equal()
    assert api.world.contact("bad@hubspot.com") is None


def test_a_refused_later_write_is_told_as_well(ruled: tuple[ApiInProcess, str]) -> None:
    api, field = ruled
    before = api.state()
    later = api.admin.with_headers(Prefer="respond-async")
    assert_refused(later("PUT", "/kai@hubspot.com", {"phone": BAD}), field)
    assert_refused(later("POST", "/", {**UWE, "phone": BAD}), field)
    api.world.quiet()
    assert api.state() == before


def test_a_delete_that_the_owner_refuses_changes_neither_side(api: ApiInProcess) -> None:
    api.world.sql("alter table customer add constraint stays check (deletedat is null)")
    assert api.admin("POST", "/", KAI).status == 201
    assert api.admin("DELETE", "/kai@hubspot.com").status == 400
    assert api.world.contact("kai@hubspot.com") is not None
    api.world.quiet()
    api.world.assert_equal()


@pytest.mark.parametrize("call", ["POST", "PUT"])
def test_what_no_rehearsal_could_see_is_put_back_in_hubspot(api: ApiInProcess, call: str) -> None:
    """The rule comes into force between the rehearsal and the answer."""
    rule = RULES["a check"][0]
    if call == "PUT":
        assert api.admin("POST", "/", {**KAI, "phone": "1"}).status == 201
    path = "/batch/create" if call == "POST" else "/batch/update"
    api.world.portal.faults.add(action="run", when="after", path_contains=path, run=lambda: api.world.sql(rule))
    if call == "POST":
        reply = api.admin("POST", "/", {**KAI, "phone": BAD})
    else:
        reply = api.admin("PUT", "/kai@hubspot.com", {"phone": BAD})
    assert_refused(reply, "phone")
    api.world.portal.faults.clear()
    api.world.quiet()
    contact = api.world.contact("kai@hubspot.com")
    assert contact is None if call == "POST" else contact is not None and contact["phone"] == "1"
    assert (api.world.customer("kai@hubspot.com") is None) == (call == "POST")
    api.world.assert_equal()
    assert api.admin("POST", "/", {**KAI, "email": "again@hubspot.com", "phone": "1"}).status == 201


def test_a_delete_that_no_rehearsal_could_refuse_is_put_back_too(api: ApiInProcess) -> None:
    """HubSpot has no restore by API: the customer gets a new contact."""
    assert api.admin("POST", "/", KAI).status == 201
    rule = "alter table customer add constraint stays check (deletedat is null)"
    api.world.portal.faults.add(
        action="run", when="after", path_contains="/batch/archive", run=lambda: api.world.sql(rule)
    )
    assert api.admin("DELETE", "/kai@hubspot.com").status == 400
    api.world.quiet()
    assert api.world.customer("kai@hubspot.com") is not None
    api.world.assert_equal()


def test_a_later_write_that_a_trigger_gives_anothers_address_is_refused_in_words(api: ApiInProcess) -> None:
    assert api.admin("POST", "/", KAI).status == 201
    assert api.admin("POST", "/", UWE).status == 201
    api.world.sql(
        "create function as_uwe() returns trigger language plpgsql as "
        "$$ begin new.email := 'uwe@hubspot.com'; return new; end $$;"
    )
    api.world.sql("create trigger as_uwe before update of company on customer for each row execute function as_uwe()")
    reply = api.admin.with_headers(Prefer="respond-async")("PUT", "/kai@hubspot.com", {"company": "other"})
    assert (reply.status, reply.json["code"]) == (409, "email_taken")


def test_a_later_write_whose_row_is_not_to_be_seen_afterwards_is_no_bug(api: ApiInProcess) -> None:
    """A trigger of the owner's moves the new row out of sight, as a policy for reading would."""
    api.world.sql(
        "create function away() returns trigger language plpgsql as $$ begin delete from customer; return null; end $$;"
    )
    api.world.sql("create trigger away after insert on customer for each row execute function away()")
    reply = api.admin.with_headers(Prefer="respond-async")("POST", "/", KAI)
    assert (reply.status, reply.json["code"]) == (503, "customer_held")
