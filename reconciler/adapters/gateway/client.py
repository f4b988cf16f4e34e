"""HubSpot's contacts behind the core's port, through hubspot-api-client 12.

Answers omit inputs, come unordered, name merged ids and speak of refusals in several forms; all of that ends here.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from math import inf
from time import monotonic

from reconciler.adapters.gateway import requests
from reconciler.adapters.gateway.answers import is_said_to_be_missing
from reconciler.adapters.gateway.calls import Calls, Refusal, Spender
from reconciler.adapters.gateway.halving import LARGE_DELAY, read_in_halves, written
from reconciler.adapters.gateway.parse import Json, is_about
from reconciler.adapters.gateway.requests import Request
from reconciler.adapters.gateway.way import DIRECT, Way
from reconciler.adapters.gateway.wire import Wire
from reconciler.core.contact import GONE, Contact, ContactId, Snapshot
from reconciler.core.errors import TooLarge, Unavailable
from reconciler.core.fields import Fields
from reconciler.core.ports import Answer, HubSpotAccount, Page, Written
from reconciler.core.values import Value, Values

REFUSED_READ_DELAY = 60.0
"""Seconds until another look at what HubSpot refuses to read."""

PAGES = (100, 20, 4, 1)
"""Contacts of a listed page: fewer where their answer would be too large."""


class Gateway:
    """Reads and writes contacts. For the parameters see `Wire` and `Calls`; `clock` counts seconds."""

    def __init__(
        self,
        *,
        fields: Fields,
        base_url: str,
        token: Callable[[], str],
        budget: Spender,
        sleep: Callable[[float], None],
        claim: Callable[[HubSpotAccount], int] = lambda account: account.portal,
        clock: Callable[[], float] = monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        way: Way = DIRECT,
    ) -> None:
        self._fields = fields
        self._calls = Calls(Wire(base_url, token, way, clock), budget, sleep, claim=claim, now=now)

    def skew(self) -> timedelta:
        """Return HubSpot's clock minus the database's."""
        return self._calls.skew.value

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
        try:
            read, named = self._calls.send(requests.read(self._fields, ids, history=history, archived=archived))
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
        for is_archived in (False, True):
            try:
                contact = self._calls.send(
                    requests.read_one(self._fields, contact_id, history=history, archived=is_archived)
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
        try:
            return self._calls.send(requests.find(self._fields, addresses))
        except Refusal as error:
            raise _unreadable(error) from error

    def create(self, drafts: Sequence[Values], *, until: float = inf) -> list[Answer]:
        return self._written(drafts, partial(requests.create, self._fields, drafts), until)

    def update(self, edits: Sequence[tuple[ContactId, Values]], *, until: float = inf) -> list[Answer]:
        return self._written([values for _, values in edits], partial(requests.update, self._fields, edits), until)

    def archive(self, ids: Sequence[ContactId], *, until: float = inf) -> list[Answer]:
        return self._written([dict[str, Value]()] * len(ids), partial(requests.archive, ids), until)

    def _written(
        self,
        values: Sequence[Values],
        request: Callable[[Sequence[int]], Request[dict[int, Answer]]],
        until: float,
    ) -> list[Answer]:
        """Write values in one call, or in as many as HubSpot's refusals make of it; `request` makes those of a part."""
        answers = written(self._fields, values, lambda part: self._calls.send(request(part), until=until))
        return [self._going_over(sent, answer) for sent, answer in zip(values, answers, strict=True)]

    def _going_over(self, sent: Values, answer: Answer) -> Answer:
        """Leave out what was edited in HubSpot, was not sent, and does not go over."""
        if not isinstance(answer, Written):
            return answer
        values = answer.contact.values
        told = {**self._fields.inbound(values), **{name: value for name, value in values.items() if name in sent}}
        return Written(contact=replace(answer.contact, values=told))

    def purge(self, contact_id: ContactId) -> None:
        try:
            self._calls.send(requests.purge(contact_id))
        except Refusal as error:
            if not is_said_to_be_missing(error.reply):
                raise Unavailable(f"HubSpot refused to erase ({error.reply.status})") from error

    def changed(self, *, since: datetime, until: datetime | None, after: str) -> Page:
        last_id, offset = after.split(":")
        page = self._calls.send(requests.changed(self._fields, since, until, above=last_id, offset=offset))
        # The index may count hits that are no more: an empty page is not the end, only a missing `next` is.
        ahead = f"{max(c.id for c in page.contacts)}:0" if page.contacts else f"{last_id}:{page.after}"
        return replace(page, after=ahead if page.after else None)

    def walk(self, after: str | None) -> Page:
        for limit in PAGES:
            try:
                return self._calls.send(requests.page(self._fields, limit, after))
            except TooLarge:
                # Contacts beside each other may be legal and large: fewer of them at once.
                continue
        raise TooLarge("a contact is larger than any answer that is taken", delay=LARGE_DELAY)

    def highest(self) -> ContactId | None:
        page = self._calls.send(requests.highest(self._fields))
        return max((contact.id for contact in page.contacts), default=None)

    def count(self) -> int | None:
        """Return about how many contacts there are (from the search index, which lags); None: HubSpot does not say."""
        return self._calls.send(requests.total())

    def account(self) -> HubSpotAccount:
        """Return the account the token belongs to."""
        return self._calls.account()

    def properties(self) -> dict[str, Json]:
        """Return the portal's contact properties by name."""
        return self._calls.send(requests.properties())


def _unreadable(refusal: Refusal) -> Unavailable:
    return Unavailable(f"HubSpot refused a read ({refusal.reply.status})", delay=REFUSED_READ_DELAY)
