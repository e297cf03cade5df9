"""Pictures of products: uploaded in the console, shown in the shop, kept by orders, and removed when unused."""

from __future__ import annotations

import re
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from unittest.mock import patch

import pytest

from shop.accounts.permissions import Role
from shop.catalogue import pictures, products
from shop.catalogue.models import Product
from shop.core import clock
from shop.core.db import db
from shop.core.errors import Refusal
from shop.jobs import retention
from shop.media.models import MediaFile
from tests.media.test_conversion import picture
from tests.ops.conftest import visitor_as
from tests.race_fixtures import Race
from tests.shop_fixtures import KETTLE, Shop
from tests.web.conftest import Visitor


@pytest.fixture
def folder(shop: Shop, tmp_path: Path) -> Path:
    shop.app.config["MEDIA_FOLDER"] = str(tmp_path / "media")
    return tmp_path / "media"


def stored_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.*"))


def images() -> list[dict[str, object]]:
    db.session.rollback()
    return list(db.session.get_one(Product, KETTLE, populate_existing=True).images)


def upload(mia: Visitor, *contents: bytes) -> object:
    mia.get(f"/ops/products/{KETTLE}")
    chosen = [(BytesIO(content), f"kettle-{number}.png") for number, content in enumerate(contents)]
    return mia.post(f"/ops/products/{KETTLE}/pictures", {"picture": chosen}, content_type="multipart/form-data")


def test_uploaded_pictures_are_shown_in_the_shop_in_the_width_that_fits(shop: Shop, folder: Path) -> None:
    mia, visitor = visitor_as(shop, "merchandiser"), Visitor(shop.app)
    assert "mark.svg" in visitor.get("/products/kettle").text
    assert upload(mia, picture(), picture("JPEG", (200, 100))).status_code == 303  # type: ignore[attr-defined]
    first, second = (str(one["digest"]) for one in images())
    form = {"alt.en": "A kettle on a stove", "alt.zh_Hant": "爐上的水壺", "place": "2"}
    assert mia.post(f"/ops/products/{KETTLE}/pictures/{first}", form).status_code == 303
    assert [one["digest"] for one in images()] == [second, first]
    page = visitor.get("/products/kettle").text
    assert f'srcset="/media/{first}-320.webp 320w, /media/{first}-640.webp 640w, /media/{first}-1280.webp 900w"' in page
    assert 'width="900" height="600" alt="A kettle on a stove" loading="lazy"' in page
    assert 'alt="爐上的水壺"' in visitor.get("/products/kettle?lang=zh-Hant").text
    assert f"/media/{second}-320.webp" in Visitor(shop.app).get("/").text
    answer = visitor.get(f"/media/{first}-640.webp")
    assert (answer.status_code, answer.mimetype) == (200, "image/webp")
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert "Set-Cookie" not in answer.headers
    for name in (f"{first}-641.webp", f"{first}-320.png", "..%2f..%2fpyproject.toml", f"{'0' * 32}-320.webp"):
        assert visitor.get(f"/media/{name}").status_code == 404, name


def test_each_picture_is_saved_or_refused_alone_and_a_large_body_is_refused(shop: Shop, folder: Path) -> None:
    mia = visitor_as(shop, "merchandiser")
    answer = upload(mia, b"<svg onload=alert(1)>", picture())
    page = answer.text  # type: ignore[attr-defined]
    assert answer.status_code == 422 and "kettle-0.png" in page  # type: ignore[attr-defined]
    assert "no picture in one of the formats" in page and "1 other picture was saved." in page
    assert len(images()) == 1
    assert upload(mia, picture()).status_code == 303  # type: ignore[attr-defined]
    assert len(images()) == 1, "a product has a picture once"
    assert upload(mia, b"x" * (10 * 2**20 + 1)).status_code == 413  # type: ignore[attr-defined]
    mia.get("/ops/categories")
    assert mia.post("/ops/categories", {"name.en": "x" * 70_000}).status_code == 413, "other forms stay small"


def test_an_order_keeps_its_picture_and_unused_files_are_removed(shop: Shop, folder: Path) -> None:
    mo = shop.colleague("mo", Role.MERCHANDISER)
    for content in (picture(size=(300, 300)), picture(size=(310, 300))):
        pictures.upload(KETTLE, content, by=mo)
    ordered, other = (str(one["digest"]) for one in images())
    order = shop.paid_order()
    assert order.lines[0].image == f"media/{ordered}"
    for digest in (ordered, other):
        pictures.remove(KETTLE, digest, by=mo)
    retention.sweep()
    assert len(stored_files(folder)) == 2, "pages that are open still show them"
    clock.advance(timedelta(days=1, hours=1))
    retention.sweep()
    assert stored_files(folder) == [f"{ordered}-320.webp"]
    assert f"/media/{ordered}-320.webp" in Visitor(shop.app).get(f"/orders/{order.token}").text
    assert shop.count(MediaFile) == 1
    shop.sweep()


def test_a_picture_of_two_products_stays_until_neither_shows_it(shop: Shop, folder: Path) -> None:
    mo = shop.colleague("mo", Role.MERCHANDISER)
    for sku in (KETTLE, "TEST-PEN"):
        pictures.upload(sku, picture(size=(300, 300)), by=mo)
    [one] = images()
    pictures.remove(KETTLE, str(one["digest"]), by=mo)
    clock.advance(timedelta(days=2))
    retention.sweep()
    assert len(stored_files(folder)) == 1
    pictures.remove("TEST-PEN", str(one["digest"]), by=mo)
    clock.advance(timedelta(days=2))
    retention.sweep()
    assert stored_files(folder) == []


def test_a_crash_after_the_files_were_written_leaves_none_behind(shop: Shop, folder: Path) -> None:
    mo = shop.colleague("mo", Role.MERCHANDISER)
    with patch.object(pictures, "_add", side_effect=SystemExit), pytest.raises(SystemExit):
        pictures.upload(KETTLE, picture(size=(300, 300)), by=mo)
    assert len(stored_files(folder)) == 1 and images() == []
    clock.advance(timedelta(days=2))
    retention.sweep()
    assert stored_files(folder) == []


def test_uploads_at_once_are_converted_one_by_one_and_all_kept(shop: Shop, folder: Path, race: Race) -> None:
    mo = shop.colleague("mo", Role.MERCHANDISER)
    results = race(lambda number: pictures.upload(KETTLE, picture(size=(300 + number % 3, 300)), by=mo), 6)
    assert sorted(map(str, results)) == ["False"] * 3 + ["True"] * 3, results
    assert len(images()) == 3
    with db.session.no_autoflush:
        used = db.session.scalars(db.select(MediaFile.uses)).all()
    assert list(used) == [1, 1, 1]


def test_a_product_has_a_limited_number_of_pictures(shop: Shop, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mo = shop.colleague("mo", Role.MERCHANDISER)
    monkeypatch.setattr(pictures, "MOST", 1)
    pictures.upload(KETTLE, picture(size=(300, 300)), by=mo)
    with pytest.raises(Refusal, match="at most 1 pictures"):
        pictures.upload(KETTLE, picture(size=(310, 300)), by=mo)
    assert re.fullmatch("[0-9a-f]{8}", products.changes_since(KETTLE, 1)[0].after)
