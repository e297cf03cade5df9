"""Request guard: checks for every request (hosts, sizes, CSRF, headers, ids, limits) and its log line."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

from flask import Flask, Request, Response, abort, current_app, g, make_response, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFProtect
from limits import RateLimitItem, RateLimitItemPerMinute
from werkzeug.datastructures import MultiDict
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.sansio.utils import host_is_trusted

from shop.accounts import sessions
from shop.core import client_address, keys, logs, metrics, rate_limit
from shop.core.client_address import client_network
from shop.core.errors import Refusal
from shop.core.sentences import sentence
from shop.http_kit import errors, problems, row_ids
from shop.payments.providers import registry

LARGEST_BODY = 64 * 1024
"""Bytes; larger bodies are answered with 413, unless the view takes files (`takes_files`)."""
MACHINE_PATHS = ("/webhooks/", "/api/", "/dev/")
"""Endpoints whose callers prove themselves in the request and whose cookie is never read; they need no CSRF token."""
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
"""Called every few seconds by platforms that use our address: any host name is accepted, and no log line is written."""

csrf = CSRFProtect()
log = logs.get()
WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
P = ParamSpec("P")
T = TypeVar("T")

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
    "object-src 'none'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
)


class TooMany(Refusal):
    """Too many requests of one kind from one client; `retry_after` is in seconds."""

    def __init__(self, retry_after: int = 60, message: str = "") -> None:
        default = sentence("You have sent too many requests. Please wait a minute and try again.")
        super().__init__("too_many_requests", message or default)
        self.retry_after = retry_after


class LastingCookie(SecureCookieSessionInterface):
    """Flask's signed cookie, kept when the browser closes, so that the cart survives. Calls of the API have none."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        is_api = request.path.startswith(problems.API_PATHS)
        return self.session_class() if is_api else super().open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        if not problems.is_api():
            super().save_session(app, session, response)

    def get_expiration_time(self, app: Flask, session: SessionMixin) -> datetime | None:
        return datetime.now(UTC) + app.permanent_session_lifetime


def init_app(app: Flask) -> None:
    """Guard every request of `app`."""
    shop_url = urlsplit(app.config["SHOP_URL"])
    https = shop_url.scheme == "https"
    app.config.update(
        SESSION_COOKIE_NAME="__Host-settled" if https else "settled",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=https,
        SESSION_REFRESH_EACH_REQUEST=False,
        MAX_CONTENT_LENGTH=LARGEST_BODY,
        MAX_FORM_MEMORY_SIZE=LARGEST_BODY,
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_SSL_STRICT=False,  # pages of mailed links send no Referer; the __Host- cookie binds the token instead
        WTF_CSRF_SECRET_KEY=keys.ring(app),
    )
    app.session_interface = LastingCookie()
    app.ensure_sync = lambda func: func  # type: ignore[method-assign]  # no view is async; Flask looks each time
    named = app.config.get("TRUSTED_HOSTS") or ""
    hosts = [h.strip() for h in named.split(",") if h.strip()] if isinstance(named, str) else list(named)
    app.extensions["settled_hosts"] = tuple(hosts) or (shop_url.hostname or "localhost", "localhost", "127.0.0.1")
    app.config["TRUSTED_HOSTS"] = (
        None  # Flask's own check leaves its error page without links; ours comes a moment later
    )
    app.extensions["settled_headers"] = headers = _headers(app, https)
    app.wsgi_app = _with_headers(app.wsgi_app, headers)  # type: ignore[assignment, method-assign]
    if hops := app.config.get("PROXY_HOPS", 0):
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops)  # type: ignore[method-assign]
    row_ids.init_app(app)
    csrf.init_app(app)
    errors.init_app(app, machine_paths=(*MACHINE_PATHS, *PROBES))
    app.before_request(_arrive)
    app.after_request(_leave)
    app.teardown_request(lambda _error: client_address.bind(None))


