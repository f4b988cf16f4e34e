"""HubSpot's paths: which method of the domain answers, and with which status.

A route takes a `Request` and returns an `Answer`; refusals travel as `HubSpotError` and the API renders them.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from sandbox.answers import Answer, json_answer
from sandbox.batch import Batches, Result
from sandbox.clock import iso
from sandbox.errors import bad_json, invalid, no_such_record, object_not_found, refusal, resource_not_found
from sandbox.limits import Limiter
from sandbox.portal import Portal
from sandbox.reading import Reading, Wanted
from sandbox.records import EMAIL, as_id
from sandbox.schema import render
from sandbox.search import Search
from sandbox.view import Json, create_answer, read_answer

OBJECTS = "/crm/v3/objects/contacts"
PROPERTIES = "/crm/v3/properties/contacts"
_NEVER_AN_ID = re.compile(r"-[0-9]+|0+")
_MOST_ROWS = 100
_MOST_ROWS_WITH_HISTORY = 50


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the server read it; `path` is decoded, `target` is not."""

    method: str
    path: str
    target: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    origin: str

    def first(self, name: str) -> str | None:
        """Return a query parameter."""
        return self.query.get(name, [None])[0]

    def flag(self, name: str) -> bool:
        """Return a query parameter that is true or false."""
        return (self.first(name) or "").lower() == "true"

    def json(self) -> Json:
        """Return the body, which must be a JSON object."""
        try:
            body = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            raise bad_json() from None
        if not isinstance(body, dict):
            raise bad_json()
        return body


Route = Callable[[Request], Answer]


