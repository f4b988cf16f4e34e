"""The OpenAPI 3.1 document, made from the route table and the body models."""

import re
from typing import Any

from pydantic.json_schema import models_json_schema

from api.bodies import JSON_TYPES, LISTED, MOST_LISTED, Forms
from api.routes import ROUTES, Access, Route

Json = dict[str, Any]

TIME: Json = {"type": ["string", "null"], "format": "date-time"}
CUSTOMERS: Json = {
    "type": "object",
    "required": ["results", "after"],
    "properties": {
        "results": {"type": "array", "items": {"$ref": "#/components/schemas/Customer"}},
        "after": {"type": ["string", "null"], "format": "uuid"},
    },
}
PATH: dict[str, Json] = {
    "role": {"type": "string", "enum": ["admin", "user"]},
    "uuid": {"type": "string", "format": "uuid"},
    "contact": {"type": "string", "pattern": "^[0-9]{1,18}$"},
}
QUERY: dict[str, Json] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": MOST_LISTED, "default": LISTED},
    "after": {"type": "string", "format": "uuid"},
}
ERROR: Json = {
    "type": "object",
    "required": ["message", "code", "request_id"],
    "properties": {
        "message": {"type": "string"},
        "code": {"type": "string"},
        "request_id": {"type": "string", "format": "uuid"},
        "error": {"type": "string"},
        "details": {"type": "array", "items": {"type": "object"}},
    },
}
OUTCOME: Json = {
    "type": "object",
    "required": ["status"],
    "properties": {
        "status": {"type": "integer"},
        "customer": {"$ref": "#/components/schemas/Customer"},
        "message": {"type": "string"},
        "code": {"type": "string"},
    },
}
SHOWN = {
    "page": "Customers",
    "create": "Customer",
    "read": "Customer",
    "batch": "Outcomes",
    "token": "Token",
}


def _customer(forms: Forms) -> Json:
    """Return what a customer is shown as."""
    text = {"type": ["string", "null"]}
    required = [name for name in forms.fields.names if name in forms.required]
    return {
        "type": "object",
        "required": ["uuid", *required, "createdat", "updatedat"],
        "properties": {
            "uuid": {"type": "string", "format": "uuid"},
            **{name: JSON_TYPES.get(field.kind, text) for name, field in forms.fields.by_name.items()},
            "contactid": text,
            **dict.fromkeys(("createdat", "updatedat", "hubspotcreatedat", "hubspotupdatedat"), TIME),
        },
    }


def document(forms: Forms) -> Json:
    """Return the whole document."""
    template = "#/components/schemas/{model}"
    _, models = models_json_schema(
        [(model, "validation") for model in (forms.new_customer, forms.customer_change, forms.batch_item)],
        ref_template=template,
    )
    schemas = {
        **models.get("$defs", {}),
        "Customer": _customer(forms),
        "Customers": CUSTOMERS,
        "Error": ERROR,
        "Outcomes": {"type": "array", "items": OUTCOME},
        "Token": {"type": "object", "required": ["token"], "properties": {"token": {"type": "string"}}},
    }
    paths: Json = {}
    for route in ROUTES:
        paths.setdefault(path_of(route), {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Customers, in Postgres and HubSpot", "version": "1", "license": {"name": "MIT"}},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def path_of(route: Route) -> str:
    """Return a Bottle path as OpenAPI writes it."""
    return re.sub(r"<(\w+)(?::[^>]*)?>", r"{\1}", route.path)


def _operation(route: Route) -> Json:
    operation: Json = {
        "operationId": route.name,
        "summary": route.summary,
        "description": f"For {route.access.value}.",
        "responses": {str(status): _answer(route, status, text) for status, text in route.answers.items()},
    }
    parameters = [_path_parameter(name) for name in re.findall(r"<(\w+)", route.path)]
    parameters += [{"name": name, "in": "query", "schema": QUERY[name]} for name in route.query]
    parameters += [{"name": name, "in": "header", "schema": {"type": "string"}} for name in route.headers]
    if parameters:
        operation["parameters"] = parameters
    if route.access in (Access.USER, Access.ADMIN, Access.LOCAL):
        operation["security"] = [{"token": []}]
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _body(route)}}}
    return operation


def _path_parameter(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": PATH.get(name, {"type": "string"})}


def _body(route: Route) -> Json:
    reference = {"$ref": f"#/components/schemas/{route.body}"}
    return {"type": "array", "minItems": 1, "maxItems": 1000, "items": reference} if route.is_list else reference


def _answer(route: Route, status: int, text: str) -> Json:
    answer: Json = {"description": text}
    if status == 301:
        answer["headers"] = {"Location": {"schema": {"type": "string"}}}
    elif status >= 400:
        answer["content"] = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    elif status in (200, 201, 207, 202) and route.handler in SHOWN:
        answer["content"] = {"application/json": {"schema": {"$ref": f"#/components/schemas/{SHOWN[route.handler]}"}}}
    return answer