def _counts() -> bool:
    """False for a GET that shows the form of a view, whose POST counts. Where a view has no POST, its GET counts."""
    methods: Collection[str] = (request.url_rule.methods if request.url_rule else None) or ()
    return request.method not in ("GET", "HEAD", "OPTIONS") or "POST" not in methods


def limited(
    name: str,
    per_minute: int,
    *,
    free: tuple[int, ...] = (422,),
    shown_again: Callable[[TooMany], ResponseReturnValue] | None = None,
) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
    """Limit requests of one client network to this view to `per_minute`; above that the answer is 429.

    Answers with a status in `free` do not count, because nothing was done; but at most four times as many requests are
    processed. `shown_again` makes the page of the 429, with the entered values; without it TooMany is raised.
    """
    done, looked_at = RateLimitItemPerMinute(per_minute), RateLimitItemPerMinute(4 * per_minute)

    def too_many() -> ResponseReturnValue:
        refusal = TooMany()
        if shown_again is None:
            raise refusal
        response = make_response(shown_again(refusal))
        response.status_code = refusal.status
        response.headers["Retry-After"] = str(refusal.retry_after)
        return response

    def decorate(view: Callable[P, Any]) -> Callable[P, Any]:
        @wraps(view)
        def counted(*args: P.args, **kwargs: P.kwargs) -> Any:
            if not _counts() or not current_app.config.get("RATE_LIMITS", True):
                return view(*args, **kwargs)
            network = client_network(request.remote_addr)
            if not (
                rate_limit.allowed(looked_at, f"{name} tries", network) and rate_limit.allowed(done, name, network)
            ):
                return too_many()
            response = make_response(view(*args, **kwargs))
            if response.status_code in free:
                rate_limit.undo_hit(done, name, network)
            return response

        return counted

    return decorate


def takes_files(largest: int) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Let a view take bodies of up to `largest` bytes. Apply it first, below the access rule."""

    def decorate(view: Callable[P, T]) -> Callable[P, T]:
        view.largest_body = largest  # type: ignore[attr-defined]
        return view

    return decorate


def static_headers(app: Flask) -> Callable[[MutableMapping[str, str], str, str], None]:
    """For WhiteNoise's `add_headers_function`: static files get the same headers as pages."""

    def add(headers: MutableMapping[str, str], _path: str, _url: str) -> None:
        for name, value in app.extensions["settled_headers"].items():
            headers[name] = value

    return add


def loggable(path: str) -> str:
    """`path` without the tokens that grant access to an order or a history."""
    return _LONG_SEGMENT.sub("…", _AFTER_ORDERS.sub("…", path))


def _headers(app: Flask, https: bool) -> dict[str, str]:
    """The headers of every response. Forms may lead to the acquirers, because payment pages are reached by redirect."""
    allowed = [app.config.get("ACQUIRER_PUBLIC_URL", ""), *registry.page_origins(app)]
    origins = dict.fromkeys(f"{url.scheme}://{url.netloc}" for url in map(urlsplit, allowed) if url.netloc)
    shop = urlsplit(app.config["SHOP_URL"])
    socket = f"{'wss' if https else 'ws'}://{shop.netloc}"  # older browsers do not count WebSockets as 'self'
    media = urlsplit(app.config["MEDIA_URL"])
    images = ["img-src 'self' data:", *([f"{media.scheme}://{media.netloc}"] if media.netloc else [])]
    policy = [*_CSP, " ".join(images), f"connect-src 'self' {socket}", " ".join(["form-action 'self'", *origins])]
    headers = {**_HEADERS, "Content-Security-Policy": "; ".join(policy)}
    if https:
        headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
    return headers


def _with_headers(inner: WsgiApp, ours: Mapping[str, str]) -> WsgiApp:
    """The WSGI app, whose responses have these headers unless they have their own. Done here, because Flask and
    Werkzeug would check and copy each of them for every answer.
    """
    named = [(name.lower(), (name, value)) for name, value in ours.items()]

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            there = {name.lower() for name, _ in headers}
            return start_response(status, headers + [pair for name, pair in named if name not in there], exc_info)

        return inner(environ, start)

    return answer


