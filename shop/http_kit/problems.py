"""Problem details (RFC 9457) for programs. Those of the API have an address that explains the code, and name fields."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Response, current_app, g, jsonify, request

API_PATHS = "/api/"
DOCS = "/api/docs/errors"
"""Page that explains every code of the API."""
OF_STATUS: Mapping[int, tuple[str, str]] = {
    400: ("bad_request", "The request could not be read."),
    401: ("invalid_token", "The request needs a valid access token or API key as Bearer token."),
    403: ("forbidden", "The caller does not have the permission for this call."),
    404: ("not_found", "There is no such resource, or the caller has no access to it."),
    405: ("method_not_allowed", "This address does not accept this method; the header Allow lists those that it does."),
    409: ("conflict", "The present state of the resource does not allow this call."),
    413: ("too_large", "The body is larger than 64 KiB."),
    415: ("unsupported_content", "The body must be JSON, sent as application/json."),
    422: ("invalid", "Fields of the request are not valid; `errors` names them."),
    429: ("too_many_requests", "The caller has sent too many requests. Retry-After says when to try again."),
    500: ("internal", "This is a problem on our side. Quote the request id when you contact us."),
    503: ("unavailable", "A service that this call needs is unavailable. Try again after Retry-After."),
}
"""Code and sentence of an answer of the API whose cause has none of its own."""


def is_api() -> bool:
    """True for a request to the API."""
    return request.path.startswith(API_PATHS)


def answer(status: int, code: str, message: str, details: Mapping[str, Any], words: tuple[str, str]) -> Response:
    """The answer to a failed request of a program; `words` are title and sentence of the status for people.

    `details` may have `errors`, a list of fields with their problems, or the `field` of the refusal.
    """
    title, sentence = words
    if is_api():
        usual, sentence = OF_STATUS.get(status, (f"http_{status}", sentence))
        title, code = HTTPStatus(status).phrase, code or usual
    more = dict(details)
    errors = more.pop("errors", None) or _of_field(more, code, message)
    body = {
        "type": f"{str(current_app.config['SHOP_URL']).rstrip('/')}{DOCS}#{code}" if is_api() else "about:blank",
        "title": title,
        "status": status,
        "code": code or f"http_{status}",
        "detail": message or sentence,
        "request_id": g.get("request_id", ""),
    }
    response = jsonify(body | ({"errors": errors} if errors else {}) | ({"details": more} if more else {}))
    response.mimetype = "application/problem+json"
    if is_api() and status == 401:
        error = ', error="invalid_token"' if code == "invalid_token" and "Authorization" in request.headers else ""
        response.headers["WWW-Authenticate"] = f'Bearer realm="settled"{error}'
    return response


def _of_field(details: dict[str, Any], code: str, message: str) -> list[dict[str, str]]:
    if not is_api() or "field" not in details:
        return []
    return [{"pointer": f"/{details.pop('field')}", "code": code, "detail": message}]
