"""The HTTP side of the API: authorises, reads bodies, calls `customers`, answers in the contract's words.

Bottle routes; what it would answer by itself (HTML, 500s) never leaves this module.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import bottle
import orjson
import structlog

from api import docs, openapi
from api.auth import BadToken, Caller, NoToken, Role, Tokens, is_issuer
from api.bodies import (
    MOST_ITEMS,
    BatchItem,
    Forms,
    InvalidBody,
    address_in,
    listing,
    parse,
)
from api.customers import (
    DATABASE_DOWN,
    IN_FLIGHT,
    NO_PROPERTIES,
    Customers,
    Result,
    etag_of,
    failure,
    missing,
    nobody,
    not_ours,
)
from api.places import Places
from api.reading import Reader
from api.request_headers import Environ, challenge, digest, hashed, is_async, is_foreign, is_local, tags
from api.routes import ROUTES, Access, Route
from api.status import Status
from api.strict_json import BadJson, loads
from reconciler.adapters.postgres.customer_store import Lease, PostgresCustomerStore, Repeat, Replay, Turn
from reconciler.core.contact import ContactId, Customer, CustomerId
from reconciler.core.errors import Busy, CopiedDatabase, DatabaseDown, SyncError, Transient
from reconciler.process.account import Account
from reconciler.process.bodies import Bodies, CutOff, TooLarge, TooMany, TooSlow
from reconciler.process.wsgi import Ambiguous, Response, refuse_ambiguous

LONGEST_KEY = 255
LARGEST = 8 * 1024 * 1024
"""Bytes of a body: a customer of the longest texts, each character escaped (twelve bytes), or a hundred such texts."""

LONGEST_PAGE = 4 * 1024 * 1024
"""Characters of customers from which on a page of the list takes no more of them."""

RETRY_AFTER = "2"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the app works with."""

    customers: Customers
    forms: Forms
    account: Account
    reader: Reader
    customer_store: PostgresCustomerStore
    bodies: Bodies
    places: Places
    tokens: Tokens
    status: Status
    issuer_key: str | None
    is_issuer_open: bool


class Answered(Exception):
    """The answer is known already."""

    def __init__(self, result: Result, **headers: str) -> None:
        super().__init__(result.status)
        self.result, self.headers = result, headers


def make_app(services: Services) -> Callable[..., Iterable[bytes]]:
    """Return the WSGI app with one Bottle route per line of the route table."""
    app = bottle.Bottle()
    app.catchall = False
    handlers = Handlers(services)
    for route in ROUTES:
        app.route(route.path, method=route.method, callback=_guarded(route, handlers))
    return _Shell(app, services.bodies)


def _guarded(route: Route, handlers: "Handlers") -> Callable[..., Response]:
    handle: Callable[..., Response] = getattr(handlers, route.handler)

    def answer(**path: str) -> Response:
        try:
            caller = handlers.authorised(route)
            has_query = bool(bottle.request.environ.get("QUERY_STRING"))
            if route.access in (Access.USER, Access.ADMIN) and has_query and not route.query:
                raise Answered(failure(400, "unknown_parameter", "There are no query parameters"))
            return handle(route, caller, **path)
        except Answered as answered:
            return _response(answered.result, **answered.headers)
        except InvalidBody as error:
            return _response(failure(400, error.code, error.message, details=error.details))
        except BadJson:
            return _response(failure(400, "bad_json", "Invalid body"))
        except TooLarge:
            return _response(failure(413, "too_large", "The body is too large"), Connection="close")
        except CutOff:
            return _response(failure(400, "cut_off", "The body is not whole"), Connection="close")
        except TooSlow:
            return _response(failure(408, "too_slow", "The body did not come in time"), Connection="close")
        except TooMany:
            return _response(failure(503, "too_busy", "Too many requests are under way; come again"))

    return answer


