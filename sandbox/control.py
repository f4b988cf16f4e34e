"""The control side under /sandbox/ and the page: what people do in HubSpot, what HubSpot does to callers.

JSON without credentials, for the machine it runs on only. Refusals have HubSpot's own bodies.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sandbox.answers import Answer, error_answer, json_answer
from sandbox.clock import iso
from sandbox.contact import Contact
from sandbox.errors import HubSpotError, bad_json
from sandbox.faults import Fault
from sandbox.portal import Portal
from sandbox.routes import Request
from sandbox.schema import render
from sandbox.settings import FIXED
from sandbox.view import Json, value_of

_PAGE = Path(__file__).with_name("page.html")
_MOST_ROWS = 1000

Handler = Callable[[Request, str], Any]


class Control:
    """The means of the page, of tests and of people with curl."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self._handlers: dict[tuple[str, str], Handler] = {
            ("GET", "health"): lambda request, key: {"status": "ok"},
            ("GET", "contacts"): self._list,
            ("POST", "contacts"): self._create,
            ("GET", "contacts/*"): self._get,
            ("PATCH", "contacts/*"): self._edit,
            ("GET", "contacts/*/values"): self._values,
            ("DELETE", "contacts/*"): lambda request, key: portal.delete(key),
            ("POST", "contacts/*/restore"): lambda request, key: show(portal.restore(key)),
            ("POST", "contacts/*/erase"): lambda request, key: portal.erase(key),
            ("POST", "contacts/*/addresses"): self._add_address,
            ("POST", "merge"): self._merge,
            ("POST", "import"): self._import,
            ("GET", "settings"): lambda request, key: portal.settings.model_dump(mode="json"),
            ("PATCH", "settings"): self._change_settings,
            ("GET", "faults"): lambda request, key: {"faults": portal.faults.listed()},
            ("POST", "faults"): lambda request, key: {"number": portal.faults.add(Fault(**request.json()))},
            ("DELETE", "faults"): lambda request, key: portal.faults.clear(),
            ("DELETE", "faults/*"): lambda request, key: portal.faults.remove(int(key)),
            ("GET", "calls"): lambda request, key: portal.calls.to_json(),
            ("DELETE", "calls"): lambda request, key: portal.calls.clear(),
            ("GET", "events"): self._events,
            ("POST", "events/redeliver"): lambda request, key: {"events": portal.outbox.redeliver()},
            ("GET", "properties"): self._properties,
            ("POST", "properties/*"): self._change_property,
            ("POST", "index/refresh"): lambda request, key: portal.refresh_index(),
            ("POST", "reset"): lambda request, key: portal.reset(),
        }

    def answer(self, request: Request) -> Answer:
        """Answer a request below /sandbox/ or for the page."""
        if request.path == "/":
            return Answer(200, _PAGE.read_bytes(), {"Content-Type": "text/html; charset=utf-8", **_PAGE_HEADERS})
        handler, key = self._find(request)
        if handler is None:
            return json_answer(404, {"message": "no such control path"})
        try:
            return _render(handler(request, key))
        except HubSpotError as error:
            return error_answer(error)
        except (ValueError, KeyError, TypeError) as error:
            return json_answer(400, {"message": _problems(error)})

    def _find(self, request: Request) -> tuple[Handler | None, str]:
        parts = request.path.removeprefix("/sandbox/").split("/")
        fixed = self._handlers.get((request.method, "/".join(parts)))
        if fixed is not None or len(parts) < 2:
            return fixed, ""
        return self._handlers.get((request.method, "/".join([parts[0], "*", *parts[2:]]))), parts[1]

    def _list(self, request: Request, key: str) -> Json:
        limit = min(int(request.first("limit") or 100), _MOST_ROWS)
        after, archived = int(request.first("after") or 0), request.flag("archived")
        if words := (request.first("q") or "").strip():
            found = self._portal.matching(words, limit, archived)
            return {"contacts": [show(each) for each in found], "after": None, "total": len(found)}
        page, following = self._portal.page(after, limit, archived)
        records = self._portal.ledger.records
        total = len(records.bin if archived else records.live)
        return {"contacts": [show(each) for each in page], "after": following, "total": total}

    def _get(self, request: Request, key: str) -> Any:
        contact = self._portal.contact(key)
        return show(contact) if contact else json_answer(404, {"message": "no such contact"})

    def _create(self, request: Request, key: str) -> Answer:
        return json_answer(201, show(self._portal.create(request.json()["properties"])))

    def _edit(self, request: Request, key: str) -> Json:
        return show(self._portal.edit(key, request.json()["properties"]))

    def _add_address(self, request: Request, key: str) -> Json:
        return show(self._portal.add_address(key, request.json()["email"]))

    def _merge(self, request: Request, key: str) -> Json:
        body = request.json()
        return show(self._portal.merge(body["primaryObjectId"], body["objectIdToMerge"]))

    def _import(self, request: Request, key: str) -> Json:
        body = request.json()
        return {"count": self._portal.load(int(body["count"]), str(body.get("prefix", "import")))}

    def _change_settings(self, request: Request, key: str) -> Json:
        return self._portal.set(**request.json()).model_dump(mode="json", exclude=set(FIXED))

    def _events(self, request: Request, key: str) -> Json:
        limit = int(request.first("limit") or 200)
        settings, deliveries = self._portal.settings, self._portal.outbox.deliveries
        newest = deliveries[::-1][:limit]
        return {
            "total": len(deliveries),
            "waiting": self._portal.outbox.waiting,
            "events": [each.to_json(settings) for each in newest],
        }

    def _values(self, request: Request, key: str) -> Any:
        """Return every live property of a contact, calculated ones and those without a value, too."""
        contact = self._portal.contact(key)
        if contact is None:
            return json_answer(404, {"message": "no such contact"})
        return {prop.name: value_of(contact, prop.name) for prop in self._portal.schema.listed()}

    def _properties(self, request: Request, key: str) -> Json:
        return {"results": [render(prop) for prop in self._portal.schema.listed()]}

    def _change_property(self, request: Request, key: str) -> None:
        body, schema = request.json(), self._portal.schema
        match body.get("action"):
            case "delete":
                schema.archive(key)
            case "restore":
                schema.restore(key)
            case "options":
                schema.set_options(key, body["options"])
            case "create":
                del body["action"]
                self._portal.add_property(key, **body)
            case _:
                raise bad_json(["action"])


_PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; img-src data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'",
}


def show(contact: Contact) -> Json:
    """Return a contact with everything that is stored of it."""
    return {
        "id": str(contact.id),
        "properties": dict(contact.values),
        "secondary": list(contact.secondary),
        "merged": [str(each) for each in contact.merged],
        "createdAt": iso(contact.created),
        "updatedAt": iso(contact.modified),
        "archived": contact.archived,
        "source": contact.origin.source_type,
    }


def _render(result: Any) -> Answer:
    if isinstance(result, Answer):
        return result
    return Answer(204) if result is None else json_answer(200, result)


def _problems(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return str(error)
