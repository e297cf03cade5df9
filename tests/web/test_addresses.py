"""Address book of an account, on its pages and in the checkout; hints at typing errors in e-mail addresses."""

from __future__ import annotations

import re

import pytest
from flask import Flask

from shop.accounts import address_book
from shop.accounts.models import SavedAddress, User
from shop.core.db import db
from shop.core.errors import Refusal
from tests.race_fixtures import Race
from tests.web.conftest import HTMX, Visitor

pytestmark = pytest.mark.usefixtures("shop")
ADA = {"email": "ada@example.com", "name": "Ada", "password": "a long enough sentence"}
HOME = {"name": "Ada Lin", "line1": "1 Main St", "city": "Springfield", "region": "IL", "postcode": "62701"} | {
    "country": "US",
    "phone": "4155550100",
}
STORED = dict.fromkeys(address_book.FIELDS, "") | HOME


def registered(visitor: Visitor, email: str = "ada@example.com") -> Visitor:
    visitor.get("/register")
    assert visitor.post("/register", ADA | {"email": email}).status_code == 303
    visitor.get("/account/addresses/new")
    return visitor


def saved() -> list[SavedAddress]:
    db.session.rollback()
    return list(db.session.scalars(db.select(SavedAddress).order_by(SavedAddress.id)))


def test_an_address_is_saved_changed_and_deleted(visitor: Visitor) -> None:
    registered(visitor)
    assert visitor.post("/account/addresses/new", HOME).location == "/account/addresses"
    page = visitor.get("/account/addresses")
    assert "Springfield, IL 62701" in page.text and "Default address" in page.text
    assert page.headers["Cache-Control"] == "no-store" and page.headers["X-Robots-Tag"] == "noindex"
    [address] = saved()
    visitor.get(f"/account/addresses/{address.id}")
    visitor.post(f"/account/addresses/{address.id}", HOME | {"city": "Chicago", "postcode": "606010001"})
    assert [(one.city, one.postcode) for one in saved()] == [("Chicago", "60601-0001")]
    visitor.post(f"/account/addresses/{address.id}/delete")
    assert saved() == []


def test_a_wrong_address_is_shown_again_with_its_errors(visitor: Visitor) -> None:
    registered(visitor)
    refused = visitor.post("/account/addresses/new", HOME | {"postcode": "62", "region": ""})
    assert refused.status_code == 422 and 'value="Springfield"' in refused.text
    assert "Choose the state." in refused.text and "Enter a ZIP code such as 94107." in refused.text
    assert saved() == []


def test_another_country_shows_its_fields_and_saves_nothing(visitor: Visitor) -> None:
    registered(visitor)
    plain = visitor.post("/account/addresses/new", HOME | {"country": "JP", "refit": "1"})
    assert plain.status_code == 200 and "Prefecture" in plain.text and "<h1>" in plain.text
    part = visitor.post("/account/addresses/new", HOME | {"country": "JP", "refit": "1"}, headers=HTMX)
    assert "Prefecture" in part.text and "<h1>" not in part.text
    assert saved() == []


def test_one_address_is_the_default_and_its_successor_after_it_is_deleted(visitor: Visitor) -> None:
    registered(visitor)
    for line1 in ("1 A St", "2 B St", "3 C St"):
        visitor.post("/account/addresses/new", HOME | {"line1": line1})
    first, second, third = saved()
    visitor.post(f"/account/addresses/{second.id}/default")
    assert [one.is_default for one in saved()] == [False, True, False]
    visitor.post(f"/account/addresses/{second.id}/delete")
    assert [(one.id, one.is_default) for one in saved()] == [(first.id, False), (third.id, True)]


def test_addresses_of_another_account_cannot_be_seen_changed_or_deleted(
    visitor: Visitor, other_visitor: Visitor
) -> None:
    registered(visitor).post("/account/addresses/new", HOME)
    [address] = saved()
    registered(other_visitor, "bob@example.com").add()
    assert other_visitor.get(f"/account/addresses/{address.id}").status_code == 404
    assert other_visitor.post(f"/account/addresses/{address.id}", HOME | {"city": "X"}).status_code == 404
    for act in ("default", "delete"):
        other_visitor.post(f"/account/addresses/{address.id}/{act}")
    other_visitor.get("/checkout")
    chosen = other_visitor.post("/checkout/update", {**other_visitor.filled(), "saved": str(address.id)})
    assert "Springfield" not in chosen.text
    assert [one.city for one in saved()] == ["Springfield"]


