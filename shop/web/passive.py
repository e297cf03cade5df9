"""Web requests of a passive copy (SETTLED_PASSIVE=on): pages are shown, all other requests are refused."""

from __future__ import annotations

from flask import Flask, request

from shop.core.errors import PassiveCopy


def init_app(app: Flask) -> None:
    """Refuse webhooks and forms before they are read; `transaction()` refuses writes by pages."""
    if app.config["SETTLED_PASSIVE"]:
        app.before_request(_refuse_writes)


def _refuse_writes() -> None:
    if request.method not in ("GET", "HEAD", "OPTIONS"):
        raise PassiveCopy
