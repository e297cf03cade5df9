"""What holds for every request, whoever answers it: hosts, sizes, CSRF, headers, ids, the log line, limits."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

from flask import Flask, Response, abort, current_app, g, request
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from flask_wtf.csrf import CSRFProtect
from limits import RateLimitItemPerMinute
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.sansio.utils import host_is_trusted

from shop.core import logs, metrics, rate
from shop.core.errors import Refusal
from shop.payments import registry
from shop.web import failures

LARGEST_BODY = 64 * 1024
"""Bytes; more is answered 413."""
MACHINE_PATHS = ("/webhooks/", "/api/", "/dev/")
"""Callers that prove themselves in the request and whose cookie is never read: no CSRF token is asked of them."""
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by platforms that call us by address: any host name will do, and no log line is written."""

csrf = CSRFProtect()
log = logs.get()
P = ParamSpec("P")
R = TypeVar("R")

_SANE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_AFTER_ORDERS = re.compile(r"(?<=/orders/)[^/]+")
_LONG_SEGMENT = re.compile(r"(?<=/)(?=[^/]*[A-Z0-9_.])[^/]{20,}(?=/|$)")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_CSP = (
    "default-src 'self'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "object-src 'none'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
)


class TooMany(Refusal):
    """Too many requests of one kind from one client; `retry_after` is in seconds."""

    status = 429

    def __init__(self, retry_after: int = 60) -> None:
        super().__init__("too_many_requests", "That was a bit fast. Please wait a minute and try again.")
        self.retry_after = retry_after


class LastingCookie(SecureCookieSessionInterface):
    """Flask's signed cookie, kept when the browser closes, so that a cart is there tomorrow."""

    def get_expiration_time(self, app: Flask, session: SessionMixin) -> datetime | None:
        return datetime.now(UTC) + app.permanent_session_lifetime


def init_app(app: Flask) -> None:
    """Guard every request of `app`."""
    shop_url = urlsplit(app.config["SHOP_URL"])
    https = shop_url.scheme == "https"
    app.config.update(
        SESSION_COOKIE_NAME="settled",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=https,
        SESSION_REFRESH_EACH_REQUEST=False,
        MAX_CONTENT_LENGTH=LARGEST_BODY,
        MAX_FORM_MEMORY_SIZE=LARGEST_BODY,
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_CHECK_DEFAULT=False,
    )
    app.session_interface = LastingCookie()
    named = app.config.get("TRUSTED_HOSTS") or ""
    hosts = [h.strip() for h in named.split(",") if h.strip()] if isinstance(named, str) else list(named)
    app.extensions["settled_hosts"] = hosts or [shop_url.hostname or "localhost", "localhost", "127.0.0.1"]
    app.config["TRUSTED_HOSTS"] = (
        None  # Flask's own check leaves its error page without links; ours comes a moment later
    )
    app.extensions["settled_headers"] = _headers(app, https)
    if hops := app.config.get("PROXY_HOPS", 0):
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops)  # type: ignore[method-assign]
    csrf.init_app(app)
    failures.init_app(app, machine_paths=(*MACHINE_PATHS, *PROBES))
    app.before_request(_arrive)
    app.before_request(_check_csrf)
    app.after_request(_leave)


def limited(name: str, per_minute: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let one client write through this view at most `per_minute` times a minute; then TooMany (429)."""
    limit = RateLimitItemPerMinute(per_minute)

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def counted(*args: P.args, **kwargs: P.kwargs) -> R:
            counts = request.method not in ("GET", "HEAD", "OPTIONS") and current_app.config.get("RATE_LIMITS", True)
            if counts and not rate.allowed(limit, name, request.remote_addr or ""):
                raise TooMany
            return view(*args, **kwargs)

        return counted

    return decorate


def static_headers(app: Flask) -> Callable[[MutableMapping[str, str], str, str], None]:
    """For WhiteNoise's `add_headers_function`: static files carry the same headers as pages."""

    def add(headers: MutableMapping[str, str], _path: str, _url: str) -> None:
        for name, value in app.extensions["settled_headers"].items():
            headers[name] = value

    return add


def loggable(path: str) -> str:
    """`path` without what opens an order or a history: tokens in paths are rights."""
    return _LONG_SEGMENT.sub("…", _AFTER_ORDERS.sub("…", path))


def _headers(app: Flask, https: bool) -> dict[str, str]:
    """The headers of every response. Forms may lead to the acquirers, because payment pages are reached by redirect."""
    allowed = [app.config.get("ACQUIRER_PUBLIC_URL", ""), *registry.page_origins(app)]
    origins = dict.fromkeys(f"{url.scheme}://{url.netloc}" for url in map(urlsplit, allowed) if url.netloc)
    policy = [*_CSP, " ".join(["form-action 'self'", *origins])]
    headers = {**_HEADERS, "Content-Security-Policy": "; ".join(policy)}
    if https:
        headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
    return headers


def _arrive() -> None:
    g.started = time.perf_counter()
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if _SANE_ID.fullmatch(given) else secrets.token_hex(8)
    logs.unbind()
    logs.bind(request=g.request_id)
    if request.path not in PROBES and not host_is_trusted(
        request.host.lower(), current_app.extensions["settled_hosts"]
    ):
        abort(400, description="This host name is not one of the shop's.")


def _check_csrf() -> None:
    if request.endpoint is None or request.path.startswith(MACHINE_PATHS):
        return
    if request.headers.get("Sec-Fetch-Site") == "same-origin":
        g.csrf_valid = True  # the browser vouches; of two first pages opened at once, only one has the cookie's token
        return
    if current_app.config.get("WTF_CSRF_ENABLED", True):
        csrf.protect()


def _leave(response: Response) -> Response:
    there = {name.lower() for name, _ in response.headers}
    ours: dict[str, str] = current_app.extensions["settled_headers"]
    response.headers.extend([(name, value) for name, value in ours.items() if name.lower() not in there])
    if response.mimetype == "text/html":
        response.headers.setdefault("Cache-Control", "private, no-cache")
    response.headers["X-Request-ID"] = g.get("request_id", "")
    metrics.REQUESTS.labels(request.endpoint or "none", str(response.status_code)).inc()
    if request.path not in PROBES:
        _log_line(response.status_code)
    return response


def _log_line(status: int) -> None:
    took: dict[str, Any] = {}
    if "started" in g:
        took["ms"] = round((time.perf_counter() - g.started) * 1000, 1)
    say = log.warning if status >= 500 else log.info
    say("request", method=request.method, path=loggable(request.path), status=status, **took)
