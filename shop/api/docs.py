"""Pages of the API's documentation, rendered from the OpenAPI document, without JavaScript."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from flask import Blueprint, render_template

from shop.api import document
from shop.api.access import api_access
from shop.api.problems import ALL
from shop.api.rendering import inline, paragraphs

bp = Blueprint("api_pages", __name__, url_prefix="/api/docs")
_METHODS = ("get", "post", "put", "patch", "delete")


@bp.get("")
@api_access("public")
def index() -> str:
    """Page with every call of the API."""
    found = document.load()
    tags = [tag | {"calls": list(_calls(found, tag["name"]))} for tag in found["tags"]]
    introduction = paragraphs(found["info"]["description"])
    return render_template(
        "api/docs.html",
        info=found["info"],
        introduction=introduction,
        tags=tags,
        schemas=found["components"]["schemas"],
        webhooks=found["webhooks"],
        inline=inline,
    )


@bp.get("/errors")
@api_access("public")
def errors() -> str:
    """Page that explains the code of every problem."""
    rows = [(code, status, HTTPStatus(status).phrase, text) for code, (status, text) in sorted(ALL.items())]
    return render_template("api/errors.html", problems=rows)


def _calls(found: dict[str, Any], tag: str) -> list[dict[str, Any]]:
    return [
        _call(path, method, operations[method], operations.get("parameters", []))
        for path, operations in found["paths"].items()
        for method in _METHODS
        if method in operations and tag in operations[method]["tags"]
    ]


def _call(path: str, method: str, operation: dict[str, Any], of_path: list[dict[str, Any]]) -> dict[str, Any]:
    """Values of a call for the page."""
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": operation.get("summary", ""),
        "description": paragraphs(operation.get("description", "")),
        "access": operation.get("x-access", []),
        "parameters": [*of_path, *operation.get("parameters", [])],
        "body": _content(body) if body else None,
        "responses": [_response(status, one) for status, one in sorted(operation["responses"].items())],
    }


def _response(status: str, response: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = next(iter(response.get("content", {}).values()), {})
    codes = list(content.get("examples", {}))
    headers = [name for name in response["headers"] if name not in document.EVERYWHERE]
    return {"status": status, "description": response.get("description", ""), "codes": codes, "headers": headers} | (
        {} if codes else _content(content)
    )


def _content(content: dict[str, Any]) -> dict[str, Any]:
    """Name of the schema and the example, as text, of a body."""
    schema = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    example = content.get("example")
    return {"schema": schema, "example": json.dumps(example, indent=2, ensure_ascii=False) if example else ""}
