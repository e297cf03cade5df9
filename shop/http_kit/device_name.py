"""Browser and operating system named by a User-Agent header."""

from __future__ import annotations

from collections.abc import Iterable

_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def browser_of(user_agent: str) -> str:
    """The browser; empty if unknown. The first match counts: Edge and Opera also name Chrome."""
    return _first(_BROWSERS, user_agent)


def system_of(user_agent: str) -> str:
    """The operating system or device; empty if unknown."""
    return _first(_SYSTEMS, user_agent)


def _first(names: Iterable[tuple[str, str]], user_agent: str) -> str:
    return next((name for mark, name in names if mark in user_agent), "")
