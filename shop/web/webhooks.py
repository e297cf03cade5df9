"""POST /webhooks/<provider>: receive a webhook and return the provider's acknowledgement."""

from __future__ import annotations

from flask import Blueprint, Response, abort, request
from werkzeug.exceptions import RequestEntityTooLarge

from shop.core import logs
from shop.http_kit.access import access
from shop.payments.providers import registry
from shop.payments.webhooks import inbox

LARGEST = 64 * 1024  # bytes

blueprint = Blueprint("webhooks", __name__)


@blueprint.post("/webhooks/<name>")
@access("signature")
def receive(name: str) -> Response:
    """Receive one webhook. 404 for an unknown provider, 413 above 64 KiB."""
    provider = registry.get(name)
    if provider is None:
        abort(404)
    if (request.content_length or 0) > LARGEST:
        raise RequestEntityTooLarge()
    raw = request.stream.read(LARGEST + 1)
    if len(raw) > LARGEST:
        raise RequestEntityTooLarge()
    logs.bind(provider=name)
    headers = {key.lower(): value for key, value in request.headers.items()}
    status, body = inbox.receive(provider, headers, raw)
    response = Response(body, status=status, mimetype="text/plain")
    if status == 503:
        response.headers["Retry-After"] = "5"
    return response
