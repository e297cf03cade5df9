"""Log of API calls: every call is added after its answer was made, and never fails because of it."""

from __future__ import annotations

import re
import time
from typing import Any

from flask import Request, Response, g, request

from shop.api.access import caller
from shop.api.resource import ROOT
from shop.api_log import write
from shop.core import clock, logs, redacted
from shop.http_kit.request_guard import loggable

log = logs.get()
_LONGEST_PATH, _LONGEST_ADDRESS = 300, 64
_TOKEN = re.compile(r"(?<=/)(?=[^/]*[a-z_.])[^/]{28,}")
"""Part of a path that is longer than an id, and no SKU: tokens of orders have 32 characters, others more."""
_OF_RECEIVER = re.compile(r'("url"\s*:\s*"https?://[^/?"\\]*)[^"]*')
"""Address of a webhook endpoint: path and query may contain a password of the receiver."""
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


def add(response: Response) -> None:
    """Add this request to the log."""
    try:
        write.add(_call(response))
    except Exception as error:  # noqa: BLE001 - the log must not make a call fail
        log.warning("api_log.not_added", error=type(error).__name__)


def _call(response: Response) -> dict[str, Any]:
    here: Request = request._get_current_object()  # type: ignore[attr-defined]
    found, rule, started = caller(), here.url_rule, g.get("started")
    is_problem = response.status_code >= 400 and response.mimetype == "application/problem+json"
    return {
        "at": clock.wall(),
        "method": here.method[:16],
        "route": rule.rule if rule else f"{ROOT}/…",
        "path": _path(here),
        "status": response.status_code,
        "code": str((response.get_json(silent=True) or {}).get("code", "")) if is_problem else "",
        "ms": round((time.perf_counter() - started) * 1000) if started is not None else 0,
        "caller": str(found.kind),
        "user_id": found.user_id,
        "key_id": found.key_id,
        "address": (here.remote_addr or "")[:_LONGEST_ADDRESS],
        "request_id": g.get("request_id", ""),
        "body": _body(here) if here.method in _WITH_BODY else "",
    }


def _path(here: Request) -> str:
    """The path without tokens: also those that a program has put in the place of another value."""
    shown = _TOKEN.sub("…", here.path) if here.url_rule else loggable(here.path)
    return shown.replace("\0", "\ufffd")[:_LONGEST_PATH]


def _body(here: Request) -> str:
    """The body without secrets, cut. One that was refused for its size stays unread."""
    if (here.content_length or 0) > (here.max_content_length or 0):
        return ""
    text = _OF_RECEIVER.sub(r"\1/…", redacted.body(here.get_data(cache=True)))
    return text.replace("\0", "\ufffd")[: write.LONGEST_BODY]
