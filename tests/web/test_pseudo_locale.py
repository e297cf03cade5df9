"""Pages and mails in a pseudo-language, in which each translated sentence is in brackets: all other text is data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import flask_babel
import pytest
from babel.support import NullTranslations
from flask import Flask, current_app

from shop.catalogue.models import Category, Product
from shop.core.db import db
from shop.core.money import Money
from shop.documents import find
from shop.mail.compose import content
from shop.mail.models import Mail
from shop.orders.models import Order
from shop.payments.providers import registry
from shop.payments.refunds import requests
from shop.seller import of
from tests.shop_fixtures import KETTLE, PEN, Shop
from tests.web.conftest import Visitor, return_path
from tests.web.test_checkout_agreement import signed_in
from tools.docs.code import ROOT
from tools.translations import catalogues

SPOKEN = ("alt", "aria-label", "placeholder", "title", "content")
"""Attributes with text for people; `content` is that of a description."""
SILENT = {"script", "style", "option"}
"""Elements whose text is none, or names of countries and currencies, which CLDR translates."""
DATA = re.compile(
    r"Settled|FakePay|OtherPay|English|繁體中文|简体中文|日本語|UTC|[\w.+-]+@[\w.-]+|S?[A-Z0-9]+-[A-Z0-9-]+|NT\$|TWD|JPY|USD|&nbsp;|"
    r"\b(?:January|February|March|April|May|June|July|August|September|October|November|December|"
    r"Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Oct|Nov|Dec|AM|PM)\b|Ada(?: Lin)?|12 Yongkang St|Taipei|Taiwan|"
    r"https?://\S+|[0-9a-f]{16}|Visa|Card|zzz|Werkzeug/[\d.]+",
    re.I,
)
_LETTERS = re.compile(r"[^\W\d_]{2,}")


class _Text(HTMLParser):
    """Text and spoken attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.within: list[str] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in SILENT:
            self.within.append(tag)
        if tag != "meta" or values.get("name") == "description":
            self.text += [values[name] or "" for name in SPOKEN if name in values]

    def handle_endtag(self, tag: str) -> None:
        if tag in self.within:
            self.within.remove(tag)

    def handle_data(self, data: str) -> None:
        if not self.within:
            self.text.append(data)


def outside(text: str) -> str:
    """The text that is not within brackets."""
    depth, kept = 0, []
    for character in text:
        depth += (character == "⟦") - (character == "⟧")
        kept.append(character if depth == 0 and character != "⟧" else " ")
    return "".join(kept)


def untranslated(page: str, data: str = "") -> list[str]:
    """Text of a page that is neither translated nor data; `data` is a pattern of more data."""
    text = outside("\n".join(_Text(page).text))
    known = re.compile(data) if data else None
    lines = (known.sub(" ", line) if known else line for line in text.splitlines())
    return [line.strip() for line in lines if _LETTERS.search(DATA.sub(" ", line))]


class Pseudo(NullTranslations):
    """Puts each sentence of the catalogues into brackets, and no other text."""

    def __init__(self, known: frozenset[str]) -> None:
        super().__init__()
        self.known = known

    def ugettext(self, message: str) -> str:
        return f"⟦{message}⟧" if message in self.known else message

    def upgettext(self, context: str, message: str) -> str:
        return self.ugettext(message)

    def ungettext(self, singular: str, plural: str, num: int) -> str:
        return f"⟦{singular if num == 1 else plural}⟧" if singular in self.known else singular


@pytest.fixture(scope="module")
def known() -> frozenset[str]:
    ids = (message.id for message in catalogues.SHOP.sentences if message.id)
    return frozenset(one if isinstance(one, str) else one[0] for one in ids)


