"""What a caller says about its request is kept or refused, never passed over: conditions and encodings."""

import gzip

import orjson
import pytest
from systems import KAI, ApiInProcess, etag_of_kai

PATH = "/kai@hubspot.com"
CHANGE = b'{"phone": "1"}'


@pytest.mark.parametrize("form", ["*", "{}", "W/{}", '"other", {}'])
def test_a_write_that_shall_find_nothing_finds_the_customer(shared_api: ApiInProcess, form: str) -> None:
    before = shared_api.state()
    for method, body in (("PUT", {"json": {"phone": "1"}}), ("DELETE", {})):
        reply = shared_api.admin(method, PATH, **body, If_None_Match=form.format(etag_of_kai(shared_api)))
        assert (reply.status, reply.json["code"]) == (412, "precondition_failed")
    assert shared_api.state() == before


@pytest.mark.parametrize("form", ['"other"', 'W/"other"', "W/*"])
def test_a_write_that_shall_find_another_state_goes_on(api: ApiInProcess, form: str) -> None:
    api.admin("POST", "/", KAI)
    assert api.admin("PUT", PATH, {"phone": "1"}, If_None_Match=form).status == 200
    assert api.world.contact(KAI["email"])["phone"] == "1"


def test_of_two_conditions_both_must_hold(api: ApiInProcess) -> None:
    api.admin("POST", "/", KAI)
    now = etag_of_kai(api)
    for match, none_match in ((now, now), ('"other"', '"other"'), ("*", "*")):
        assert api.admin("PUT", PATH, {"phone": "1"}, If_Match=match, If_None_Match=none_match).status == 412
    assert api.admin("PUT", PATH, {"phone": "1"}, If_Match=now, If_None_Match='"other"').status == 200


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "br", "identity, gzip", "x"])
@pytest.mark.parametrize("data", [CHANGE, gzip.compress(CHANGE)], ids=["plain", "packed"])
def test_an_encoded_body_is_refused_by_what_it_says(shared_api: ApiInProcess, encoding: str, data: bytes) -> None:
    before = shared_api.state()
    kind = {"Content_Type": "application/json", "Content_Encoding": encoding}
    for method, path in (("PUT", PATH), ("POST", "/"), ("POST", "/batch")):
        reply = shared_api.admin(method, path, data=data, **kind)
        assert (reply.status, reply.json["code"]) == (415, "encoded")
    assert shared_api.state() == before


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
def test_a_body_that_says_it_is_not_encoded_is_taken(api: ApiInProcess, encoding: str) -> None:
    kind = {"Content_Type": "application/json", "Content_Encoding": encoding}
    assert api.admin("POST", "/", data=orjson.dumps(KAI), **kind).status == 201
