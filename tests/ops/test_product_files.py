"""Files of products in the console: uploaded, followed, and applied after a dry run."""

from __future__ import annotations

from io import BytesIO

from shop.catalogue import products
from shop.core import csv_cells
from tests.merchandising.test_imports import FILE
from tests.ops.conftest import visitor_as
from tests.shop_fixtures import KETTLE, Shop
from tests.web.conftest import HTMX, Visitor


def upload(mia: Visitor, content: bytes, kind: str = "dry-run") -> str:
    """Upload a file; the path of its page, or the page that refuses it."""
    mia.get("/ops/products/imports")
    form = {"file": (BytesIO(content), "<b>new</b>.csv"), "kind": kind}
    answer = mia.post("/ops/products/imports", form, content_type="multipart/form-data")
    return str(answer.location) if answer.status_code == 303 else f"{answer.status_code} {answer.text}"


def test_a_file_is_tried_followed_and_imported(shop: Shop) -> None:
    mia = visitor_as(shop, "merchandiser")
    path = upload(mia, FILE)
    waiting = mia.get(path, headers=HTMX).text
    assert "<html" not in waiting and 'hx-trigger="every 1s"' in waiting and "0 of 5 lines" in waiting
    assert "Another import or dry run is running." in upload(mia, FILE, "import")
    shop.sweep()
    page = mia.get(path).text
    assert "No product was changed" in page and "“1200” → “1300”" in page and "&lt;b&gt;new" in page
    assert "An SKU has 1 to 64 letters" in mia.get(f"{path}?outcome=refused").text
    assert "POT-1" not in mia.get(f"{path}?after=3").text
    assert mia.get(f"{path}?outcome=odd").status_code == 422
    mia.get(path)
    started = mia.post(f"{path}/apply")
    assert started.status_code == 303
    shop.sweep()
    assert "1 created, 1 changed, 0 unchanged, 3 refused." in mia.get(str(started.location)).text
    kettle = products.find(KETTLE)
    assert kettle and kettle.name == "Blue Kettle"
    assert mia.get("/ops/products/imports").text.count("dry run</td>") == 1
    export = mia.get("/ops/products/export")
    assert export.data.startswith(csv_cells.BYTE_ORDER_MARK) and "attachment" in export.headers["Content-Disposition"]


def test_a_file_that_cannot_be_read_is_refused_with_the_reason(shop: Shop) -> None:
    mia = visitor_as(shop, "merchandiser")
    assert "422" in upload(mia, b"") and "The file is empty." in upload(mia, b"")
    assert "Line 2 is not in UTF-8" in upload(mia, "sku,name\nA,Kännchen".encode("latin-1"))
    too_large = upload(mia, b"x" * (11 * 2**20))
    assert too_large.startswith("413") and "Settled console" in too_large
    assert mia.get("/ops/products/imports/I1").status_code == 404


def test_a_file_of_many_lines_is_taken_wherever_the_chunks_of_its_upload_end(shop: Shop) -> None:
    lines = "".join(f"P-{number:05},A bowl\n" for number in range(10_000))
    path = upload(visitor_as(shop, "merchandiser"), f"sku,name\n{lines}".encode())
    assert path.startswith("/ops/products/imports/")
