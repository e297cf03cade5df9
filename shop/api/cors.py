"""Cross-origin calls from pages of the origins in API_CORS_ORIGINS; without the setting browsers refuse them."""

from __future__ import annotations

from flask import Response, current_app, request

_EXPOSED = "ETag, Idempotency-Replayed, Link, Location, RateLimit, RateLimit-Policy, Retry-After, X-Request-ID"
_TAKEN = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match"


def add_headers(response: Response) -> None:
    """Allow the origin of the request if it is listed. Credentials are never allowed: cookies are not read."""
    origins = current_app.config["API_CORS_ORIGINS"]
    if not origins:
        return
    response.vary.add("Origin")
    origin = request.headers.get("Origin", "")
    if origin not in origins:
        return
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Expose-Headers"] = _EXPOSED
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = ", ".join(response.allow)
        response.headers["Access-Control-Allow-Headers"] = _TAKEN
        response.headers["Access-Control-Max-Age"] = "600"
