"""HubSpot's contacts behind the core's port, through hubspot-api-client 12.

Answers omit inputs, come unordered, name merged ids and speak of refusals in several forms; all of that ends here.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from math import inf
from time import monotonic
from typing import Any, cast

from hubspot import HubSpot
from hubspot.crm.contacts import BasicApi, BatchApi, SearchApi

from reconciler.adapters.gateway.answers import (
    EARLIEST,
    archived_contact,
    body_of,
    contacts_and_merged_in,
    contacts_in,
    made_of,
    millis,
    nothing,
    page_in,
    portal_in,
    refused_by_trace,
    traced_in,
)
from reconciler.adapters.gateway.calls import Calls, Parsed, Refusal
from reconciler.adapters.gateway.parse import (
    MERGED_IDS,
    OTHER_ADDRESSES,
    Json,
    contact_of,
    is_about,
    json_of,
    properties_of,
    refusal_of,
    results_of,
)
from reconciler.adapters.gateway.transport import CONNECT_TIMEOUT, READ_TIMEOUT, BoundedPool, Reply, open_connections
from reconciler.core.contact import GONE, Contact, ContactId, Snapshot
from reconciler.core.errors import OutcomeUnknown, Transient, Unavailable
from reconciler.core.fields import PROPERTIES, Value, Values
from reconciler.core.ports import Answer, Page, Unanswered, Written
from reconciler.outward import DIRECT, Way

ASKED = [*PROPERTIES, OTHER_ADDRESSES, MERGED_IDS]
"""Properties of every full read."""

SEARCH_PAGE = 200
LIST_PAGE = 100
CONNECTIONS = 80
"""Threads that may call at once: a sweep's and a drain's at their most, and the other jobs'."""


