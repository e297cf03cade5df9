"""Pages of the team: every status of the order page and every kind of mail, from samples in memory."""

from __future__ import annotations

import html
import re

import pytest
from flask import Flask

from shop.checkout.order_status import CAN
from shop.core.languages import ENGLISH, OFFERED, tag
from shop.mail.states import MailKind
from shop.web import dev_sample_mails as mails
from shop.web import dev_sample_orders as orders
from shop.web.dev_states import Choice, order_page
from tests.parts.statements import statements
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor
from tests.web.test_pseudo_locale import known, pseudo, stored_texts, untranslated  # noqa: F401 - fixtures among them

SAMPLE_TEXTS = r"Nesting Bowls|Six Cedar Pencils|WELCOME10|Express|VAT|May Lin|500 Howard Street, Apt 12|San Francisco"
SAMPLE_TEXTS += r"|CA 94105|United States|LLL2612019844|UTC|Firefox|Linux|login\.example"
INCOMPLETE = re.compile(r"None|<|no longer valid|%\(|:\s*\n\n(?!    |\d+ ×|Settled)")
"""Text of a mail whose sample lacks a value."""
FOR_STAFF = {MailKind.ALERT}
"""Mails in English only."""


def test_every_status_has_a_sample_that_shows_it_in_every_language(shop: Shop, app: Flask) -> None:
    with app.test_request_context():
        shown = {name: {orders.status(name, locale).key for locale in OFFERED} for name in orders.SAMPLES}
    assert shown == {name: {orders.key_of(name)} for name in orders.SAMPLES}
    assert {orders.key_of(name) for name in orders.SAMPLES} == set(CAN), "a new status needs a row in SAMPLES"


def test_the_page_frames_the_order_page_of_every_sample_and_reads_and_writes_nothing_of_the_shop(
    shop: Shop, visitor: Visitor
) -> None:
    with statements() as sent:
        page = visitor.get("/dev/states?lang=ja&scheme=dark")
    assert page.status_code == 200 and page.headers["Cache-Control"] == "no-store"
    assert not [one for one in sent if not one.startswith("SELECT")]
    frames = re.findall(r'<iframe title="Order page: ([^"]+)" sandbox="allow-same-origin" srcdoc="([^"]*)"', page.text)
    assert [name for name, _ in frames] == list(orders.SAMPLES)
    for name, source in frames:
        framed = html.unescape(source)
        assert f'data-state="{orders.key_of(name)}"' in framed
        assert '<html lang="ja">' in framed and "only-dark" in framed
        assert "<script" not in framed, "the frame would block it, with an error in the console"
        assert "hx-sse:connect" not in framed and "hx-get" not in framed, "nothing asks for an order that is not stored"


def test_one_sample_has_a_page_of_its_own_and_its_qr_code_a_picture(shop: Shop, visitor: Visitor) -> None:
    page = visitor.get("/dev/states/waiting-qr?lang=zh-Hant").text
    assert '<html lang="zh-Hant">' in page and 'data-state="waiting"' in page
    assert 'src="/dev/states/qr.svg"' in page
    assert visitor.get("/dev/states/qr.svg").mimetype == "image/svg+xml"
    assert "css/dev.css" not in page, "without a chosen scheme the page loads what customers load"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/dev/states/nothing", 404),
        ("/dev/states?lang=tlh", 422),
        ("/dev/states?scheme=blue", 422),
        ("/dev/states?key=paid", 422),
        ("/dev/states?lang=%F0%9F%8D%B5", 422),
        ("/dev/mails?scheme=dark", 422),
    ],
)
def test_an_unknown_sample_or_choice_is_refused(shop: Shop, visitor: Visitor, path: str, status: int) -> None:
    assert visitor.get(path).status_code == status


def test_every_kind_of_mail_has_a_sample_with_all_its_data_in_every_language(shop: Shop, app: Flask) -> None:
    assert {mails.kind_of(name) for name in mails.SAMPLES} == set(MailKind), "a new kind needs a row in SAMPLES"
    for name in mails.SAMPLES:
        with app.test_request_context():
            contents = {locale: mails.content(name, locale) for locale in OFFERED}
        for locale, content in contents.items():
            assert content.subject and f'<html lang="{tag(locale)}">' in content.html, name
            assert not INCOMPLETE.search(content.text), f"{name}: {content.text}"
            if locale != ENGLISH and mails.kind_of(name) not in FOR_STAFF:
                assert content.subject != contents[ENGLISH].subject, f"{name} in {locale}"


def test_the_page_of_mails_frames_their_html_without_any_right_and_shows_their_text(
    shop: Shop, visitor: Visitor
) -> None:
    page = visitor.get("/dev/mails?lang=zh-Hans")
    assert page.headers["Cache-Control"] == "no-store"
    assert len(re.findall(r'<iframe title="[^"]+" sandbox srcdoc="[^"]+"', page.text)) == len(mails.SAMPLES)
    assert page.text.count('<pre lang="zh-Hans">') == len(mails.SAMPLES)


def test_every_status_and_every_mail_is_translated(shop: Shop, app: Flask, pseudo: None) -> None:  # noqa: F811
    data = f"{SAMPLE_TEXTS}|{stored_texts()}"
    with app.test_request_context():
        for name in orders.SAMPLES:
            assert untranslated(order_page(name, Choice(ENGLISH, "")), data) == [], name
        for name in mails.SAMPLES:
            written = mails.content(name, ENGLISH)
            if mails.kind_of(name) not in FOR_STAFF:
                for part in (written.subject, written.html, written.text):
                    assert untranslated(part, data) == [], name
