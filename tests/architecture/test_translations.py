"""Translations: every sentence of the shop can be translated as a whole, and offered languages are complete."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog

from mock_acquirer import language as acquirer
from shop.core.languages import OFFERED, offered
from tools.docs.code import ROOT
from tools.translations import catalogues
from tools.translations.catalogues import Program

REFUSALS = ("Refusal", "BadInput", "Away")
FOR_STAFF = (
    "shop/accounts/invitations.py",
    "shop/accounts/api_keys.py",
    "shop/accounts/api_sessions.py",
    "shop/accounts/people.py",
    "shop/accounts/rights.py",
    "shop/accounts/role_requests.py",
    "shop/accounts/sign_in_help.py",
    "shop/alerts/",
    "shop/announcements/",
    "shop/api/",
    "shop/catalogue/prices.py",
    "shop/catalogue/category_changes.py",
    "shop/catalogue/pictures.py",
    "shop/catalogue/product_fields.py",
    "shop/catalogue/product_changes.py",
    "shop/catalogue/products.py",
    "shop/media/",
    "shop/merchandising/",
    "shop/commands/",
    "shop/core/filter_values.py",
    "shop/core/days.py",
    "shop/core/key_pages.py",
    "shop/core/keyset.py",
    "shop/core/typed_fields.py",
    "shop/core/versions.py",
    "shop/credit_gifts/",
    "shop/fulfilment/",
    "shop/integrity/",
    "shop/inventory/stock.py",
    "shop/legal_texts/",
    "shop/ops/",
    "shop/order_notes/",
    "shop/order_search/",
    "shop/orders/address.py",
    "shop/outgoing_webhooks/",
    "shop/payments/order_money/",
    "shop/payments/records/captures.py",
    "shop/payments/refunds/",
    "shop/payments/settlement/",
    "shop/payments/updates/",
    "shop/payments/webhooks/",
    "shop/payouts/",
    "shop/pricing/change.py",
    "shop/queues/",
    "shop/seller_data/",
    "shop/returns/decide_arrival.py",
    "shop/returns/handling.py",
    "shop/returns/refunding.py",
    "shop/statistics/",
    "shop/web/dev.py",
    "shop/web/dev_states.py",
)
"""Modules whose refusals only staff and programs see; they stay English."""
FOR_PROGRAMS = {("shop/http_kit/access.py", "not_authorized")}
STAFF_CODES = {("shop/accounts/staff.py", "no_role"), ("shop/accounts/staff.py", "disabled_account")}
STAFF_CODES |= {("shop/checkout/end_order.py", "order_changed"), ("shop/core/reasons.py", "reason_needed")}
STAFF_CODES |= {("shop/mail/resend.py", code) for code in ("unknown_mail", "mail_changed", "resent_often")}
STAFF_CODES |= {("shop/payments/polling/requested.py", code) for code in ("nothing_selected", "too_many_orders")}
STAFF_CODES |= {("shop/accounts/second_factor.py", code) for code in ("not_begun", "not_set_up", "last_factor")}
STAFF_CODES |= {
    ("shop/accounts/passkeys.py", code)
    for code in ("bad_passkey_name", "too_many_passkeys", "passkey_known", "no_such_passkey", "passkey_unverified")
}
STAFF_CODES |= {("shop/accounts/staff.py", "unknown_account")}
STAFF_CODES |= {("shop/accounts/signin.py", code) for code in ("unknown_role", "second_admin_needed")}
STAFF_CODES |= {("shop/core/db.py", "passive_copy")}


def untranslatable_refusals(path: str, code: str) -> list[str]:
    """Refusals for customers whose message is a literal instead of a `sentence` or a translation."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Call) or len(node.args) < 2:
            continue
        is_super = isinstance(node.func, ast.Attribute) and node.func.attr == "__init__"
        named = node.func.id if isinstance(node.func, ast.Name) else ""
        if not is_super and named not in REFUSALS:
            continue
        refused, message = node.args[0], node.args[1]
        what = str(refused.value) if isinstance(refused, ast.Constant) else ""
        if isinstance(message, ast.Constant | ast.JoinedStr) and (path, what) not in FOR_PROGRAMS | STAFF_CODES:
            found.append(f"{path}: {what}")
    return found


def sources(folder: str, ending: str) -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / folder).rglob(f"*{ending}")):
        yield path.relative_to(ROOT).as_posix(), path.read_text()


def test_the_refusals_that_customers_see_can_be_translated() -> None:
    modules = [(path, code) for path, code in sources("shop", ".py") if not path.startswith(FOR_STAFF)]
    assert [one for path, code in modules for one in untranslatable_refusals(path, code)] == []


