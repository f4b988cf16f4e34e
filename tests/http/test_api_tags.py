"""Entity tags on conditional requests: a proxy that compresses makes them weak, and they stay the caller's proof."""

from http.client import HTTPConnection

import pytest
from raw_http import ask
from systems import KAI, ApiInProcess, ServedApi, as_admin, etag_of_kai

PATH = "/kai@hubspot.com"
MATCHING = ["{}", "W/{}", '"other", {}', '"other", W/{}', 'W/"other",W/{}', 'W/{}, "other"', " W/{} ", "W/{},", "*"]
OTHER = ['"other"', 'W/"other"', "W/*", "W/", "W", '"', "w/{}", "W/W/{}", "W/ {}", "", ",", "x*", '"*"', "{}x", "\xff"]


@pytest.mark.parametrize("form", MATCHING)
def test_a_matching_tag_lets_a_write_through_weak_or_strong(api: ApiInProcess, form: str) -> None:
    api.admin("POST", "/", KAI)
    assert api.admin("PUT", PATH, {"phone": "1"}, If_Match=form.format(etag_of_kai(api))).status == 200
    assert api.world.contact("kai@hubspot.com")["phone"] == "1"
    assert api.admin("DELETE", PATH, If_Match=form.format(etag_of_kai(api))).status == 204
    assert api.world.contact("kai@hubspot.com") is None


@pytest.mark.parametrize("form", OTHER)
def test_any_other_tag_is_412_and_writes_nothing(shared_api: ApiInProcess, form: str) -> None:
    before = shared_api.state()
    tag = form.format(etag_of_kai(shared_api))
    assert shared_api.admin("PUT", PATH, {"phone": "1"}, If_Match=tag).status == 412
    assert shared_api.admin("DELETE", PATH, If_Match=tag).status == 412
    assert shared_api.state() == before


@pytest.mark.parametrize("form", ["{}", "W/{}", '"x", W/{}'])
def test_a_tag_of_an_older_state_is_412_weak_or_strong(api: ApiInProcess, form: str) -> None:
    api.admin("POST", "/", KAI)
    old = etag_of_kai(api)
    api.admin("PUT", PATH, {"phone": "1"})
    assert api.admin("PUT", PATH, {"phone": "2"}, If_Match=form.format(old)).status == 412
    assert api.world.contact("kai@hubspot.com")["phone"] == "1"


def test_a_star_does_not_make_a_customer(api: ApiInProcess) -> None:
    assert api.admin("PUT", PATH, {"phone": "1"}, If_Match="*").status == 404


@pytest.mark.parametrize("form", MATCHING)
def test_a_matching_tag_saves_sending_it_again(shared_api: ApiInProcess, form: str) -> None:
    reply = shared_api.user("GET", PATH, If_None_Match=form.format(etag_of_kai(shared_api)))
    assert (reply.status, reply.body) == (304, b"")


@pytest.mark.parametrize("form", OTHER)
def test_any_other_tag_does_not(shared_api: ApiInProcess, form: str) -> None:
    assert shared_api.user("GET", PATH, If_None_Match=form.format(etag_of_kai(shared_api))).status == 200


def test_tags_in_several_headers_are_one_list(served_api: ServedApi) -> None:
    admin = as_admin()
    port = served_api.server.port
    tag = ask(port, "GET", PATH, **admin)[1]["etag"]
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.putrequest("GET", PATH)
    for name, value in (
        ("Authorization", served_api.authorization),
        ("If-None-Match", '"x"'),
        ("If-None-Match", f"W/{tag}"),
    ):
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.getresponse().status == 304
    connection.close()