class Routes:
    """The HubSpot side of the sandbox."""

    def __init__(self, portal: Portal, limiter: Limiter) -> None:
        self._portal = portal
        self._limiter = limiter
        self._reading = Reading(portal)
        self._batches = Batches(portal, self._reading)
        self._search = Search(portal, self._reading)
        self._fixed: dict[tuple[str, str], Route] = {
            ("GET", OBJECTS): self._list,
            ("POST", OBJECTS): self._create,
            ("POST", f"{OBJECTS}/search"): self._run_search,
            ("POST", f"{OBJECTS}/merge"): self._merge,
            ("POST", f"{OBJECTS}/gdpr-delete"): self._erase,
            ("POST", f"{OBJECTS}/batch/read"): self._batch_read,
            ("POST", f"{OBJECTS}/batch/create"): _batch(self._batches.create),
            ("POST", f"{OBJECTS}/batch/update"): _batch(self._batches.update),
            ("POST", f"{OBJECTS}/batch/upsert"): _batch(self._batches.upsert),
            ("POST", f"{OBJECTS}/batch/archive"): _batch(self._batches.archive),
            ("GET", PROPERTIES): self._properties,
            ("POST", PROPERTIES): self._define,
            ("GET", "/account-info/v3/details"): self._details,
            ("GET", "/account-info/v3/api-usage/daily/private-apps"): self._usage,
            ("POST", "/oauth/v2/private-apps/get/access-token-info"): self._token_info,
        }
        self._single: dict[str, Route] = {"GET": self._get, "PATCH": self._patch, "DELETE": self._delete}

    def find(self, request: Request) -> Route | None:
        """Return the route of a request."""
        fixed = self._fixed.get((request.method, request.path))
        if fixed is not None:
            return fixed
        parent, _, last = request.path.rpartition("/")
        if parent == PROPERTIES and last and request.method == "GET":
            return self._property
        # An address in the path may hold a slash once it is decoded.
        below = request.path.startswith(f"{OBJECTS}/") and not request.path.startswith(f"{OBJECTS}/batch/")
        return self._single.get(request.method) if below else None

    def _key(self, request: Request) -> tuple[str, str | None]:
        key, id_property = request.path.removeprefix(f"{OBJECTS}/"), request.first("idProperty")
        self._reading.check_id_property(id_property)
        if id_property in (None, "hs_object_id") and _NEVER_AN_ID.fullmatch(key):
            raise object_not_found(key)
        return key, id_property

    def _get(self, request: Request) -> Answer:
        key, id_property = self._key(request)
        with self._portal.ledger.session():
            contact = self._portal.find(key, id_property, archived=request.flag("archived"))
            if contact is None:
                html = self._portal.settings.not_found_form == "html"
                raise no_such_record() if html else resource_not_found()
            return json_answer(200, self._reading.render(contact, Wanted.from_query(request.query)))

    def _patch(self, request: Request) -> Answer:
        key, id_property = self._key(request)
        sent = _object(request.json(), "properties")
        contact = self._portal.edit(key, sent, by=self._portal.app, id_property=id_property)
        return json_answer(200, self._reading.updated(contact, sent))

    def _delete(self, request: Request) -> Answer:
        key, _ = self._key(request)
        with self._portal.ledger.session():
            if self._portal.find(key, None, archived=False) is not None:
                self._portal.delete(key, by=self._portal.app)
            elif self._portal.settings.delete_unknown == "404":
                raise no_such_record()
        return Answer(204)

    def _create(self, request: Request) -> Answer:
        sent = _object(request.json(), "properties")
        contact = self._portal.create(sent, by=self._portal.app)
        body = create_answer(contact, sent, self._portal.settings.portal_id)
        return json_answer(201, body, {"Location": f"{request.origin}{OBJECTS}/{contact.id}"})

    def _list(self, request: Request) -> Answer:
        wanted = Wanted.from_query(request.query)
        limit, after = _whole(request, "limit", 10), _whole(request, "after", 0)
        most = _MOST_ROWS_WITH_HISTORY if wanted.history else _MOST_ROWS
        if not 1 <= limit <= most:
            raise invalid(f"Invalid limit: {limit}. The limit must be between 1 and {most}")
        page, following = self._portal.page(after, limit, request.flag("archived"))
        answer: Json = {"results": [self._reading.render(contact, wanted) for contact in page]}
        if following is not None:
            answer["paging"] = {"next": {"after": str(following), "link": _link(request, following)}}
        return json_answer(200, answer)

    def _run_search(self, request: Request) -> Answer:
        most = self._portal.settings.search_body_limit
        if most and len(request.body) > most:
            raise invalid(f"The request body is longer than {most} characters")
        return json_answer(200, self._search.run(request.json()))

    def _batch_read(self, request: Request) -> Answer:
        return _result(self._batches.read(request.json(), request.flag("archived")))

    def _merge(self, request: Request) -> Answer:
        body = _required(request.json(), "primaryObjectId", "objectIdToMerge")
        survivor = self._portal.merge(body["primaryObjectId"], body["objectIdToMerge"], by=self._portal.app)
        return json_answer(200, read_answer(survivor, (), self._portal.settings.portal_id, default=True))

    def _erase(self, request: Request) -> Answer:
        body = _required(request.json(), "objectId")
        id_property = body.get("idProperty")
        if id_property not in (None, EMAIL, "hs_object_id"):
            self._reading.check_id_property(id_property)
        self._portal.erase(str(body["objectId"]), by=self._portal.app, id_property=id_property or "hs_object_id")
        return Answer(204)

    def _properties(self, request: Request) -> Answer:
        listed = self._portal.schema.listed(request.flag("archived"))
        return json_answer(200, {"results": [render(prop) for prop in listed]})

    def _define(self, request: Request) -> Answer:
        return json_answer(201, render(self._portal.define(request.json())))

    def _property(self, request: Request) -> Answer:
        name = request.path.rpartition("/")[2]
        prop = self._portal.schema.find(name, request.flag("archived"))
        if prop is None:
            raise refusal(404, f'Property "{name}" does not exist', "OBJECT_NOT_FOUND")
        return json_answer(200, render(prop))

    def _details(self, request: Request) -> Answer:
        settings = self._portal.settings
        body = {
            "portalId": settings.portal_id,
            "accountType": settings.account_type,
            "timeZone": settings.time_zone,
            "companyCurrency": "USD",
            "additionalCurrencies": [],
            "utcOffset": "+00:00",
            "utcOffsetMilliseconds": 0,
            "uiDomain": "app.hubspot.com",
            "dataHostingLocation": "na1",
        }
        return json_answer(200, body)

    def _usage(self, request: Request) -> Answer:
        usage = {
            "name": "private-apps-api-calls-daily",
            "usageLimit": self._portal.settings.daily_limit,
            "currentUsage": self._limiter.used_today,
            "collectedAt": iso(self._portal.ledger.clock()),
            "fetchStatus": "SUCCESS",
            "resetsAt": iso(self._limiter.resets_at()),
        }
        return json_answer(200, {"results": [usage]})

    def _token_info(self, request: Request) -> Answer:
        settings = self._portal.settings
        if _required(request.json(), "tokenKey")["tokenKey"] != settings.access_token:
            raise resource_not_found()
        body = {
            "userId": 1,
            "hubId": settings.portal_id,
            "appId": settings.app_id,
            "scopes": [
                "crm.objects.contacts.read",
                "crm.objects.contacts.write",
                "crm.schemas.contacts.read",
                "crm.schemas.contacts.write",
            ],
        }
        return json_answer(200, body)


def _batch(run: Callable[[Json], Result]) -> Route:
    return lambda request: _result(run(request.json()))


def _result(result: Result) -> Answer:
    status, body = result
    return Answer(status) if body is None else json_answer(status, body)


def _required(body: Json, *names: str) -> Json:
    missing = [name for name in names if not isinstance(body.get(name), str | int) or body[name] == ""]
    if missing:
        raise bad_json(missing)
    return body


def _object(body: Json, name: str) -> dict[str, Any]:
    value = body.get(name)
    if not isinstance(value, dict):
        raise bad_json([name])
    return value


def _whole(request: Request, name: str, default: int) -> int:
    text = request.first(name)
    if text is None:
        return default
    number = as_id(text)
    if number is None:
        raise invalid(f"Invalid {name}: {text}")
    return number


def _link(request: Request, after: int) -> str:
    kept = [part for part in request.target.partition("?")[2].split("&") if part and not part.startswith("after=")]
    return f"{request.origin}{OBJECTS}?{'&'.join([*kept, f'after={after}'])}"
