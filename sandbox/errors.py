"""HubSpot's refusals, word for word: one exception and a maker for each known body.

The makers are called by the domain; the HTTP side only renders what it is given.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

VALIDATION = "VALIDATION_ERROR"

NOT_FOUND_PAGE = (
    '<html>\n<head>\n<meta http-equiv="Content-Type" content="text/html;charset=utf-8"/>\n'
    "<title>Error 404 Not Found</title>\n</head>\n<body><h2>HTTP ERROR 404</h2>\n"
    "<p>Resource not found</p>\n</body>\n</html>\n"
)


@dataclass(slots=True)
class HubSpotError(Exception):
    """HubSpot refused the request."""

    status: int
    body: dict[str, Any] | str
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.status} {self.message}"

    @property
    def message(self) -> str:
        """The text of the refusal."""
        return self.body if isinstance(self.body, str) else str(self.body["message"])

    @property
    def category(self) -> str:
        """HubSpot's class of the refusal, or ""."""
        return "" if isinstance(self.body, str) else str(self.body.get("category", ""))


@dataclass(frozen=True, slots=True)
class Problem:
    """One property that cannot be written."""

    name: str
    message: str
    code: str


def refusal(status: int, message: str, category: str | None = None, **extra: Any) -> HubSpotError:
    """Make a refusal in HubSpot's usual envelope."""
    body: dict[str, Any] = {
        "status": "error",
        "message": message,
        "correlationId": str(uuid.uuid4()),
        **extra,
    }
    return HubSpotError(status, {**body, "category": category} if category else body)


def conflict(holder: int) -> HubSpotError:
    """Another contact has the address; the id stands in the text only."""
    return refusal(409, f"Contact already exists. Existing ID: {holder}", "CONFLICT")


def unnamed_conflict() -> HubSpotError:
    """Another contact has the address; HubSpot does not say which."""
    return refusal(409, "Contact already exists", "CONFLICT")


def value_taken(portal_id: int, name: str, value: str, ids: tuple[int, int]) -> HubSpotError:
    """Another record has the unique value; ids are (the one being written, the holder)."""
    coordinates = (
        f"portalId={portal_id}, objectTypeId=ObjectTypeId{{legacyObjectType=CONTACT}}, "
        f"propertyName={name}, value={value}"
    )
    message = f"Cannot set PropertyValueCoordinates{{{coordinates}}} on {ids[0]}. {ids[1]} already has that value."
    return refusal(400, message, VALIDATION)


def invalid_properties(problems: Sequence[Problem], portal_id: int) -> HubSpotError:
    """Refuse a write for its properties; the list stands escaped in the text and again in `errors`."""
    listed = orjson.dumps([_in_text(problem, portal_id) for problem in problems]).decode()
    details = [{"message": p.message, "code": p.code, "context": {"propertyName": [p.name]}} for p in problems]
    return refusal(400, f"Property values were not valid: {listed}", errors=details, category=VALIDATION)


def _in_text(problem: Problem, portal_id: int) -> dict[str, Any]:
    return {
        "isValid": False,
        "message": problem.message,
        "error": problem.code,
        "name": problem.name,
        "localizedErrorMessage": problem.message,
        "portalId": portal_id,
    }


def no_properties() -> HubSpotError:
    """An update without a single property."""
    message = "No properties found to update, please provide at least one."
    return refusal(400, message, VALIDATION)


def bad_json(missing: Iterable[str] = ()) -> HubSpotError:
    """A body that cannot be read, or lacks required fields."""
    lacking = ", ".join(missing)
    tail = f" Some required fields were not set: [{lacking}]" if lacking else ""
    return refusal(400, f"Invalid input JSON on line 1, column 2.{tail}", VALIDATION)


def invalid(message: str) -> HubSpotError:
    """A request that is well formed and still not allowed."""
    return refusal(400, message, VALIDATION)


def duplicate_ids(ids: Sequence[str]) -> HubSpotError:
    """A batch that names a record twice."""
    message = f"Duplicate IDs found in batch input: [{', '.join(ids)}]. IDs must be unique"
    return refusal(400, message, context={"ids": list(ids)}, category=VALIDATION)


def too_many_inputs(most: int, history: bool = False) -> HubSpotError:
    """A batch longer than allowed."""
    kind = "for property histories " if history else ""
    return invalid(
        f"The maximum number of inputs supported in a batch request {kind}is {most}. "
        "Please reduce the number of items and try again"
    )


def no_such_record() -> HubSpotError:
    """A record that does not exist: a page of HTML, told from a wrong path by its header only."""
    return HubSpotError(404, NOT_FOUND_PAGE, {"X-HubSpot-NotFound": "true"})


def no_such_path() -> HubSpotError:
    """A path that nothing listens on."""
    return HubSpotError(404, NOT_FOUND_PAGE)


def resource_not_found() -> HubSpotError:
    """The JSON form of a 404."""
    return refusal(404, "resource not found")


def object_not_found(object_id: str) -> HubSpotError:
    """An id that cannot be one."""
    message = "Object not found. objectId is usually positive."
    return refusal(404, message, context={"id": [object_id]}, category="OBJECT_NOT_FOUND")


def missing_entry(ids: Sequence[str]) -> dict[str, Any]:
    """The single entry of a 207 that lists every id without a record."""
    return {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "message": "Could not get some CONTACT objects, they may be deleted or not exist. Check that ids are valid.",
        "context": {"ids": list(ids)},
    }


def trace_entry(error: HubSpotError, trace_id: str, context: Mapping[str, list[str]]) -> dict[str, Any]:
    """The entry of a 207 for one input, named by the trace id it came with."""
    return {
        "status": "error",
        "category": error.category,
        "message": error.message,
        "context": {"objectWriteTraceId": [trace_id], **context},
    }
