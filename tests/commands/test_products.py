"""`flask seed` and `flask products`: the initial catalogue, prices and stock, with refusals as sentences."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shop.catalogue import category_changes, product_fields, products
from shop.catalogue.models import Category, InitialTexts, Product
from shop.core.actor import Actor
from shop.core.db import db, transaction
from shop.inventory import stock
from shop.inventory.models import Stock, StockMovement
from tests.race_fixtures import Race
from tests.shop_fixtures import KETTLE, PRICES, UNITS, Shop

Command = Callable[..., str]


@pytest.fixture
def flask(shop: Shop) -> Command:
    """`flask("products", "list")`: the command's output. A failure begins with its exit code."""

    def run(*arguments: str) -> str:
        done = shop.app.test_cli_runner().invoke(args=arguments, catch_exceptions=False)
        db.session.rollback()
        return done.stdout if done.exit_code == 0 else f"{done.exit_code} {done.stderr[done.stderr.index('Error: ') :]}"

    return run


def product(sku: str) -> Product:
    db.session.rollback()
    return db.session.get_one(Product, sku, populate_existing=True)


def movements(sku: str) -> list[tuple[int, str]]:
    db.session.rollback()
    rows = db.select(StockMovement.quantity, StockMovement.kind).where(StockMovement.sku == sku)
    return [(row.quantity, row.kind) for row in db.session.execute(rows.order_by(StockMovement.id))]


# --- seed ---


def test_seed_inserts_the_initial_catalogue_with_its_stock_once(shop: Shop, flask: Command) -> None:
    assert flask("seed") == "The 30 products of the initial catalogue exist.\n"
    first = movements("MUG-SPECK")
    assert first == [(84, "receipt")]
    assert flask("seed") == "The 30 products of the initial catalogue exist.\n"
    assert movements("MUG-SPECK") == first
    assert stock.available(["MUG-SPECK"]) == {"MUG-SPECK": 84}


def test_seed_overwrites_nothing_that_a_merchant_has_changed(shop: Shop, flask: Command) -> None:
    flask("seed")
    with transaction():
        mug = db.session.get_one(Product, "MUG-SPECK")
        mug.name, mug.slug, mug.prices, mug.position = "Our Mug", "our-mug", {"TWD": 1}, 99
        mug.summary, mug.description, mug.image = "Ours", "Ours too", "mark.svg"
        db.session.get_one(Category, "table").name = "Our table"
        stock.receive("MUG-SPECK", -80, "adjustment")
    flask("seed")
    mug = product("MUG-SPECK")
    assert (mug.name, mug.slug, mug.prices, mug.position) == ("Our Mug", "our-mug", {"TWD": 1}, 99)
    assert (mug.summary, mug.description, mug.image) == ("Ours", "Ours too", "mark.svg")
    assert db.session.get_one(Category, "table").name == "Our table"
    assert movements("MUG-SPECK") == [(84, "receipt"), (-80, "adjustment")]
    assert stock.available(["MUG-SPECK"]) == {"MUG-SPECK": 4}


def test_seed_inserts_what_is_missing_beside_what_exists(shop: Shop, flask: Command) -> None:
    flask("seed")
    with transaction():
        db.session.execute(db.delete(Product).where(Product.sku == "MUG-SPECK"))
        db.session.execute(db.delete(StockMovement).where(StockMovement.sku == "MUG-SPECK"))
        db.session.execute(db.delete(Stock).where(Stock.sku == "MUG-SPECK"))
        db.session.get_one(Product, "BOWL-NEST").prices = {"TWD": 5}
    flask("seed")
    assert product("MUG-SPECK").prices["TWD"] == 42000
    assert stock.available(["MUG-SPECK"]) == {"MUG-SPECK": 84}
    assert product("BOWL-NEST").prices == {"TWD": 5}


def test_a_merchants_product_with_the_address_of_an_initial_one_stays_alone(shop: Shop, flask: Command) -> None:
    with transaction():
        db.session.get_one(Product, KETTLE).slug = "blue-kettle"
    assert flask("seed") == "The 29 products of the initial catalogue exist.\n"
    assert product(KETTLE).slug == "blue-kettle"
    assert db.session.get(Product, "KET-BLUE") is None
    assert db.session.get(Stock, "KET-BLUE") is None


def test_eight_seeds_at_once_receive_the_initial_stock_once(shop: Shop, race: Race) -> None:
    results = race(lambda _: shop.app.test_cli_runner().invoke(args=["seed"], catch_exceptions=False).exit_code)
    assert results == [0] * len(results)
    assert movements("MUG-SPECK") == [(84, "receipt")]


KITCHEN = {
    "zh_Hant": {"name": "餐桌與廚房"},
    "zh_Hans": {"name": "餐桌与厨房"},
    "ja": {"name": "キッチン・食卓"},
}


