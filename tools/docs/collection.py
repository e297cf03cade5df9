"""docs/examples/settled.postman_collection.json: every call of the API, for clients with a window."""

from __future__ import annotations

import json
from typing import Any

from shop.api import document as openapi
from tools.docs.routes import shop_app

_SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
_METHODS = ("get", "post", "put", "patch", "delete")


def page() -> str:
    """Return the collection, in the format 2.1 of Postman, which other clients import too."""
    document: dict[str, Any] = openapi.of(shop_app())
    folders = [{"name": tag["name"], "description": tag["description"]} for tag in document["tags"]]
    found = {
        "info": {"name": "Settled", "description": document["info"]["description"], "schema": _SCHEMA},
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{token}}", "type": "string"}]},
        "variable": [{"key": "shop", "value": "http://localhost:8000"}, {"key": "token", "value": ""}],
        "item": [folder | {"item": items} for folder in folders if (items := _items(document, folder["name"]))],
    }
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def _items(document: dict[str, Any], tag: str) -> list[dict[str, Any]]:
    return [
        {
            "name": operations[method]["summary"],
            "request": _request(method, path, operations[method], operations.get("parameters", [])),
        }
        for path, operations in document["paths"].items()
        for method in _METHODS
        if method in operations and tag in operations[method]["tags"]
    ]


def _request(method: str, path: str, operation: dict[str, Any], of_path: list[dict[str, Any]]) -> dict[str, Any]:
    parameters = [*of_path, *operation.get("parameters", [])]
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    request: dict[str, Any] = {
        "method": method.upper(),
        "description": operation["description"],
        "header": [_header(one) for one in parameters if one["in"] == "header"],
        "url": _url(path, parameters),
    }
    if {} in operation["security"]:
        request["auth"] = {"type": "noauth"}
    if content:
        body = json.dumps(content["example"], indent=2, ensure_ascii=False)
        request["body"] = {"mode": "raw", "raw": body, "options": {"raw": {"language": "json"}}}
    return request


def _header(one: dict[str, Any]) -> dict[str, Any]:
    value = "{{$guid}}" if one["name"] == "Idempotency-Key" else one["schema"].get("example", "")
    return {"key": one["name"], "value": value, "description": one["description"], "disabled": not one.get("required")}


def _url(path: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    address = path.replace("{", ":").replace("}", "")
    query = [
        {
            "key": one["name"],
            "value": str(one.get("example", one["schema"].get("default", ""))),
            "description": one["description"],
            "disabled": not one.get("required"),
        }
        for one in parameters
        if one["in"] == "query"
    ]
    variables = [{"key": one["name"], "value": ""} for one in parameters if one["in"] == "path"]
    parts = {"raw": f"{{{{shop}}}}{address}", "host": ["{{shop}}"], "path": address.strip("/").split("/")}
    return parts | {"query": query, "variable": variables}
