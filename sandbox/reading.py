"""What a caller asked to see of a contact, and the answer to it.

Names that are no live property are ignored when read, as HubSpot does; they are refused only when written.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.contact import Contact
from sandbox.errors import bad_json, invalid
from sandbox.lifecycle import STAGE
from sandbox.portal import Portal
from sandbox.view import Json, history_answer, read_answer, update_answer


@dataclass(frozen=True, slots=True)
class Wanted:
    """Properties, and properties with their history."""

    properties: tuple[str, ...] = ()
    history: tuple[str, ...] = ()

    @classmethod
    def from_body(cls, body: Json) -> "Wanted":
        """Read a batch or search body."""
        return cls(names(body.get("properties")), names(body.get("propertiesWithHistory")))

    @classmethod
    def from_query(cls, query: Mapping[str, list[str]]) -> "Wanted":
        """Read a query string; names may be repeated or joined by commas."""
        return cls(_joined(query.get("properties", ())), _joined(query.get("propertiesWithHistory", ())))


def names(value: object) -> tuple[str, ...]:
    """Return a JSON list of names as a tuple; null is an empty one."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise bad_json()
    return tuple(value)


def _joined(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.strip() for value in values for name in value.split(",") if name.strip())


class Reading:
    """Renders contacts of a portal."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal

    def render(self, contact: Contact, wanted: Wanted) -> Json:
        """Return a contact as a read shows it."""
        shown = wanted.properties + wanted.history
        answer = read_answer(contact, self._live(shown), self._portal.settings.portal_id, default=not shown)
        if wanted.history:
            answer["propertiesWithHistory"] = history_answer(contact, self._live(wanted.history))
        return answer

    def updated(self, contact: Contact, sent: Mapping[str, Any]) -> Json:
        """Return a contact as an update shows it."""
        settings = self._portal.settings
        answer = update_answer(contact, sent, settings.portal_id)
        if settings.echo_ignored_stage and sent.get(STAGE):
            answer["properties"][STAGE] = sent[STAGE]
        return answer

    def check_id_property(self, name: object) -> None:
        """Refuse a property by which no record can be named."""
        if name is None or name == "hs_object_id" or name in self._portal.schema.unique_names():
            return
        raise invalid(f"Unable to perform update/upsert by non-unique 0-1 property {name}")

    def _live(self, wanted: Iterable[str]) -> list[str]:
        return [name for name in wanted if self._portal.schema.get(name)]
