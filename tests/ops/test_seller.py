"""The seller in the console, on pages, and on receipts."""

from __future__ import annotations

import html

import pytest

from shop.accounts.permissions import Role
from shop.core import audit_search
from shop.core.audit import Subject, SubjectKind
from shop.seller import Seller
from shop.seller_data import seller_data
from shop.seller_data.models import SellerData
from tests.documents.conftest import documents
from tests.ops.conftest import visitor_as
from tests.ops.setting_forms import form_of
from tests.race_fixtures import Race
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor

NEW = {"name": "Tea & Co. 茶行", "address": "9 Harbour Rd, Tainan", "tax_id": "12345678", "email": "hi@tea.example"}
NEW |= {"reason": "moved", "version": "0"}


@pytest.fixture
def fay(shop: Shop) -> Visitor:
    visitor = visitor_as(shop, "finance")
    visitor.get("/ops/seller")
    return visitor


def test_receipts_from_now_on_name_the_new_seller_and_those_before_keep_theirs(shop: Shop, fay: Visitor) -> None:
    assert form_of(fay, "/ops/seller")["name"] == "Settled Demo Shop", "the settings are the initial values"
    before = shop.paid_order()
    shop.sweep()
    assert fay.post("/ops/seller", NEW).status_code == 303
    after = shop.paid_order()
    shop.sweep()
    assert [document.seller["name"] for document in documents(before)] == ["Settled Demo Shop"]
    assert [document.seller for document in documents(after)] == [
        {name: value for name, value in NEW.items() if name not in ("reason", "version")}
    ]
    visitor = Visitor(shop.app)
    for page in ("/imprint", "/contact", f"/orders/{after.token}"):
        assert "Tea &amp; Co. 茶行" in visitor.get(page).text, page
    assert "Settled Demo Shop" in visitor.get(f"/orders/{before.token}/receipt", follow_redirects=True).text
    newest = audit_search.find(audit_search.Filters(subjects=[Subject(SubjectKind.SELLER, "1")]), limit=5).rows[0]
    assert newest.before and newest.after
    names = (newest.before["name"], newest.after["name"], newest.reason)
    assert names == ("Settled Demo Shop", "Tea & Co. 茶行", "moved")
    assert "finance@example.com" in fay.get("/ops/seller").text


@pytest.mark.parametrize(
    ("field", "typed", "shown"),
    [
        ("name", "", "Enter the legal name."),
        ("name", "x" * 121, "Enter at most 120 characters; these are 121."),
        ("address", " \u202e ", "Enter the address."),
        ("tax_id", "1\x07", "The text contains control characters."),
        ("email", "not an address", "Enter an e-mail address, such as help@example.com."),
        ("email", "a@b.example\r\nBcc: c@d.example", "Enter an e-mail address, such as help@example.com."),
        ("reason", "", "Give a reason."),
        ("phone", "1", "The form has no field 'phone'."),
    ],
)
def test_a_field_that_cannot_be_used_is_named_and_nothing_is_saved(
    shop: Shop, fay: Visitor, field: str, typed: str, shown: str
) -> None:
    answer = fay.post("/ops/seller", {**NEW, field: typed})
    assert answer.status_code == 422
    assert shown in html.unescape(answer.text)
    assert shop.count(SellerData) == 0


def test_a_stale_form_is_refused_and_the_same_form_twice_changes_once(shop: Shop, fay: Visitor) -> None:
    assert [fay.post("/ops/seller", NEW).status_code for _ in range(2)] == [303, 303]
    answer = fay.post("/ops/seller", {**NEW, "address": "Elsewhere 1"})
    assert answer.status_code == 409 and "<strong>Address</strong>: “9 Harbour Rd, Tainan”" in answer.text
    assert form_of(fay, "/ops/seller")["version"] == "1"


def test_of_eight_first_changes_one_is_saved(shop: Shop, race: Race) -> None:
    ada = shop.colleague("ada", Role.ADMIN)

    def change(number: int) -> None:
        seller_data.save(Seller(f"S{number}", "Road 1"), seen=0, by=ada, reason="x")

    results = race(change)
    assert sorted(str(getattr(one, "code", one)) for one in results) == ["None"] + ["changed_meanwhile"] * 7
    assert shop.count(SellerData) == 1


def test_support_and_merchandisers_do_not_open_the_page(shop: Shop) -> None:
    assert visitor_as(shop, "support").get("/ops/seller").status_code == 403
    assert visitor_as(shop, "merchandiser").get("/ops/seller").status_code == 403
    assert visitor_as(shop, "admin").get("/ops/seller").status_code == 200
