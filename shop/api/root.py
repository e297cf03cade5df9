"""Aliases of API calls at the root of the site (ROOT_API_ALIASES), for programs that expect them there.

A request to an alias is carried out as one to its target, whose path it gets before Flask sees it. So an alias has the
checks, the limits, the log and the answers of the API. Pages have addresses under `/orders` too: a request there is an
alias only if it has a Bearer token.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from urllib.parse import quote

from flask import Flask, Request, Response, current_app, request

from shop.api.resource import ROOT

DEPRECATED_SINCE = datetime(2026, 12, 1, tzinfo=UTC)
OWN = f"{ROOT}/aliases"
"""Path of the calls of aliases whose bodies are not those of v1."""
TAG = "Aliases"
_MARK = "settled.alias"
_DOCS = "/api/docs"


@dataclass(frozen=True)
class Alias:
    """An alias: its methods and path, the path that is called, and the one to use instead; with OpenAPI parameters."""

    methods: tuple[str, ...]
    path: str
    target: str
    successor: str

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path))

    def match(self, path: str) -> re.Match[str] | None:
        return self.pattern.fullmatch(path)


def _same(method: str, path: str) -> Alias:
    """An alias that is a call of v1 with the same body."""
    return Alias(tuple(method.split()), path, f"{ROOT}{path}", f"{ROOT}{path}")


ALIASES = (
    _same("POST", "/auth/login"),
    _same("GET", "/auth/profile"),
    _same("GET POST", "/orders"),
    _same("GET PATCH", "/orders/{order_id}"),
    Alias(("POST",), "/payments", f"{OWN}/payments", f"{ROOT}/payments"),
    Alias(("POST",), "/payments/notify", f"{OWN}/payments/notify", "/webhooks/tpay"),
    Alias(
        ("POST",),
        "/payments/refund/{payment_id}",
        f"{OWN}/payments/refund/{{payment_id}}",
        f"{ROOT}/payments/{{payment_id}}/refunds",
    ),
    _same("GET", "/payments/{payment_id}"),
)
HEADERS: dict[str, Any] = {
    "Deprecation": {"description": "Since when the alias is deprecated (RFC 9745).", "schema": {"type": "string"}},
    "Link": {"description": "`successor-version`: the call to use instead.", "schema": {"type": "string"}},
}
StartResponse = Callable[..., Any]
WsgiApp = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


def init_app(app: Flask) -> bool:
    """Answer aliases, if the settings say so; returns whether they do."""
    is_on = (app.config["ROOT_API_ALIASES"] or _default(app)) == "on"
    if is_on:
        app.wsgi_app = _forwarding(app.wsgi_app)  # type: ignore[assignment, method-assign]
        app.after_request(_vary)
    return is_on


def _default(app: Flask) -> str:
    return "on" if app.config["SETTLED_ENV"] == "development" else "off"


def _forwarding(inner: WsgiApp) -> WsgiApp:
    def forward(wsgi: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        path, is_bearer = wsgi.get("PATH_INFO", ""), wsgi.get("HTTP_AUTHORIZATION", "")[:7].lower() == "bearer "
        found = None if _has_pages(path) and not is_bearer else _find(path)
        if found is not None:
            target, successor = found
            wsgi = wsgi | {"PATH_INFO": target, _MARK: successor}
        return inner(wsgi, start_response)

    return forward


def _has_pages(path: str) -> bool:
    """True for addresses under which there are pages."""
    return path == "/orders" or path.startswith("/orders/")


def _find(path: str) -> tuple[str, str] | None:
    """Target and successor of the alias at this path."""
    if path.startswith(ROOT):
        return None
    for alias in ALIASES:
        if match := alias.match(path):
            values = match.groupdict()
            return alias.target.format(**values), alias.successor.format(**values)
    return None


def is_alias() -> bool:
    """True for a request to an alias."""
    return _MARK in request.environ


def add_headers(response: Response) -> None:
    """Say in the answer of an alias that it is deprecated, and what to use instead."""
    if not is_alias():
        return
    site = str(current_app.config["SHOP_URL"]).rstrip("/")
    response.headers["Deprecation"] = f"@{int(DEPRECATED_SINCE.timestamp())}"
    successor = quote(request.environ[_MARK])  # a path may have any character, a header no new line
    response.headers.add("Link", f'<{site}{successor}>; rel="successor-version"')
    response.headers.add("Link", f'<{site}{_DOCS}>; rel="deprecation"; type="text/html"')


def _vary(response: Response) -> Response:
    """Keep answers with a token and pages apart in caches."""
    here: Request = request._get_current_object()  # type: ignore[attr-defined]
    if _has_pages(here.path.removeprefix(ROOT) if _MARK in here.environ else here.path):
        response.vary.add("Authorization")
    return response


def describe(document: dict[str, Any]) -> None:
    """Add the aliases to the OpenAPI document, as deprecated calls."""
    paths = document["paths"]
    for alias in ALIASES:
        target = paths[alias.target]
        found = {method: deepcopy(target[method]) for method in map(str.lower, alias.methods)}
        for method, operation in found.items():
            operation |= {"deprecated": True, "tags": [TAG], "operationId": _operation_id(method, alias.path)}
            note = f"Deprecated: use `{alias.successor}`."
            operation["description"] = "\n\n".join(filter(None, [operation.get("description", ""), note]))
            _add_to_answers(operation)
        paths[alias.path] = ({"parameters": target["parameters"]} if "parameters" in target else {}) | found
    for path in [path for path in paths if path.startswith(OWN)]:
        del paths[path]


def _add_to_answers(operation: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", []):
        if parameter["name"] == "Idempotency-Key":
            parameter["required"] = False
    for response in operation["responses"].values():
        response["headers"] = response["headers"] | HEADERS


def _operation_id(method: str, path: str) -> str:
    return "_".join(["alias", method, *re.findall(r"\w+", path)])
