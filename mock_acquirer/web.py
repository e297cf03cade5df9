"""Shared parts of all responses: ids, logs, errors in the format of their path, and template filters."""

from __future__ import annotations

import re
import secrets
import time
from datetime import datetime

from flask import Flask, Response, current_app, g, jsonify, make_response, render_template, request
from flask_babel import gettext
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from mock_acquirer import dialect_interface, guards, hosts, language, throttle
from mock_acquirer.errors import Refused
from mock_acquirer.language import marked

REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
CONTROL_PREFIX = "/_sim"


def set_up(app: Flask) -> None:
    """Register the handlers and filters on the app."""
    app.before_request(_begin)
    language.set_up(app)
    hosts.set_up(app)
    throttle.set_up(app)
    app.after_request(_end)
    app.register_error_handler(Refused, _answer_refused)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(OperationalError, _answer_busy)
    app.register_error_handler(PoolTimeout, _answer_busy)
    app.register_error_handler(Exception, _answer_crash)
    app.add_template_filter(clock_time, "when")
    app.add_template_global(guards.token, "csrf_token")
    app.add_url_rule("/healthz", "healthz", lambda: jsonify(status="ok"))


def clock_time(moment: datetime | None) -> str:
    """`2026-01-31 12:00:00 UTC`, or a dash."""
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC") if moment else "–"


def _begin() -> None:
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
    g.began = time.monotonic()


def _end(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.get("request_id", "")
    guards.add_headers(response)
    current_app.logger.info(
        "request",
        extra={
            "request_id": g.get("request_id", ""),
            "method": request.method,
            "path": request.path,
            "status": response.status_code,
            "ms": round((time.monotonic() - g.get("began", time.monotonic())) * 1000, 1),
        },
    )
    return response


def _answer_refused(refused: Refused) -> Response:
    """JSON in the dialect's format on API paths, kpay's format under /_sim, an HTML page elsewhere."""
    for dialect in dialect_interface.every().values():
        if request.path.startswith(dialect.prefix):
            return dialect.refuse(refused)
    if request.path.startswith(CONTROL_PREFIX):
        error = {"type": refused.kind, "code": refused.code, "message": refused.message, "request_id": g.request_id}
        error |= {"param": refused.param} if refused.param else {}
        response = jsonify(error=error)
        response.status_code = refused.status
        response.headers.extend(refused.headers)
        return response
    page = render_template("mock_acquirer/problem.html", status=refused.status, sentence=gettext(refused.message))
    return make_response(page, refused.status, refused.headers)


READ_ONLY = "25006"
SENTENCES = {
    403: marked("This is not allowed."),
    404: marked("This page does not exist."),
    405: marked("This address does not accept this kind of request."),
    413: marked("The request is larger than 64 KiB."),
    415: marked("This content type is not supported."),
}


def _answer_http(wrong: HTTPException) -> Response:
    status = wrong.code or 500
    own = wrong.description if wrong.description and wrong.description != type(wrong).description else ""
    sentence = own or SENTENCES.get(status, wrong.name + ".")
    headers = {name: value for name, value in wrong.get_headers() if name in ("Allow", "Retry-After", "Location")}
    if 300 <= status < 400:
        return make_response(wrong.get_response())
    return _answer_refused(
        Refused(status, "invalid_request", wrong.name.lower().replace(" ", "_"), sentence, headers=headers)
    )


def _answer_busy(wrong: Exception) -> Response:
    current_app.logger.warning(
        "database away", extra={"request_id": g.get("request_id", ""), "outcome": type(wrong).__name__}
    )
    return _answer_refused(
        Refused(
            503, "api_error", "database_away", marked("The database is busy. Try again."), headers={"Retry-After": "1"}
        )
    )


def _answer_crash(wrong: Exception) -> Response:
    if getattr(getattr(wrong, "orig", None), "sqlstate", None) == READ_ONLY:  # psycopg raises it as InternalError
        return _answer_busy(wrong)
    current_app.logger.exception("crashed", extra={"request_id": g.get("request_id", ""), "path": request.path})
    return _answer_refused(Refused(500, "api_error", "internal_error", marked("Internal error.")))
