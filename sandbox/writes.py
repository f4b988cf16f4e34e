"""What stands between a sent body and a stored value: cleaning, uniqueness, the stage's direction.

Everything here only looks and refuses; the portal writes.
"""

import re
from collections.abc import Mapping
from typing import Any

from sandbox.contact import USER, Contact, Origin
from sandbox.errors import (
    HubSpotError,
    Problem,
    bad_json,
    conflict,
    invalid,
    invalid_properties,
    value_taken,
)
from sandbox.ledger import Ledger
from sandbox.lifecycle import STAGE, ClearingRefusedError, StageRule, next_stage
from sandbox.records import EMAIL, fold
from sandbox.schema import Schema
from sandbox.settings import Switches
from sandbox.values import SEPARATOR, clean_value, join_choices, plain_number

ADDITIONAL = "hs_additional_emails"
PHONES = ("phone", "mobilephone")


class Gate:
    """The checks of a write."""

    def __init__(self, switches: Switches, schema: Schema, ledger: Ledger) -> None:
        self._switches = switches
        self._schema = schema
        self._ledger = ledger

    def clean(self, properties: Mapping[str, Any]) -> dict[str, str]:
        """Return the values as they would be stored; refuse the whole write for one bad property."""
        settings = self._switches.current
        results = {
            name: self._clean_one(name, value) for name, value in _texts(properties, settings.null_clears).items()
        }
        problems = [each for each in results.values() if isinstance(each, Problem)]
        if problems:
            raise invalid_properties(problems, settings.portal_id)
        stored = {name: value for name, value in results.items() if isinstance(value, str)}
        if settings.lowercase_email:
            stored |= {name: stored[name].lower() for name in (EMAIL, ADDITIONAL) if name in stored}
        if settings.trim_texts:
            stored = {name: value.strip() for name, value in stored.items()}
        if settings.plain_numbers:
            stored |= {name: plain_number(stored[name]) for name in stored if self._is_number(name) and stored[name]}
        if settings.rewrite_phones:
            stored |= {name: e164(stored[name]) for name in PHONES if name in stored}
        return stored

    def _clean_one(self, name: str, value: str) -> str | Problem:
        prop = self._schema.get(name)
        if prop is None:
            return Problem(name, f'Property "{name}" does not exist', "PROPERTY_DOESNT_EXIST")
        return clean_value(prop, value)

    def joined(self, contact: Contact | None, values: Mapping[str, str]) -> dict[str, str]:
        """Return the values with each list of choices as it is stored: a leading ; adds to what is there."""
        return {name: self._join_one(contact, name, value) for name, value in values.items()}

    def _join_one(self, contact: Contact | None, name: str, value: str) -> str:
        prop = self._schema.get(name)
        if prop is None or not prop.several or name == ADDITIONAL:
            return value
        stored = (contact.get(name) if contact and value.startswith(SEPARATOR) else None) or ""
        chosen = [each for each in f"{stored}{value}".split(SEPARATOR) if each]
        ordered = self._switches.current.ordered_choices
        return join_choices(sorted(chosen, key=prop.option_values.index) if ordered else chosen)

    def _is_number(self, name: str) -> bool:
        prop = self._schema.get(name)
        return prop is not None and prop.type == "number"

    def refuse_taken(self, contact: Contact | None, values: Mapping[str, str]) -> None:
        """Refuse unique values that another live contact holds."""
        for name, value in values.items():
            if name in (EMAIL, ADDITIONAL) or name in self._schema.unique_names():
                for each in filter(None, value.split(";") if name == ADDITIONAL else [value]):
                    self._refuse_one(contact, EMAIL if name == ADDITIONAL else name, each)

    def _refuse_one(self, contact: Contact | None, name: str, value: str) -> None:
        holder = self._ledger.records.by_value(name, value)
        if holder is not None and (contact is None or holder.id != contact.id):
            raise self._taken(contact, holder, (name, value))

    def _taken(self, contact: Contact | None, holder: Contact, unique: tuple[str, str]) -> HubSpotError:
        name, value = unique
        settings = self._switches.current
        if name != EMAIL:
            form = "400"
        elif fold(value) != fold(holder.email):
            form = settings.secondary_conflict
        else:
            form = settings.create_conflict if contact is None else settings.update_conflict
        if form == "409" and self._ledger.random.random() >= settings.race_share:
            return conflict(holder.id)
        # A create has got an id by then; nothing will ever be found under it.
        written = self._ledger.new_id() if contact is None else contact.id
        return value_taken(settings.portal_id, name, value, (written, holder.id))

    def refuse_blocklisted(self, values: Mapping[str, str]) -> None:
        """Refuse an address that was erased."""
        address = values.get(EMAIL, "")
        form = self._switches.current.blocklisted
        if form == "allow" or fold(address) not in self._ledger.records.blocklist:
            return
        error = invalid(f"Email address {address} is blocklisted because of a privacy deletion")
        raise HubSpotError(int(form), error.body)

    def stage(self, contact: Contact, values: dict[str, str], by: Origin) -> dict[str, str]:
        """Return the values with the stage that this write leaves behind."""
        if STAGE not in values:
            return values
        prop = self._schema.get(STAGE)
        order = prop.option_values if prop else []
        # People may move a stage back in HubSpot's own pages.
        rule = StageRule.ANY if by == USER else self._switches.current.stage_rule
        try:
            left = next_stage(contact.get(STAGE) or "", values[STAGE], order, rule)
        except ClearingRefusedError:
            raise invalid(f"{STAGE} cannot be cleared") from None
        return {**values, STAGE: left}


def e164(text: str) -> str:
    """Return a phone number as HubSpot may store it; what is none is left as it is."""
    digits = "".join(char for char in text if char in "0123456789")
    is_number = re.fullmatch(r"\s*\+?[\d\s().-]+", text, re.ASCII) is not None and 10 <= len(digits) <= 15
    country = "" if text.lstrip().startswith("+") or len(digits) > 10 else "1"
    return f"+{country}{digits}" if is_number else text


def _texts(properties: Mapping[str, Any], null_clears: bool) -> dict[str, str]:
    texts = {}
    for name, value in properties.items():
        if value is not None:
            texts[name] = _text(value)
        elif null_clears:
            texts[name] = ""
    return texts


def _text(value: object) -> str:
    match value:
        case str():
            return value
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case _:
            raise bad_json()
