"""A contact as HubSpot's JSON: what a read, a create and an update each show.

read     what was asked for, null where it was never set, and three system properties always
create   what was sent and everything HubSpot derived
update   what was sent and some system properties; never the rest of the record
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sandbox.clock import iso
from sandbox.contact import Contact, Entry
from sandbox.lifecycle import STAGE

Json = dict[str, Any]

ALWAYS = ("createdate", "hs_object_id", "lastmodifieddate")
DEFAULT = (*ALWAYS, "email", "firstname", "lastname")
_AFTER_UPDATE = (
    *ALWAYS,
    "hs_is_contact",
    "hs_is_unworked",
    "hs_object_source",
    "hs_object_source_id",
    "hs_object_source_label",
    "hs_pipeline",
    STAGE,
)
_AFTER_CREATE = (
    *_AFTER_UPDATE,
    "hs_all_contact_vids",
    "hs_currently_enrolled_in_prospecting_agent",
    "hs_membership_has_accessed_private_content",
    "hs_registered_member",
)
_DERIVED_FROM = {
    "email": ("hs_email_domain", "hs_full_name_or_email"),
    "firstname": ("hs_full_name_or_email",),
    "lastname": ("hs_full_name_or_email",),
    "phone": ("hs_searchable_calculated_phone_number",),
}
_STAGE_DATE = re.compile(r"hs_lifecyclestage_(\w+)_date")


def value_of(contact: Contact, name: str) -> str | None:
    """Return a property as a read shows it, stored or calculated."""
    calculate = _CALCULATED.get(name)
    if calculate is not None:
        return calculate(contact)
    if name.startswith("hs_lifecyclestage_") and (match := _STAGE_DATE.fullmatch(name)):
        return _stage_date(contact, match[1])
    return contact.values.get(name)


def _stage_date(contact: Contact, stage: str) -> str | None:
    return next((iso(line.timestamp) for line in contact.entries(STAGE) if line.value == stage), None)


def _full_name(contact: Contact) -> str | None:
    parts = (contact.get("firstname"), contact.get("lastname"))
    return " ".join(part for part in parts if part) or contact.email or None


def _email_domain(contact: Contact) -> str | None:
    return contact.email.rpartition("@")[2] or contact.get("email")


def _digits(contact: Contact) -> str | None:
    return re.sub(r"\D", "", contact.get("phone") or "", flags=re.ASCII) or None


def _source_label(contact: Contact) -> str:
    return contact.origin.source_type


def _merged_vids(contact: Contact) -> str | None:
    return ";".join(f"{old}:{contact.modified}" for old in contact.merged) or None


_CALCULATED: Mapping[str, Callable[[Contact], str | None]] = {
    "createdate": lambda contact: iso(contact.created),
    "lastmodifieddate": lambda contact: iso(contact.modified),
    # Not the time of the last change: integrators who filtered on it missed changes.
    "hs_lastmodifieddate": lambda contact: iso(contact.created),
    "hs_object_id": lambda contact: str(contact.id),
    "hs_all_contact_vids": lambda contact: ";".join(map(str, (contact.id, *contact.merged))),
    "hs_merged_object_ids": lambda contact: ";".join(map(str, contact.merged)) or None,
    "hs_calculated_merged_vids": _merged_vids,
    "hs_additional_emails": lambda contact: ";".join(contact.secondary) or None,
    "hs_email_domain": _email_domain,
    "hs_full_name_or_email": _full_name,
    "hs_searchable_calculated_phone_number": _digits,
    "hs_is_contact": lambda contact: "true",
    "hs_is_unworked": lambda contact: "true",
    "hs_currently_enrolled_in_prospecting_agent": lambda contact: "false",
    "hs_membership_has_accessed_private_content": lambda contact: "0",
    "hs_registered_member": lambda contact: "0",
    "hs_object_source": lambda contact: contact.origin.source_type,
    "hs_object_source_id": lambda contact: contact.origin.source_id,
    "hs_object_source_label": _source_label,
    "hs_pipeline": lambda contact: contact.get("hs_pipeline") or "contacts-lifecycle-pipeline",
}


def read_answer(contact: Contact, wanted: Iterable[str], portal_id: int, *, default: bool) -> Json:
    """Render a read of some live properties, or of the default ones."""
    names = DEFAULT if default else {*ALWAYS, *wanted}
    return _envelope(contact, {name: value_of(contact, name) for name in sorted(names)}, portal_id)


def create_answer(contact: Contact, sent: Mapping[str, str], portal_id: int) -> Json:
    """Render the answer to a create."""
    stage_date = f"hs_lifecyclestage_{contact.get(STAGE)}_date"
    derived = [name for source in sent for name in _DERIVED_FROM.get(source, ())]
    return _envelope(contact, _written(contact, sent, (*derived, *_AFTER_CREATE, stage_date)), portal_id)


def update_answer(contact: Contact, sent: Mapping[str, str], portal_id: int) -> Json:
    """Render the answer to an update."""
    return _envelope(contact, _written(contact, sent, _AFTER_UPDATE), portal_id)


def _written(contact: Contact, sent: Mapping[str, str], system: Iterable[str]) -> dict[str, str | None]:
    shown = {name: value_of(contact, name) for name in (*sent, *system)}
    return {name: value for name, value in sorted(shown.items()) if value is not None}


def _envelope(contact: Contact, properties: dict[str, str | None], portal_id: int) -> Json:
    answer: Json = {
        "id": str(contact.id),
        "properties": properties,
        "createdAt": iso(contact.created),
        "updatedAt": iso(contact.modified),
        "archived": contact.archived,
        "url": f"https://app.hubspot.com/contacts/{portal_id}/record/0-1/{contact.id}",
    }
    if contact.archived_at is not None:
        answer["archivedAt"] = iso(contact.archived_at)
    return answer


def history_answer(contact: Contact, names: Iterable[str]) -> Json:
    """Render the histories of some properties, newest line first."""
    return {name: [_line(line) for line in contact.entries(name)] for name in names}


def _line(line: Entry) -> Json:
    answer: Json = {
        "value": line.value,
        "timestamp": iso(line.timestamp),
        "sourceType": line.origin.source_type,
        "sourceId": line.origin.source_id,
    }
    return answer if line.origin.user_id is None else {**answer, "updatedByUserId": line.origin.user_id}
