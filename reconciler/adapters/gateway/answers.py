"""What the gateway reads out of HubSpot's answers, whichever of their forms they take."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import structlog

from reconciler.adapters.gateway.parse import Json, Malformed, contact_of, json_of, merged_ids, refusal_of, results_of
from reconciler.adapters.gateway.transport import Reply
from reconciler.core.contact import Contact, ContactId
from reconciler.core.errors import Refused
from reconciler.core.fields import Fields
from reconciler.core.ports import Answer, HubSpotAccount, Page, Written
from reconciler.core.values import Values

MISSING = "OBJECT_NOT_FOUND"
"""HubSpot's category of a record that is not there."""

Traced = tuple[str | None, Contact]
"""A contact of an answer, with the trace id that it came with."""

log = structlog.get_logger()

EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
"""A search window from epoch 0 can fail; nothing in HubSpot is as old."""


def refused_in(fields: Fields, reply: Reply) -> Refused:
    """Return what a refusal of a whole call says; a 404 that got this far is about a record, in HTML too."""
    if reply.status == 404:
        return refusal_of(fields, {"category": MISSING})
    try:
        body = json_of(reply)
    except Malformed:
        return refusal_of(fields, {})
    return refusal_of(fields, {**body, "category": "FORBIDDEN"} if reply.status == 403 else body)


def is_said_to_be_missing(reply: Reply) -> bool:
    """Whether a 404 says by itself that there is no such record: by HubSpot's header, or its category."""
    if reply.headers.get("X-HubSpot-NotFound", "").lower() == "true":
        return True
    try:
        return json_of(reply).get("category") == MISSING
    except Malformed:
        return False


def missing_in(errors: Sequence[Json]) -> set[int]:
    """Return the ids that the errors of a batch name as not found."""
    named = (e for error in errors if error.get("category") == MISSING for e in _named(error, "ids"))
    return {int(each) for each in named if each.isdigit()}


def created_in(fields: Fields, drafts: Mapping[int, Values], reply: Reply) -> dict[int, Answer]:
    """Return the answer to each draft that is answered, by its number."""
    left, errors = _traced_in(fields, reply)
    answers = _refused_by_trace(fields, errors, drafts)
    for n, values in drafts.items():
        made = _made_of(n, values, left)
        if made is not None:
            answers[n] = Written(contact=made)
    note_unknown(len(left))
    return answers


def updated_in(fields: Fields, positions: Mapping[ContactId, int], reply: Reply) -> dict[int, Answer]:
    """Return the answer to each edit that is answered, by its number; `positions` has the contacts' numbers."""
    contacts, errors = _traced_in(fields, reply)
    answers = _refused_by_id(fields, errors, positions)
    known = [contact for _, contact in contacts if contact.id in positions]
    answers.update((positions[contact.id], Written(contact=contact)) for contact in known)
    note_unknown(len(contacts) - len(known))
    return answers


def archived_in(ids: Mapping[int, ContactId], reply: Reply) -> dict[int, Answer]:
    """Return the contacts that were archived, by number."""
    nothing(reply)
    return {n: Written(contact=_archived(each)) for n, each in ids.items()}


def _refused_by_trace(fields: Fields, errors: Sequence[Json], drafts: Collection[int]) -> dict[int, Answer]:
    """Return the refusals of a traced batch by the number of their draft."""
    answers: dict[int, Answer] = {}
    for error in errors:
        known = [int(trace) for trace in _named(error, "objectWriteTraceId") if trace.isdigit()]
        answers.update((n, refusal_of(fields, error)) for n in known if n in drafts)
        note_unknown(len([n for n in known if n not in drafts]))
    return answers


def _refused_by_id(fields: Fields, errors: Sequence[Json], positions: Mapping[ContactId, int]) -> dict[int, Answer]:
    """Return the refusals of a batch by the position of the contact that they name."""
    answers: dict[int, Answer] = {}
    for error in errors:
        named = [ContactId(int(each)) for each in _named(error, "ids") if each.isdigit()]
        answers.update((positions[each], refusal_of(fields, error)) for each in named if each in positions)
        note_unknown(len([each for each in named if each not in positions]))
    return answers


