"""The batch endpoints: up to a hundred inputs, answered in no particular order.

One bad input refuses the whole batch, with two exceptions: ids without a record make a 207, and so do bad
inputs of a create in which every input has a trace id of its own.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.clock import iso
from sandbox.contact import Contact
from sandbox.errors import (
    HubSpotError,
    bad_json,
    duplicate_ids,
    invalid,
    missing_entry,
    too_many_inputs,
    trace_entry,
    unnamed_conflict,
    value_taken,
)
from sandbox.portal import Portal
from sandbox.reading import Reading, Wanted
from sandbox.records import EMAIL, as_id, fold
from sandbox.view import Json, create_answer

_MOST = 100
_MOST_WITH_HISTORY = 50

Result = tuple[int, Json | None]


class Batches:
    """Batch reads and writes of a portal; each returns a status and a body."""

    def __init__(self, portal: Portal, reading: Reading) -> None:
        self._portal = portal
        self._reading = reading

    def read(self, body: Json, archived: bool) -> Result:
        """Read by id, by address or by another unique property; merged ids are followed."""
        wanted = Wanted.from_body(body)
        inputs = _inputs(body)
        if wanted.history and len(inputs) > _MOST_WITH_HISTORY:
            raise too_many_inputs(_MOST_WITH_HISTORY, history=True)
        keys = [_key(each) for each in inputs]
        id_property = body.get("idProperty")
        self._reading.check_id_property(id_property)
        with self._portal.ledger.session() as now:
            found = [self._portal.find(key, id_property, archived=archived) for key in keys]
            missing = [key for key, contact in zip(keys, found, strict=True) if contact is None]
            contacts = self._once([contact for contact in found if contact])
            results = [self._reading.render(contact, wanted) for contact in contacts]
            return self._answer(200, results, [missing_entry(missing)] if missing else [], now)

    def _once(self, contacts: list[Contact]) -> list[Contact]:
        if self._portal.settings.duplicate_reads:
            return contacts
        return list({contact.id: contact for contact in contacts}.values())

    def create(self, body: Json) -> Result:
        """Create contacts: all or none, or each for itself when all inputs carry distinct trace ids."""
        inputs = _inputs(body)
        traces = [each.get("objectWriteTraceId") for each in inputs]
        partial = None not in traces and len(set(map(str, traces))) == len(traces)
        results: list[Json] = []
        errors: list[Json] = []
        with self._portal.ledger.session() as now:
            for each in inputs:
                try:
                    results.append(self._create_one(each))
                except HubSpotError as error:
                    if not partial:
                        raise self._for_whole_batch(error) from None
                    errors.append(_traced(error, str(each["objectWriteTraceId"])))
            return self._answer(201, results, errors, now)

    def _create_one(self, each: Json) -> Json:
        properties = _properties(each)
        contact = self._portal.create(properties, by=self._portal.app)
        return self._echo(each, create_answer(contact, properties, self._portal.settings.portal_id))

    def _for_whole_batch(self, error: HubSpotError) -> HubSpotError:
        hides = error.status == 409 and not self._portal.settings.named_batch_conflict
        return unnamed_conflict() if hides else error

    def update(self, body: Json) -> Result:
        """Update by record id; ids that were merged away are left out without a word."""
        inputs = _inputs(body)
        keys = [_key(each) for each in inputs]
        by_email = self._portal.settings.batch_update_by_email
        for name in {each.get("idProperty") for each in inputs} - {None}:
            if name != EMAIL or not by_email:
                raise invalid(f"Unable to perform update/upsert by non-unique 0-1 property {name}")
        repeated = [key for key, count in Counter(keys).items() if count > 1]
        if repeated:
            raise duplicate_ids(repeated)
        results: list[Json] = []
        missing: list[str] = []
        with self._portal.ledger.session() as now:
            self._check_all(inputs)
            for key, each in zip(keys, inputs, strict=True):
                if self._is_merged_away(key):
                    continue
                updated = self._update_one(key, each)
                if updated is None:
                    missing.append(key)
                else:
                    results.append(updated)
            return self._answer(200, results, [missing_entry(missing)] if missing else [], now)

    def _check_all(self, inputs: Sequence[Json]) -> None:
        """Refuse the batch for a bad property even where its record is missing."""
        for each in inputs:
            self._portal.gate.clean(_properties(each))

    def _is_merged_away(self, key: str) -> bool:
        return as_id(key) in self._portal.ledger.records.aliases

    def _update_one(self, key: str, each: Json) -> Json | None:
        id_property = each.get("idProperty")
        if self._portal.find(key, id_property, archived=False) is None:
            return None
        properties = _properties(each)
        try:
            contact = self._portal.edit(key, properties, by=self._portal.app, id_property=id_property)
        except HubSpotError as error:
            raise self._for_whole_batch(error) from None
        return self._echo(each, self._reading.updated(contact, properties))

    def upsert(self, body: Json) -> Result:
        """Update or create by a unique property; one bad input refuses all."""
        inputs = _inputs(body)
        self._check_upsert_keys(inputs)
        results: list[Json] = []
        missing: list[str] = []
        with self._portal.ledger.session() as now:
            if self._portal.ledger.random.random() < self._portal.settings.silent_upserts:
                return self._answer(200, [], [], now)
            self._check_all(inputs)
            for each in inputs:
                upserted = self._upsert_one(each)
                if upserted is None:
                    missing.append(_key(each))
                else:
                    results.append(upserted)
            return self._answer(200, results, [missing_entry(missing)] if missing else [], now)

    def _check_upsert_keys(self, inputs: Sequence[Json]) -> None:
        keys = [fold(_key(each)) for each in inputs]
        for each in inputs:
            self._reading.check_id_property(each.get("idProperty"))
        repeated = [key for key, count in Counter(keys).items() if count > 1]
        if repeated and self._portal.settings.duplicate_upserts == "refuse":
            raise duplicate_ids(repeated)

    def _upsert_one(self, each: Json) -> Json | None:
        key, name, properties = _key(each), each.get("idProperty") or "hs_object_id", _properties(each)
        contact = self._portal.find(key, name, archived=False)
        if contact is None and name == "hs_object_id":
            return None
        try:
            if contact is not None:
                contact = self._upsert_existing(contact, name, key, properties)
                return self._echo(each, self._reading.updated(contact, properties) | {"new": False})
            properties = {name: key, **properties}
            new = self._portal.create(properties, by=self._portal.app)
        except HubSpotError as error:
            raise self._as_value_taken(error, contact, properties) from None
        answer = create_answer(new, properties, self._portal.settings.portal_id)
        return self._echo(each, answer | {"new": True})

    def _as_value_taken(
        self, error: HubSpotError, contact: Contact | None, properties: Mapping[str, Any]
    ) -> HubSpotError:
        """Turn a conflict into the form in which an upsert tells it."""
        holder = as_id(error.message.partition("Existing ID: ")[2])
        if holder is None:
            return error
        written = self._portal.ledger.new_id() if contact is None else contact.id
        portal_id, address = self._portal.settings.portal_id, str(properties.get(EMAIL))
        return value_taken(portal_id, EMAIL, address, (written, holder))

    def _upsert_existing(self, contact: Contact, name: str, key: str, properties: Mapping[str, Any]) -> Contact:
        by_secondary = name == EMAIL and fold(key.strip()) != fold(contact.email)
        if by_secondary and not self._portal.settings.upsert_moves_primary:
            properties = {each: value for each, value in properties.items() if each != EMAIL}
        if not properties:
            return contact
        return self._portal.edit(contact.id, properties, by=self._portal.app)

    def archive(self, body: Json) -> Result:
        """Archive by id; ids without a live record change nothing."""
        keys = [_key(each) for each in _inputs(body)]
        with self._portal.ledger.session():
            for key in keys:
                if self._portal.find(key, None, archived=False) is not None:
                    self._portal.delete(key, by=self._portal.app)
            return 204, None

    def _echo(self, each: Json, answer: Json) -> Json:
        trace = each.get("objectWriteTraceId")
        if trace is None or not self._portal.settings.echo_trace_id:
            return answer
        return {**answer, "objectWriteTraceId": str(trace)}

    def _answer(self, status: int, results: list[Json], errors: list[Json], started: int) -> Result:
        body: Json = {"status": "COMPLETE", "results": self._shuffled(results)}
        if errors:
            status = 207
            body |= {"numErrors": len(errors), "errors": errors}
        completed = max(started, self._portal.ledger.clock())
        return status, body | {"startedAt": iso(started), "completedAt": iso(completed)}

    def _shuffled(self, results: list[Json]) -> list[Json]:
        """Return the results in another order than they came in."""
        mixed = results[:]
        self._portal.ledger.random.shuffle(mixed)
        return mixed[1:] + mixed[:1] if mixed == results else mixed


def _inputs(body: Json) -> list[Json]:
    inputs = body.get("inputs")
    if not isinstance(inputs, list):
        raise bad_json(["inputs"])
    if not all(isinstance(each, dict) and isinstance(each.get("idProperty", ""), str) for each in inputs):
        raise bad_json()
    if len(inputs) > _MOST:
        raise too_many_inputs(_MOST)
    return inputs


def _key(each: Json) -> str:
    key = each.get("id")
    if isinstance(key, bool) or not isinstance(key, str | int) or key == "":
        raise bad_json(["id"])
    return str(key)


def _properties(each: Json) -> dict[str, Any]:
    properties = each.get("properties")
    if not isinstance(properties, dict):
        raise bad_json(["properties"])
    return properties


def _traced(error: HubSpotError, trace_id: str) -> Json:
    holder = error.message.partition("Existing ID: ")[2]
    return trace_entry(error, trace_id, {"existingId": [holder]} if holder else {})
