"""The properties that a new portal has: those a contact sync meets, not all of HubSpot's three hundred.

Ordinary ones, those HubSpot calculates, and the enumerations with their options.
"""

from sandbox.schema import Option, Property, Schema

_TEXT = {
    "email": "Email",
    "firstname": "First Name",
    "lastname": "Last Name",
    "company": "Company Name",
    "website": "Website URL",
    "jobtitle": "Job Title",
    "address": "Street Address",
    "city": "City",
    "state": "State/Region",
    "zip": "Postal Code",
    "country": "Country/Region",
    "fax": "Fax Number",
    "salutation": "Salutation",
    "industry": "Industry",
    "annualrevenue": "Annual Revenue",
    "message": "Message",
    "date_of_birth": "Date of Birth",
    "hs_language": "Preferred language",
    "twitterhandle": "Twitter Username",
}
_STAGES = {
    "subscriber": "Subscriber",
    "lead": "Lead",
    "marketingqualifiedlead": "Marketing Qualified Lead",
    "salesqualifiedlead": "Sales Qualified Lead",
    "opportunity": "Opportunity",
    "customer": "Customer",
    "evangelist": "Evangelist",
    "other": "Other",
}
_LEAD_STATUS = {
    "NEW": "New",
    "OPEN": "Open",
    "IN_PROGRESS": "In Progress",
    "OPEN_DEAL": "Open Deal",
    "UNQUALIFIED": "Unqualified",
    "ATTEMPTED_TO_CONTACT": "Attempted to Contact",
    "CONNECTED": "Connected",
    "BAD_TIMING": "Bad Timing",
}
_EMPLOYEES = ("1-5", "5-25", "25-50", "50-100", "100-500", "500-1000", "1000+")
_YES_NO = {"true": "True", "false": "False"}
_READ_ONLY = {
    "createdate": ("Create Date", "datetime"),
    "lastmodifieddate": ("Last Modified Date", "datetime"),
    "hs_lastmodifieddate": ("Object last modified date/time", "datetime"),
    "hs_object_id": ("Record ID", "number"),
    "hs_object_source": ("Record creation source", "string"),
    "hs_object_source_id": ("Record creation source ID", "string"),
    "hs_object_source_label": ("Record source", "string"),
    "hs_email_domain": ("Email Domain", "string"),
    "hs_all_contact_vids": ("All vids for a contact", "string"),
    "hs_full_name_or_email": ("Full name or email", "string"),
    "hs_searchable_calculated_phone_number": ("Calculated Phone Number", "string"),
    "num_notes": ("Number of Sales Activities", "number"),
    "hs_registered_member": ("Registered Member", "number"),
    "hs_membership_has_accessed_private_content": ("Accessed private content", "number"),
    "hs_merged_object_ids": ("Merged Contact IDs", "enumeration"),
    "hs_calculated_merged_vids": ("Merged vids with timestamps of a contact", "enumeration"),
    "hs_is_contact": ("Is a contact", "bool"),
    "hs_is_unworked": ("Contact unworked", "bool"),
    "hs_currently_enrolled_in_prospecting_agent": ("Enrolled in Prospecting Agent", "bool"),
    "hs_email_optout": ("Unsubscribed from all email", "bool"),
}


def new_schema(additional_emails_writable: bool) -> Schema:
    """Return the definitions of a new portal."""
    return Schema([*_texts(), *_phones(), *_choices(), *_system(), _additional(additional_emails_writable)])


def _texts() -> list[Property]:
    return [Property(name=name, label=label, unique=name == "email") for name, label in _TEXT.items()]


def _phones() -> list[Property]:
    return [
        Property(name=name, label=label, field_type="phonenumber")
        for name, label in {"phone": "Phone Number", "mobilephone": "Mobile Phone Number"}.items()
    ]


def _choices() -> list[Property]:
    return [
        _choice("lifecyclestage", "Lifecycle Stage", _STAGES, external=True),
        _choice("hs_lead_status", "Lead Status", _LEAD_STATUS),
        _choice("numemployees", "Number of Employees", dict(zip(_EMPLOYEES, _EMPLOYEES, strict=True))),
        _choice("hubspot_owner_id", "Contact owner", {}, external=True),
        _choice("hs_pipeline", "Pipeline", {"contacts-lifecycle-pipeline": "Lifecycle"}, external=True),
        Property(name="closedate", label="Close Date", type="datetime", field_type="date"),
    ]


def _choice(name: str, label: str, options: dict[str, str], external: bool = False) -> Property:
    return Property(
        name=name,
        label=label,
        type="enumeration",
        field_type="radio",
        options=_options(options),
        external_options=external,
    )


def _options(texts: dict[str, str]) -> tuple[Option, ...]:
    return tuple(Option(label, value) for value, label in texts.items())


def _system() -> list[Property]:
    stages = {
        f"hs_lifecyclestage_{stage}_date": (f"Became a {text} Date", "datetime")
        for stage, text in _STAGES.items()
    }
    return [_read_only(name, label, kind) for name, (label, kind) in (_READ_ONLY | stages).items()]


def _read_only(name: str, label: str, kind: str) -> Property:
    return Property(
        name=name,
        label=label,
        type=kind,
        field_type={"datetime": "date", "number": "number", "enumeration": "checkbox"}.get(kind, "text"),
        options=_options(_YES_NO) if kind == "bool" else (),
        read_only=True,
        calculated=name.startswith("hs_"),
        hidden=name.startswith("hs_"),
    )


def _additional(writable: bool) -> Property:
    return Property(
        name="hs_additional_emails",
        label="Additional email addresses",
        type="enumeration",
        field_type="checkbox",
        external_options=True,
        unique=True,
        read_only=not writable,
        hidden=True,
    )