class Handlers:
    """One method per route."""

    def __init__(self, services: Services) -> None:
        self._services, self._forms = services, services.forms
        self._customers = services.customers

    def authorised(self, route: Route) -> Caller | None:
        """Return who calls; raise the 401 or 403 of whoever may not."""
        if route.access in (Access.PUBLIC, Access.ISSUER):
            return None
        if route.access is Access.LOCAL and _is_open(bottle.request.environ):
            return None
        try:
            caller = self._services.tokens.verify(bottle.request.environ.get("HTTP_AUTHORIZATION"))
        except NoToken:
            raise Answered(failure(401, "token_missing", "A token is needed"), **challenge("")) from None
        except BadToken:
            header = challenge(' error="invalid_token"')
            raise Answered(failure(401, "invalid_token", "The token is not valid"), **header) from None
        if not route.access.admits(caller.role):
            header = challenge(' error="insufficient_scope"')
            raise Answered(failure(403, "insufficient_scope", "The role may not do this"), **header)
        return caller

    def create(self, route: Route, caller: Caller) -> Response:
        body = parse(self._forms.new_customer, self._body(route))
        values = body.values_given()
        write = self._customers.create_later if is_async(bottle.request.environ) else self._customers.create

        def run(turn: Turn) -> Result:
            return (self._customers.settled(turn.uuid) if turn.is_repeat else None) or write(turn.uuid, values)

        return self._once(caller, run)

    def page(self, route: Route, caller: Caller) -> Response:
        asked = listing(bottle.request.environ.get("QUERY_STRING", ""))
        after = None if asked.after is None else CustomerId(asked.after)
        found, following = self._customers_after(after, asked.limit)
        return _response(Result(200, {"results": [self._forms.shown(each) for each in found], "after": following}))

    def _customers_after(self, after: CustomerId | None, limit: int) -> tuple[list[Customer], str | None]:
        """Return the next customers, fewer where their texts are very long, and after which the page behind begins."""
        found: list[Customer] = []
        while len(found) < limit and _letters(found) < LONGEST_PAGE:
            more = self._services.reader.store.page(after)
            if not more:
                return found, None
            found = (found + more)[:limit]
            after = found[-1].uuid
        return found, str(after)

    def read(self, route: Route, caller: Caller, **name: str) -> Response:
        reader, known = self._services.reader, tags(bottle.request.environ, "HTTP_IF_NONE_MATCH")
        customer = _named(name, lambda address: reader.read(address, known), reader.store.live, reader.store.of_contact)
        if isinstance(customer, Result):
            moved = None if "email" not in name else reader.store.had(address_in(name["email"]) or "")
            raise Answered(customer) if moved is None else Answered(Result(301), Location=f"/uuid/{moved}")
        etag = etag_of(customer)
        if known & {etag, "*"}:
            return _response(Result(304), ETag=etag)
        return _response(Result(200, self._forms.shown(customer)), ETag=etag)

    def update(self, route: Route, caller: Caller, **name: str) -> Response:
        body = self._body(route)
        has_address = isinstance(body, dict) and "email" in body
        values = parse(self._forms.customer_change, body, held=self._held(name) if has_address else None).values_given()
        if not values:
            raise Answered(failure(400, "no_properties", NO_PROPERTIES))
        write = self._customers.update_later if is_async(bottle.request.environ) else self._customers.update

        def run(turn: Turn) -> Result:
            customer, strict = self._matched(name)
            return _empty(write(customer, values, strict=strict))

        return self._once(caller, run)

    def delete(self, route: Route, caller: Caller, **name: str) -> Response:
        def run(turn: Turn) -> Result:
            customer, strict = self._matched(name)
            return self._customers.delete(customer, strict=strict)

        return self._once(caller, run)

    def batch(self, route: Route, caller: Caller) -> Response:
        items = self._body(route)
        if not isinstance(items, list) or not 0 < len(items) <= MOST_ITEMS:
            raise InvalidBody("invalid_field", [{"field": "", "problem": f"a list of 1 to {MOST_ITEMS} items"}])
        return self._once(caller, lambda turn: Result(207, self._batch(items, turn)))

    def _batch(self, items: list[Any], turn: Turn) -> list[Any]:
        """Run the items; a repetition runs those that failed on our side."""
        outcomes: dict[int, Any] = dict(enumerate(turn.body or []))
        good: dict[int, BatchItem] = {}
        for n, item in enumerate(items):
            if n in outcomes and _is_final(outcomes[n]):
                continue
            try:
                good[n] = self._item(item)
            except InvalidBody as error:
                outcomes[n] = _outcome(failure(400, error.code, "Invalid body", details=error.details))
        renew = partial(self._renew, turn.lease)
        results = self._customers.batch(good, turn.uuid, is_repeat=turn.is_repeat, renew=renew)
        outcomes.update((n, _outcome(result)) for n, result in results.items())
        return [outcomes[n] for n in range(len(items))]

    def token(self, route: Route, caller: Caller | None, role: str) -> Response:
        services, environ = self._services, bottle.request.environ
        has_key = services.issuer_key and is_issuer(environ.get("HTTP_X_ISSUER_KEY"), services.issuer_key)
        if not has_key and not (services.is_issuer_open and _is_open(environ)):
            raise Answered(failure(401, "issuer_key", "X-Issuer-Key is missing or wrong"))
        if role not in list(Role):
            raise Answered(failure(400, "unknown_role", "The role is admin or user"))
        return _response(Result(200, {"token": services.tokens.issue(Role(role))}))

    def live(self, route: Route, caller: None) -> Response:
        return _response(Result(200, {"status": "ok"}))

    def health(self, route: Route, caller: None) -> Response:
        if not self._services.status.is_moving():
            raise Answered(failure(503, "stalled", "No data is moving"))
        return _response(Result(200, {"status": "ok"}))

    def ready(self, route: Route, caller: None) -> Response:
        account = self._services.account
        if isinstance(account.problem, CopiedDatabase):
            # No write would come that finds out that it is over.
            with suppress(SyncError):
                account.require()
        if account.problem is not None:
            raise Answered(not_ours(account.problem))
        self._services.status.ping()
        return _response(Result(200, {"status": "ok"}))

    def metrics(self, route: Route, caller: Caller | None) -> Response:
        text, kind = self._services.status.metrics()
        return _response(Result(200), text=text, **{"Content-Type": kind})

    def _item(self, item: Any) -> BatchItem:
        found = parse(self._forms.batch_item, item)
        assert isinstance(found, BatchItem)
        if found.op == "create":
            parse(self._forms.new_customer, {name: value for name, value in item.items() if name != "op"})
        return found

    def openapi(self, route: Route, caller: None) -> Response:
        return _response(Result(200, openapi.document(self._forms)))

    def docs(self, route: Route, caller: None) -> Response:
        headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": docs.POLICY}
        return _response(Result(200), text=docs.page(), **headers)

    def _body(self, route: Route) -> Any:
        environ = bottle.request.environ
        kind = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
        if kind != "application/json" and not kind.endswith("+json"):
            raise Answered(failure(415, "not_json", "The body must be application/json"))
        if environ.get("HTTP_CONTENT_ENCODING", "").strip().lower() not in ("", "identity"):
            raise Answered(failure(415, "encoded", "The body must not be encoded"))
        data = self._services.bodies.read(environ, LARGEST)
        environ["reconciler.body"] = data
        return loads(data)

    def _found(self, name: Mapping[str, str]) -> Customer | Result:
        """Return the customer of a path, or its 404, from where the writes go."""
        customers = self._customers
        return _named(name, customers.read, customers.live, customers.of_contact)

    def _held(self, name: Mapping[str, str]) -> str | None:
        """Return the address of a path's customer: a body may repeat it, whatever its form."""
        if "email" in name:
            return address_in(name["email"])
        customer = self._found(name)
        return None if isinstance(customer, Result) else customer.values.get("email")

    def _matched(self, name: Mapping[str, str]) -> tuple[Customer, bool]:
        """Return the customer, and whether it must stay as it is until it is written."""
        customer, environ = self._found(name), bottle.request.environ
        if isinstance(customer, Result):
            raise Answered(customer)
        current, is_strict = {"*", etag_of(customer)}, "HTTP_IF_MATCH" in environ
        if tags(environ, "HTTP_IF_NONE_MATCH") & current:
            raise Answered(failure(412, "precondition_failed", "The customer is there as If-None-Match says"))
        if is_strict and not tags(environ, "HTTP_IF_MATCH") & current:
            raise Answered(failure(412, "precondition_failed", "The customer has changed"))
        return customer, is_strict

    def _once(self, caller: Caller, run: Callable[[Turn], Result]) -> Response:
        """Run a write once there is a place for it; with an Idempotency-Key, once at all: repeats get the answer."""
        with self._services.places.taken():
            return self._run(caller, run)

    def _run(self, caller: Caller, run: Callable[[Turn], Result]) -> Response:
        key, uuid = bottle.request.environ.get("HTTP_IDEMPOTENCY_KEY"), CustomerId(uuid4())
        if key is None:
            return _response(run(Turn(uuid=uuid)))
        if not 0 < len(key) <= LONGEST_KEY or not key.isprintable():
            raise Answered(failure(400, "invalid_key", "Idempotency-Key has 1 to 255 printable characters"))
        request = digest(bottle.request.environ)
        match self._services.customer_store.begin(caller=caller.name, key=hashed(key), request=request, uuid=uuid):
            case Repeat.OTHER_REQUEST:
                raise Answered(failure(422, "key_reused", "The key was used for another request"))
            case Repeat.IN_FLIGHT:
                raise Answered(IN_FLIGHT)
            case Replay(status=status, body=body):
                return _response(Result(status, body))
            case Turn() as turn:
                return self._run_keyed(turn, run)

    def _renew(self, lease: Lease | None) -> None:
        """Keep the key of a request that takes long; where that does not go just now, the next time may."""
        if lease is not None:
            with suppress(Transient):
                self._services.customer_store.renew(lease)

    def _run_keyed(self, turn: Turn, run: Callable[[Turn], Result]) -> Response:
        """Run a write and keep its answer, unless it failed on our side: that may be repeated."""
        assert turn.lease is not None
        try:
            result = run(turn)
        except Answered as answer:
            result = answer.result
        try:
            self._keep(turn.lease, result)
        except Transient as error:
            # What is done is done, and so it is told.
            log.warning("api.answer_not_kept", reason=error.reason)
        return _response(result)

    def _keep(self, lease: Lease, result: Result) -> None:
        outcomes = result.body if result.status == 207 else [{"status": result.status, "code": result.code}]
        if all(map(_is_final, outcomes)):
            self._services.customer_store.end(lease, status=result.status, body=result.body)
        else:
            self._services.customer_store.fail(lease, body=result.body if result.status == 207 else None)


