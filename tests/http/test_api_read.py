"""GET /:email reads a customer; entity tags save sending it again."""

import pytest
from systems import KAI, ApiInProcess

LONG_AGO = "1970-01-01T00:00:00.000Z"
MISSING = "Customer with email nobody@hubspot.com not found"


def test_a_customer_is_read_by_users_and_admins(shared_api: ApiInProcess) -> None:
    for caller in (shared_api.user, shared_api.admin):
        reply = caller("GET", "/kai@hubspot.com")
        assert reply.status == 200
        assert {field: reply.json[field] for field in KAI} == KAI


@pytest.mark.parametrize(
    "path", ["/KAI@HubSpot.com", "/kai%40hubspot.com", "/%20kai@hubspot.com%20", "/k%61i@hubspot.com"]
)
def test_an_address_is_found_however_it_is_written(shared_api: ApiInProcess, path: str) -> None:
    assert shared_api.user("GET", path).json["email"] == "kai@hubspot.com"


@pytest.mark.parametrize(
    "address",
    ["a+b@hubspot.com", "o'neil@hubspot.com", "a/b@hubspot.com", "jörg@hübspot.de", "a%25b@hubspot.com", "x@a-b.co.uk"],
)
def test_an_unusual_address_is_created_read_and_deleted(api: ApiInProcess, address: str) -> None:
    plain = address.replace("%25", "%")
    assert api.admin("POST", "/", {**KAI, "email": plain}).status == 201
    assert api.user("GET", f"/{address}").json["email"] == plain
    assert api.admin("DELETE", f"/{address}").status == 204


def test_an_unknown_address_is_answered_in_the_words_of_the_contract(shared_api: ApiInProcess) -> None:
    reply = shared_api.user("GET", "/Nobody@hubspot.com")
    assert reply.status == 404
    assert reply.json["error"] == reply.json["message"] == MISSING
    assert reply.json["code"] == "not_found"


def test_a_deleted_and_an_erased_customer_are_not_found(api: ApiInProcess) -> None:
    for address in ("gone@hubspot.com", "here@hubspot.com"):
        api.world.insert(email=address, firstname="A", lastname="B")
    api.world.sql("update customer set deletedat = now() where email = 'gone@hubspot.com'")
    assert api.user("GET", "/gone@hubspot.com").status == 404
    assert api.user("GET", "/here@hubspot.com").status == 200


@pytest.mark.parametrize("at", ["infinity", "-infinity", "20000-01-01", "0044-03-15 BC"])
def test_a_time_beyond_every_calendar_is_shown_as_long_ago(api: ApiInProcess, at: str) -> None:
    uuid = api.world.insert(email="kai@hubspot.com", createdat=at, updatedat=at)
    for path in ("/kai@hubspot.com", f"/uuid/{uuid}"):
        reply = api.user("GET", path)
        assert (reply.status, reply.json["createdat"], reply.json["updatedat"]) == (200, LONG_AGO, LONG_AGO)
    assert api.user("GET", "/").json["results"] == [reply.json]


def test_a_customer_without_names_or_contact_is_shown(api: ApiInProcess) -> None:
    api.world.insert(email="bare@hubspot.com")
    customer = api.user("GET", "/bare@hubspot.com").json
    assert customer["firstname"] is None
    assert customer["contactid"] is None
    assert customer["hubspotcreatedat"] is None


def test_an_address_that_sql_stored_in_capitals_is_found(api: ApiInProcess) -> None:
    api.world.insert(email=" Bare@HubSpot.com ")
    assert api.user("GET", "/bare@hubspot.com").status == 200


def test_head_answers_as_get_without_the_body(shared_api: ApiInProcess) -> None:
    get, head = (shared_api.user(method, "/kai@hubspot.com") for method in ("GET", "HEAD"))
    assert (head.status, head.body) == (200, b"")
    assert {**head.headers, "x-request-id": ""} == {**get.headers, "x-request-id": ""}


@pytest.mark.parametrize("form", ["{}", '"other", {}', "W/{}", "*"])
def test_a_known_entity_tag_is_answered_with_304(shared_api: ApiInProcess, form: str) -> None:
    tag = shared_api.user("GET", "/kai@hubspot.com").headers["etag"]
    assert tag.startswith('"')
    assert tag.endswith('"')
    reply = shared_api.user("GET", "/kai@hubspot.com", If_None_Match=form.format(tag))
    assert (reply.status, reply.headers["etag"]) == (304, tag)


@pytest.mark.parametrize("tag", ['"other"', "", "W/", '"', "\xff"])
def test_an_unknown_entity_tag_is_answered_with_the_customer(shared_api: ApiInProcess, tag: str) -> None:
    assert shared_api.user("GET", "/kai@hubspot.com", If_None_Match=tag).status == 200


def test_the_entity_tag_changes_with_the_values_only(api: ApiInProcess) -> None:
    created = api.admin("POST", "/", KAI).headers["etag"]
    api.world.portal.edit(api.world.portal.contact("kai@hubspot.com").id, {"jobtitle": "Chef"})
    api.world.event(api.world.portal.contact("kai@hubspot.com").id)
    api.world.quiet()
    assert api.user("GET", "/kai@hubspot.com").headers["etag"] == created
    api.world.sql("update customer set phone = '1'")
    assert api.user("GET", "/kai@hubspot.com").headers["etag"] != created


@pytest.mark.parametrize(
    "path",
    ["/0", "/-1", "/9223372036854775808", "/1e3", "/%D9%A3", "/..%2f", "/%00", "/%ff", "/" + "9" * 5000, "/a%00@b.co"]
    + [
        "/a@b",
        "/@",
        "/a@@b.co",
        "/a%0d%0aX-Evil:%201@b.co",
        "/%ed%a0%80@b.co",
        "/" + "a" * 321 + "@b.co",
        "//",
        "/a%20b@c.de",
    ]
    + ["/favicon.ico", "/wp-admin/setup.php", "/../../etc/passwd", "/{{7*7}}@b.co"[:8]],
)
def test_what_cannot_be_an_address_is_not_found_and_not_echoed(shared_api: ApiInProcess, path: str) -> None:
    for method, body in (("GET", {}), ("DELETE", {}), ("PUT", {"json": {"phone": "1"}})):
        reply = shared_api.admin(method, path, **body)
        assert reply.status == 404
        assert path.strip("/")[:20] not in reply.body.decode() or len(path) < 5
        assert "x-evil" not in reply.headers