@pytest.mark.parametrize(
    "code", ['raise Refusal("gone", "It is gone.")', 'class A(Refusal):\n def f(self): super().__init__("x", f"{a}.")']
)
def test_a_refusal_that_cannot_be_translated_is_seen(code: str) -> None:
    assert untranslatable_refusals("shop/web/planted.py", code)


def test_pages_show_the_messages_of_refusals_in_the_language_of_the_page() -> None:
    translated = re.compile(r"translated\((?:\w+\()?[\w.]+\)?\.message\)|message\|translated")
    shown = re.compile(r"\b(?:refusal|problem)\.message\b(?! = )")
    for path, code in [*sources("shop/web", ".py"), *sources("shop/http_kit", ".py"), *sources("templates", ".html")]:
        assert not shown.search(translated.sub("", code)), path


@pytest.mark.parametrize("locale", catalogues.with_catalogue())
@pytest.mark.parametrize("program", catalogues.PROGRAMS, ids=["shop", "acquirer"])
def test_an_offered_language_is_complete(program: Program, locale: str) -> None:
    """After a change of sentences: `python -m tools.translations`, then translate the new ones."""
    assert program.incomplete(locale) == []


def test_the_shop_and_the_acquirer_offer_the_same_languages() -> None:
    assert set(acquirer.OFFERED) == set(OFFERED) == {"en", "zh_Hant", "zh_Hans", "ja"}


@pytest.mark.parametrize("tag", ["zh-TW", "zh-HK", "zh_Hant", "zh-Hans-TW", "zh-CN", "zh", "ja-JP", "en-GB", "de", "*"])
def test_the_shop_and_the_acquirer_map_a_tag_to_the_same_language(tag: str) -> None:
    assert acquirer.offered(tag) == offered(tag)


@pytest.mark.parametrize("table", ["category", "product"])
def test_the_initial_catalogue_has_all_texts_in_every_language(table: str) -> None:
    for row in tomllib.loads((ROOT / "shop/catalogue/initial_catalogue.toml").read_text())[table]:
        english = {name for name in ("name", "summary", "description") if name in row}
        assert {locale: set(texts) for locale, texts in row["texts"].items()} == dict.fromkeys(
            catalogues.with_catalogue(), english
        ), row["slug"]
        for texts in row["texts"].values():
            assert not [text for text in texts.values() if catalogues.is_half_width(text) or text in row.values()]


def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *sentences: str) -> Program:
    """A program with these sentences, and a folder for its Traditional Chinese catalogue."""
    wanted = Catalog()
    for sentence in sentences:
        wanted.add(sentence)
    monkeypatch.setattr(Program, "sentences", wanted)
    program = Program(tmp_path, (), {})
    program.po("zh_Hant").parent.mkdir(parents=True)
    return program


PLANTED = {
    "missing": ("Pay %(total)s", "", (), "not translated"),
    "fuzzy": ("Pay %(total)s", "付款 %(total)s", ("fuzzy",), "fuzzy"),
    "another placeholder": ("Pay %(total)s", "付款 %(sum)s", (), "other placeholders"),
    "no placeholder": ("Pay %(total)s", "付款", (), "other placeholders"),
    "another kind of placeholder": ("Pay %(total)s", "付款 %(total)d", (), "other placeholders"),
    "a stray per cent sign": ("Pay %(total)s", "付款 %(total)s 100%", (), "other placeholders"),
    "English": ("Pay %(total)s", "Pay %(total)s", (), "the English sentence"),
    "a half-width comma": ("Pay, please", "請付款, 謝謝", (), "half-width punctuation"),
    "a space before a bracket": ("Pay (now)", "付款 （現在）", (), "half-width punctuation"),
}


@pytest.mark.parametrize("case", PLANTED)
def test_a_translation_that_is_not_right_is_seen(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, text, flags, problem = PLANTED[case]
    program = planted(tmp_path, monkeypatch, source)
    written = Catalog(locale="zh_Hant", fuzzy=False)
    written.add(source, text, flags=flags)
    program.po("zh_Hant").write_bytes(catalogues.po_text(written))
    program.mo("zh_Hant").write_bytes(catalogues.mo_bytes(written))
    assert [one for one in program.incomplete("zh_Hant") if problem in one]


def test_a_sentence_that_is_no_longer_used_and_a_stale_file_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Catalog(locale="zh_Hant", fuzzy=False)
    written.add("Gone", "沒有了")
    program = planted(tmp_path, monkeypatch)
    program.po("zh_Hant").write_bytes(catalogues.po_text(written))
    found = "\n".join(program.incomplete("zh_Hant"))
    assert "no longer used: Gone" in found and "messages.mo is not the compiled" in found
