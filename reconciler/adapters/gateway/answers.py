"""What the gateway reads out of HubSpot's answers, whichever of their forms they take."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from reconciler.adapters.gateway.calls import Refusal, clock_of
from reconciler.adapters.gateway.parse import Json, Malformed, contact_of, json_of, merged_ids, refusal_of, results_of
from reconciler.adapters.gateway.transport import Reply
from reconciler.core.contact import Contact, ContactId
from reconciler.core.fields import Values
from reconciler.core.ports import Answer, Page

EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
"""A search window from epoch 0 can fail; nothing in HubSpot is as old."""


def body_of(error: Refusal) -> Json:
    """Return the body of a refusal: a 404 is a page of HTML as often as not."""
    if error.reply.status == 404:
        return {"category": "OBJECT_NOT_FOUND"}
    try:
        body = json_of(error.reply)
    except Malformed:
        return {}
    return {**body, "category": "FORBIDDEN"} if error.reply.status == 403 else body


def refused_by_trace(errors: Sequence[Json]) -> dict[int, Answer]:
    """Return the refusals of a traced batch by the number of their draft."""
    answers: dict[int, Answer] = {}
    for error in errors:
        for trace in (error.get("context") or {}).get("objectWriteTraceId", ()):
            answers[int(trace)] = refusal_of(error)
    return answers


def made_of(n: int, values: Values, contacts: Sequence[tuple[str | None, Contact]]) -> Contact | None:
    """Find the contact made of a draft: by its trace id, else by its address, else by what was sent."""
    for trace, contact in contacts:
        if trace == str(n):
            return contact
    address = values.get("email")
    for trace, contact in contacts:
        same = contact.values.get("email") == address if address else _is_same(values, contact)
        if trace is None and same:
            return contact
    return None


def _is_same(values: Values, contact: Contact) -> bool:
    return all(contact.values.get(column) == value for column, value in values.items())


def archived_contact(contact_id: ContactId) -> Contact:
    """Return what is known of a contact after its archive was answered."""
    return Contact(id=contact_id, values={}, created_at=EARLIEST, updated_at=EARLIEST, archived=True)


def millis(at: datetime) -> str:
    """Return a time as HubSpot's searches take it."""
    return str(int(at.timestamp() * 1000))


def contacts_in(reply: Reply) -> list[Contact]:
    """Return the contacts of a batch or list."""
    return [contact_of(record) for record in results_of(reply)[0]]


def contacts_and_merged_in(reply: Reply) -> list[tuple[Contact, set[int]]]:
    """Return the contacts of a batch with the ids merged into each."""
    return [(contact_of(record), merged_ids(record)) for record in results_of(reply)[0]]


def traced_in(reply: Reply) -> tuple[list[tuple[str | None, Contact]], list[Json]]:
    """Return the contacts of a write with their trace ids, and the errors."""
    records, errors = results_of(reply)
    return [(record.get("objectWriteTraceId"), contact_of(record)) for record in records], errors


def page_in(reply: Reply) -> Page:
    """Return a page of a list or search."""
    return Page(contacts=contacts_in(reply), after=_following(reply), served_at=clock_of(reply))


def nothing(reply: Reply) -> None:
    """Return nothing: the answer has no body."""
    return


def portal_in(reply: Reply) -> int:
    """Return the account an answer is about."""
    return int(_field(json_of(reply), "portalId"))


def _following(reply: Reply) -> str | None:
    following = ((json_of(reply).get("paging") or {}).get("next") or {}).get("after")
    return None if following is None else str(following)


def _field(body: Json, name: str) -> Any:
    if name not in body:
        raise Malformed(f"no {name}")
    return body[name]
