"""Validation of the `next` address after a sign-in."""

from __future__ import annotations

from urllib.parse import urlsplit


def safe_next(target: str | None, otherwise: str) -> str:
    """`target` if it is a path on this site, else `otherwise`; nothing that a browser might read as a host passes."""
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")) or len(target) > 2000:
        return otherwise
    if "\\" in target or any(ord(letter) <= 32 or ord(letter) == 127 for letter in target):
        return otherwise
    try:
        parts = urlsplit(target)
    except ValueError:
        return otherwise
    return otherwise if parts.scheme or parts.netloc else target
