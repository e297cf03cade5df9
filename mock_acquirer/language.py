"""Language of the hosted payment pages: that of the payment, else that of the browser. All other pages are in English.

The catalogues are in `mock_acquirer/translations/`; `python -m tools.translations` updates them.
"""

from __future__ import annotations

from datetime import datetime

import flask_babel
from flask import Flask, g, request

from mock_acquirer.money import written

ENGLISH = "en"
OFFERED = (ENGLISH, "zh_Hant", "zh_Hans", "ja")
_TRADITIONAL = frozenset({"hant", "tw", "hk", "mo"})
_LONGEST_TAG = 35


def set_up(app: Flask) -> None:
    """Give the templates of `app` translations, and amounts and times in the language of the page."""
    flask_babel.Babel(app, locale_selector=_select)
    app.add_template_global(tag, "page_language")
    app.add_template_filter(money)
    app.add_template_filter(moment)


def marked(text: str) -> str:
    """A text that is translated where it is shown. It is returned as it is; the marker is for the extraction."""
    return text


def use(locale: str = "") -> None:
    """Show the page of this request in the offered language of `locale`, else in the browser's first one."""
    browser = (offered(accepted) for accepted in request.accept_languages.values())
    g.page_locale = offered(locale) or next((found for found in browser if found), ENGLISH)
    flask_babel.refresh()


def offered(language_tag: str) -> str | None:
    """The offered locale for a tag such as `zh-TW`, `zh_Hant` or `ja`, None if there is none.

    Taiwan, Hong Kong and Macao write traditional characters; all other Chinese is simplified.
    """
    if len(language_tag) > _LONGEST_TAG:
        return None
    language, *rest = language_tag.strip().lower().replace("_", "-").split("-")
    if language == "zh":
        scripts = [part for part in rest if part in ("hans", "hant")]
        is_traditional = scripts[0] == "hant" if scripts else bool(_TRADITIONAL & set(rest))
        return "zh_Hant" if is_traditional else "zh_Hans"
    return language if language in OFFERED else None


def tag() -> str:
    """The language of the page as HTML's `lang` attribute spells it, such as `zh-Hant`."""
    return _select().replace("_", "-")


def money(amount: int, currency: str) -> str:
    """An amount as people write it. In Chinese ¥ is the yuan, so yen are JP¥."""
    is_yuan = currency == "JPY" and _select().startswith("zh")
    return f"JP{written(amount, currency)}" if is_yuan else written(amount, currency)


def moment(at: datetime) -> str:
    """A time in UTC in the language of the page, with date and seconds."""
    return f"{flask_babel.format_datetime(at, 'medium', rebase=False)} UTC"


def _select() -> str:
    found: str = g.get("page_locale", ENGLISH)
    return found
