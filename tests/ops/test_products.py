"""Products and categories in the console: created, changed, archived, and kept from being overwritten."""

from __future__ import annotations

import re

import pytest

from shop.accounts.permissions import Role
from shop.catalogue import browse, category_changes, products
from shop.catalogue.models import Category, FormerSlug, Product
from shop.core import audit_search
from shop.core.db import db
from shop.core.errors import Refusal
from shop.core.key_pages import Place
from shop.inventory import stock
from shop.merchandising import product_list
from shop.orders.models import OrderLine
from tests.ops.conftest import visitor_as
from tests.race_fixtures import Race
from tests.shop_fixtures import KETTLE, PEN, Shop
from tests.web.conftest import Visitor
from tests.web.test_page_statements import sent_for

NEW = {"sku": "pot-1", "name": "Tea Pot", "category": "test", "price.TWD": "1,180", "price.USD": "12.50"}


def stored(sku: str = KETTLE) -> Product:
    db.session.rollback()
    return db.session.get_one(Product, sku, populate_existing=True)


def form(visitor: Visitor, sku: str = KETTLE) -> dict[str, object]:
    """The form of a product as its page shows it."""
    page = visitor.get(f"/ops/products/{sku}").text
    found = dict(re.findall(r'<input[^>]* value="([^"]*)"[^>]*name="([^"]+)"', page))
    typed: dict[str, object] = {name: value for value, name in found.items()}
    typed |= dict(re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>([^<]*)</textarea>', page))
    version = re.search(r'name="version" value="([0-9]+)"', page)
    return typed | {"category": "test", "version": version[1] if version else ""}


@pytest.fixture
def mia(shop: Shop) -> Visitor:
    return visitor_as(shop, "merchandiser")


def test_a_merchandiser_adds_a_product_that_customers_buy_once_it_has_stock(shop: Shop, mia: Visitor) -> None:
    mia.get("/ops/products/new")
    answer = mia.post("/ops/products/new", {**NEW, "name.zh-Hant": "茶壺", "description": "Two cups."})
    assert (answer.status_code, answer.location) == (303, "/ops/products/POT-1")
    assert stored("POT-1").prices == {"TWD": 118000, "USD": 1250}
    assert stored("POT-1").texts == {"zh_Hant": {"name": "茶壺"}}
    stock.restock("POT-1", 3, by=shop.colleague("mo", Role.MERCHANDISER))
    visitor = Visitor(shop.app)
    assert "NT$1,180" in visitor.get("/products/tea-pot").text
    assert "茶壺" in visitor.get("/products/tea-pot?lang=zh-Hant").text
    visitor.get("/products/tea-pot")
    assert visitor.post("/cart/lines", {"sku": "POT-1", "quantity": 1}).status_code == 303
    assert mia.post("/ops/products/new", NEW).status_code == 422, "the SKU is taken"


@pytest.mark.parametrize(
    ("field", "typed", "shown"),
    [
        ("price.TWD", "0", "A price must be greater than zero."),
        ("price.TWD", "1180.50", "Prices in TWD are multiples of NT$1."),
        ("price.USD", "10000000000", "A price must be less than"),
        ("price.USD", "12,50", "Enter a price such as 12.50."),
        ("price.JPY", "12.5", "A price in JPY has no decimals, such as 1,180."),
        ("price.TWD", "-5", "Enter a price such as 1,180."),
        ("name", "", "Enter a name in English."),
        ("slug", "Blue Kettle!", "small letters, digits and single hyphens"),
        ("slug", "pen", "The product TEST-PEN has this address."),
        ("category", "none", "Categories are "),
        ("tax_class", "none", "Enter one of standard, reduced, zero."),
        ("position", "many", "Enter a whole number from 0 to"),
        ("summary", "x" * 201, "Enter at most 200 characters; these are 201."),
    ],
)
def test_a_field_that_cannot_be_used_is_named_and_what_was_typed_is_kept(
    mia: Visitor, field: str, typed: str, shown: str
) -> None:
    filled = form(mia)
    answer = mia.post(f"/ops/products/{KETTLE}", {**filled, "description": "Kept words", field: typed})
    assert answer.status_code == 422
    assert shown in answer.text.replace("&#39;", "'") and "Kept words" in answer.text
    assert stored().version == 1


def test_a_stale_form_shows_what_a_colleague_has_changed_and_keeps_what_was_typed(shop: Shop, mia: Visitor) -> None:
    first, second = form(mia), form(mia)
    mia.post(f"/ops/products/{KETTLE}", {**first, "name": "Blue Kettle", "price.TWD": "1,300", "summary": "Ours"})
    answer = mia.post(f"/ops/products/{KETTLE}", {**second, "price.TWD": "1,250", "description": "Mine"})
    assert answer.status_code == 409
    for shown in ("“Kettle” → “Blue Kettle”", "“1200” → “1300”", "Mine", 'value="1250"', 'value="Blue Kettle"'):
        assert shown in answer.text, shown
    assert "Yours differs from the saved value: “1300”" in answer.text
    assert (stored().prices["TWD"], stored().description) == (130000, "A good Kettle")
    again = re.search(r'name="version" value="([0-9]+)"', answer.text)
    assert again
    resolved = {**second, "version": again[1], "name": "Blue Kettle", "summary": "Ours", "description": "Mine"}
    assert mia.post(f"/ops/products/{KETTLE}", resolved).status_code == 303
    assert (stored().name, stored().description) == ("Blue Kettle", "Mine")
    assert mia.post(f"/ops/products/{KETTLE}", resolved).status_code == 303, "sent twice, it changes nothing more"
    assert stored().version == 3


def test_of_eight_changes_of_one_version_one_is_saved(shop: Shop, race: Race) -> None:
    mo = shop.colleague("mo", Role.MERCHANDISER)
    [seen] = {stored().version}

    def change(number: int) -> None:
        fields = products.product_fields.read(products.product_fields.as_typed(stored()) | {"name": f"Kettle {number}"})
        products.save(KETTLE, fields, seen=seen, by=mo)

    results = race(change)
    assert sorted(str(getattr(one, "code", one)) for one in results) == ["None"] + ["product_changed"] * 7


def test_prices_have_a_history_and_orders_keep_theirs(shop: Shop, mia: Visitor) -> None:
    order = shop.paid_order()
    mia.post(f"/ops/products/{KETTLE}", {**form(mia), "price.TWD": "1,300", "price.JPY": "", "name": "New Kettle"})
    page = mia.get(f"/ops/products/{KETTLE}").text
    row = re.findall(r"<td[^>]*>([^<]*(?:<span[^>]*>[^<]*</span>)?)</td>", page)
    assert [one for one in row if "NT$" in one] == ["NT$1,200", "NT$1,300"]
    assert "¥5,600 JPY" in page and "merchandiser@example.com" in page
    line = db.session.scalars(db.select(OrderLine).where(OrderLine.order_id == order.id)).one()
    assert (line.name, line.unit_amount) == ("Kettle", 120000)


def test_a_former_address_leads_to_the_present_one_and_back(shop: Shop, mia: Visitor) -> None:
    for slug in ("blue-kettle", "kettle", "tea-kettle"):
        assert mia.post(f"/ops/products/{KETTLE}", {**form(mia), "slug": slug}).status_code == 303
    visitor = Visitor(shop.app)
    for former in ("blue-kettle", "kettle"):
        answer = visitor.get(f"/products/{former}")
        assert (answer.status_code, answer.location) == (301, "/products/tea-kettle")
    assert "no-cache" in answer.headers["Cache-Control"], "an address may come back"
    assert visitor.get("/products/tea-kettle").status_code == 200
    assert shop.count(FormerSlug) == 2
    taken = mia.post(f"/ops/products/{PEN}", {**form(mia, PEN), "slug": "kettle"})
    assert "had this address before" in taken.text


def test_an_archived_product_is_not_sold_until_it_is_restored(shop: Shop, mia: Visitor) -> None:
    visitor = Visitor(shop.app)
    visitor.add()
    mia.get(f"/ops/products/{KETTLE}")
    assert mia.post(f"/ops/products/{KETTLE}/archive").status_code == 303
    assert "/products/kettle" not in Visitor(shop.app).get("/").text
    page = visitor.get("/products/kettle").text
    assert "This product is not for sale at the moment." in page and 'content="noindex"' in page
    assert visitor.get("/checkout").status_code == 303, "its cart has nothing that can be bought"
    assert "TEST-KETTLE" in mia.get("/ops/products?state=archived").text
    mia.post(f"/ops/products/{KETTLE}/restore")
    assert "/products/kettle" in Visitor(shop.app).get("/").text
    acts = [entry.act for entry in audit_search.find().rows if entry.act.startswith("product.")]
    assert acts == ["product.restored", "product.archived"]


def test_the_list_is_filtered_and_walked_in_both_directions_with_few_statements(
    shop: Shop, mia: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(product_list.find, "__defaults__", (Place(), 1))
    assert ["TEST-KETTLE" in mia.get(f"/ops/products{of}").text for of in ("", "?page=last")] == [True, False]
    assert "TEST-PEN" in mia.get("/ops/products?after=TEST-KETTLE").text
    assert "TEST-KETTLE" in mia.get("/ops/products?before=TEST-PEN").text
    assert "TEST-PEN" in mia.get("/ops/products?q=test-p").text and "TEST-PEN" in mia.get("/ops/products?q=PEN").text
    assert "No product matches" in mia.get("/ops/products?q=%25").text
    assert mia.get("/ops/products?colour=red").status_code == 422
    browse.clear_cache()
    assert len(sent_for(mia, "/ops/products?q=test&state=active&category=test")) <= 4


def test_categories_are_renamed_ordered_and_deleted_when_empty(shop: Shop, mia: Visitor) -> None:
    mia.get("/ops/categories")
    assert mia.post("/ops/categories", {"name.en": "Gift Cards", "name.zh_Hant": "禮券"}).status_code == 303
    mia.post("/ops/categories/gift-cards/move", {"place": "0"})
    assert [c.slug for c, _ in category_changes.with_products()] == ["gift-cards", "test"]
    assert "禮券" in Visitor(shop.app).get("/?lang=zh-Hant").text
    assert mia.post("/ops/categories/gift-cards", {"name.en": "Gifts", "version": "1"}).status_code == 303
    stale = mia.post("/ops/categories/gift-cards", {"name.en": "Presents", "version": "1"})
    assert stale.status_code == 409 and "Presents" in stale.text
    used = mia.post("/ops/categories/test/delete")
    assert used.status_code == 409 and "The category has products." in used.text
    assert mia.post("/ops/categories/gift-cards/delete").status_code == 303
    assert shop.count(Category) == 1


def test_a_category_is_deleted_or_gets_a_product_but_not_both(shop: Shop, race: Race) -> None:
    mo = shop.colleague("mo", Role.MERCHANDISER)
    category_changes.create("Gifts", by=mo)
    fields = products.product_fields.read({"name": "Card", "slug": "card", "category": "gifts"})

    def act(number: int) -> object:
        if number % 2:
            return category_changes.remove("gifts", by=mo)
        return products.create(f"CARD-{number}", fields, by=mo)

    results = race(act)
    assert all(isinstance(one, Refusal) or one is None or str(one).startswith("CARD") for one in results), results
    left = shop.count(Category)
    assert (left, shop.count(Product)) in ((1, 2), (2, 3))


def test_a_role_without_the_permission_reads_and_a_demoted_person_changes_nothing(shop: Shop) -> None:
    admin = visitor_as(shop, "admin")
    assert "Archive" not in admin.get(f"/ops/products/{KETTLE}").text
    assert admin.post(f"/ops/products/{KETTLE}", form(admin)).status_code == 403


def test_a_product_has_the_standard_rate_until_it_gets_another_class(shop: Shop, mia: Visitor) -> None:
    mia.get("/ops/products/new")
    mia.post("/ops/products/new", NEW)
    assert stored("POT-1").tax_class == "standard"
    assert mia.post("/ops/products/POT-1", {**form(mia, "POT-1"), "tax_class": "reduced"}).status_code == 303
    assert stored("POT-1").tax_class == "reduced"
    assert '<option value="reduced" selected>' in mia.get("/ops/products/POT-1").text
