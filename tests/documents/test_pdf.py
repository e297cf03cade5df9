"""PDFs of documents, read back: texts in four languages, tags, fonts, and text that looks like markup."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pypdf
import pytest
from structlog.testing import capture_logs

from shop.core.db import db, transaction
from shop.documents import pdf
from shop.documents.models import Document, DocumentFile
from shop.documents.words import Row, Sum, Words
from shop.orders.models import Order
from tests.documents.conftest import documents, refund
from tests.parts.processes import ROOT
from tests.shop_fixtures import PEN, Shop

FONTS = Path("/usr/share/fonts")
needs_fonts = pytest.mark.skipif(
    not list(FONTS.rglob("NotoSansCJK-Regular.ttc")), reason="this machine has no Noto Sans CJK (fonts-noto-cjk)"
)
one_database = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For tests that no database decides."""
TEXTS = {
    "en": ("Grace Hopper", "Cast-iron teapot"),
    "zh_Hant": ("王小明", "鑄鐵茶壺"),
    "zh_Hans": ("赵丽颖", "铸铁茶壶"),
    "ja": ("山田 太郎", "鉄製ティーポット"),
}


def read(made: bytes) -> Any:
    return pypdf.PdfReader(io.BytesIO(made))


def text_of(made: bytes) -> str:
    return "\n".join(page.extract_text() for page in read(made).pages)


def receipt(shop: Shop, *, locale: str = "en", name: str = "Ada", product: str = "Pen") -> bytes:
    """The PDF of the receipt of a new order with these texts."""
    order = shop.order((PEN, 1))
    with transaction():
        values = {"locale": locale, "name": name, "id": order.id}
        db.session.execute(db.text("UPDATE orders SET locale = :locale, name = :name WHERE id = :id"), values)
        line = {"name": product, "id": order.id}
        db.session.execute(db.text("UPDATE order_lines SET name = :name WHERE order_id = :id"), line)
    shop.acquirer.capture(shop.payment(order).id)
    shop.deliver_webhook(shop.payment(order))
    shop.sweep()
    return pdf.of(documents(order)[0])


def is_accessible(made: bytes) -> bool:
    """True if the PDF conforms to PDF/UA-1, for which Typst checks the tags and that fonts have every character."""
    root = read(made).trailer["/Root"]
    return "/StructTreeRoot" in root and b"pdfuaid" in root["/Metadata"].get_data()


@needs_fonts
@pytest.mark.parametrize("locale", TEXTS)
def test_names_and_products_can_be_read_in_every_language(shop: Shop, locale: str) -> None:
    name, product = TEXTS[locale]
    made = receipt(shop, locale=locale, name=name, product=product)
    found = text_of(made)
    assert name in found and product in found and "NT$90" in found
    assert is_accessible(made)


@needs_fonts
@one_database
@pytest.mark.parametrize(
    ("locale", "tag", "title", "labels"),
    [
        ("en", "en", "Receipt", ("Date of issue", "Sold by", "Customer", "Unit price", "Tax number:", "Total")),
        ("zh_Hant", "zh-TW", "收據", ("開立日期", "賣方", "買方", "單價", "統一編號：", "總計")),
        ("zh_Hans", "zh-CN", "收据", ("开具日期", "销售方", "顾客", "单价", "税号：", "合计")),
        ("ja", "ja", "領収書", ("発行日", "販売者", "お客様", "単価", "登録番号：", "合計")),
    ],
)
def test_title_labels_date_and_tag_are_in_the_language_of_the_order_whatever_language_its_data_has(
    shop: Shop, locale: str, tag: str, title: str, labels: tuple[str, ...]
) -> None:
    """Japanese and Simplified Chinese have characters of their own; no font may lack one."""
    made = receipt(shop, locale=locale, name="山田 働 · 赵丽颖", product="鉄製ティーポット · 铸铁茶壶")
    found, pdf_file = text_of(made), read(made)
    together = found if locale == "en" else found.replace(" ", "")  # Typst spaces digits from Chinese characters
    number = pdf_file.metadata.title.removeprefix(f"{title} ")
    assert (pdf_file.trailer["/Root"]["/Lang"], number[4:5]) == (tag, "-")
    assert {label for label in labels if label not in found} == set()
    on = db.session.scalars(db.select(Document.issued_on)).one()
    assert (f"{on:%B} {on.day}, {on.year}" if locale == "en" else f"{on.year}年{on.month}月{on.day}日") in together
    assert "山田 働 · 赵丽颖" in found and "鉄製ティーポット · 铸铁茶壶" in found
    assert is_accessible(made)


CORRECTIONS = {
    "zh_Hant": ("折讓單", "作廢單", "本折讓單減少收據{}的金額。", "折讓單{}的退款無法撥付。"),
    "zh_Hans": ("退款凭证", "作废单", "本退款凭证冲减收据{}的金额。", "退款凭证{}的退款未能支付"),
    "ja": (
        "返金明細書",
        "返金取消書",
        "本書は、領収書{}の金額を減額するものです。",
        "返金明細書{}の返金をお支払いできませんでした。",
    ),
}
"""By language: titles of a credit note and of its cancellation, and what each states of the document it refers to."""


