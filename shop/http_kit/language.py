"""Language of the pages: the visitor's choice on this page, else of the account, of the cookie, of the browser."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, urlencode

import flask_babel
from flask import Flask, Response, current_app, request, session
from flask_login import current_user
from sqlalchemy.exc import SQLAlchemyError

from shop.core import languages
from shop.http_kit.request_guard import MACHINE_PATHS

_CHOSEN = "language"
_CHOSEN_BY = "language_by"
_LOCAL_PATH = re.compile(r"/(?!/)[\w\-./~%?=&+]*")
_PARAMETER = "lang"
STAFF_PATHS = "/ops"
"""Pages of the console. They are in English only: their texts are written without `_()`."""


@dataclass(frozen=True)
class Switch:
    """An entry of the language switch: the language's own name, its tag, and the address of this page in it."""

    name: str
    tag: str
    address: str
    is_current: bool


def init_app(app: Flask) -> None:
    """Select the language of every request of `app`."""
    flask_babel.Babel(app, locale_selector=select, default_translation_directories="../translations")
    app.before_request(_begin)
    app.after_request(_state_language)
    app.jinja_env.globals.update(language_switch=language_switch, alternates=alternates)


def select() -> str | None:
    """The locale of the request; None, which means English, outside of one, for programs, and in the console of staff,
    whose pages are not translated.

    A choice counts before the account's language where the same customer made it in this browser.
    """
    if not request or request.path.startswith((*MACHINE_PATHS, STAFF_PATHS)):
        return None
    chosen = session.get(_CHOSEN)
    for locale in (_asked(), _of_account(), chosen):
        if locale in languages.OFFERED:
            return str(locale)
    return languages.best(request.accept_languages.values())


def choose(locale: str) -> None:
    """Show this and all later pages of the browser in a language."""
    session[_CHOSEN] = locale
    session[_CHOSEN_BY] = current_user.id if current_user.is_authenticated else None
    flask_babel.refresh()


def language_switch() -> list[Switch]:
    """The entries of the switch on the page: addresses of the same page, with its query string."""
    now = str(flask_babel.get_locale() or languages.ENGLISH)
    return [
        Switch(name, languages.tag(locale), _address(languages.tag(locale)), locale == now)
        for locale, name in languages.OFFERED.items()
    ]


def alternates() -> list[tuple[str, str]]:
    """Tag and address of this page in each language, for search engines; the first one lets the browser decide."""
    here = f"{str(current_app.config['SHOP_URL']).rstrip('/')}{quote(request.path)}"
    kept = _kept()
    found = [("x-default", _with_query(here, kept))]
    return found + [
        (tag, _with_query(here, [*kept, (_PARAMETER, tag)])) for tag in map(languages.tag, languages.OFFERED)
    ]


def _begin() -> None:
    """Forget the language of the last request in this context, and keep a choice from the address in the cookie."""
    if request.path.startswith(MACHINE_PATHS):
        return
    flask_babel.refresh()
    if request.method == "GET" and (wanted := _asked()):
        choose(wanted)


def _of_account() -> str | None:
    """The account's language, unless the customer has chosen another one in this browser since the sign-in."""
    try:
        user = current_user._get_current_object() if current_user and current_user.is_authenticated else None
    except SQLAlchemyError:  # the page that says so needs a language too
        return None
    return user.language if user and session.get(_CHOSEN_BY) != user.id else None


def _asked() -> str | None:
    return languages.offered(request.args.get(_PARAMETER, ""))


def _address(tag: str) -> str:
    """This page in a language, as a relative address, because that of an order is secret. A page that answers a form
    and cannot be opened leads to the catalogue.
    """
    rule = request.url_rule
    can_open = request.method in ("GET", "HEAD") or (rule is not None and "GET" in (rule.methods or ()))
    return _with_query("" if can_open else f"{request.script_root}/", [*_kept(), (_PARAMETER, tag)])


def _kept() -> list[tuple[str, str]]:
    """The query of this page without the language, and without a `next` that is no path of the shop."""
    pairs = [pair for pair in request.args.items(multi=True) if pair[0] != _PARAMETER]
    return [(name, value) for name, value in pairs if name != "next" or _LOCAL_PATH.fullmatch(value)]


def _with_query(address: str, pairs: list[tuple[str, str]]) -> str:
    return f"{address}?{urlencode(pairs)}" if pairs else address


def _state_language(response: Response) -> Response:
    """Say which language a page has, and on what it depends."""
    if response.mimetype == "text/html":
        response.headers["Content-Language"] = languages.tag(str(flask_babel.get_locale() or languages.ENGLISH))
        response.vary.update(("Accept-Language", "Cookie"))
    return response
