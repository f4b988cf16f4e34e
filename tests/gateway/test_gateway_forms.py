"""Answers that are not of the contract's form are nobody's data: on the real socket, against the sandbox."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from budgets import Unlimited
from lines import make_authority, terminator

from reconciler.adapters.gateway.client import Gateway
from reconciler.core.contact import GONE, ContactId
from reconciler.core.errors import (
    OutcomeUnknown,
    PathUnknown,
    Refused,
    ScopeMissing,
    Unavailable,
    Untrusted,
)
from reconciler.core.ports import Unanswered, Written
from reconciler.core.reasons import Reason
from sandbox import Sandbox, start
from simulation.mapped import MAPPED

PAGE = "<html><body>That page is nowhere to be found</body></html>"
ADA, BOB = {"email": "ada@example.com"}, {"email": "bob@example.com"}


@pytest.fixture
def live(sandbox: Sandbox) -> Gateway:
    return to(sandbox.url, sandbox.token)


def to(url: str, token: str) -> Gateway:
    return Gateway(fields=MAPPED, base_url=url, token=lambda: token, budget=Unlimited(), sleep=lambda seconds: None)


def answers(sandbox: Sandbox, status: int, body: Any, path: str = "/crm/", **how: Any) -> None:
    sandbox.portal.faults.add(action="status", status=status, body=body, path_contains=path, times=None, **how)


CALLS: list[Callable[[Gateway], object]] = [
    lambda live: live.read([ContactId(1)]),
    lambda live: live.find(["ada@example.com"]),
    lambda live: live.create([ADA]),
    lambda live: live.update([(ContactId(1), ADA)]),
    lambda live: live.archive([ContactId(1)]),
    lambda live: live.purge(ContactId(1)),
    lambda live: live.walk(None),
    lambda live: live.highest(),
    lambda live: live.properties(),
]


@pytest.mark.parametrize("status", [404, 405, 410])
@pytest.mark.parametrize("call", CALLS)
def test_a_path_that_hubspot_does_not_know_says_nothing(
    sandbox: Sandbox, live: Gateway, call: Callable[[Gateway], object], status: int
) -> None:
    answers(sandbox, status, PAGE)
    with pytest.raises(PathUnknown, match="HubSpot does not know this path"):
        call(live)


@pytest.mark.parametrize("call", CALLS)
def test_a_type_that_hubspot_does_not_know_says_nothing(
    sandbox: Sandbox, live: Gateway, call: Callable[[Gateway], object]
) -> None:
    answers(sandbox, 400, {"status": "error", "message": "Unable to infer object type from: contacts"})
    with pytest.raises(PathUnknown):
        call(live)


@pytest.mark.parametrize("call", CALLS[4:6])
@pytest.mark.parametrize("body", [PAGE, {"status": "COMPLETE"}])
def test_only_an_empty_answer_confirms_that_a_contact_is_gone(
    sandbox: Sandbox, live: Gateway, call: Callable[[Gateway], object], body: Any
) -> None:
    answers(sandbox, 200, body)
    with pytest.raises(OutcomeUnknown):
        call(live)


@pytest.mark.parametrize("form", ["html", "json"])
def test_a_contact_that_hubspot_says_is_gone_is_gone_in_either_form(form: Any) -> None:
    with start(rate_per_10s=0, not_found_form=form) as sandbox:
        contact = sandbox.portal.create(ADA)
        sandbox.portal.erase(contact.id)
        live = to(sandbox.url, sandbox.token)
        assert live.read([ContactId(contact.id)]) == {contact.id: GONE}


def test_a_404_that_no_batch_bears_out_is_not_taken_for_gone(sandbox: Sandbox, live: Gateway) -> None:
    answers(sandbox, 404, {"status": "error", "message": "resource not found"}, path="/contacts/7", method="GET")
    answers(sandbox, 200, {"status": "COMPLETE", "results": []}, path="/batch/read")
    with pytest.raises(Unavailable):
        live.read([ContactId(7)])


def test_a_purge_of_a_contact_that_is_gone_is_done(sandbox: Sandbox, live: Gateway) -> None:
    answers(sandbox, 404, PAGE, path="/gdpr-delete", headers={"X-HubSpot-NotFound": "true"})
    live.purge(ContactId(7))


def test_a_missing_scope_is_named(sandbox: Sandbox, live: Gateway) -> None:
    context = {"requiredGranularScopes": ["crm.objects.contacts.write"]}
    answers(sandbox, 403, {"status": "error", "category": "MISSING_SCOPES", "errors": [{"context": context}]})
    with pytest.raises(ScopeMissing, match=r"the token lacks the scope crm\.objects\.contacts\.write"):
        live.update([(ContactId(1), ADA)])


def test_a_missing_scope_is_named_where_only_the_text_has_it(sandbox: Sandbox, live: Gateway) -> None:
    message = "You do not have permissions to view object type X in portal 1 (requires one of [contacts-read])"
    answers(sandbox, 403, {"status": "error", "message": message})
    with pytest.raises(ScopeMissing, match="contacts-read"):
        live.properties()


@pytest.mark.parametrize("named", [["999", "x", None], "999", None, {}])
def test_records_in_an_answer_that_nobody_asked_about_are_ignored(sandbox: Sandbox, live: Gateway, named: Any) -> None:
    ids = [ContactId(sandbox.portal.create(each).id) for each in (ADA, BOB)]
    first = {"id": str(ids[0]), "properties": {"phone": "1"}, "createdAt": "2026-01-01T00:00:00Z"}
    stranger = {
        "id": "4711",
        "properties": {},
        "createdAt": "2026-01-01T00:00:00Z",
        "updatedAt": "2026-01-01T00:00:00Z",
    }
    errors = [{"category": "OBJECT_NOT_FOUND", "context": {"ids": named}}, {"context": None}]
    body = {"results": [{**first, "updatedAt": "2026-01-01T00:00:00Z"}, stranger], "numErrors": 1, "errors": errors}
    answers(sandbox, 207, body, path="/batch/update")
    one, two = live.update([(each, {"phone": "1"}) for each in ids])
    assert isinstance(one, Written)
    assert two is Unanswered.OMITTED


@pytest.mark.parametrize("traces", [["99"], ["x"], "0", None])
def test_a_trace_that_nobody_sent_is_ignored(sandbox: Sandbox, live: Gateway, traces: Any) -> None:
    errors = [{"category": "CONFLICT", "message": "taken", "context": {"objectWriteTraceId": traces}}]
    answers(sandbox, 207, {"results": [], "numErrors": 1, "errors": errors}, path="/batch/create")
    assert live.create([ADA]) == [Unanswered.OMITTED]


def test_two_equal_drafts_without_an_address_are_two_contacts(sandbox: Sandbox, live: Gateway) -> None:
    """HubSpot may echo no trace id: then nothing tells the two apart, but that there are two."""
    at = "2026-01-01T00:00:00Z"
    made = [{"id": str(n), "properties": {"firstname": "Kai"}, "createdAt": at, "updatedAt": at} for n in (11, 12)]
    answers(sandbox, 201, {"status": "COMPLETE", "results": made}, path="/batch/create")
    given = live.create([{"firstname": "Kai"}, {"firstname": "Kai"}])
    assert sorted(answer.contact.id for answer in given if isinstance(answer, Written)) == [11, 12]


def test_one_contact_answered_for_two_equal_drafts_is_given_to_one(sandbox: Sandbox, live: Gateway) -> None:
    at = "2026-01-01T00:00:00Z"
    made = [{"id": "11", "properties": {"firstname": "Kai"}, "createdAt": at, "updatedAt": at}]
    answers(sandbox, 207, {"status": "COMPLETE", "results": made, "errors": []}, path="/batch/create")
    given = live.create([{"firstname": "Kai"}, {"firstname": "Kai"}])
    assert [isinstance(answer, Written) for answer in given] == [True, False]


LARGE = "€" * 65_000


def test_large_contacts_beside_each_other_are_read_on_smaller_pages(sandbox: Sandbox, live: Gateway) -> None:
    fields = ("firstname", "lastname", "phone", "company", "website")
    ids = [sandbox.portal.create(dict.fromkeys(fields, LARGE)).id for _ in range(25)]
    met, after = [], None
    while True:
        page = live.walk(after)
        met += [contact.id for contact in page.contacts]
        after = page.after
        if after is None:
            break
    assert met == ids
    assert live.read([ContactId(each) for each in ids]).keys() == set(ids)


def test_a_refusal_in_another_form_parks_nothing_it_does_not_name(sandbox: Sandbox, live: Gateway) -> None:
    answers(sandbox, 400, {"category": "VALIDATION_ERROR", "message": "no"}, path="/batch/create")
    assert live.create([ADA]) == [Refused(reason=Reason.REFUSED, text="no")]


@pytest.fixture
def untrusted(sandbox: Sandbox, tmp_path: Path) -> Iterator[str]:
    """A server whose certificate is not trusted here."""
    with terminator(sandbox.url, make_authority(tmp_path / "authority")) as port:
        yield f"https://localhost:{port}"


def test_a_certificate_that_is_not_trusted_is_an_outage_with_its_reason(untrusted: str) -> None:
    for call in CALLS:
        with pytest.raises(Untrusted, match="certificate is not trusted"):
            call(to(untrusted, "token"))
