"""Legal pages, and what search engines read: robots.txt, sitemap, canonical addresses, structured data."""

from __future__ import annotations

import json
import re
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
from flask import Flask

from shop.core.languages import OFFERED, tag
from shop.web.legal import PAGES
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor

pytestmark = pytest.mark.usefixtures("shop")


def structured(page: str) -> dict[str, object]:
    found = re.search(r'<script type="application/ld\+json">(.*?)</script>', page, re.S)
    assert found
    data: dict[str, object] = json.loads(found[1])
    return data


def test_every_address_of_the_sitemap_is_a_page(visitor: Visitor, app: Flask) -> None:
    answer = visitor.get("/sitemap.xml")
    assert answer.mimetype == "application/xml"
    addresses = [one.text or "" for one in ElementTree.fromstring(answer.text).iter() if one.tag.endswith("}loc")]
    assert all(one.startswith(app.config["SHOP_URL"]) for one in addresses)
    paths = [f"{urlsplit(one).path}?{urlsplit(one).query}" for one in addresses]
    assert {"/products/kettle?", "/privacy?"} <= set(paths) and any("category=" in path for path in paths)
    assert [visitor.get(path).status_code for path in paths] == [200] * len(paths)


def test_search_engines_may_read_the_catalogue_and_nothing_of_a_read_only_copy(visitor: Visitor, app: Flask) -> None:
    text = visitor.get("/robots.txt").text
    assert "Disallow: /checkout\n" in text and "Disallow: /\n" not in text and "/sitemap.xml" in text
    app.config["SETTLED_PASSIVE"] = True
    assert "Disallow: /\n" in visitor.get("/robots.txt").text


def test_pages_of_orders_and_accounts_are_not_indexed(visitor: Visitor) -> None:
    path = visitor.order()
    for private in (path, "/account", "/account/addresses"):
        assert visitor.get(private).headers["X-Robots-Tag"] == "noindex", private
    assert "X-Robots-Tag" not in visitor.get("/products/kettle").headers


def test_a_page_names_its_one_address(visitor: Visitor, app: Flask) -> None:
    address = app.config["SHOP_URL"].rstrip("/")
    for path, wanted in {
        "/products/kettle?utm=x": "/products/kettle",
        "/products/kettle?lang=ja&utm=x": "/products/kettle?lang=ja",
        "/?lang=xx": "/",
        "/privacy": "/privacy",
    }.items():
        assert f'<link rel="canonical" href="{address}{wanted}">' in visitor.get(path).text, path


def test_a_product_describes_its_offer(visitor: Visitor, shop: Shop) -> None:
    data = structured(visitor.get("/products/kettle").text)
    assert (data["@type"], data["name"], data["sku"]) == ("Product", "Kettle", "TEST-KETTLE")
    offer = data["offers"]
    assert isinstance(offer, dict)
    assert (offer["price"], offer["priceCurrency"]) == ("1200.00", "TWD")
    assert offer["availability"] == "https://schema.org/InStock"


@pytest.mark.parametrize("locale", OFFERED)
def test_the_legal_pages_name_the_seller_in_every_language(visitor: Visitor, locale: str) -> None:
    for page in PAGES:
        answer = visitor.get(f"/{page}?lang={tag(locale)}")
        assert answer.status_code == 200 and f'<html lang="{tag(locale)}">' in answer.text
        assert "help@settled.example" in answer.text
    assert all(f'href="/{page}"' in visitor.get("/").text for page in PAGES)


def test_without_an_e_mail_address_of_the_seller_the_pages_lead_to_the_imprint(visitor: Visitor, app: Flask) -> None:
    app.config.update(SELLER_NAME="Ann’s Teapots", SELLER_EMAIL="")
    assert "the address in the imprint" in visitor.get("/contact").text
    assert "Ann’s Teapots" in visitor.get("/imprint").text