@needs_fonts
@one_database
@pytest.mark.parametrize("locale", CORRECTIONS)
def test_a_credit_note_and_a_cancellation_are_in_the_language_of_the_order(shop: Shop, locale: str) -> None:
    note_title, cancellation_title, on_note, on_cancellation = CORRECTIONS[locale]
    order = shop.paid_order((PEN, 2))
    with transaction():
        db.session.execute(db.update(Order).values(locale=locale))
    failed = refund(shop, order, 5000)
    shop.acquirer.refund_becomes(failed, "REJECTED")
    shop.turn(days=1, minutes=1)
    _, note, cancelled = documents(order)
    assert on_note.format(note.refers_to) in re.sub(r"\s", "", text_of(pdf.of(note)))
    assert on_cancellation.format(note.number) in re.sub(r"\s", "", text_of(pdf.of(cancelled)))
    assert read(pdf.of(note)).metadata.title == f"{note_title} {note.number}"
    assert read(pdf.of(cancelled)).metadata.title == f"{cancellation_title} {cancelled.number}"


@one_database
def test_a_discount_has_the_minus_sign_of_the_pages(priced: Shop) -> None:
    order = priced.paid_order((PEN, 2), code="TEN")
    priced.sweep()
    assert "−NT$18" in text_of(pdf.of(documents(order)[0]))


@one_database
def test_a_document_keeps_the_language_in_which_it_was_issued(shop: Shop) -> None:
    order = shop.paid_order((PEN, 1))
    shop.sweep()
    with transaction():
        db.session.execute(db.update(Order).values(locale="zh_Hant"))
    [issued] = documents(order)
    assert read(pdf.of(issued)).metadata.title == f"Receipt {issued.number}"


UNUSUAL = {
    "the longest name": "龘" * 100,
    "two hundred characters in the address": "台北市大安區永康街" * 13,
    "right to left": "שלום עולם · مرحبا بالعالم",
    "emoji": "May 🍵👩‍👩‍👧 Lin",
    "a long word": "x" * 100,
    "an import": '#import "@preview/cetz:0.3.0": *',
    "a file": '#read("/etc/passwd") #include "document.typ"',
    "control characters": "a\x00b\x07c\x1b[0md\u202ee\ufffef",
}


@one_database
@pytest.mark.parametrize("case", UNUSUAL)
def test_unusual_text_in_any_place_gives_a_document_with_all_the_rest(shop: Shop, case: str) -> None:
    """Customers cannot enter control characters; sellers and stored rows may have them."""
    odd = UNUSUAL[case]
    shown = Words(
        title="Receipt 2026-000001",
        language="en",
        locale="en",
        facts=[("Number", "2026-000001"), ("Order", odd)],
        seller_title="Sold by",
        seller=[odd, "1 Example Road"],
        customer_title="Customer",
        customer=[odd, "Taipei"],
        heads=["Product", "Quantity", "Unit price", "Amount"],
        rows=[Row(odd, "1", "NT$90", "NT$90")],
        sums=[Sum(odd, "NT$0"), Sum("Total", "NT$90", is_total=True)],
        notes=[odd],
    )
    made = pdf.typeset(shown)
    found = text_of(made)
    assert all(text in found for text in ("2026-000001", "1 Example Road", "Taipei", "Unit price", "NT$90"))
    assert "root:" not in found
    if odd.isascii() and odd.isprintable():
        assert odd.replace(" ", "") in "".join(found.split())
    assert "/StructTreeRoot" in read(made).trailer["/Root"]


def test_text_that_looks_like_markup_is_printed_as_it_is(shop: Shop) -> None:
    name = '#panic("x") *bold* $x$ @a <b> \\ "q" [c] // d'
    assert name in text_of(receipt(shop, name=name))


def test_a_pdf_is_made_once_and_kept(shop: Shop) -> None:
    order = shop.paid_order((PEN, 1))
    shop.sweep()
    [document] = documents(order)
    first = pdf.of(document)
    shop.turn(days=1)
    assert pdf.of(documents(order)[0]) == first
    assert shop.count(DocumentFile) == 1


GREENLETS = """
from gevent import monkey; monkey.patch_all()
import time, gevent
from flask import Flask
from shop.documents import pdf
from shop.documents.words import Row, Words

app = Flask("x")
app.config.update(DOCUMENT_FONTS_DIR="")
pdf._timestamp = lambda: 0
rows = [Row(f"Thing {number}", "1", "NT$90", "NT$90") for number in range(1500)]
shown = Words("Receipt 1", "en", "en", [], "Sold by", [], "Customer", [], ["a", "b", "c", "d"], rows, [])

def beat():
    while True:
        beats.append(time.monotonic())
        gevent.sleep(0.01)

with app.app_context():
    pdf._typesetter()
    beats = []
    beating = gevent.spawn(beat)
    gevent.sleep(0.05)
    began = time.monotonic()
    pdf.typeset(shown)
    took = time.monotonic() - began
    beating.kill()
print(took, max(later - earlier for earlier, later in zip(beats, beats[1:] + [began + took])))
"""


@pytest.mark.full
def test_other_greenlets_run_while_a_pdf_is_made() -> None:
    found = subprocess.run([sys.executable, "-c", GREENLETS], cwd=ROOT, capture_output=True, text=True, check=True)
    took, pause = map(float, found.stdout.splitlines()[-1].split())
    assert pause < took / 2, "pages and webhooks would wait for it"


def test_without_fonts_the_pdf_is_made_and_the_log_names_what_is_missing(shop: Shop, tmp_path: Path) -> None:
    shop.app.config["DOCUMENT_FONTS_DIR"] = str(tmp_path)
    with capture_logs() as logged:
        made = receipt(shop, name="王小明 Wang")
    assert "Wang" in text_of(made) and "/StructTreeRoot" in read(made).trailer["/Root"]
    [missing] = [one for one in logged if one["event"] == "document.fonts_missing"]
    assert (missing["folder"], missing["fonts"][-1]) == (str(tmp_path), "Noto Sans CJK SC")
