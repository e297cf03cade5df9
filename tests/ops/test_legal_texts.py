"""Legal texts in the console, with their versions, and on the pages of the shop."""

from __future__ import annotations

import html
import re

import pytest

from shop.accounts.permissions import Role
from shop.core import audit_search
from shop.core.audit import Subject, SubjectKind
from shop.legal_texts import legal_texts
from shop.legal_texts.models import LegalText
from tests.ops.conftest import visitor_as
from tests.ops.setting_forms import form_of
from tests.race_fixtures import Race
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor

TERMS = "/ops/legal/terms/en"
OURS = "## Your order\n\nWe sell **tea**.\nSee [returns](/returns).\n\n- one\n- two"


@pytest.fixture
def mia(shop: Shop) -> Visitor:
    visitor = visitor_as(shop, "merchandiser")
    visitor.get(TERMS)
    return visitor


def test_a_text_replaces_that_of_the_shop_in_its_language_and_the_ones_without(shop: Shop, mia: Visitor) -> None:
    visitor = Visitor(shop.app)
    assert "By placing an order you make an offer." in visitor.get("/terms").text
    assert mia.post(TERMS, {"content": OURS.replace("\n", "\r\n"), "version": "0"}).status_code == 303
    page = visitor.get("/terms").text
    assert "By placing an order" not in page
    for part in ("<h2>Your order</h2>", "<strong>tea</strong>.<br>", '<a href="/returns">returns</a>', "<li>two</li>"):
        assert part in page, part
    assert '<div class="stack" lang="en">' in visitor.get("/terms?lang=ja").text, "English, where Japanese is missing"
    mia.get("/ops/legal/terms/ja")
    assert mia.post("/ops/legal/terms/ja", {"content": "お茶", "version": "0"}).status_code == 303
    assert "<p>お茶</p>" in visitor.get("/terms?lang=ja").text
    assert "注文" in visitor.get("/returns?lang=ja").text, "other pages keep theirs"
    listed = mia.get("/ops/legal").text
    assert listed.count("version 1") == 2 and listed.count(">your English text<") == 2


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("page", ["privacy", "terms", "returns"])
def test_the_text_that_comes_with_the_shop_can_be_the_beginning_and_saved_it_shows_the_same_page(
    shop: Shop, mia: Visitor, page: str, language: str
) -> None:
    visitor, form = Visitor(shop.app), f"/ops/legal/{page}/{language}"

    def article() -> str:
        shown = visitor.get(f"/{page}?lang={language}").text.partition("<article")[2].partition("</article>")[0]
        return " ".join(re.sub(r"</?div[^>]*>", "", shown).split()).replace("> <", "><")

    before = article()
    assert f"{form}?start=shop" in mia.get(form).text.replace("&amp;", "&")
    typed = form_of(mia, f"{form}?start=shop")
    assert "\n\n\n" not in str(typed["content"])
    assert mia.post(form, {"content": typed["content"], "version": "0"}).status_code == 303
    assert article() == before
    assert "start=shop" not in mia.get(form).text and "start=shop" not in mia.get("/ops/legal/imprint/en").text


def test_the_imprint_names_the_seller_above_the_text(shop: Shop, mia: Visitor) -> None:
    assert mia.post("/ops/legal/imprint/en", {"content": "Registered in Tainan", "version": "0"}).status_code == 303
    page = Visitor(shop.app).get("/imprint").text
    assert page.index("Settled Demo Shop") < page.index("Registered in Tainan")


def test_all_versions_are_kept_and_an_old_one_can_come_back(shop: Shop, mia: Visitor) -> None:
    for version, text in enumerate(("First", "Second", "")):
        assert mia.post(TERMS, {"content": text, "version": str(version)}).status_code == 303
    assert "By placing an order" in Visitor(shop.app).get("/terms").text, "an empty text is that of the shop"
    page = mia.get(TERMS).text
    assert [int(one) for one in re.findall(r">Version ([0-9]+)</a>", page)] == [3, 2, 1]
    assert "merchandiser@example.com" in page
    old = form_of(mia, f"{TERMS}/1")
    assert (old["content"], old["version"]) == ("First", "3")
    assert mia.post(TERMS, old).status_code == 303
    assert "<p>First</p>" in Visitor(shop.app).get("/terms").text
    assert shop.count(LegalText) == 4
    newest = audit_search.find(audit_search.Filters(subjects=[Subject(SubjectKind.LEGAL_TEXT, "terms en")]), limit=1)
    assert newest.rows[0].before == {"version": 3, "content": ""}
    assert newest.rows[0].after == {"version": 4, "content": "First"}


