"""Search of products on both databases: all languages, ranks, typing errors, filters, orders and pages."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shop.catalogue import category_changes, entry_repair, listing, product_fields, products, search_entries
from shop.catalogue.models import Product
from shop.core import text
from shop.core.db import db, transaction
from shop.core.money import Money
from shop.inventory import stock
from shop.product_search import query, tokens
from shop.product_search.find import Sort, Wanted
from shop.product_search.models import SearchEntry, SearchName, SearchPrice, SearchWord
from tests.product_search.conftest import BY, Find, create
from tests.shop_fixtures import KETTLE, PEN, Shop


def test_the_teapot_is_found_in_every_language(find: Find, teapot: str) -> None:
    words = ["tea pot", "TEAPOT", "teapots", "tea-pot", "celadon", "cela", "strainer", "teapot strainer", "tea things"]
    words += ["茶壺", "壺", "茶壶", "ティーポット", "てぃーぽっと", "ﾃｨｰﾎﾟｯﾄ", "青瓷", "乌龙茶", "毫升", "茶具", "お茶"]
    words += ["teapto", "celadno", "tepot", "teapot*", "\u202etea"]
    assert {q: find(q) for q in words} == dict.fromkeys(words, [teapot])


def test_a_teapot_is_not_found_by_other_words(find: Find, teapot: str) -> None:
    words = ["kettles", "ケトル", "teapot kettle", "茶盤", "zeppelin", "%", "_", "*", "1", "🫖", "\x00"]
    assert [q for q in words if teapot in find(q)] == []


def test_whatever_is_typed_is_a_search_for_its_words(shop: Shop, find: Find) -> None:
    syntax = [
        '"',
        "'",
        "''",
        "\\",
        "NEAR(a b)",
        "NOT",
        "AND OR",
        "a AND",
        "words:kettle",
        "^kettle",
        "(",
        ":*",
        "!kettle",
    ]
    syntax += ["a & b", "tea | pot", "<->", "\x00kettle", "§kettle", "¤test", "kettle' OR '1"]
    syntax += ["x" * 10_000, "茶" * 10_000, "b " * 5_000]
    found = {q: find(q) for q in syntax}
    assert {q for q, skus in found.items() if skus} == {"^kettle", "!kettle", "\x00kettle", "§kettle", "¤test"}


def test_names_come_before_categories_and_those_before_descriptions(find: Find, teapot: str) -> None:
    create("DESC", "Tray", description="Fits any tea set.")
    create("KIND", "Strainer", category="tea-things")
    create("LONG", "Teacup")
    create("NAME", "Green Tea")
    assert find("tea") == ["NAME", teapot, "LONG", "KIND", "DESC"]


def test_typing_errors_are_corrected_only_where_nothing_is_found(find: Find, teapot: str) -> None:
    page = listing.page(Wanted("teapto"))
    assert [one.sku for one in page.products] == [teapot] and page.corrections == {"teapto": "teapot"}
    assert listing.page(Wanted("teapot")).corrections == {}
    assert listing.page(Wanted("zzzzzz")).corrections == {}


def test_the_index_follows_each_change_of_a_product(find: Find, teapot: str) -> None:
    product = products.locked(teapot)
    typed = product_fields.as_typed(product) | {"name": "Porcelain Jug", "name.ja": "", "price.TWD": "250"}
    version = product.version
    db.session.rollback()
    products.save(teapot, product_fields.read(typed), seen=version, by=BY)
    assert find("jug") == [teapot] and find("ティーポット") == [] and find("茶壺") == [teapot]
    assert find("jug", currency="TWD", least=250_00, most=250_00) == [teapot]
    products.set_price(teapot, Money(300_00, "TWD"), by=BY)
    assert find("jug", currency="TWD", least=250_01) == [teapot]
    products.archive(teapot, by=BY)
    assert find("jug") == [] and teapot not in find()
    products.restore(teapot, by=BY)
    assert find("jug") == [teapot] and teapot in find()


def test_a_renamed_category_is_found_by_its_new_name(find: Find, teapot: str) -> None:
    category_changes.rename("tea-things", "Kitchen", {}, seen=1, by=BY)
    assert find("kitchen") == [teapot] and find("things") == []


def test_the_list_follows_the_order_of_the_categories(find: Find, teapot: str) -> None:
    assert find() == [KETTLE, PEN, teapot]
    category_changes.move("tea-things", 0, by=BY)
    assert find() == [teapot, KETTLE, PEN]


def test_nothing_of_a_change_that_is_rolled_back_is_found(shop: Shop, find: Find) -> None:
    with pytest.raises(ZeroDivisionError), transaction():
        products.create("GONE", product_fields.read({"slug": "x", "category": "test", "name": "Zeppelin"}), by=BY)
        raise ZeroDivisionError
    assert find("zeppelin") == []


# --- filters, orders, pages ---


@pytest.mark.parametrize("q", ["", "cup"])
def test_filters_and_orders_work_with_and_without_words(find: Find, teapot: str, q: str) -> None:
    for position, (price, units) in enumerate([(300, 1), (100, 0), (200, 9)]):
        create(f"CUP{position}", f"Cup {position}", category="tea-things", prices={"TWD": price}, units=units)
    of = {"category": "tea-things", "currency": "TWD", "most": 9_999}
    assert find(q, sort=Sort.CHEAPEST, **of) == ["CUP1", "CUP2", "CUP0"]
    assert find(q, sort=Sort.DEAREST, **of) == ["CUP0", "CUP2", "CUP1"]
    assert find(q, sort=Sort.NEWEST, **of) == ["CUP2", "CUP1", "CUP0"]
    assert find(q, in_stock=True, **of) == ["CUP0", "CUP2"]
    assert find(q, **(of | {"least": 101, "most": 250})) == ["CUP2"]
    assert find(q, **(of | {"currency": "USD"})) == []
    assert find(q, **(of | {"category": "none"})) == []


def test_what_is_sold_out_meanwhile_is_not_in_stock(shop: Shop, find: Find) -> None:
    assert find("kettle", in_stock=True) == [KETTLE]
    shop.order((KETTLE, stock.available([KETTLE])[KETTLE]))
    assert find("kettle", in_stock=True) == [] and find("kettle") == [KETTLE]


@pytest.mark.parametrize("sort", Sort)
@pytest.mark.parametrize("q", ["", "cup"])
def test_pages_have_every_product_once_and_count_up_to_a_limit(shop: Shop, q: str, sort: Sort) -> None:
    names = ("Cup", "Mug for a cup")
    skus = {create(f"CUP{n}", names[n % 2], prices={"TWD": 1 + n % 3}) for n in range(7)}
    found: list[str] = []
    for at in range(0, 9, 3):
        page = listing.page(Wanted(q, sort=sort, currency="TWD", most=100, limit=3, offset=at, counted=6))
        assert page.number == 7
        found += [one.sku for one in page.products]
    assert sorted(found) == sorted(skus)


@pytest.mark.parametrize("q", ["cup", "cu", "big cup", "茶", "tea cup", "teacu", "bigcup"])
def test_a_list_is_the_same_from_whichever_table_it_is_read_first(
    find: Find, teapot: str, monkeypatch: pytest.MonkeyPatch, q: str
) -> None:
    kinds = [("Cup", "Big"), ("Big Cup", ""), ("Mug", "A cup, a big one"), ("Cupboard", "茶"), ("Teacup", "cup of tea")]
    for number in range(10):
        name, summary = kinds[number % 5]
        create(f"P{number}", name, summary=summary, prices={"TWD": 500 - number // 2 * 10}, units=number % 3)
    lists: list[dict[str, Any]] = [{"sort": sort, "currency": "TWD"} for sort in Sort]
    lists = [one | more for one in lists for more in ({}, {"least": 450, "most": 480}, {"most": 490, "in_stock": True})]
    lists = [one | more for one in lists for more in ({}, {"limit": 2, "offset": 2}, {"category": "tea-things"})]
    usual = [find(q, **one) for one in lists]
    for many, most_collected, few_prices in ((0, 100, -1), (0, 0, -1), (100, 100, 100)):
        for name, value in (("MANY", many), ("MOST_COLLECTED", most_collected), ("FEW_PRICES", few_prices)):
            monkeypatch.setattr(f"shop.product_search.find.{name}", value)
        assert [find(q, **one) for one in lists] == usual, (many, most_collected, few_prices)


# --- rebuilding ---


def test_an_index_that_was_lost_is_rebuilt(shop: Shop, find: Find, teapot: str) -> None:
    with transaction():
        for model in (SearchPrice, SearchEntry, SearchWord):
            db.session.execute(db.delete(model))
    assert find("茶壺") == [] and len(search_entries.stale()) == 3
    seen: list[int] = []
    assert search_entries.rebuild(by=BY, progress=seen.append) == 3 and seen == [3]
    assert find("茶壺") == find("teapto") == [teapot] and search_entries.stale() == []


def test_a_release_writes_what_an_older_version_has_changed(shop: Shop, find: Find) -> None:
    with transaction():
        db.session.execute(db.update(Product).where(Product.sku == KETTLE).values(name="Jug", version=7))
        db.session.execute(db.update(SearchEntry).where(SearchEntry.sku == PEN).values(edition=0))
    assert search_entries.stale() == [KETTLE, PEN]
    assert search_entries.write_stale() == 2 and find("jug") == [KETTLE]


def test_the_clock_writes_what_an_older_version_saves_during_an_upgrade(shop: Shop, find: Find) -> None:
    with transaction():
        for sku, edition in ((PEN, tokens.EDITION - 1), (KETTLE, tokens.EDITION + 1)):
            db.session.execute(db.update(SearchEntry).where(SearchEntry.sku == sku).values(edition=edition))
            db.session.execute(db.delete(SearchName).where(SearchName.entry_id == entry_of(sku)))
    assert entry_repair.due() == [PEN], "a later version has written the other one"
    search_entries.write_one(PEN)
    assert db.session.scalars(db.select(SearchName.name).where(SearchName.entry_id == entry_of(PEN))).all()
    assert entry_repair.due() == [], "it waits before it looks again"
    search_entries.write_stale()


def entry_of(sku: str) -> Any:
    return db.select(SearchEntry.id).where(SearchEntry.sku == sku).scalar_subquery()


def test_a_rebuild_forgets_words_that_no_product_has(shop: Shop, teapot: str) -> None:
    with transaction():
        db.session.add(SearchWord(word="zeppelin"))
    search_entries.rebuild(by=BY)
    assert db.session.get(SearchWord, "zeppelin") is None and db.session.get(SearchWord, "celadon")


# --- any name ---


NAMES = st.lists(
    st.text(
        st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]) | st.sampled_from("茶壺ティー éñ'ﬁ"), max_size=40
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(NAMES)
def test_a_product_is_found_by_each_word_of_its_name(shop: Shop, find: Find, names: list[str]) -> None:
    product = products.locked(PEN)
    typed = product_fields.as_typed(product)
    english = text.tidy("A " + " ".join(names))[:120]
    locales = dict(zip(("name.zh-Hant", "name.ja"), names[:2], strict=False))
    version = product.version
    db.session.rollback()
    products.save(PEN, product_fields.read(typed | {"name": english} | locales), seen=version, by=BY)
    for name in (english, *(text.tidy(one) for one in locales.values())):
        for word in name.split():
            if query.parse(word):
                assert PEN in find(word), word


@pytest.mark.parametrize("q", ["", "cup"])
def test_a_list_is_sorted_by_the_names_of_its_language(shop: Shop, find: Find, q: str) -> None:
    english = {"CUP1": "Éclair cup", "CUP2": "apple cup", "CUP3": "Big cup", "CUP4": "Étoile Cup"}
    japanese = {"CUP1": "のカップ", "CUP2": "るカップ", "CUP3": "アカップ"}
    category = category_changes.create("Cups", {}, by=BY)
    for sku, name in english.items():
        texts = {"ja": {"name": japanese[sku]}} if sku in japanese else {}
        create(sku, name, category=category, texts=texts)
    of = {"category": category, "sort": Sort.NAME}
    assert find(q, **of) == ["CUP2", "CUP3", "CUP1", "CUP4"]
    assert find(q, language="ja", **of) == ["CUP4", "CUP3", "CUP1", "CUP2"]
    product = products.find("CUP2")
    assert product
    typed = product_fields.as_typed(product) | {"name": "Zebra cup"}
    products.save("CUP2", product_fields.read(typed), seen=product.version, by=BY)
    assert find(q, **of)[-1] == "CUP2"
    products.archive("CUP4", by=BY)
    assert find(q, **of) == ["CUP3", "CUP1", "CUP2"]
    assert shop.count(SearchName) == 4 * (3 + shop.count(Product) - 4)
