"""Page numbers of long lists, and 404 for a page that does not exist."""

from __future__ import annotations

from typing import TypeVar

from flask import abort, request

T = TypeVar("T")
_MOST_DIGITS = 6


def wanted() -> int:
    """The number in `?page=`, 1 without one. Aborts with 404 if it is not a number."""
    text = request.args.get("page", "1")
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        abort(404)
    return int(text)


def existing(page: T | None) -> T:
    """Return the page. Aborts with 404 if the list has no such page."""
    if page is None:
        abort(404)
    return page