def note_unknown(count: int) -> None:
    """Tell of records in an answer that nothing was asked about; they are left alone."""
    if count:
        log.warning("hubspot.unknown_records", count=count)


def _named(error: Json, what: str) -> list[str]:
    context = error.get("context")
    named = context.get(what) if isinstance(context, dict) else None
    return [str(each) for each in named] if isinstance(named, list) else []


def _made_of(n: int, values: Values, left: list[Traced]) -> Contact | None:
    """Take out the contact made of a draft: by its trace id, else by its address, else by what was sent.

    Each contact is of one draft: two that are equal in all that was sent got two contacts, not one.
    """
    address = values.get("email")
    for is_made in (
        lambda trace, _: trace == str(n),
        lambda trace, contact: trace is None and address is not None and contact.values.get("email") == address,
        lambda trace, contact: trace is None and address is None and _is_same(values, contact),
    ):
        for place, (trace, contact) in enumerate(left):
            if is_made(trace, contact):
                del left[place]
                return contact
    return None


def _is_same(values: Values, contact: Contact) -> bool:
    return all(contact.values.get(field) == value for field, value in values.items())


def _archived(contact_id: ContactId) -> Contact:
    """Return what is known of a contact after its archive was answered."""
    return Contact(id=contact_id, values={}, created_at=EARLIEST, updated_at=EARLIEST, archived=True)


def clock_of(reply: Reply) -> datetime:
    """Return HubSpot's time of an answer (whole seconds)."""
    try:
        return parsedate_to_datetime(reply.headers["Date"]).astimezone(UTC)
    except (KeyError, ValueError, TypeError):
        return datetime.now(UTC)


def millis(at: datetime) -> str:
    """Return a time as HubSpot's searches take it."""
    return str(int(at.timestamp() * 1000))


def contacts_in(fields: Fields, reply: Reply) -> list[Contact]:
    """Return the contacts of a batch or list."""
    return [contact_of(fields, record) for record in results_of(reply)[0]]


def read_in(fields: Fields, reply: Reply) -> tuple[list[tuple[Contact, set[int]]], set[int]]:
    """Return the contacts of a batch with the ids merged into each, and the ids that it names as not found."""
    records, errors = results_of(reply)
    return [(contact_of(fields, record), merged_ids(record)) for record in records], missing_in(errors)


def _traced_in(fields: Fields, reply: Reply) -> tuple[list[Traced], list[Json]]:
    """Return the contacts of a write with their trace ids, and the errors."""
    records, errors = results_of(reply)
    return [(record.get("objectWriteTraceId"), contact_of(fields, record)) for record in records], errors


def page_in(fields: Fields, reply: Reply) -> Page:
    """Return a page of a list or search."""
    return Page(contacts=contacts_in(fields, reply), after=_following(reply), served_at=clock_of(reply))


def total_in(reply: Reply) -> int | None:
    """Return how many contacts a search has found."""
    total = json_of(reply).get("total")
    return total if isinstance(total, int) else None


def nothing(reply: Reply) -> None:
    """Return nothing: the answer has no body. Anything but a 204 says nothing of what was done."""
    if reply.status != 204:
        raise Malformed("not an empty answer")


def account_in(reply: Reply) -> HubSpotAccount:
    """Return the account an answer is about."""
    body = json_of(reply)
    portal = _field(body, "portalId")
    if not isinstance(portal, int):
        raise Malformed("no portal id")
    return HubSpotAccount(portal=portal, time_zone=str(body.get("timeZone") or "UTC"))


def properties_in(reply: Reply) -> dict[str, Json]:
    """Return the portal's contact properties by name; there is no portal without an address."""
    known = {str(each.get("name")): each for each in results_of(reply)[0]}
    if "email" not in known:
        raise Malformed("no properties of contacts")
    return known


def _following(reply: Reply) -> str | None:
    following = ((json_of(reply).get("paging") or {}).get("next") or {}).get("after")
    return None if following is None else str(following)


def _field(body: Json, name: str) -> Any:
    if name not in body:
        raise Malformed(f"no {name}")
    return body[name]
