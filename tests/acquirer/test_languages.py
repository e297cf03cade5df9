"""Language of the hosted payment pages: that of the payment, else that of the browser. Tester pages are English."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.acquirer.conftest import GOOD_CARD, World

pytestmark = pytest.mark.parametrize("acquirer_database", ["sqlite"], indirect=True)
WORDS = {
    "en": ("Pay by card", "Card number", "Expires at", "Payment accepted"),
    "zh-Hant": ("以信用卡付款", "卡號", "有效期限至", "付款成功"),
    "zh-Hans": ("使用信用卡付款", "卡号", "有效期至", "付款成功"),
    "ja": ("カードでのお支払い", "カード番号", "有効期限：", "お支払いを受け付けました"),
}
"""By language: words of the form, and the title of the result."""


def page(acquirer: World, payment: dict[str, Any], browser: str = "") -> str:
    answer = acquirer.browser.get(f"/pay/{payment['id']}", headers={"Accept-Language": browser}, follow_redirects=True)
    assert answer.status_code == 200
    return answer.text


def language_of(text: str) -> str:
    found = re.search(r'<html lang="([^"]+)"', text)
    return found[1] if found else ""


@pytest.mark.parametrize(
    ("locale", "tag"), [("zh_Hant", "zh-Hant"), ("zh-TW", "zh-Hant"), ("zh_Hans", "zh-Hans"), ("ja", "ja")]
)
def test_a_payment_is_made_in_its_own_language_whatever_the_browser_prefers(
    acquirer: World, locale: str, tag: str
) -> None:
    payment = acquirer.open(locale=locale)
    text, words = page(acquirer, payment, "en-US,en;q=0.9"), WORDS[tag]
    assert language_of(text) == tag and all(word in text for word in words[:3])
    assert WORDS["en"][0] not in text and 'id="fate" lang="en"' in text
    assert acquirer.submit(payment, "card", **GOOD_CARD).status_code == 303
    assert words[3] in page(acquirer, payment)


@pytest.mark.parametrize(
    ("browser", "tag"),
    [
        ("ja,en;q=0.5", "ja"),
        ("zh-HK", "zh-Hant"),
        ("zh-SG", "zh-Hans"),
        ("de,zh;q=0.5", "zh-Hans"),
        ("de", "en"),
        ("", "en"),
    ],
)
def test_a_payment_without_a_language_has_that_of_the_browser(acquirer: World, browser: str, tag: str) -> None:
    text = page(acquirer, acquirer.open(), browser)
    assert language_of(text) == tag and WORDS[tag][0] in text


def test_an_unknown_language_of_a_payment_counts_as_none(acquirer: World) -> None:
    assert language_of(page(acquirer, acquirer.open(locale="tlh"), "ja")) == "ja"


def test_wrong_fields_and_declines_are_explained_in_the_language_of_the_payment(acquirer: World) -> None:
    payment = acquirer.open(locale="ja")
    wrong = acquirer.submit(payment, "card", **GOOD_CARD | {"number": "", "expiry": "99/99", "cvc": "1", "name": ""})
    assert wrong.status_code == 422 and "4件の項目をご確認ください" in wrong.text
    for sentence in ("カード番号を入力してください。", "12/34のように", "3桁または4桁", "カード名義人を入力"):
        assert sentence in wrong.text
    acquirer.submit(payment, "card", **GOOD_CARD | {"number": "4000000000009995"})
    assert "残高またはご利用可能枠が不足しています。" in (declined := page(acquirer, payment))
    assert "請求はありません。あと2回お試しいただけます。" in declined
    assert acquirer.shown(payment)["last_decline"]["message"].startswith("Insufficient funds")


def test_amounts_and_times_are_those_of_the_language(acquirer: World) -> None:
    yen = {"amount": 1200, "currency": "JPY"}
    assert "JP¥1,200" in page(acquirer, acquirer.open(locale="zh_Hant", **yen))
    japanese = page(acquirer, acquirer.open(locale="ja", **yen))
    assert "¥1,200" in japanese and "JP¥" not in japanese
    assert re.search(r"有効期限：<time datetime=[^>]+>\d{4}/\d{2}/\d{2} \d+:\d{2}:\d{2} UTC</time>", japanese)


def test_errors_on_payment_pages_are_in_the_language_of_the_browser_and_other_pages_in_english(
    acquirer: World,
) -> None:
    japanese = {"Accept-Language": "ja"}
    missing = acquirer.browser.get(f"/pay/pay_{'0' * 30}", headers=japanese)
    assert missing.status_code == 404 and language_of(missing.text) == "ja"
    assert "このお支払いは見つかりません。" in missing.text
    start = acquirer.browser.get("/", headers=japanese)
    assert language_of(start.text) == "en" and "A payment provider for tests" in start.text