def as_before_translations(**texts: dict[str, dict[str, str]]) -> None:
    """Make the catalogue one that was filled by a version without translations; `texts` are a merchant's own, by SKU
    with an underscore.
    """
    with transaction():
        for model in (Product, Category):
            db.session.execute(db.update(model).values(texts={}))
        db.session.execute(db.delete(InitialTexts))
        for sku, own in texts.items():
            db.session.get_one(Product, sku.replace("_", "-")).texts = own


def test_seed_translates_a_catalogue_that_was_filled_before_translations_existed(shop: Shop, flask: Command) -> None:
    flask("seed")
    first = {sku: product(sku).texts for sku in ("MUG-SPECK", "KET-BLUE")}
    as_before_translations()
    flask("seed")
    assert {sku: product(sku).texts for sku in first} == first
    assert first["MUG-SPECK"]["zh_Hant"]["name"] == "斑點馬克杯"
    assert db.session.get_one(Category, "table").texts == KITCHEN
    assert product(KETTLE).texts == {}, "a merchant's own product"


def test_seed_translates_only_texts_that_are_still_the_initial_ones(shop: Shop, flask: Command) -> None:
    flask("seed")
    as_before_translations(KET_BLUE={"zh_Hant": {"name": "我們的水壺"}, "ja": {"name": "青いケトル"}})
    with transaction():
        db.session.get_one(Product, "MUG-SPECK").summary = "Ours"
        db.session.get_one(Category, "table").name = "Our table"
    flask("seed")
    assert set(product("MUG-SPECK").texts["zh_Hant"]) == {"name", "description"}
    assert product("KET-BLUE").texts["zh_Hant"]["name"] == "我們的水壺"
    assert product("KET-BLUE").texts["zh_Hant"]["summary"] == "琺瑯鋼材，1.4 公升，水滾會鳴笛。"
    assert product("KET-BLUE").texts["ja"]["name"] == "青いケトル"
    assert product("KET-BLUE").texts["ja"]["summary"].startswith("ホーロー製")
    assert db.session.get_one(Category, "table").texts == {}


def test_seed_never_brings_back_translations_that_a_merchant_has_changed_or_deleted(shop: Shop, flask: Command) -> None:
    flask("seed")
    as_before_translations()
    flask("seed")
    with transaction():
        db.session.get_one(Product, "MUG-SPECK").texts = {}
        db.session.get_one(Product, "KET-BLUE").texts = {"zh_Hant": {"name": "我們的水壺"}}
        db.session.get_one(Category, "table").texts = {}
    flask("seed")
    assert product("MUG-SPECK").texts == {}
    assert product("KET-BLUE").texts == {"zh_Hant": {"name": "我們的水壺"}}
    assert db.session.get_one(Category, "table").texts == {}


def test_a_release_keeps_what_a_merchant_has_done_in_the_console(shop: Shop, flask: Command) -> None:
    flask("seed")
    operator = Actor.operator()
    mug = products.find("MUG-SPECK")
    assert mug
    typed = product_fields.as_typed(mug) | {
        "name": "Our Mug",
        "slug": "our-mug",
        "price.TWD": "500",
        "category": "desk",
    }
    products.save("MUG-SPECK", product_fields.read(typed), seen=1, by=operator)
    products.archive("BOWL-NEST", by=operator)
    light = "light"
    for found in db.session.scalars(db.select(Product).where(Product.category == light)).all():
        typed = product_fields.as_typed(found) | {"category": "desk"}
        products.save(found.sku, product_fields.read(typed), seen=1, by=operator)
    category_changes.remove(light, by=operator)
    category_changes.move("shelf", 0, by=operator)

    def now() -> list[object]:
        db.session.rollback()
        of = db.select(Product.sku, Product.slug, Product.name, Product.category, Product.prices, Product.archived_at)
        categories = db.select(Category.slug, Category.position)
        return [db.session.execute(query).all() for query in (of.order_by(Product.sku), categories.order_by("slug"))]

    before = now()
    assert flask("seed") == "The 30 products of the initial catalogue exist.\n"
    assert now() == before
    assert db.session.get(Category, light) is None, "a deleted category stays deleted"


# --- prices ---


def test_a_price_is_changed_in_one_currency(shop: Shop, flask: Command) -> None:
    message = flask("products", "price", KETTLE.lower(), "usd", "41.50")
    assert message == f"{KETTLE} now costs $41.50 USD (before: $38.00 USD).\n"
    assert product(KETTLE).prices == PRICES[KETTLE] | {"USD": 4150}


def test_a_price_in_a_further_currency_is_added(shop: Shop, flask: Command) -> None:
    with transaction():
        db.session.get_one(Product, KETTLE).prices = {"TWD": 100}
    assert flask("products", "price", KETTLE, "JPY", "5600") == f"{KETTLE} now costs ¥5,600 JPY.\n"
    assert product(KETTLE).prices == {"TWD": 100, "JPY": 5600}