class _Shell:
    """Everything around the routes: request ids, headers that every answer has, and unexpected errors."""

    def __init__(self, app: bottle.Bottle, bodies: Bodies) -> None:
        self._app, self._bodies = app, bodies

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request_id = str(uuid4())
        environ["reconciler.request_id"] = request_id
        # Until this thread's next request: between two it says nothing.
        structlog.contextvars.bind_contextvars(request_id=request_id)
        response = self._respond(environ)
        if response.status >= 400:
            self._bodies.drop(environ)
        return response.send(environ, start_response, ("X-Request-Id", request_id))

    def _respond(self, environ: dict[str, Any]) -> Response:
        try:
            bottle.request.bind(environ)
            refuse_ambiguous(environ)
            environ["PATH_INFO"] = environ["PATH_INFO"].encode("latin-1").decode("utf-8")
            route, arguments = self._app.router.match(environ)
            environ["route.handle"], environ["route.url_args"] = route, arguments
            response: Response = route.call(**arguments)
            return response
        except Ambiguous:
            return _response(failure(400, "bad_request", "Bad request"), Connection="close")
        except UnicodeError:
            return _response(failure(404, "not_found", "Not found", error="Not found"))
        except bottle.HTTPError as error:
            return _of_router(error)
        except (DatabaseDown, Busy):
            return _response(DATABASE_DOWN)
        except Exception:
            log.exception("api.bug")
            return _response(failure(500, "internal", "Internal error"))


