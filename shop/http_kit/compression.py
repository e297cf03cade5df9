"""Compress pages (gzip). Static files have compressed copies beside them, and streams stay as they are.

A page may contain what a visitor typed beside a CSRF token, so its compressed length could tell a listener about the
token (BREACH). Nothing can be done with such a token: cookies are SameSite=Lax, so no form of another site is sent with
the cookie to which the token belongs.
"""

from __future__ import annotations

import gzip

from flask import Flask, Response, request

LEAST = 1024
"""Bytes; below it the answer fits one packet anyway."""
LEVEL = 5
_KINDS = frozenset({"text/html", "application/json", "application/problem+json"})


def init_app(app: Flask) -> None:
    """Compress the answers of `app`. Call it before other functions are added to `after_request`: it then sees the
    final answer.
    """
    app.after_request(_compress)


def _compress(response: Response) -> Response:
    if response.mimetype not in _KINDS or response.is_streamed or response.direct_passthrough:
        return response
    if "Vary" in response.headers:
        response.vary.add("Accept-Encoding")
    else:  # a fifth of the cost
        response.headers.add("Vary", "Accept-Encoding")
    if not request.accept_encodings["gzip"] or "Content-Encoding" in response.headers:
        return response
    body = response.get_data()
    if len(body) >= LEAST:
        response.set_data(gzip.compress(body, LEVEL, mtime=0))
        response.headers["Content-Encoding"] = "gzip"
    return response
