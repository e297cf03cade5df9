"""Translations for templates: `_`, `gettext`, `pgettext` and `ngettext`, with one language lookup per rendering.

Flask-Babel looks up application context, domain, language and catalogue for every text, more than a hundred times a
page. This cache lives as long as Flask-Babel's own catalogues: for the life of the process, by language.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from babel import Locale
from babel.support import NullTranslations
from flask import Flask, current_app, has_app_context
from flask_babel import get_locale, get_translations
from jinja2 import Template
from markupsafe import Markup

from shop.core.money import Money
from shop.core.sentences import Sentence


class Language:
    """A language: its locale, its catalogue, and the cached translations, as `kind` of string.

    Texts in templates are literals, so the cache is bounded by the templates.
    """

    def __init__(self, locale: Locale, catalogue: NullTranslations, kind: type[str] = Markup) -> None:
        self.locale = locale
        self.name = str(locale)
        self.catalogue = catalogue
        self.kind = kind
        self.finished: dict[str, str] = {}
        self.formats: dict[str, str] = {}

    def text(self, source: str, context: str = "") -> str:
        """Translation of a text without placeholders; "%%" is a per cent sign, as in any format."""
        key = f"{context}\x04{source}" if context else source
        if (found := self.finished.get(key)) is None:
            of = self.kind(self.catalogue.upgettext(context, source)) if context else self.format(source)
            found = self.finished[key] = of % {}
        return found

    def format(self, source: str) -> str:
        """Translation of a text, placeholders included."""
        if (found := self.formats.get(source)) is None:
            found = self.formats[source] = self.kind(self.catalogue.ugettext(source))
        return found


_rendering: ContextVar[Language | None] = ContextVar("settled_language", default=None)


class _Template(Template):
    """Template that is rendered in a single language. Texts are Markup where values are escaped."""

    def render(self, *args: Any, **values: Any) -> str:
        escapes = self.environment.autoescape
        before = _rendering.set(_of_context(Markup if not callable(escapes) or escapes(self.name) else str))
        try:
            return super().render(*args, **values)
        finally:
            _rendering.reset(before)


def init_app(app: Flask) -> None:
    """Replace the translation functions of the templates of `app`. Call it after Flask-Babel's `init_app`."""
    app.jinja_env.template_class = _Template
    app.jinja_env.filters["translated"] = translated
    app.jinja_env.globals.update(_=gettext, gettext=gettext, pgettext=pgettext, ngettext=ngettext)


def locale() -> Locale:
    """The current locale; English outside of a request."""
    return current().locale


def locale_name() -> str:
    """Name of the current locale, such as `zh_Hant`."""
    return current().name


def current() -> Language:
    """Language of the template that is being rendered, otherwise of the application context."""
    return _rendering.get() or _of_context()


def gettext(source: str, /, **values: Any) -> str:
    """Translate a text. In HTML, `values` are escaped."""
    language = current()
    return language.format(source) % values if values else language.text(source)


def pgettext(context: str, source: str, /) -> str:
    """Translate a text without placeholders that means different things, such as `Delivery` as the name of a charge."""
    return current().text(source, context)


def ngettext(singular: str, plural: str, number: int, /, **values: Any) -> str:
    """Translate a text in the plural form for `number`, which is the placeholder `num` of the text."""
    language = current()
    text: str = language.kind(language.catalogue.ungettext(singular, plural, number))
    return text % {"num": number, **values}


def translated(text: str) -> str:
    """A text from the domain in the current language: a `Sentence` is translated, other texts are as they are."""
    if not isinstance(text, Sentence):
        return text
    catalogue = current().catalogue
    if text.plural:
        found = catalogue.ungettext(text.source, text.plural, text.number)
    else:
        found = catalogue.ugettext(text.source)
    return str(found) % {name: _value(value) for name, value in text.values.items()}


def _value(value: object) -> object:
    if isinstance(value, Money):
        return value.format(locale_name())
    return translated(value) if isinstance(value, str) else value


def _of_context(kind: type[str] = Markup) -> Language:
    if not has_app_context():
        return Language(Locale("en"), NullTranslations(), kind)
    languages: dict[tuple[str, type[str]], Language] = current_app.extensions.setdefault("settled_languages", {})
    found = get_locale() or Locale("en")
    key = (str(found), kind)
    if key not in languages:
        languages[key] = Language(found, get_translations(), kind)
    return languages[key]
