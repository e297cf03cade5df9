"""Search and filters on the catalogue page, in four languages, without JavaScript."""

from __future__ import annotations

import re
from html import unescape

import pytest

from shop.core.languages import OFFERED, tag
from tests.product_search.conftest import create, teapot
from tests.shop_fixtures import Shop
from tests.web.conftest import HTMX, Visitor

__all__ = ["teapot"]


def names(page: str) -> list[str]:
    """Names of the products on a page, without marks."""
    found = re.findall(r'<h2><a href="/products/[^"]+">(.*?)</a></h2>', page)
    return [unescape(re.sub("</?mark>", "", name)) for name in found]


@pytest.mark.parametrize("locale", OFFERED)
def test_the_teapot_is_found_in_each_language_by_the_words_of_any(visitor: Visitor, teapot: str, locale: str) -> None:
    name = {"en": "Celadon Teapot", "zh_Hant": "青瓷茶壺", "zh_Hans": "青瓷茶壶", "ja": "青磁のティーポット"}[locale]
    visitor.get(f"/?lang={tag(locale)}")
    for q in ("tea pot", "茶壺", "ティーポット"):
        page = visitor.get("/", query_string={"q": q}).text
        assert names(page) == [name] and f'value="{q}"' in page


def test_what_was_found_is_marked_and_texts_stay_texts(visitor: Visitor, shop: Shop) -> None:
    create("TAG", "<b>Tea</b> & more", summary="A tea pot")
    page = visitor.get("/?q=teapot").text
    assert "&lt;b&gt;Tea&lt;/b&gt; &amp; more" in page and "A <mark>tea pot</mark>" in page
    assert "&lt;b&gt;<mark>Tea</mark>&lt;/b&gt;" in visitor.get("/?q=tea").text


def test_a_typing_error_is_named_with_what_was_searched_for_instead(visitor: Visitor, teapot: str) -> None:
    page = visitor.get("/?q=teapto").text
    assert names(page) == ["Celadon Teapot"] and "No product has “teapto”. These have “teapot”." in page


def test_a_search_without_results_helps_on(visitor: Visitor, teapot: str) -> None:
    page = visitor.get("/?q=zeppelin&category=tea-things&stock=in").text
    assert "No results for “zeppelin”" in page and "Check the spelling" in page
    assert 'href="/?q=zeppelin&amp;category=tea-things">Remove the filters' in page
    assert 'href="/?q=zeppelin&amp;stock=in">Search in all products' in page


def test_results_of_a_search_are_not_indexed_and_the_catalogue_is(visitor: Visitor, teapot: str) -> None:
    for path in ("/?q=tea", "/?sort=price", "/?stock=in", "/?price_from=1", "/?q=zeppelin"):
        assert visitor.get(path).headers["X-Robots-Tag"] == "noindex", path
    for path in ("/", "/?category=tea-things", "/?utm_source=letter", "/?q="):
        assert "X-Robots-Tag" not in visitor.get(path).headers, path


def test_filters_narrow_the_list_and_stay_in_its_form_and_links(visitor: Visitor, shop: Shop) -> None:
    for sku, price, units in (("LOW", 300_00, 2), ("MID", 600_00, 2), ("HIGH", 900_00, 2), ("OUT", 600_00, 0)):
        create(sku, f"Cup {sku}", prices={"TWD": price}, units=units)
    page = visitor.get("/?q=cup&price_from=500&price_to=NT900&stock=in&sort=price-desc")
    assert page.status_code == 422
    page = visitor.get("/?q=cup&price_from=500&price_to=900&stock=in&sort=price-desc")
    assert names(page.text) == ["Cup HIGH", "Cup MID"]
    assert 'name="price_from" type="text" inputmode="decimal" value="500"' in page.text
    assert 'value="in" checked' in page.text and '<option value="price-desc" selected>' in page.text
    assert 'href="/?q=cup&amp;category=test&amp;price_from=500' in page.text


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("price_from=abc", "Enter a price such as 500."),
        ("price_to=-1", "Enter a price such as 500."),
        ("price_to=1e9", "Enter a price such as 500."),
        ("price_from=99999999999999999999", "Enter a price such as 500."),
        ("price_from=500&price_to=100", "The highest price is lower than the lowest one."),
        ("sort=random", "Choose a way to sort from the list."),
        ("stock=yes", "Products can be filtered by “In stock” only."),
    ],
)
def test_a_filter_that_cannot_be_used_is_answered_with_a_message(visitor: Visitor, query: str, message: str) -> None:
    answer = visitor.get(f"/?{query}")
    assert answer.status_code == 422 and message in unescape(answer.text) and names(answer.text) == []


@pytest.mark.parametrize("page", ["0", "-1", "2", "43", "99999999999", "x", "1.0", "%00", "١"])
def test_a_page_that_does_not_exist_is_not_found(visitor: Visitor, page: str) -> None:
    assert visitor.get(f"/?page={page}").status_code == 404


def test_pages_have_24_products_and_links(visitor: Visitor, shop: Shop) -> None:
    for number in range(24):
        create(f"CUP{number}", f"Cup {number}")
    first = visitor.get("/?category=test").text
    assert len(names(first)) == 24 and "26 products" in first and "Page 1 of 2" in first
    assert 'href="/?category=test&amp;page=2" rel="next"' in first and 'rel="prev"' not in first
    second = visitor.get("/?category=test&page=2").text
    assert len(names(second)) == 2 and not set(names(first)) & set(names(second))
    assert 'href="/?category=test" rel="prev"' in second and 'rel="next"' not in second
    assert "?category=test&amp;page=2" in re.findall('rel="canonical" href="([^"]+)"', second)[0]


def test_archived_products_are_neither_listed_nor_found(visitor: Visitor, teapot: str) -> None:
    from shop.catalogue import products
    from tests.product_search.conftest import BY

    products.archive(teapot, by=BY)
    assert "Celadon" not in visitor.get("/").text and names(visitor.get("/?q=celadon").text) == []


def test_too_many_searches_are_refused_and_the_catalogue_is_not(visitor: Visitor, shop: Shop) -> None:
    shop.app.config["RATE_LIMITS"] = True
    statuses = {visitor.get("/?q=kettle", headers=HTMX).status_code for _ in range(245)}
    assert statuses == {200, 429}
    assert visitor.get("/").status_code == 200