@pytest.fixture
def pseudo(app: Flask, known: frozenset[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All pages and mails of `app` are in the pseudo-language."""
    app.extensions.pop("settled_languages", None)
    monkeypatch.setattr(flask_babel.Domain, "get_translations", lambda _self: Pseudo(known))
    yield
    app.extensions.pop("settled_languages", None)


def stored_texts() -> str:
    """A pattern of the texts of products and categories, and of the names of payment providers and of the seller."""
    found = [
        text
        for row in db.session.execute(db.select(Product.name, Product.summary, Product.description))
        for text in row
    ]
    found += list(db.session.scalars(db.select(Category.name)))
    found += [provider.LABEL for provider in registry.all_providers().values()]
    found += [str(value) for value in vars(of(current_app.config)).values() if value]
    return "|".join(re.escape(text) for text in sorted(found, key=len, reverse=True) if text)


def look(visitor: Visitor, *paths: str) -> None:
    for path in paths:
        assert untranslated(visitor.get(path).text, stored_texts()) == [], path


def test_the_pages_of_the_shop_are_translated(shop: Shop, visitor: Visitor, pseudo: None) -> None:
    look(visitor, "/", "/?q=zzz", "/?category=table", "/products/kettle", "/cart", "/orders", "/sign-in", "/register")
    look(visitor, "/forgot-password", "/forgot-password/sent", "/unlock-account", "/unlock-account/sent", "/nothing")
    visitor.add(KETTLE)
    visitor.add(PEN, 2)
    look(visitor, "/cart", "/checkout")


def test_the_answers_to_wrong_forms_are_translated(shop: Shop, visitor: Visitor, pseudo: None) -> None:
    visitor.add()
    visitor.get("/checkout")
    forms: list[tuple[str, dict[str, object]]] = [
        ("/checkout", {}),
        ("/checkout", {**visitor.filled(), "email": "ada", "name": "x" * 999, "country": "XX", "method": "none"}),
        ("/checkout", {**visitor.filled(), "code": "NOTHING"}),
        ("/cart/lines", {"sku": KETTLE, "quantity": 99}),
        ("/cart/lines", {"sku": KETTLE, "quantity": "many"}),
        ("/sign-in", {}),
        ("/sign-in", {"email": "ada@example.com", "password": "a wrong password"}),
        ("/register", {"name": "Ada", "email": "ada@example.com", "password": "short"}),
        ("/forgot-password", {"email": "ada"}),
    ]
    for path, form in forms:
        answer = visitor.post(path, form)
        assert answer.status_code in (409, 422), (path, answer.status_code)
        assert untranslated(answer.text, stored_texts()) == [], (path, form)


def test_the_account_is_translated(shop: Shop, visitor: Visitor, pseudo: None) -> None:
    signed_in(visitor)
    visitor.order()
    look(visitor, "/account", "/account/email", "/account/password", "/account/email/sent", "/orders")


def test_the_order_page_and_its_mails_are_translated(shop: Shop, visitor: Visitor, pseudo: None) -> None:
    paid, cancelled, expired = visitor.order(), visitor.order(), visitor.order()
    look(visitor, paid, f"{paid}/status", f"{paid}/cancel")
    visitor.post(f"{cancelled}/cancel")
    order = db.session.scalars(db.select(Order).where(Order.token == paid.rpartition("/")[2])).one()
    visitor.get(return_path(order))
    look(visitor, paid)
    shop.acquirer.capture(shop.payment(order).id)
    shop.deliver_webhook(shop.payment(order))
    look(visitor, paid, cancelled)
    requests.request(shop.capture(order), Money(100, "TWD"), reason="", by=shop.sam)
    shop.sweep()
    look(visitor, *(f"{paid}/documents/{document.number}" for document in find.of_order(order.id)))
    shop.turn(hours=2)
    look(visitor, paid, cancelled, expired)
    mails = list(db.session.scalars(db.select(Mail)))
    assert len({mail.kind for mail in mails}) >= 4
    for mail in mails:
        written = content(mail)
        for part in (written.subject, written.html, written.text):
            assert untranslated(part, stored_texts()) == [], mail.kind


def test_a_text_that_is_not_translated_is_seen(known: frozenset[str]) -> None:
    marked = Pseudo(known).ugettext("Your cart is empty")
    page = f'<p>{marked}</p><p aria-label="Bare">⟦Order <b>SHOP-1</b>⟧</p><p>Glued ⟦items⟧</p>'
    assert untranslated(page) == ["Bare", "Glued"]
    assert Pseudo(known).ugettext("Never extracted") == "Never extracted"


def bare_text(template: str) -> list[str]:
    """Text for people that a template states without translating it."""
    template = re.sub(r"\{% block (?:main_class|history) %\}\w*\{% endblock %\}", "", template)
    plain = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", " ", template, flags=re.S)
    spoken = re.findall(r'\s(?:alt|aria-label|placeholder|title)="([^"]*)"', plain)
    text = re.sub(r"<[^>]*>|\b[\w:-]+=\"[^\"]*\"", "\n", plain)
    return [one.strip() for one in [*spoken, *text.splitlines()] if _LETTERS.search(DATA.sub(" ", one))]


def test_no_template_states_text_that_is_not_translated() -> None:
    for folder in ("shop", "mail"):
        for path in sorted((ROOT / "templates" / folder).rglob("*.*")):
            assert bare_text(path.read_text()) == [], path.name


def test_bare_text_of_a_template_is_seen() -> None:
    assert bare_text('<p title="Bare">{{ _("Fine") }} glued</p>{% if x %}More{% endif %}') == ["Bare", "glued", "More"]