def _of_router(error: bottle.HTTPError) -> Response:
    if error.status_code == 405:
        allow = error.get_header("Allow") or ""
        return _response(failure(405, "method_not_allowed", "The method is not allowed here"), Allow=allow)
    return _response(failure(404, "not_found", "Not found", error="Not found"))


def _response(result: Result, *, text: str | None = None, **headers: str) -> Response:
    body = result.body
    if isinstance(body, dict) and result.status >= 400:
        body = _identified(body)
    elif result.status == 207:
        body = [_identified(outcome) if outcome["status"] >= 400 else outcome for outcome in body]
    data = text.encode() if text is not None else b"" if body is None else orjson.dumps(body)
    if result.customer is not None:
        headers = {"ETag": etag_of(result.customer), **headers}
    if result.status == 503 or result.code == "in_flight":
        headers = {"Retry-After": RETRY_AFTER, **headers}
    if result.status == 202:
        headers = {"Preference-Applied": "respond-async", **headers}
    kind = {} if result.status in (204, 304) else {"Content-Type": "application/json", "Content-Length": str(len(data))}
    return Response(result.status, {**kind, **headers}, data)


def _is_open(environ: Environ) -> bool:
    """Whether this host itself calls, without credentials; raise the 403 of a web page that would use that."""
    if is_local(environ) and is_foreign(environ) and "HTTP_AUTHORIZATION" not in environ:
        raise Answered(failure(403, "foreign_origin", "Not for other pages: call it as 127.0.0.1 or localhost"))
    return is_local(environ) and not is_foreign(environ)