def _arrive() -> None:
    here, app = request._get_current_object(), current_app._get_current_object()  # type: ignore[attr-defined]
    given = here.headers.get("X-Request-ID", "")
    request_id = given if _SANE_ID.fullmatch(given) else secrets.token_hex(8)
    g.started, g.request_id = time.perf_counter(), request_id
    logs.unbind()
    logs.bind(request=request_id)
    client_address.bind(here.remote_addr or "")
    largest = getattr(app.view_functions.get(here.endpoint or ""), "largest_body", None)
    if largest is not None:
        here.max_content_length = largest
        here.max_form_memory_size = 2 * LARGEST_BODY  # a chunk of a file, and what is left of the one before
    if here.path not in PROBES and not _is_trusted(here.host.lower(), app.extensions["settled_hosts"]):
        abort(400, description=sentence("This host name is not one of the shop's."))
    _check_csrf(here)
    _refuse_nul(here)


@lru_cache(maxsize=256)
def _is_trusted(host: str, hosts: tuple[str, ...]) -> bool:
    return host_is_trusted(host, hosts)


def _check_csrf(here: Request) -> None:
    if here.endpoint is None or here.path.startswith(MACHINE_PATHS):
        return
    if here.headers.get("Sec-Fetch-Site") == "same-origin":
        g.csrf_valid = True  # the browser vouches; of two first pages opened at once, only one has the cookie's token
        return
    if current_app.config.get("WTF_CSRF_ENABLED", True):
        csrf.protect()


def _refuse_nul(here: Request) -> None:
    """Refuse NUL characters, which PostgreSQL does not take: 404 in an address, 422 in a form. Machines' bodies are
    left unread: what an acquirer sends is verified as it came. The API names the parameter of a query.
    """
    path = here.path
    if "\0" in path or (here.query_string and _has_nul(here.args) and not problems.is_api()):
        abort(404)
    if not path.startswith(MACHINE_PATHS) and _has_nul(here.form):
        abort(422)


def _has_nul(fields: MultiDict[str, str]) -> bool:
    return any("\0" in name or "\0" in value for name, value in fields.items(multi=True))


def _leave(response: Response) -> Response:
    here = request._get_current_object()  # type: ignore[attr-defined]
    if response.mimetype == "text/html":
        _keep_private(response)
    response.headers.add("X-Request-ID", g.get("request_id", ""))
    metrics.REQUESTS.labels(here.endpoint or "none", str(response.status_code)).inc()
    if here.path not in PROBES:
        _log_line(here, response.status_code)
    return response


def _keep_private(response: Response) -> None:
    """Browsers keep no page with personal data, not even for Back: pages of a signed-in user, and answers to forms,
    which show the entered values.
    """
    if sessions.is_claimed() or request.method == "POST":
        response.headers["Cache-Control"] = "no-store"
    else:
        response.headers.setdefault("Cache-Control", "private, no-cache")


def _log_line(here: Request, status: int) -> None:
    duration: dict[str, Any] = {}
    if (started := g.get("started")) is not None:
        duration["ms"] = round((time.perf_counter() - started) * 1000, 1)
    write_log = log.warning if status >= 500 else log.info
    write_log("request", method=here.method, path=loggable(here.path), status=status, **duration)


@contextmanager
def limited_answers(code: str, item: RateLimitItem, too_many: Refusal) -> Iterator[None]:
    """Limit the Refusals with this code that one client network gets, because each shows what someone else has done.

    Above `item` every request is refused with `too_many`, so that the answer does not tell them apart.
    """
    counted = (item, f"answer {code}", client_network(request.remote_addr))
    is_limited, is_counted = current_app.config.get("RATE_LIMITS", True), False
    if is_limited and not rate_limit.allowed(*counted):
        raise too_many
    try:
        yield
    except Refusal as refusal:
        is_counted = refusal.code == code
        raise
    finally:
        if is_limited and not is_counted:
            rate_limit.undo_hit(*counted)
