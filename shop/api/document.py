"""OpenAPI document of the API: made from the views, completed, and served."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from flask import Flask, Response, current_app, request
from flask_smorest import Api

from shop.api import rate_limits
from shop.api.access import api_access
from shop.api.resource import ROOT, Resource
from shop.api.schemas import webhooks

VERSION = "1.0.0"
INTRODUCTION = """
The API of the shop, for programs of merchants and for their customers' apps.

**Proof.** `Authorization: Bearer …` with an access token (`POST /auth/login`), an API key of the console, or the token
of an order. Cookies are never read.

**Amounts** are whole numbers of minor units with their currency. **Times** are RFC 3339 in UTC.

**Errors** are problem details (RFC 9457); each `type` is an address that explains its `code`.

**Repetitions.** Calls that create orders or move money need an `Idempotency-Key`: a new random value for each call. A
repetition with the same key and body gets the first answer, with `Idempotency-Replayed: true`.

**Webhooks** bring events to your programs; see `webhooks` below and `POST /webhook-endpoints`.

**Limits** are in the headers `RateLimit-Policy` and `RateLimit`; above them calls get 429 with `Retry-After`.
"""

ETAG: dict[str, Any] = {
    "ETag": {"description": "Version of the document, for If-None-Match.", "schema": {"type": "string"}}
}
EXAMPLE = {"openapi": "3.1.0", "info": {"title": "Settled", "version": VERSION}}

bp = Resource("Document", __name__, "", "This document.")


class ShopApi(Api):  # type: ignore[misc]
    """The OpenAPI document of flask-smorest, without its error handler: `shop.http_kit.errors` answers all failures."""

    DEFAULT_ERROR_RESPONSE_NAME = None

    def _register_error_handlers(self) -> None:
        """Leave the pages of the shop their own error handler."""

    def add(self, resource: Resource) -> None:
        """Register a resource with the app."""
        self._app.extensions["flask-smorest"]["blp_name_to_api"][resource.name] = self
        self._app.register_blueprint(resource)

    def describe(self, resource: Resource) -> None:
        """Add a resource to the document."""
        resource.register_views_in_doc(self, self._app, self.spec, name=resource.name, parameters=None)
        self.spec.tag({"name": resource.title, "description": resource.description})


@dataclass
class Document:
    """The OpenAPI document of an app. It is made when it is first read: most processes never read it, and making it
    takes as long as the rest of a start.
    """

    api: ShopApi
    resources: tuple[Resource, ...]
    more: Callable[[dict[str, Any]], None] | None
    made: dict[str, Any] | None = None
    lock: Lock = field(default_factory=Lock)

    def read(self) -> dict[str, Any]:
        """The document, complete."""
        with self.lock:
            if self.made is None:
                for resource in self.resources:
                    self.api.describe(resource)
                made = _completed(self.api.spec.to_dict())
                if self.more:
                    self.more(made)
                self.made = made
            return self.made


def init_app(app: Flask, resources: tuple[Resource, ...], more: Callable[[dict[str, Any]], None] | None = None) -> None:
    """Register the resources. `more` adds to their document what is not made from views."""
    api = ShopApi(
        spec_kwargs={
            "title": "Settled",
            "version": VERSION,
            "openapi_version": "3.1.0",
            "info": {"description": INTRODUCTION.strip()},
            "servers": [{"url": str(app.config["SHOP_URL"]).rstrip("/")}],
        }
    )
    api.init_app(app)
    app.cli.commands.pop("openapi")  # the same as /openapi.json
    token = {"type": "http", "scheme": "bearer", "description": "Access token, API key, or token of an order."}
    api.spec.components.security_scheme("bearer", token)
    for resource in resources:
        api.add(resource)
    app.extensions["settled_openapi"] = Document(api, resources, more)


def of(app: Flask) -> dict[str, Any]:
    """The OpenAPI document of an app."""
    found: Document = app.extensions["settled_openapi"]
    return found.read()


def load() -> dict[str, Any]:
    """The OpenAPI document of this app."""
    return of(current_app)


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    """Add the ids of operations, the header that idempotent calls take, and those that every answer has."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method == "parameters":
                continue
            operation["operationId"] = _operation_id(method, path)
            if parameter := operation.pop("x-idempotency", None):
                operation.setdefault("parameters", []).append(parameter)
                for status, response in operation["responses"].items():
                    if status.startswith("2"):
                        response.setdefault("headers", {})["Idempotency-Replayed"] = _REPLAYED
            for response in operation["responses"].values():
                response["headers"] = response.get("headers", {}) | _REFERENCES
    document["components"]["headers"] = EVERYWHERE
    document["webhooks"] = webhooks.section()
    return document


EVERYWHERE: dict[str, Any] = rate_limits.HEADERS | {
    "X-Request-ID": {"description": "Id of the call in our logs.", "schema": {"type": "string"}}
}
"""Headers of every answer."""
_REFERENCES = {name: {"$ref": f"#/components/headers/{name}"} for name in EVERYWHERE}
_REPLAYED = {"description": "`true` on the repetition of an earlier answer.", "schema": {"type": "string"}}


def _operation_id(method: str, path: str) -> str:
    """A name for generated clients: `get_orders_order_id_timeline`."""
    parts = path.removeprefix(ROOT).replace("{", "").replace("}", "").replace("-", "_").strip("/").split("/")
    return "_".join([method, *(part.replace(".", "_") for part in parts if part)])


def _text() -> str:
    """The document as JSON, which is made once in a process."""
    kept: dict[str, Any] = current_app.extensions
    if "settled_openapi_text" not in kept:
        kept["settled_openapi_text"] = current_app.json.dumps(load()) + "\n"
    return str(kept["settled_openapi_text"])


@bp.route("/openapi.json", methods=["GET"])
@api_access("public")
@bp.response(200, {"type": "object"}, example=EXAMPLE, headers=ETAG)
@bp.alt_response(304, headers=ETAG, description="The version in If-None-Match is the present one.")
def openapi() -> Response:
    """Get the OpenAPI document

    OpenAPI 3.1: every call, its callers, examples and problems, and the webhooks.
    """
    response = current_app.response_class(_text(), mimetype="application/json")
    response.add_etag()
    response.headers["Cache-Control"] = "public, max-age=300"
    response.make_conditional(request)
    return response
