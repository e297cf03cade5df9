"""Announcements above the pages, and the button that dismisses one in this browser."""

from __future__ import annotations

from flask import Blueprint, Flask, redirect, request, session
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError

from shop.announcements import announcements
from shop.announcements.announcements import Shown
from shop.core import logs
from shop.http_kit.access import access
from shop.http_kit.request_guard import limited
from shop.http_kit.safe_next import safe_next
from shop.http_kit.translation import locale_name

bp = Blueprint("announcements", __name__)
log = logs.get()
_COOKIE = "dismissed"
_MOST_DISMISSED = 10
"""Marks in the cookie: those of the latest."""


def init_app(app: Flask) -> None:
    """Give the templates of `app` the announcements of the page."""
    app.jinja_env.globals.update(announcements=shown, page_address=page_address)


@bp.post("/announcements/<int:number>/dismiss")
@access("public")
@limited("dismiss_announcement", 60)
def dismiss(number: int) -> ResponseReturnValue:
    """Dismiss an announcement in this browser, and go back to the page."""
    version = request.form.get("version", "")
    if version.isascii() and version.isdigit() and len(version) < 10 and number < 10**10:
        mark = f"{number}.{version}"
        session[_COOKIE] = [*(one for one in _dismissed() if one != mark), mark][-_MOST_DISMISSED:]
    if "HX-Request" in request.headers:
        return ""
    return redirect(safe_next(request.form.get("next"), "/"), 303)


def shown() -> list[Shown]:
    """The announcements of this page; none while the database is away."""
    try:
        return announcements.shown(locale_name(), _dismissed())
    except SQLAlchemyError as error:
        log.warning("announcements.not_read", error=type(error).__name__)
        return []


def page_address() -> str:
    """The address of this page; the catalogue for a page that answers a form and cannot be opened."""
    rule = request.url_rule
    if request.method in ("GET", "HEAD"):
        return request.full_path.rstrip("?")
    return request.path if rule is not None and "GET" in (rule.methods or ()) else "/"


def _dismissed() -> list[str]:
    marks = session.get(_COOKIE)
    return [one for one in marks if isinstance(one, str)] if isinstance(marks, list) else []
