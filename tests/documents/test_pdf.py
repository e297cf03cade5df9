"""PDFs of documents, read back: texts in four languages, tags, fonts, and text that looks like markup."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pypdf
import pytest
from structlog.testing import capture_logs

from shop.core.db import db, transaction
from shop.documents import pdf
from shop.documents.models import DocumentFile
from tests.documents.conftest import documents
from tests.shop_fixtures import PEN, Shop

FONTS = Path("/usr/share/fonts")
needs_fonts = pytest.mark.skipif(
    not list(FONTS.rglob("NotoSansCJK-Regular.ttc")), reason="this machine has no Noto Sans CJK (fonts-noto-cjk)"
)
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


@needs_fonts
@pytest.mark.parametrize("locale", TEXTS)
def test_names_and_products_can_be_read_in_every_language(shop: Shop, locale: str) -> None:
    name, product = TEXTS[locale]
    made = receipt(shop, locale=locale, name=name, product=product)
    found = text_of(made)
    assert name in found and product in found and "NT$90" in found


@needs_fonts
def test_a_pdf_is_tagged_and_has_title_and_language(shop: Shop) -> None:
    found = read(receipt(shop, locale="ja", name="山田"))
    root = found.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"] is True or root["/MarkInfo"]["/Marked"].value is True
    assert "/StructTreeRoot" in root and root["/Lang"] == "ja"
    assert found.metadata.title.startswith("Receipt ")
    assert b"pdfuaid" in root["/Metadata"].get_data()


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


def test_without_fonts_the_pdf_is_made_and_the_log_names_what_is_missing(shop: Shop, tmp_path: Path) -> None:
    shop.app.config["DOCUMENT_FONTS_DIR"] = str(tmp_path)
    with capture_logs() as logged:
        made = receipt(shop, name="王小明 Wang")
    assert "Wang" in text_of(made) and "/StructTreeRoot" in read(made).trailer["/Root"]
    [missing] = [one for one in logged if one["event"] == "document.fonts_missing"]
    assert (missing["folder"], missing["fonts"][-1]) == (str(tmp_path), "Noto Sans CJK SC")
