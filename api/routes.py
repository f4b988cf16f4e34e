"""The route table: who may call what, what it takes and answers. App and OpenAPI document come from it."""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from api.auth import Role
from api.bodies import UUID_FORM


class Access(Enum):
    """Who may call."""

    PUBLIC = "anyone"
    ISSUER = "the holder of the issuer key"
    LOCAL = "this host, or an admin"
    USER = "users and admins"
    ADMIN = "admins"

    def admits(self, role: Role) -> bool:
        """Whether a token of this role is enough."""
        return role is Role.ADMIN or self is Access.USER


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One call. `name` is the operation's; `answers` maps a status to what it means."""

    name: str
    method: str
    path: str
    access: Access
    summary: str
    answers: dict[int, str]
    body: Literal["NewCustomer", "CustomerChange", "BatchItem"] | None = None
    is_list: bool = False
    headers: tuple[str, ...] = ()
    query: tuple[str, ...] = ()

    @property
    def handler(self) -> str:
        """Return the name of what answers it, however the path names the customer."""
        return self.name.partition("_by_")[0]


NAMED = {
    "": r"/<email:re:[^\0]*@[^\0]*>",
    "_by_uuid": rf"/uuid/<uuid:re:{UUID_FORM}(?!\n)>",
    "_by_contact": r"/contact/<contact:re:[0-9]{1,18}(?!\n)>",
}
"""How a path names a customer: by what is an address to somebody, line feeds and slashes too; by uuid; by contact."""

WRITE_ERRORS = {
    400: "the body is not valid",
    401: "no valid token",
    403: "the role may not do this",
    409: "the address is taken, or it is not known whether HubSpot has the customer",
    413: "the body is too large",
    415: "the body is not JSON, or encoded",
    422: "the idempotency key was used for another request",
    408: "the body did not come in time",
    500: "one of the two systems failed; neither holds the change, or both will",
    503: "the database is not available, is a copy, or belongs to another HubSpot account; or another transaction "
    "holds the customer, or too much is under way",
}
READ_ERRORS = {
    400: "there are no query parameters",
    401: "no valid token",
    404: "no live customer is named so",
    503: "the database is not available",
}


def _each(name: str, *, answers: dict[int, str], **call: Any) -> tuple[Route, ...]:
    """Return a call about one customer, once for each way to name it; only an address can be a former one."""
    lasting = {status: text for status, text in answers.items() if status != 301}
    return tuple(
        Route(name=name + how, path=path, answers=lasting if how else answers, **call) for how, path in NAMED.items()
    )


ROUTES = (
    Route(
        name="page",
        method="GET",
        path="/",
        access=Access.USER,
        summary="List the living customers, page by page",
        answers={
            200: "up to `limit` customers (1 to 1,000; 100), and what `after` the next page takes; null at the end",
            400: "a query parameter is not one of these, or not valid",
            401: "no valid token",
            503: "the database is not available",
        },
        query=("limit", "after"),
    ),
    Route(
        name="create",
        method="POST",
        path="/",
        access=Access.ADMIN,
        summary="Create a customer in Postgres and HubSpot",
        body="NewCustomer",
        answers={201: "the customer", 202: "stored; HubSpot follows (Prefer: respond-async)", **WRITE_ERRORS},
        headers=("Idempotency-Key", "Prefer"),
    ),
    Route(
        name="batch",
        method="POST",
        path="/batch",
        access=Access.ADMIN,
        summary="Run up to 1,000 items",
        body="BatchItem",
        is_list=True,
        answers={207: "one outcome per item, in input order", **WRITE_ERRORS},
        headers=("Idempotency-Key",),
    ),
    Route(
        name="token",
        method="GET",
        path="/get-token/<role>",
        access=Access.ISSUER,
        summary="Issue a token for the role admin or user, valid for one hour",
        answers={
            200: "the token",
            400: "there is no such role",
            401: "X-Issuer-Key is missing or wrong",
            403: "a web page of another origin calls",
        },
        headers=("X-Issuer-Key",),
    ),
    Route(
        name="live",
        method="GET",
        path="/livez",
        access=Access.PUBLIC,
        summary="Whether this process answers requests, whatever else does not work",
        answers={200: "it does"},
    ),
    Route(
        name="health",
        method="GET",
        path="/healthz",
        access=Access.PUBLIC,
        summary="Whether data is moving",
        answers={200: "the sync makes progress", 503: "it does not"},
    ),
    Route(
        name="ready",
        method="GET",
        path="/readyz",
        access=Access.PUBLIC,
        summary="Whether requests can be served",
        answers={200: "ready", 503: WRITE_ERRORS[503]},
    ),
    Route(
        name="metrics",
        method="GET",
        path="/metrics",
        access=Access.LOCAL,
        summary="Figures for Prometheus",
        answers={
            200: "the figures",
            401: "no valid token",
            403: "the role may not do this, or a web page of another origin calls",
            503: "the database is not available",
        },
    ),
    Route(
        name="openapi",
        method="GET",
        path="/openapi.json",
        access=Access.PUBLIC,
        summary="This document",
        answers={200: "the OpenAPI document"},
    ),
    Route(
        name="docs",
        method="GET",
        path="/docs",
        access=Access.PUBLIC,
        summary="The documentation for people",
        answers={200: "a page"},
    ),
    *_each(
        "read",
        method="GET",
        access=Access.USER,
        summary="Read a customer",
        answers={
            200: "the customer",
            301: "the customer has another address by now: Location has it by uuid",
            304: "unchanged (If-None-Match)",
            **READ_ERRORS,
        },
        headers=("If-None-Match",),
    ),
    *_each(
        "update",
        method="PUT",
        access=Access.ADMIN,
        summary="Change any fields of a customer in Postgres and HubSpot",
        body="CustomerChange",
        answers={
            200: "both sides have it",
            202: "stored; HubSpot follows (Prefer: respond-async)",
            **WRITE_ERRORS,
            404: READ_ERRORS[404],
            412: "the customer is not as If-Match or If-None-Match says",
        },
        headers=("Idempotency-Key", "If-Match", "Prefer"),
    ),
    *_each(
        "delete",
        method="DELETE",
        access=Access.ADMIN,
        summary="Archive the contact and delete the customer",
        answers={
            204: "gone on both sides",
            **READ_ERRORS,
            403: "the role may not do this",
            409: "a request with this key is still running",
            412: "the customer is not as If-Match or If-None-Match says",
            422: WRITE_ERRORS[422],
            500: WRITE_ERRORS[500],
            503: WRITE_ERRORS[503],
        },
        headers=("Idempotency-Key", "If-Match"),
    ),
)
