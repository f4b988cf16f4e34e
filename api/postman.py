"""The Postman collection, made from the OpenAPI document: `python -m api.postman > api.postman_collection.json`."""

import json
import re
from typing import Any

from api.bodies import Forms, forms_of
from api.openapi import document
from reconciler.mapping.reading import load

SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
EXAMPLES: dict[str, Any] = {
    "create": {"email": "kai@hubspot.com", "firstname": "Kai", "lastname": "Doe", "company": "HubSpot"},
    "update": {"firstname": "Christa"},
    "batch": [
        {"op": "upsert", "email": "kai@hubspot.com", "phone": "(555) 555-5555"},
        {"op": "read", "email": "kai@hubspot.com"},
    ],
}


def collection(forms: Forms) -> dict[str, Any]:
    """Return the collection; its variables are `base_url`, `token` and `issuer_key`."""
    items = [
        _item(path, method.upper(), operation)
        for path, methods in document(forms)["paths"].items()
        for method, operation in methods.items()
    ]
    named = {"email": "kai@hubspot.com", "uuid": "", "contact": ""}
    variables = {"base_url": "http://127.0.0.1:8080", "token": "", "issuer_key": "", **named}
    return {
        "info": {"name": "Customers, in Postgres and HubSpot", "schema": SCHEMA},
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{token}}", "type": "string"}]},
        "variable": [{"key": key, "value": value} for key, value in variables.items()],
        "item": items,
    }


def _item(path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    address = re.sub(r"{(email|uuid|contact)}", r"{{\1}}", path).replace("{role}", "admin")
    request: dict[str, Any] = {"method": method, "url": "{{base_url}}" + address, "header": []}
    if "security" not in operation:
        request["auth"] = {"type": "noauth"}
    if operation["operationId"] == "token":
        request["header"].append({"key": "X-Issuer-Key", "value": "{{issuer_key}}"})
    if example := EXAMPLES.get(operation["operationId"].partition("_by_")[0]):
        request["header"].append({"key": "Content-Type", "value": "application/json"})
        request["body"] = {"mode": "raw", "raw": json.dumps(example, indent=2)}
    return {"name": operation["summary"], "request": request}


if __name__ == "__main__":
    print(json.dumps(collection(forms_of(load(None))), indent=2))
