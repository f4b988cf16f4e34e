"""HubSpot's contacts behind the core's port, through hubspot-api-client 12.

Answers omit inputs, come unordered, name merged ids and speak of refusals in several forms; all of that ends here.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from math import inf
from time import monotonic
from typing import Any, cast

from hubspot import HubSpot
from hubspot.crm.contacts import BasicApi, BatchApi, SearchApi

from reconciler.adapters.gateway.answers import (
    EARLIEST,
    account_in,
    archived_contact,
    contacts_in,
    is_said_to_be_missing,
    made_of,
    millis,
    note_unknown,
    nothing,
    page_in,
    properties_in,
    read_in,
    refused_by_id,
    refused_by_trace,
    total_in,
    traced_in,
)
from reconciler.adapters.gateway.calls import Calls, Parsed, Refusal
from reconciler.adapters.gateway.halving import LARGE_DELAY, read_in_halves, written
from reconciler.adapters.gateway.parse import (
    MERGED_IDS,
    OTHER_ADDRESSES,
    Json,
    contact_of,
    is_about,
    json_of,
    properties_of,
)
from reconciler.adapters.gateway.transport import CONNECT_TIMEOUT, READ_TIMEOUT, BoundedPool, Reply, open_connections
from reconciler.adapters.gateway.way import DIRECT, Way
from reconciler.core.contact import GONE, Contact, ContactId, Snapshot
from reconciler.core.errors import OtherAccount, TooLarge, Unavailable
from reconciler.core.fields import PROPERTIES, Value, Values
from reconciler.core.ports import Answer, Door, HubSpotAccount, Page, Written

ASKED = [*PROPERTIES, OTHER_ADDRESSES, MERGED_IDS]
"""Properties of every full read."""

SEARCH_PAGE = 200

REFUSED_READ_DELAY = 60.0
"""Seconds until another look at what HubSpot refuses to read."""

PAGES = (100, 20, 4, 1)
"""Contacts of a listed page: fewer where their answer would be too large."""

CONNECTIONS = 80
"""Threads that may call at once: a sweep's and a drain's at their most, and the other jobs'."""


