"""Files sent to browsers, and the initial catalogue."""

from __future__ import annotations

import gzip
import re
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.shop_fixtures import Shop

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / "templates" / "shop").glob("*.html"))
CATALOGUE = tomllib.loads((ROOT / "shop" / "catalogue" / "initial_catalogue.toml").read_text())
ORDER_PAGE = ("vendor/htmx.js", "app.js", "css/settled.css", "css/order.css")
"""Everything that the order page loads."""


def test_the_order_page_needs_at_most_25_kb_of_script_and_style() -> None:
    sizes = {name: len(gzip.compress((ROOT / "static" / name).read_bytes(), 9)) for name in ORDER_PAGE}
    assert sum(sizes.values()) <= 25_000, sizes


def test_the_order_page_loads_no_other_script_or_style(shop: Shop) -> None:
    page = shop.app.test_client().get(f"/orders/{shop.order().token}").text
    loaded = re.findall(r'<(?:script src|link rel="stylesheet" href)="/static/([^"?]+)', page)
    assert sorted(loaded) == sorted(ORDER_PAGE)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: p.name)
def test_no_template_has_inline_script_or_style(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|hx-on|javascript:|hx-vals='?js:", text)
    data = '<script type="application/ld+json">'
    assert all("src=" in tag or tag == data for tag in re.findall(r"<script[^>]*>", text))


def test_the_version_of_htmx_is_known() -> None:
    assert "htmx 4.0.1" in (ROOT / "static" / "vendor" / "htmx.js").read_text()[:300]


def test_the_initial_catalogue_is_varied() -> None:
    products = CATALOGUE["product"]
    assert len(products) >= 24 and len(CATALOGUE["category"]) >= 4
    assert any(p["stock"] == 0 for p in products) and sum(0 < p["stock"] <= 3 for p in products) >= 3


@pytest.mark.parametrize("product", CATALOGUE["product"], ids=lambda p: p["slug"])
def test_each_product_is_complete(product: dict) -> None:
    assert product["category"] in {c["slug"] for c in CATALOGUE["category"]}
    assert set(product["prices"]) == {"TWD", "JPY", "USD"} and all(p > 0 for p in product["prices"].values())
    assert product["prices"]["TWD"] % 100 == 0, "one acquirer counts whole TWD"
    assert re.fullmatch(r"[A-Z0-9-]{3,20}", product["sku"]) and re.fullmatch(r"[a-z0-9-]+", product["slug"])
    assert len(product["summary"]) < 80 < len(product["description"])
    picture = ElementTree.parse(ROOT / "static" / product["image"]).getroot()  # noqa: S314 - our own file
    assert picture.tag.endswith("svg") and picture.get("viewBox")
