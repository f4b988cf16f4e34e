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
    "salutation": "Salutation",
    "industry": "Industry",
    "annualrevenue": "Annual Revenue",
    "message": "Message",
    "date_of_birth": "Date of birth",
    "twitterhandle": "Twitter Username",
}
_PHONES = {"phone": "Phone Number", "mobilephone": "Mobile Phone Number", "fax": "Fax Number"}
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
_GROUPS = frozenset(
    (
        "analyticsinformation",
        "contact_activity",
        "contactinformation",
        "contactlcs",
        "contactscripted",
        "conversioninformation",
        "deal_information",
        "emailinformation",
        "facebook_ads_properties",
        "order_information",
        "sales_properties",
        "socialmediainformation",
    )
)
_YES_NO = {"true": "True", "false": "False"}
# Label, type, field type and whether HubSpot calculates it.
_READ_ONLY = {
    "createdate": ("Create Date", "datetime", "date", False),
    "lastmodifieddate": ("Last Modified Date", "datetime", "date", False),
    "hs_lastmodifieddate": ("Object last modified date/time", "datetime", "date", False),
    "hs_object_id": ("Record ID", "number", "number", False),
    "hs_object_source": ("Record creation source", "string", "text", False),
    "hs_object_source_id": ("Record creation source ID", "string", "text", False),
    "hs_object_source_label": ("Record source", "enumeration", "select", False),
    "hs_merged_object_ids": ("Merged Contact IDs", "enumeration", "checkbox", False),
    "hs_email_optout": ("Unsubscribed from all email", "bool", "booleancheckbox", False),
    "num_notes": ("Number of Sales Activities", "number", "number", False),
    "hs_is_unworked": ("Contact unworked", "bool", "calculation_equation", False),
    "hs_is_contact": ("Is a contact", "bool", "calculation_read_time", True),
    "hs_email_domain": ("Email Domain", "string", "text", True),
    "hs_full_name_or_email": ("Full name or email", "string", "text", True),
    "hs_all_contact_vids": ("All vids for a contact", "enumeration", "select", True),
    "hs_calculated_merged_vids": ("Merged vids with timestamps of a contact", "enumeration", "select", True),
    "hs_searchable_calculated_phone_number": (
        "Calculated Phone Number without country code", "phone_number", "phonenumber", True,
    ),
    "hs_registered_member": ("Registered member", "number", "calculation_equation", True),
    "hs_membership_has_accessed_private_content": (
        "Member has accessed private content", "number", "calculation_equation", True,
    ),
    "hs_currently_enrolled_in_prospecting_agent": (
        "Currently Enrolled in Prospecting Agent", "bool", "calculation_equation", True,
    ),
}  # fmt: skip
_HIDDEN = frozenset(
    (
        "hs_lastmodifieddate",
        "hs_object_source",
        "hs_object_source_id",
        "hs_all_contact_vids",
        "hs_calculated_merged_vids",
        "hs_is_contact",
        "hs_searchable_calculated_phone_number",
    )
)


def new_schema(additional_emails_writable: bool) -> Schema:
    """Return the definitions of a new portal."""
    properties = [*_texts(), *_phones(), *_choices(), *_system(), _additional(additional_emails_writable)]
    return Schema(properties, _GROUPS)


def _texts() -> list[Property]:
    return [Property(name=name, label=label, unique=name == "email") for name, label in _TEXT.items()]


def _phones() -> list[Property]:
    return [Property(name=name, label=label, field_type="phonenumber") for name, label in _PHONES.items()]


def _choices() -> list[Property]:
    return [
        _choice("lifecyclestage", "Lifecycle Stage", _STAGES, external=True),
        _choice("hs_lead_status", "Lead Status", _LEAD_STATUS),
        _choice("numemployees", "Number of Employees", {each: each for each in _EMPLOYEES}),
        _choice("hubspot_owner_id", "Contact owner", {}, external=True),
        _choice("hs_pipeline", "Pipeline", {}, external=True),
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
    return [
        *(_read_only(name, *rest) for name, rest in _READ_ONLY.items()),
        *(_read_only(f"hs_lifecyclestage_{stage}_date", _became(text), "datetime", "date", False, True)
          for stage, text in _STAGES.items()),
    ]  # fmt: skip


def _became(stage: str) -> str:
    return f"Became {'an' if stage[0] in 'AEIOU' else 'a'} {stage} Date"


def _read_only(name: str, label: str, kind: str, field_type: str, calculated: bool, hidden: bool = False) -> Property:
    return Property(
        name=name,
        label=label,
        type=kind,
        field_type=field_type,
        options=_options(_YES_NO) if kind == "bool" else (),
        read_only=True,
        calculated=calculated,
        hidden=hidden or name in _HIDDEN,
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
