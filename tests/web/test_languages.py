"""The language of pages, mails and orders."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest
from flask import Flask

from shop.accounts.models import User
from shop.catalogue import browse, search_entries
from shop.catalogue.models import Category, Product
from shop.core import clock, languages
from shop.core.db import db, transaction
from shop.core.money import Money
from shop.core.sentences import sentence, sentences
from shop.documents import find, words
from shop.http_kit.translation import translated
from shop.mail.compose import content
from shop.mail.models import Mail
from shop.orders.models import Order
from tests.shop_fixtures import KETTLE, UNITS, Shop
from tests.web.conftest import HTMX, Visitor
from tests.web.test_checkout_agreement import signed_in

IN_TAIWAN = {"Accept-Language": "zh-TW,zh;q=0.9,en;q=0.5"}


def language_of(page: str) -> str:
    found = re.search(r'<html lang="([^"]+)"', page)
    return found[1] if found else ""


def translate_kettle() -> None:
    """Give the kettle and its category Chinese texts."""
    with transaction():
        product = db.session.scalars(db.select(Product).where(Product.sku == KETTLE)).one()
        product.texts = {"zh_Hant": {"name": "藍色水壺", "summary": "水滾會鳴笛。"}}
        db.session.get_one(Category, product.category).texts = {"zh_Hant": {"name": "廚房"}}
        search_entries.write([KETTLE])
    browse.clear_cache()


@pytest.mark.parametrize(
    ("tag", "locale"),
    [
        ("zh-TW", "zh_Hant"),
        ("zh-HK", "zh_Hant"),
        ("zh-MO", "zh_Hant"),
        ("zh-Hant", "zh_Hant"),
        ("zh-Hant-CN", "zh_Hant"),
        ("zh_hant", "zh_Hant"),
        ("zh-Hant-HK", "zh_Hant"),
        ("zh-Hans-TW", "zh_Hans"),
        ("zh-CN", "zh_Hans"),
        ("zh-SG", "zh_Hans"),
        ("zh", "zh_Hans"),
        ("en-GB", "en"),
        ("ja", "ja"),
        ("ja-JP", "ja"),
        ("de", None),
        ("zht", None),
        ("", None),
        ("*", None),
        ("zh-" * 99, None),
    ],
)
def test_a_language_tag_is_mapped_to_a_language_that_is_offered(tag: str, locale: str | None) -> None:
    assert languages.offered(tag) == locale


def test_without_a_preference_pages_are_english(visitor: Visitor) -> None:
    page = visitor.get("/")
    assert language_of(page.text) == "en" == page.headers["Content-Language"]
    assert {"Accept-Language", "Cookie"} <= set(page.vary)


def test_the_browser_states_the_language_of_a_first_visit(visitor: Visitor) -> None:
    page = visitor.get("/", headers=IN_TAIWAN)
    assert language_of(page.text) == "zh-Hant" == page.headers["Content-Language"]
    assert "全部商品" in page.text and "All products" not in page.text


@pytest.mark.parametrize(
    ("browser", "tag", "text"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans", "全部商品"),
        ("zh-SG", "zh-Hans", "购物车"),
        ("zh-HK", "zh-Hant", "購物車"),
        ("ja,en-US;q=0.9", "ja", "すべての商品"),
        ("de,ko;q=0.9,ja;q=0.8,zh-TW;q=0.5", "ja", "カート"),
        ("de,ko", "en", "All products"),
    ],
)
def test_the_browser_gets_its_first_language_that_is_offered(
    visitor: Visitor, browser: str, tag: str, text: str
) -> None:
    page = visitor.get("/", headers={"Accept-Language": browser})
    assert language_of(page.text) == tag == page.headers["Content-Language"]
    assert text in page.text


def test_a_language_that_is_not_offered_changes_nothing(visitor: Visitor) -> None:
    visitor.get("/?lang=ja")
    assert language_of(visitor.get("/?lang=ko").text) == "ja"
    assert set(languages.OFFERED) == {"en", "zh_Hant", "zh_Hans", "ja"}


def test_the_switch_counts_for_this_page_and_the_next_ones(visitor: Visitor) -> None:
    assert language_of(visitor.get("/?lang=zh-Hant").text) == "zh-Hant"
    assert language_of(visitor.get("/cart").text) == "zh-Hant"
    assert language_of(visitor.get("/cart?lang=en", headers=IN_TAIWAN).text) == "en"
    assert language_of(visitor.get("/", headers=IN_TAIWAN).text) == "en"


def test_the_switch_keeps_the_page_and_its_search(visitor: Visitor) -> None:
    page = visitor.get("/?category=table&q=blue+%26+red").text
    assert '<ul class="languages" id="languages" aria-label="Language">' in page
    assert 'href="?category=table&amp;q=blue+%26+red&amp;lang=zh-Hant" hreflang="zh-Hant"' in page


def test_the_switch_on_the_answer_to_a_form_leads_to_a_page_that_exists(visitor: Visitor) -> None:
    visitor.get("/sign-in")
    assert 'href="?lang=zh-Hant"' in visitor.post("/sign-in", {"email": "ada", "password": ""}).text
    visitor.add()
    refused = visitor.post("/cart/lines", {"sku": KETTLE, "quantity": "none"})
    assert refused.status_code == 422 and 'href="/?lang=zh-Hant"' in refused.text


def test_the_checkout_keeps_what_was_typed_in_another_language(visitor: Visitor) -> None:
    visitor.add()
    visitor.get("/checkout")
    typed = {**visitor.filled(), "name": "Ada 林", "city": "Tainan"}
    assert visitor.post("/checkout/language", {**typed, "lang": "zh-Hant"}).status_code == 303
    page = visitor.get("/checkout").text
    assert language_of(page) == "zh-Hant"
    assert (visitor.field("name"), visitor.field("city")) == ("Ada 林", "Tainan")


def test_the_checkout_keeps_what_was_typed_while_redis_is_away(app: Flask, visitor: Visitor) -> None:
    visitor.add()
    visitor.get("/checkout")
    typed = {**visitor.filled(), "city": "Tainan", "lang": "zh-Hant"}
    app.config["REDIS_URL"] = ""
    app.extensions["settled_redis"].client = None
    page = visitor.post("/checkout/language", typed)
    assert page.status_code == 200 and language_of(page.text) == "zh-Hant"
    assert visitor.field("city") == "Tainan"


def test_the_language_of_the_account_counts_before_the_cookie_and_the_browser(shop: Shop, visitor: Visitor) -> None:
    visitor.get("/?lang=en")
    signed_in(visitor)
    with transaction():
        db.session.execute(db.update(User).values(language="zh_Hant"))
    assert language_of(visitor.get("/").text) == "zh-Hant"
    assert language_of(visitor.get("/?lang=en").text) == "en"
    assert language_of(visitor.get("/account").text) == "en", "the switch was used while signed in"


def test_a_customer_chooses_the_language_of_the_account(shop: Shop, visitor: Visitor) -> None:
    signed_in(visitor)
    visitor.get("/account")
    assert visitor.post("/account/language", {"lang": "zh-Hant"}).status_code == 303
    page = visitor.get("/account").text
    assert language_of(page) == "zh-Hant" and "已儲存您的帳號語言。" in page
    assert db.session.scalars(db.select(User.language)).all() == ["zh_Hant"]
    assert visitor.post("/account/language", {"lang": "tlh"}).status_code == 422
    assert db.session.scalars(db.select(User.language)).all() == ["zh_Hant"]


def test_a_new_account_has_the_language_of_its_page(shop: Shop, visitor: Visitor) -> None:
    visitor.get("/register", headers=IN_TAIWAN)
    form = {"name": "Ada", "email": "ada@example.com", "password": "a kettle sings politely"}
    assert visitor.post("/register", form, headers=IN_TAIWAN).status_code == 303
    assert db.session.scalars(db.select(User.language)).all() == ["zh_Hant"]


def test_an_order_keeps_the_language_it_was_placed_in(app: Flask, shop: Shop, visitor: Visitor) -> None:
    translate_kettle()
    visitor.get("/?lang=zh-Hant")
    path = visitor.order()
    order = db.session.scalars(db.select(Order)).one()
    assert (order.locale, order.lines[0].name) == ("zh_Hant", "藍色水壺")
    shop.sweep()
    mails = [content(mail) for mail in db.session.scalars(db.select(Mail))]
    assert any(order.number in mail.subject and "您的訂單" in mail.subject for mail in mails)
    assert all('<html lang="zh-Hant">' in mail.html for mail in mails)
    assert language_of(visitor.get(f"{path}?lang=en").text) == "en"
    assert db.session.scalars(db.select(Order.locale)).one() == "zh_Hant"


@pytest.mark.parametrize(
    ("tag", "subject", "receipt"),
    [("zh-Hans", "已收到订单 {} 的付款", "收据"), ("ja", "【ご注文 {}】お支払いを受領しました", "領収書")],
)
def test_a_paid_order_has_its_mails_and_its_receipt_in_its_language(
    shop: Shop, visitor: Visitor, tag: str, subject: str, receipt: str
) -> None:
    visitor.get(f"/?lang={tag}")
    visitor.order()
    order = db.session.scalars(db.select(Order)).one()
    shop.acquirer.capture(shop.payment(order).id)
    shop.deliver_webhook(shop.payment(order))
    shop.sweep()
    mails = list(db.session.scalars(db.select(Mail)))
    assert subject.format(order.number) in {content(mail).subject for mail in mails}
    assert all(f'<html lang="{tag}">' in content(mail).html for mail in mails)
    [document] = find.of_order(order.id)
    assert words.of(document, find.lines(document.number), order.number).title == f"{receipt} {document.number}"


def _until_six(now: datetime) -> float:
    """Seconds from `now` to the next 06:10 UTC: the part of the day is a word of the date in Chinese."""
    return (now.replace(hour=6, minute=10) + timedelta(days=1) - now).total_seconds()


def test_the_punctuation_and_the_dates_of_order_pages_are_those_of_the_language(
    app: Flask, shop: Shop, visitor: Visitor
) -> None:
    shop.wait(seconds=_until_six(clock.wall()))
    db.session.rollback()
    path = visitor.order()
    page = visitor.get(f"{path}?lang=zh-Hant").text
    assert re.search(r"（剩餘 <span[^>]*>\d+:\d\d</span>）", page) and "（完成）" in page
    assert re.search(r">\d{4}年\d+月\d+日 清晨6:\d\d UTC</time>", page)
    assert "（NT$1,200，保留至 " in visitor.get("/cart").text
    app.config["UNPAID_ORDERS_PER_VISITOR"] = 1
    visitor.add()
    assert "（NT$1,200）" in visitor.checkout().text
    order = db.session.scalars(db.select(Order)).one()
    shop.acquirer.capture(shop.payment(order).id)
    shop.deliver_webhook(shop.payment(order))
    with transaction():
        shop.payment(order).instrument = {"method": "card", "brand": "visa", "last4": "4242"}
    assert "<dd>Visa 末四碼 4242，Fakepay</dd>" in visitor.get(path).text


def test_products_and_categories_have_texts_in_each_language(shop: Shop, visitor: Visitor) -> None:
    translate_kettle()
    page = visitor.get("/products/kettle?lang=zh-Hant").text
    assert "藍色水壺" in page and "水滾會鳴笛。" in page and "廚房" in page
    visitor.add()
    assert "藍色水壺" in visitor.get("/cart").text
    english = visitor.get("/products/kettle?lang=en").text
    assert "藍色水壺" not in english and "Kettle" in english


def test_a_product_without_a_translation_is_shown_in_english(shop: Shop, visitor: Visitor) -> None:
    translate_kettle()
    page = visitor.get("/products/pen?lang=zh-Hant").text
    english = db.session.scalars(db.select(Product.name).where(Product.slug == "pen")).one()
    assert english in page


@pytest.mark.parametrize("word", ["水壺", "鳴笛", "廚房", "KETTLE"])
def test_the_search_finds_the_words_of_both_languages(shop: Shop, visitor: Visitor, word: str) -> None:
    translate_kettle()
    found = visitor.get(f"/?lang=zh-Hant&q={word}", headers=HTMX).text
    assert "藍色水壺" in re.sub("</?mark>", "", found), "the words that were found are marked"
    assert "藍色水壺" not in visitor.get("/?lang=zh-Hant&q=zzz", headers=HTMX).text


def test_search_engines_find_each_language(app: Flask, shop: Shop, visitor: Visitor) -> None:
    page = visitor.get("/products/kettle").text
    here = f"{app.config['SHOP_URL'].rstrip('/')}/products/kettle"
    tags = ("en", "zh-Hant", "zh-Hans", "ja")
    for tag, address in [("x-default", here), *((tag, f"{here}?lang={tag}") for tag in tags)]:
        assert f'<link rel="alternate" hreflang="{tag}" href="{address}">' in page


def test_a_refusal_is_shown_in_the_language_of_the_page(shop: Shop, visitor: Visitor) -> None:
    translate_kettle()
    visitor.get("/?lang=zh-Hant")
    visitor.add(quantity=2)
    shop.order((KETTLE, UNITS - 1))
    refused = visitor.checkout()
    assert refused.status_code == 409
    assert "「藍色水壺」只剩 1 件。訂單未成立，購物車內容不變。" in refused.text


def test_errors_are_in_the_language_of_the_browser_and_english_for_programs(visitor: Visitor) -> None:
    assert "找不到頁面" in visitor.get("/nothing", headers=IN_TAIWAN).text
    assert "Not Found" in visitor.get("/api/nothing", headers=IN_TAIWAN).text


def test_a_sentence_is_english_until_it_is_translated(app: Flask) -> None:
    refused = sentence(
        "%(reasons)s No order was placed, and your cart is unchanged.",
        reasons=sentences("Only %(num)d %(name)s left.", "Only %(num)d %(name)s left.", 3, name="100 % wool"),
    )
    credit = sentence("Only %(available)s of your store credit can be used.", available=Money(118000, "TWD"))
    assert refused == "Only 3 100 % wool left. No order was placed, and your cart is unchanged."
    with app.test_request_context("/?lang=zh-Hant"):
        assert translated(refused) == "「100 % wool」只剩 3 件。訂單未成立，購物車內容不變。"
        assert translated(credit) == "您的購物金只有 NT$1,180 可以使用。"
        assert translated("Plain text") == "Plain text"