class Gateway:
    """Reads and writes contacts. `token` is asked for at every call, so a replaced one is used without a restart.

    `clock` counts seconds; `now` is the database's time, with which HubSpot's is compared; `way` leads to HubSpot.
    """

    def __init__(
        self,
        *,
        base_url: str,
        token: Callable[[], str],
        calls: Calls,
        clock: Callable[[], float] = monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        way: Way = DIRECT,
    ) -> None:
        client = HubSpot(access_token="", host=base_url)
        # Each property access of the client builds a new connection pool: take the apis once, on one pool, ours.
        contacts = client.crm.contacts
        self._batch: BatchApi = contacts.batch_api
        self._basic: BasicApi = contacts.basic_api
        self._search: SearchApi = contacts.search_api
        pool = BoundedPool(open_connections(way, CONNECTIONS), clock)
        for api in (self._batch, self._basic, self._search):
            api.api_client.rest_client.pool_manager = pool
        self._token, self._calls, self._now = token, calls, now

    @property
    def calls(self) -> Calls:
        """The door that all calls go through."""
        return self._calls

    def read(self, ids: Collection[ContactId], *, history: bool = False) -> Mapping[ContactId, Snapshot]:
        found: dict[ContactId, Snapshot] = {}
        for is_archived in (False, True):
            missing = [each for each in ids if each not in found]
            if missing:
                found.update(self._read(missing, history=history, archived=is_archived))
        # Batch answers may leave merged ids out without a word: only a single read tells those from purged ones.
        for each in ids:
            if each not in found:
                found[each] = self._read_one(each, history=history)
        return found

    def _read(self, ids: Sequence[ContactId], *, history: bool, archived: bool) -> dict[ContactId, Snapshot]:
        body: Json = {"inputs": [{"id": str(each)} for each in ids], "properties": ASKED}
        body["propertiesWithHistory"] = list(PROPERTIES) if history else []
        try:
            read = self._ask(lambda **how: self._batch.read(body, archived=archived, **how), contacts_and_merged_in)
        except Refusal:
            return {}
        found: dict[ContactId, Snapshot] = {}
        for contact, merged in read:
            asked = ({contact.id} | merged) & set(ids)
            found.update((ContactId(each), Snapshot(contact=contact)) for each in asked)
        return found

    def _read_one(self, contact_id: ContactId, *, history: bool) -> Snapshot:
        more = {"properties_with_history": list(PROPERTIES)} if history else {}
        for is_archived in (False, True):
            try:
                contact = self._ask(
                    lambda archived=is_archived, **how: self._basic.get_by_id(
                        str(contact_id), properties=ASKED, archived=archived, **more, **how
                    ),
                    lambda reply: contact_of(json_of(reply)),
                )
            except Refusal:
                continue
            return Snapshot(contact=contact)
        return GONE

    def find(self, addresses: Collection[str]) -> Mapping[str, Contact]:
        body = {"inputs": [{"id": a} for a in sorted(addresses)], "idProperty": "email", "properties": ASKED}
        body["propertiesWithHistory"] = []
        try:
            contacts = self._ask(lambda **how: self._batch.read(body, **how), contacts_in)
        except Refusal:
            return {}
        return {a: contact for a in addresses for contact in contacts if is_about(a, contact)}

    def create(self, drafts: Sequence[Values], *, until: float = inf) -> list[Answer]:
        answers: list[Answer] = [Unanswered.OMITTED] * len(drafts)
        self._halve(_all(drafts), answers, lambda part: self._create([(n, drafts[n]) for n in part], until), drafts)
        return answers

    def _create(self, drafts: Sequence[tuple[int, Values]], until: float) -> dict[int, Answer]:
        inputs = [
            {"objectWriteTraceId": str(n), "associations": [], "properties": properties_of(values)}
            for n, values in drafts
        ]
        contacts, errors = self._send(lambda **how: self._batch.create({"inputs": inputs}, **how), traced_in, until)
        answers = refused_by_trace(errors)
        for n, values in drafts:
            made = made_of(n, values, contacts)
            if made is not None:
                answers[n] = Written(contact=made)
        return answers

    def update(self, edits: Sequence[tuple[ContactId, Values]], *, until: float = inf) -> list[Answer]:
        answers: list[Answer] = [Unanswered.OMITTED] * len(edits)
        values = [values for _, values in edits]
        self._halve(_all(edits), answers, lambda part: self._update([(n, *edits[n]) for n in part], until), values)
        return answers

    def _update(self, edits: Sequence[tuple[int, ContactId, Values]], until: float) -> dict[int, Answer]:
        inputs = [{"id": str(contact_id), "properties": properties_of(values)} for _, contact_id, values in edits]
        contacts, errors = self._send(lambda **how: self._batch.update({"inputs": inputs}, **how), traced_in, until)
        answers: dict[int, Answer] = {}
        positions = {contact_id: n for n, contact_id, _ in edits}
        for error in errors:
            for each in (error.get("context") or {}).get("ids", ()):
                answers[positions[ContactId(int(each))]] = refusal_of(error)
        for _, contact in contacts:
            if contact.id in positions:
                answers[positions[contact.id]] = Written(contact=contact)
        return answers

    def archive(self, ids: Sequence[ContactId], *, until: float = inf) -> list[Answer]:
        answers: list[Answer] = [Unanswered.OMITTED] * len(ids)
        archiving = [dict[str, Value]()] * len(ids)
        self._halve(_all(ids), answers, lambda part: self._archive([(n, ids[n]) for n in part], until), archiving)
        return answers

    def _archive(self, ids: Sequence[tuple[int, ContactId]], until: float) -> dict[int, Answer]:
        inputs = [{"id": str(each)} for _, each in ids]
        self._send(lambda **how: self._batch.archive({"inputs": inputs}, **how), nothing, until)
        return {n: Written(contact=archived_contact(each)) for n, each in ids}

    def purge(self, contact_id: ContactId) -> None:
        try:
            self._send(lambda **how: self._basic.purge({"objectId": str(contact_id)}, **how), nothing)
        except Refusal as error:
            if error.reply.status != 404:
                raise Unavailable(f"HubSpot refused to erase ({error.reply.status})") from error

    def changed(self, *, since: datetime, until: datetime | None, after: str) -> Page:
        last_id, offset = after.split(":")
        filters: list[Json] = [
            {"propertyName": "lastmodifieddate", "operator": "GTE", "value": millis(max(since, EARLIEST))},
            {"propertyName": "hs_object_id", "operator": "GT", "value": last_id},
        ]
        if until is not None:
            filters.append({"propertyName": "lastmodifieddate", "operator": "LT", "value": millis(until)})
        body = {
            "filterGroups": [{"filters": filters}],
            "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            "properties": ["lastmodifieddate"],
            "limit": SEARCH_PAGE,
            "after": offset,
        }
        page = self._ask(lambda **how: self._search.do_search(body, **how), page_in, search=True)
        # The index may count hits that are no more: an empty page is not the end, only a missing `next` is.
        ahead = f"{max(c.id for c in page.contacts)}:0" if page.contacts else f"{last_id}:{page.after}"
        return replace(page, after=ahead if page.after else None)

    def walk(self, after: str | None) -> Page:
        more = {} if after is None else {"after": after}
        return self._ask(lambda **how: self._basic.get_page(limit=LIST_PAGE, properties=ASKED, **more, **how), page_in)

    def highest(self) -> ContactId | None:
        sorts = [{"propertyName": "hs_object_id", "direction": "DESCENDING"}]
        body = {"filterGroups": [], "sorts": sorts, "properties": ["lastmodifieddate"], "limit": 1}
        page = self._ask(lambda **how: self._search.do_search(body, **how), page_in, search=True)
        return max((contact.id for contact in page.contacts), default=None)

    def portal_id(self) -> int:
        """Return the account the token belongs to."""
        return self._ask(lambda **how: self._get("/account-info/v3/details", **how), portal_in)

    def properties(self) -> dict[str, Json]:
        """Return the portal's contact properties by name."""
        results, _ = self._ask(lambda **how: self._get("/crm/v3/properties/contacts", **how), results_of)
        return {str(each.get("name")): each for each in results}

    def _get(self, path: str, **how: Any) -> Any:
        headers = {"Accept": "application/json"}
        return self._basic.api_client.call_api(
            path, "GET", {}, [], headers, response_types_map={}, auth_settings=["oauth2"], **how
        )

    def _ask(self, call: Callable[..., Any], parse: Callable[[Reply], Parsed], *, search: bool = False) -> Parsed:
        return self._calls.read(lambda: parse(self._reply(call)), search=search)

    def _send(self, call: Callable[..., Any], parse: Callable[[Reply], Parsed], until: float = inf) -> Parsed:
        return self._calls.write(lambda: parse(self._reply(call)), until=until)

    def _reply(self, call: Callable[..., Any]) -> Reply:
        sent = self._now()
        reply = cast(Reply, call(**self._how()))
        self._calls.hear(reply, sent, self._now())
        return reply

    def _how(self) -> dict[str, Any]:
        for api in (self._batch, self._basic, self._search):
            api.api_client.configuration.access_token = self._token()
        return {"_preload_content": False, "_request_timeout": (CONNECT_TIMEOUT, READ_TIMEOUT)}

    def _halve(
        self,
        part: list[int],
        answers: list[Answer],
        write: Callable[[list[int]], dict[int, Answer]],
        values: Sequence[Values],
    ) -> None:
        """Write a part; refused as a whole, halve it until the records to blame stand alone."""
        try:
            for n, answer in write(part).items():
                answers[n] = answer
        except Refusal as error:
            refused = refusal_of(body_of(error))
            to_blame = [n for n in part if refused.suspends & values[n].keys()]
            if len(part) == 1:
                answers[part[0]] = refused
            elif to_blame:
                # A property that HubSpot takes from nobody: all that carry it are refused, the others go.
                for n in to_blame:
                    answers[n] = refused
                self._rest([n for n in part if n not in to_blame], answers, write, values)
            else:
                middle = len(part) // 2
                self._halve(part[:middle], answers, write, values)
                self._rest(part[middle:], answers, write, values)

    def _rest(
        self,
        part: list[int],
        answers: list[Answer],
        write: Callable[[list[int]], dict[int, Answer]],
        values: Sequence[Values],
    ) -> None:
        # What went before is answered and must be committed, whatever comes of this.
        try:
            if part:
                self._halve(part, answers, write, values)
        except OutcomeUnknown:
            left: Answer = Unanswered.UNKNOWN
        except Transient:
            left = Unanswered.UNSENT
        else:
            return
        for n in part:
            answers[n] = left


def _all(items: Sequence[object]) -> list[int]:
    return list(range(len(items)))
