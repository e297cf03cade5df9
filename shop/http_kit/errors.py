"""Error answers: a page for people, RFC 9457 problem details for programs, details in the log only."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, current_app, g, make_response, render_template, request
from flask_babel import gettext, lazy_gettext
from flask_wtf.csrf import CSRFError
from markupsafe import escape
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException, InternalServerError

from shop.core import logs, writable
from shop.core.db import db, end_reading
from shop.core.errors import Refusal
from shop.core.languages import tag
from shop.core.redis import RedisAway
from shop.http_kit import problems
from shop.http_kit.translation import locale_name, translated

log = logs.get()
_REDIS_AWAY: tuple[type[Exception], ...] = (RedisAway, RedisError)
DATABASE_AWAY: tuple[type[Exception], ...] = (OperationalError, InterfaceError, PoolTimeout)
"""Errors of a database that is away, busy or locked."""
_AGAIN = 5  # seconds after which a caller may retry when a service is away

_WORDS: dict[int, tuple[Any, Any]] = {
    400: (
        lazy_gettext("Invalid request"),
        lazy_gettext("We could not understand this request. Go back and try again."),
    ),
    401: (lazy_gettext("Please sign in"), lazy_gettext("You need to sign in to see this page.")),
    403: (
        lazy_gettext("You do not have access to this page"),
        lazy_gettext("Your account does not have permission to do this."),
    ),
    404: (lazy_gettext("Page not found"), lazy_gettext("This page does not exist, or your link has expired.")),
    405: (lazy_gettext("Invalid request"), lazy_gettext("This address does not accept this kind of request.")),
    409: (
        lazy_gettext("This is not possible right now"),
        lazy_gettext("Something has changed since you opened this page. Reload it and try again."),
    ),
    413: (lazy_gettext("Request too large"), lazy_gettext("The data you sent is larger than we accept.")),
    415: (lazy_gettext("Unsupported content"), lazy_gettext("We cannot read this kind of content.")),
    422: (lazy_gettext("Please check what you entered"), lazy_gettext("Some of the data you sent is not valid.")),
    429: (
        lazy_gettext("Too many requests"),
        lazy_gettext("You have sent too many requests. Please wait a minute and try again."),
    ),
    500: (
        lazy_gettext("Something went wrong"),
        lazy_gettext(
            "This is a problem on our side. Please try again. "
            "If you were paying, check your order page before you pay again."
        ),
    ),
    503: (
        lazy_gettext("Temporarily unavailable"),
        lazy_gettext("We cannot process your request at the moment. Please try again in a few seconds."),
    ),
}
_STALE_FORM = lazy_gettext("This page has expired. Nothing was changed. Go back, reload the page and try again.")


def init_app(app: Flask, *, machine_paths: tuple[str, ...]) -> None:
    """Handle every failure of `app`; paths below `machine_paths` always answer JSON."""
    app.extensions["settled_machine_paths"] = machine_paths
    app.register_error_handler(Refusal, _refused)
    app.register_error_handler(CSRFError, stale_form)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(InternalServerError, _broken)
    for missing in _REDIS_AWAY:
        app.register_error_handler(missing, _redis_away)
    for missing in DATABASE_AWAY:
        app.register_error_handler(missing, _database_away)
    app.register_error_handler(DBAPIError, _database_failed)
    app.teardown_appcontext(_leave_database)
    app.log_exception = _log_exception  # type: ignore[method-assign]  # Flask's own line contains the order token


def answer(status: int, *, code: str = "", message: str = "", headers: Any = None, **details: Any) -> Response:
    """The answer to a failed request: title and sentence of `status` unless `message` says more."""
    title, sentence = _WORDS.get(status) or _WORDS[400 if status < 500 else 500]
    if wants_json():
        response = problems.answer(status, code, str(message), details, (str(title), str(sentence)))
    else:
        response = _page(status, str(title), str(message or sentence))
    response.status_code = status
    response.headers.extend(headers or {})
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def wants_json() -> bool:
    """True if the caller is a program."""
    if request.path.startswith(current_app.extensions["settled_machine_paths"]):
        return True
    kinds = ("text/html", "application/json", "application/problem+json", "text/event-stream")
    return request.accept_mimetypes.best_match(kinds, default="text/html") != "text/html"


def _page(status: int, title: str, message: str) -> Response:
    """The error page of the shop, or the one that a blueprint has put into `g.error_page`; a bare one if its rendering
    fails too, because its header needs a service that is away.
    """
    context = {"title": title, "message": message, "status": status, "request_id": g.get("request_id", "")}
    try:
        return make_response(render_template(g.get("error_page", "shop/error.html"), **context))
    except Exception as error:  # noqa: BLE001 the last resort must not fail
        log.warning("error_page.bare", error=type(error).__name__)
        back = escape(gettext("Back to the shop")) if "babel" in current_app.extensions else "Back to the shop"
        return make_response(
            f"<!doctype html><html lang={tag(locale_name())}><meta charset=utf-8>"
            "<meta name=viewport content='width=device-width'>"
            f"<title>{escape(title)}</title><h1>{escape(title)}</h1><p>{escape(message)}</p>"
            f"<p><a href='/'>{back}</a></p><p><small>{escape(context['request_id'])}</small></p></html>"
        )


def _refused(refusal: Refusal) -> Response:
    retry_after = getattr(refusal, "retry_after", None)
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else None
    log.info("request.refused", code=refusal.code, status=refusal.status)
    return answer(
        refusal.status, code=refusal.code, message=translated(refusal.message), headers=headers, **refusal.details
    )


def stale_form(error: CSRFError) -> Response:
    """The answer to a form whose CSRF token is missing, expired or of another browser."""
    log.info("request.csrf", reason=error.description)
    return answer(400, code="csrf", message=str(_STALE_FORM))


def _http(error: HTTPException) -> Any:
    status = error.code or 500
    if status < 400 or error.response is not None:
        return error
    kept = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
    own = error.description if error.description != type(error).description else ""
    return answer(status, message=translated(own or ""), headers=kept)


def _broken(error: InternalServerError) -> Response:
    cause = error.original_exception
    if isinstance(cause, _REDIS_AWAY):
        return _redis_away(cause)
    if isinstance(cause, DATABASE_AWAY) or writable.refuses_writes(cause):
        return _database_away(cause)
    return answer(500, code="internal")


def _redis_away(error: Exception) -> Response:
    log.warning("redis.away", error=str(error))
    return answer(503, code="redis_away", headers={"Retry-After": str(_AGAIN)})


def _database_failed(error: DBAPIError) -> Response:
    """A read-only PostgreSQL reports an internal error; other errors of the driver are defects of ours."""
    if not writable.refuses_writes(error):
        raise error
    return _database_away(error)


def _database_away(error: BaseException | None) -> Response:
    note_database_away(error)
    return answer(503, code="database_away", headers={"Retry-After": str(_AGAIN)})


def note_database_away(error: BaseException | None) -> None:
    """Log that the database is away or refuses writes, and end the session that failed."""
    if writable.refuses_writes(error):
        writable.note_failure()
    log.error("database.away", error=str(getattr(error, "orig", error)))
    db.session.remove()


def _leave_database(error_of_request: BaseException | None) -> None:
    """End the read transaction before Flask-SQLAlchemy does: a database that fails after a right answer must not spoil
    it.
    """
    try:
        if error_of_request is None:
            end_reading(is_last=True)
        db.session.remove()
    except SQLAlchemyError as error:
        log.warning("database.gone", error=type(error).__name__)
        db.session().invalidate()
        db.session.remove()


def _log_exception(exc_info: Any) -> None:
    error = exc_info[1] if isinstance(exc_info, tuple) else exc_info
    seen = error
    while seen is not None:
        if isinstance(seen, StatementError):
            seen.hide_parameters = True  # they hold tokens and addresses
        seen = seen.__cause__ or seen.__context__
    log.error("request.broke", endpoint=request.endpoint, exc_info=error)