def test_a_preview_saves_nothing_and_keeps_what_was_typed(shop: Shop, mia: Visitor) -> None:
    answer = mia.post(f"{TERMS}/preview", {"content": OURS, "version": "0"})
    assert answer.status_code == 200
    assert "<h2>Your order</h2>" in answer.text and "We sell **tea**." in answer.text
    assert shop.count(LegalText) == 0


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "[click](javascript:alert(1))",
        "[click](//evil.example)",
        "[click](https://evil.example\\x)",
        "## <img src=x onerror=alert(1)>",
        "**<svg onload=alert(1)>**",
        '[a](/x"onmouseover="alert(1))',
        "[a](data:text/html,x)",
        "{{ config }} {% raw %}",
    ],
)
def test_nothing_in_a_text_becomes_markup_or_a_foreign_link(shop: Shop, mia: Visitor, hostile: str) -> None:
    mia.post(TERMS, {"content": hostile, "version": "0"})
    page = Visitor(shop.app).get("/terms").text
    article = page[page.index("<article") : page.index("</article>")]
    assert set(re.findall(r"<(\w+)", article)) <= {"article", "h1", "h2", "div", "p", "strong"}
    assert "alert" not in "".join(re.findall(r"<[^>]*>", article))
    assert "evil" not in "".join(re.findall(r"<[^>]*>", article))


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ({"content": "x" * 15_001}, "Enter at most 15,000 characters; these are 15,001."),
        ({"content": "a\x07b"}, "The text contains control characters."),
        ({"content": "a", "page": "privacy"}, "The form has no field 'page'."),
    ],
)
def test_a_text_that_cannot_be_used_is_refused(shop: Shop, mia: Visitor, typed: dict[str, str], shown: str) -> None:
    for path in (TERMS, f"{TERMS}/preview"):
        answer = mia.post(path, {"version": "0", **typed})
        assert answer.status_code == 422 and shown in html.unescape(answer.text)
    assert shop.count(LegalText) == 0


def test_the_longest_text_fits_into_a_form(shop: Shop, mia: Visitor) -> None:
    form = {"content": "🍵" * 15_000, "version": "0"}
    assert mia.post(TERMS, form, content_type="multipart/form-data").status_code == 303
    assert "🍵" * 100 in Visitor(shop.app).get("/terms").text


def test_a_stale_form_is_refused_and_names_the_newer_version(shop: Shop, mia: Visitor) -> None:
    assert mia.post(TERMS, {"content": "Theirs", "version": "0"}).status_code == 303
    answer = mia.post(TERMS, {"content": "Mine", "version": "0"})
    assert answer.status_code == 409
    assert "A colleague has saved version 1" in answer.text and ">Mine</textarea>" in answer.text
    assert 'name="version" value="1"' in answer.text
    assert mia.post(TERMS, {"content": "Theirs", "version": "0"}).status_code == 303, "the same text changes nothing"
    assert shop.count(LegalText) == 1


def test_of_eight_texts_over_one_version_one_is_saved(shop: Shop, race: Race) -> None:
    mo = shop.colleague("mo", Role.MERCHANDISER)
    results = race(lambda number: legal_texts.save("terms", "en", f"Text {number}", seen=0, by=mo))
    assert sorted(str(getattr(one, "code", one)) for one in results) == ["1"] + ["changed_meanwhile"] * 7


@pytest.mark.parametrize("path", ["terms/de", "terms/zh_Hant", "terms/EN", "contact/en", "terms/en/9", "x/en"])
def test_other_pages_languages_and_versions_are_unknown(mia: Visitor, path: str) -> None:
    assert mia.get(f"/ops/legal/{path}").status_code == 404