def test_a_changed_price_is_shown_for_acceptance_and_orders_keep_theirs(shop: Shop, flask: Command) -> None:
    order, cart_id = shop.order(), shop.cart()
    flask("products", "price", KETTLE, "TWD", "1300")
    shop.acquirer.capture(shop.payment(order).id)
    shop.deliver_webhook(shop.payment(order))
    assert shop.state(order) == "PAID"
    with pytest.raises(Exception, match="prices have changed"):
        shop.place(cart_id)


@pytest.mark.parametrize(
    ("currency", "amount", "output"),
    [
        ("TWD", "0", "A price must be greater than zero."),
        ("TWD", "-1", "A price must be greater than zero."),
        ("JPY", "12.50", "'12.50' is not an amount in JPY."),
        ("USD", "1.001", "'1.001' is not an amount in USD."),
        ("USD", "lots", "'lots' is not an amount."),
        ("USD", "1e3", "'1e3' is not an amount."),
        ("USD", "", "'' is not an amount."),
        ("USD", "9999999999999999", "'9999999999999999' is not an amount."),
        ("EUR", "5", "Invalid value for 'CURRENCY': 'EUR' is not a currency of this shop. Use one of TWD, JPY, USD."),
    ],
)
def test_a_price_that_is_none_is_refused(shop: Shop, flask: Command, currency: str, amount: str, output: str) -> None:
    answer = flask("products", "price", "--", KETTLE, currency, amount)
    assert answer in (f"1 Error: {output}\n", f"2 Error: {output}\n")
    assert product(KETTLE).prices == PRICES[KETTLE]


def test_two_prices_that_are_changed_at_once_are_both_kept(shop: Shop, race: Race) -> None:
    changes = [("TWD", "1"), ("JPY", "2"), ("USD", "3")]

    def change(number: int) -> int:
        arguments = ["products", "price", KETTLE, *changes[number % 3]]
        return shop.app.test_cli_runner().invoke(args=arguments, catch_exceptions=False).exit_code

    assert set(race(change)) == {0}
    assert product(KETTLE).prices == {"TWD": 100, "JPY": 2, "USD": 300}


# --- stock ---


def test_restocking_adds_units_and_a_movement(shop: Shop, flask: Command) -> None:
    shop.order((KETTLE, UNITS))
    assert flask("products", "restock", KETTLE, "40") == f"40 units of {KETTLE} received; 40 are available.\n"
    assert movements(KETTLE) == [(UNITS, "receipt"), (40, "receipt")]
    shop.order((KETTLE, 40))


@pytest.mark.parametrize("quantity", ["0", "-3", "1.5", "lots", "", "1e3", "99999999"])
def test_a_quantity_that_is_none_is_refused(shop: Shop, flask: Command, quantity: str) -> None:
    answer = flask("products", "restock", "--", KETTLE, quantity)
    assert f"'{quantity}' is not a quantity. Give a whole number from 1 to 1,000,000." in answer
    assert answer.startswith("2 Error: ")
    assert movements(KETTLE) == [(UNITS, "receipt")]


def test_more_than_a_million_units_on_hand_are_refused(shop: Shop, flask: Command) -> None:
    answer = flask("products", "restock", KETTLE, "999991")
    assert answer == "1 Error: There cannot be more than 1,000,000 units of a product on hand.\n"
    assert movements(KETTLE) == [(UNITS, "receipt")]
    assert stock.available([KETTLE]) == {KETTLE: UNITS}


@pytest.mark.parametrize("sku", ["NO-SUCH", "", "a b", "'; --"])
@pytest.mark.parametrize("rest", [("price", "TWD", "5"), ("restock", "5")])
def test_an_unknown_product_is_named(shop: Shop, flask: Command, sku: str, rest: tuple[str, ...]) -> None:
    answer = flask("products", rest[0], "--", sku, *rest[1:])
    assert answer.startswith("2 Error: Invalid value for 'SKU': There is no product ")
    assert "`flask products list` shows all of them." in answer


def test_a_product_that_is_not_utf8_is_refused(shop: Shop, flask: Command) -> None:
    answer = flask("products", "restock", "\ud800", "5")
    assert answer == "2 Error: The arguments contain bytes that are not valid UTF-8.\n"


def test_the_list_has_every_product_with_prices_and_units(shop: Shop, flask: Command) -> None:
    with transaction():
        db.session.get_one(Product, KETTLE).prices = {}
    lines = flask("products", "list").splitlines()
    assert [line.split()[:3] for line in lines] == [[KETTLE, "10", "Kettle"], ["TEST-PEN", "10", "Pen"]]
    assert lines[0].endswith("no price")
    assert lines[1].endswith("NT$90, ¥420 JPY, $2.90 USD")


def test_a_passive_copy_changes_neither_price_nor_stock(shop: Shop, flask: Command) -> None:
    shop.app.config["SETTLED_PASSIVE"] = True
    for arguments in (("price", KETTLE, "TWD", "5"), ("restock", KETTLE, "5")):
        assert flask("products", *arguments).startswith("1 Error: This is a read-only copy of the shop.")
    assert product(KETTLE).prices == PRICES[KETTLE]