def test_an_account_has_at_most_twenty_addresses_and_none_twice(visitor: Visitor, app: Flask) -> None:
    registered(visitor)
    with app.app_context():
        user = db.session.scalars(db.select(User)).one().id
        for number in (*range(address_book.MOST), 3):
            address_book.add(user, STORED | {"line1": f"{number} Main St"})
        with pytest.raises(Refusal):
            address_book.add(user, STORED | {"line1": "99 Main St"})
    refused = visitor.post("/account/addresses/new", HOME | {"line1": "99 Main St"})
    assert refused.status_code == 422 and "You can save at most 20 addresses." in refused.text
    assert len(saved()) == address_book.MOST
    visitor.add()
    assert "save_address" not in visitor.get("/checkout").text


def test_two_first_addresses_at_once_are_both_saved_and_one_is_the_default(
    visitor: Visitor, app: Flask, race: Race
) -> None:
    registered(visitor)
    with app.app_context():
        user = db.session.scalars(db.select(User)).one().id
        db.session.rollback()
    race(lambda number: address_book.add(user, STORED | {"line1": f"{number} Main St"}), 2)
    assert sorted(one.is_default for one in saved()) == [False, True]


def test_the_checkout_fills_in_the_default_address_and_another_one_that_is_chosen(visitor: Visitor) -> None:
    registered(visitor)
    visitor.post("/account/addresses/new", HOME)
    visitor.post(
        "/account/addresses/new", HOME | {"line1": "永康街 12 號", "city": "臺北市", "country": "TW", "postcode": ""}
    )
    visitor.add()
    page = visitor.get("/checkout").text
    assert visitor.field("city") == "Springfield" and '<option value="IL" selected>' in page
    first, second = saved()
    assert visitor.field("saved_before") == str(first.id)
    form = {**visitor.filled(), **HOME, "saved_before": str(first.id)}
    by_htmx = visitor.post("/checkout/update", form | {"saved": str(second.id)}, headers=HTMX).text
    assert 'value="臺北市"' in by_htmx and 'hx-target="#checkout-address"' in by_htmx
    edited = visitor.post("/checkout/update", form | {"saved": str(first.id), "line1": "9 New Rd"})
    assert visitor.field("line1") == "9 New Rd", "the address was not chosen anew"
    assert 'value=""' in edited.text
    visitor.post("/checkout/update", form | {"saved": ""})
    assert (visitor.field("line1"), visitor.field("name")) == ("", "Ada Lin")


def test_an_address_of_the_checkout_is_saved_on_request_and_once(visitor: Visitor) -> None:
    registered(visitor)
    for _ in range(2):
        visitor.add()
        assert visitor.checkout(save_address="1", phone="02-2345-6789").status_code == 303
    visitor.add()
    assert visitor.checkout(line1="another street").status_code == 303
    assert [(one.line1, one.phone) for one in saved()] == [("12 Yongkang St", "02-2345-6789")]


def test_a_guest_is_offered_no_address_book(visitor: Visitor) -> None:
    visitor.add()
    page = visitor.get("/checkout").text
    assert "save_address" not in page and 'name="saved"' not in page
    assert visitor.checkout(save_address="1").status_code == 303 and saved() == []
    assert visitor.get("/account/addresses").status_code == 303


# --- typing errors in e-mail addresses ---


def test_a_likely_typing_error_is_hinted_at_and_never_refused(visitor: Visitor) -> None:
    visitor.add()
    visitor.get("/checkout")
    hint = visitor.post("/email-hint", {"email": "ann@gmial.con", "page": "checkout"}, headers=HTMX).text
    assert "Did you mean" in hint and re.search('name="email_meant" value="ann@gmail.com"', hint)
    assert not visitor.post("/email-hint", {"email": "ann@example.com"}, headers=HTMX).text.strip()
    shown = visitor.post("/checkout", {**visitor.filled(), "email": "ann@gmial.con", "line1": ""})
    assert shown.status_code == 422 and 'value="ann@gmail.com"' in shown.text
    visitor.post("/checkout/update", {**visitor.filled(), "email": "ann@gmial.con", "email_meant": "ann@gmail.com"})
    assert visitor.field("email") == "ann@gmail.com"
    assert visitor.checkout(email="ann@gmial.con").status_code == 303


def test_the_registration_hints_at_a_typing_error_when_it_is_shown_again(visitor: Visitor) -> None:
    visitor.get("/register")
    typed = ADA | {"email": "ann@gmial.con"}
    assert 'value="ann@gmail.com"' in visitor.post("/register", typed | {"password": "short"}).text
    again = visitor.post("/register", typed | {"email_meant": "ann@gmail.com"})
    assert again.status_code == 200 and visitor.field("email") == "ann@gmail.com"
    assert db.session.scalars(db.select(User)).all() == []