def _named(
    name: Mapping[str, str],
    by_address: Callable[[str], Customer | None],
    by_uuid: Callable[[CustomerId], Customer | None],
    by_contact: Callable[[ContactId], Customer | None],
) -> Customer | Result:
    """Return the customer that a path names, or its 404."""
    match dict(name):
        case {"uuid": uuid}:
            return by_uuid(CustomerId(UUID(uuid))) or nobody("uuid", uuid)
        case {"contact": contact}:
            return by_contact(ContactId(int(contact))) or nobody("contact", contact)
        case {"email": email}:
            address = address_in(email)
            return (None if address is None else by_address(address)) or missing(address or "")
    raise LookupError(name)


def _letters(customers: Collection[Customer]) -> int:
    return sum(len(text or "") for each in customers for text in each.raw.values())


def _is_final(outcome: Mapping[str, Any]) -> bool:
    """Whether a repetition would end the same: not what failed on our side or is still open."""
    return bool(outcome["status"] < 500 and outcome.get("code") != "in_flight")


def _empty(result: Result) -> Result:
    return Result(result.status, None, result.customer) if result.status < 300 else result


def _outcome(result: Result) -> dict[str, Any]:
    if result.status < 300:
        return {"status": result.status, **({"customer": result.body} if result.body is not None else {})}
    return _identified({"status": result.status, **result.body})


def _identified(error: dict[str, Any]) -> dict[str, Any]:
    """Return an error with the request's id, if it has none from the request that it was first said to."""
    return {"request_id": bottle.request.environ["reconciler.request_id"], **error}