class Gateway:
    """Reads and writes contacts. `token` is asked for at every call, so a replaced one is used without a restart.

    A replaced one may be another account's by mistake: `claim` returns the id of the account that the database belongs
    to, and with the token of another one nothing is read or written (`OtherAccount`).

    `clock` counts seconds; `now` is the database's time, with which HubSpot's is compared; `way` leads to HubSpot.
    """

    def __init__(
        self,
        *,
        base_url: str,
        token: Callable[[], str],
        calls: Calls,
        claim: Callable[[HubSpotAccount], int] = lambda account: account.portal,
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
        self._token, self._calls, self._claim, self._now = token, calls, claim, now
        self._confirmed: str | None = None

    def read(self, ids: Collection[ContactId], *, history: bool = False) -> Mapping[ContactId, Snapshot]:
        found: dict[ContactId, Snapshot] = {}
        named: dict[bool, set[int]] = {}
        for is_archived in (False, True):
            missing = [each for each in ids if each not in found]
            if missing:
                how = partial(self._read, history=history, archived=is_archived)
                for read, absent in read_in_halves(missing, how):
                    found.update(read)
                    named.setdefault(is_archived, set()).update(absent)
        # Batch answers may leave merged ids out without a word: only a single read tells those from purged ones.
        for each in ids:
            if each not in found:
                is_named = {archived: each in ids for archived, ids in named.items()}
                found[each] = self._read_one(each, history=history, is_named=is_named)
        return found

    def _read(
        self, ids: Sequence[ContactId], *, history: bool, archived: bool
    ) -> tuple[dict[ContactId, Snapshot], set[int]]:
        """Read a batch; return what it found and the ids that it names as not found."""
        body: Json = {"inputs": [{"id": str(each)} for each in ids], "properties": ASKED}
        body["propertiesWithHistory"] = list(PROPERTIES) if history else []
        try:
            read, named = self._ask(lambda **how: self._batch.read(body, archived=archived, **how), read_in)
        except Refusal:
            # One id may be what it is refused for: each is read for itself.
            return {}, set()
        found: dict[ContactId, Snapshot] = {}
        for contact, merged in read:
            asked = ({contact.id} | merged) & set(ids)
            found.update((ContactId(each), Snapshot(contact=contact)) for each in asked)
        return found, named

    def _read_one(self, contact_id: ContactId, *, history: bool, is_named: Mapping[bool, bool]) -> Snapshot:
        """Read one contact; only a 404 that says so itself, or that a batch bears out, is a contact that is gone."""
        more = {"properties_with_history": list(PROPERTIES)} if history else {}
        for is_archived in (False, True):
            try:
                contact = self._ask(
                    lambda archived=is_archived, **how: self._basic.get_by_id(
                        str(contact_id), properties=ASKED, archived=archived, **more, **how
                    ),
                    lambda reply: contact_of(json_of(reply)),
                )
            except Refusal as error:
                is_missing = error.reply.status == 404 and (
                    is_said_to_be_missing(error.reply) or is_named.get(is_archived, False)
                )
                if not is_missing:
                    raise _unreadable(error) from error
                continue
            return Snapshot(contact=contact)
        return GONE

    def find(self, addresses: Collection[str]) -> Mapping[str, Contact]:
        parts = read_in_halves(sorted(addresses), self._find)
        return {a: contact for a in addresses for contacts in parts for contact in contacts if is_about(a, contact)}

    def _find(self, addresses: Sequence[str]) -> list[Contact]:
        body: Json = {"inputs": [{"id": a} for a in addresses], "idProperty": "email", "properties": ASKED}
        body["propertiesWithHistory"] = []
        try:
            return self._ask(lambda **how: self._batch.read(body, **how), contacts_in)
        except Refusal as error:
            raise _unreadable(error) from error

    def create(self, drafts: Sequence[Values], *, until: float = inf) -> list[Answer]:
        return written(drafts, lambda part: self._create([(n, drafts[n]) for n in part], until))

    def _create(self, drafts: Sequence[tuple[int, Values]], until: float) -> dict[int, Answer]:
        inputs = [
            {"objectWriteTraceId": str(n), "associations": [], "properties": properties_of(values)}
            for n, values in drafts
        ]
        left, errors = self._send(lambda **how: self._batch.create({"inputs": inputs}, **how), traced_in, until)
        answers = refused_by_trace(errors, {n for n, _ in drafts})
        for n, values in drafts:
            made = made_of(n, values, left)
            if made is not None:
                answers[n] = Written(contact=made)
        note_unknown(len(left))
        return answers

    def update(self, edits: Sequence[tuple[ContactId, Values]], *, until: float = inf) -> list[Answer]:
        values = [values for _, values in edits]
        return written(values, lambda part: self._update([(n, *edits[n]) for n in part], until))

    def _update(self, edits: Sequence[tuple[int, ContactId, Values]], until: float) -> dict[int, Answer]:
        inputs = [{"id": str(contact_id), "properties": properties_of(values)} for _, contact_id, values in edits]
        contacts, errors = self._send(lambda **how: self._batch.update({"inputs": inputs}, **how), traced_in, until)
        positions = {contact_id: n for n, contact_id, _ in edits}
        answers = refused_by_id(errors, positions)
        known = [contact for _, contact in contacts if contact.id in positions]
        answers.update((positions[contact.id], Written(contact=contact)) for contact in known)
        note_unknown(len(contacts) - len(known))
        return answers

    def archive(self, ids: Sequence[ContactId], *, until: float = inf) -> list[Answer]:
        archiving = [dict[str, Value]()] * len(ids)
        return written(archiving, lambda part: self._archive([(n, ids[n]) for n in part], until))

    def _archive(self, ids: Sequence[tuple[int, ContactId]], until: float) -> dict[int, Answer]:
        inputs = [{"id": str(each)} for _, each in ids]
        self._send(lambda **how: self._batch.archive({"inputs": inputs}, **how), nothing, until)
        return {n: Written(contact=archived_contact(each)) for n, each in ids}

    def purge(self, contact_id: ContactId) -> None:
        try:
            self._send(lambda **how: self._basic.purge({"objectId": str(contact_id)}, **how), nothing, door=Door.ERASE)
        except Refusal as error:
            if not is_said_to_be_missing(error.reply):
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
        page = self._ask(lambda **how: self._search.do_search(body, **how), page_in, Door.SEARCH)
        # The index may count hits that are no more: an empty page is not the end, only a missing `next` is.
        ahead = f"{max(c.id for c in page.contacts)}:0" if page.contacts else f"{last_id}:{page.after}"
        return replace(page, after=ahead if page.after else None)

    def walk(self, after: str | None) -> Page:
        more = {} if after is None else {"after": after}
        for limit in PAGES:
            try:
                return self._ask(
                    lambda limit=limit, **how: self._basic.get_page(limit=limit, properties=ASKED, **more, **how),
                    page_in,
                )
            except TooLarge:
                # Contacts beside each other may be legal and large: fewer of them at once.
                continue
        raise TooLarge("a contact is larger than any answer that is taken", delay=LARGE_DELAY)

    def highest(self) -> ContactId | None:
        sorts = [{"propertyName": "hs_object_id", "direction": "DESCENDING"}]
        body = {"filterGroups": [], "sorts": sorts, "properties": ["lastmodifieddate"], "limit": 1}
        page = self._ask(lambda **how: self._search.do_search(body, **how), page_in, Door.SEARCH)
        return max((contact.id for contact in page.contacts), default=None)

    def count(self) -> int | None:
        """Return about how many contacts there are (from the search index, which lags); None: HubSpot does not say."""
        body = {"filterGroups": [], "sorts": [], "properties": ["lastmodifieddate"], "limit": 1}
        return self._ask(lambda **how: self._search.do_search(body, **how), total_in, Door.SEARCH)

    def account(self) -> HubSpotAccount:
        """Return the account the token belongs to."""
        self._confirmed = self._confirmed or self._token()
        return self._calls.read(lambda: account_in(self._reply(self._details)), Door.ACCOUNT)

    def _details(self, **how: Any) -> Any:
        return self._get("/account-info/v3/details", **how)

    def _require_account(self) -> None:
        """Ask whose account it is when the token was replaced; the first one is a start's or a first write's to ask."""
        token = self._token()
        if self._confirmed not in (None, token):
            self._calls.read(lambda: self._require_ours(account_in(self._reply(self._details))), Door.ACCOUNT)
        self._confirmed = token

    def _require_ours(self, account: HubSpotAccount) -> None:
        if other := account.other_than(self._claim(account)):
            raise OtherAccount(other)

    def properties(self) -> dict[str, Json]:
        """Return the portal's contact properties by name."""
        return self._ask(lambda **how: self._get("/crm/v3/properties/contacts", **how), properties_in, Door.PROPERTIES)

    def _get(self, path: str, **how: Any) -> Any:
        headers = {"Accept": "application/json"}
        return self._basic.api_client.call_api(
            path, "GET", {}, [], headers, response_types_map={}, auth_settings=["oauth2"], **how
        )

    def _ask(self, call: Callable[..., Any], parse: Callable[[Reply], Parsed], door: Door = Door.READ) -> Parsed:
        self._require_account()
        return self._calls.read(lambda: parse(self._reply(call)), door)

    def _send(
        self,
        call: Callable[..., Any],
        parse: Callable[[Reply], Parsed],
        until: float = inf,
        door: Door = Door.WRITE,
    ) -> Parsed:
        self._require_account()
        return self._calls.write(lambda: parse(self._reply(call)), door, until=until)

    def _reply(self, call: Callable[..., Any]) -> Reply:
        sent = self._now()
        reply = cast(Reply, call(**self._how()))
        self._calls.hear(reply, sent, self._now())
        return reply

    def _how(self) -> dict[str, Any]:
        for api in (self._batch, self._basic, self._search):
            api.api_client.configuration.access_token = self._token()
        return {"_preload_content": False, "_request_timeout": (CONNECT_TIMEOUT, READ_TIMEOUT)}


def _unreadable(refusal: Refusal) -> Unavailable:
    return Unavailable(f"HubSpot refused a read ({refusal.reply.status})", delay=REFUSED_READ_DELAY)
