"""Returns on the order page: the form that requests one, its state, and withdrawing it, without JavaScript."""

from __future__ import annotations

import re

import pytest

from shop.accounts.permissions import Role
from shop.core.db import db
from shop.orders.models import Order
from shop.returns import handling
from shop.returns.models import Return
from tests.returns.conftest import found, refund_in_full
from tests.shop_fixtures import KETTLE, Shop
from tests.web.conftest import Visitor
from tests.web.test_page_statements import sent_for


@pytest.fixture
def paid(shop: Shop, visitor: Visitor) -> str:
    """Path of the page of a paid order of two kettles."""
    visitor.add(KETTLE, 2)
    path = str(visitor.checkout().location)
    order = order_of(path)
    shop.acquirer.capture(shop.payment(order).id)
    shop.deliver_webhook(shop.payment(order))
    shop.sweep()
    return path


def order_of(path: str) -> Order:
    db.session.rollback()
    return db.session.scalars(db.select(Order).where(Order.token == path.rpartition("/")[2])).one()


def only_return() -> Return:
    db.session.rollback()
    return db.session.scalars(db.select(Return)).one()


def typed(visitor: Visitor, path: str, **changed: str) -> dict[str, object]:
    """The form on the page, filled in."""
    visitor.get(f"{path}/returns")
    fields = {"form_key": visitor.field("form_key"), f"units-{KETTLE}": "1", "reason": "damaged", "comment": "A crack"}
    return {**fields, **changed}


def test_a_customer_requests_a_return_on_the_order_page_and_follows_it_there(
    shop: Shop, visitor: Visitor, paid: str
) -> None:
    assert f'href="{paid}/returns">Return items</a>' in visitor.get(paid).text
    form = typed(visitor, paid)
    for _ in range(2):
        answer = visitor.post(f"{paid}/returns", form)
        assert (answer.status_code, answer.location) == (303, paid)
        assert "Your return request has been sent." in visitor.get(paid).text
    one = only_return()
    assert (one.reason, one.comment, str(one.requested_by)) == ("damaged", "A crack", "customer")
    page = visitor.get(paid).text
    assert one.reference in page and "Requested. We check it" in page and "1 × Kettle" in page
    assert "A crack" not in page, "others may have the link"
    mia = shop.colleague("mia", Role.MERCHANDISER)
    handling.accept(one.id, by=mia, message="Use the small box")
    page = visitor.get(paid).text
    assert "Accepted. Please send the items back" in page and "Use the small box" in page
    handling.receive(one.id, {KETTLE: (1, 0)}, by=mia)
    status = visitor.get(f"{paid}/status").text
    assert "We are preparing your refund" in status and "Withdraw this return" not in status
    refund_in_full(shop, one)
    shop.sweep()
    page = visitor.get(paid).text
    assert "Received. Refund: NT$1,200" in page and "Partially refunded" in page
    assert "Return items" in page, "the other kettle can be returned too"


def test_a_return_is_withdrawn_on_the_order_page(shop: Shop, visitor: Visitor, paid: str) -> None:
    visitor.post(f"{paid}/returns", typed(visitor, paid))
    one = only_return()
    assert f'name="return" value="{one.reference}"' in visitor.get(paid).text
    for _ in range(2):
        assert visitor.post(f"{paid}/returns/withdraw", {"return": one.reference}).location == paid
    page = visitor.get(paid).text
    assert found(one.reference).state == "WITHDRAWN" and "You withdrew this return." in page
    assert visitor.post(f"{paid}/returns/withdraw", {"return": "7K3M-9QXT-2F-R9\0"}).status_code == 422
    assert visitor.post(f"{paid}/returns/withdraw", {"return": "7K3M-9QXT-2F-R9"}).status_code == 303
    assert "There is no such return." in visitor.get(paid).text
    shop.sweep()


@pytest.mark.parametrize(
    ("changed", "status", "sentence"),
    [
        ({f"units-{KETTLE}": "3"}, 409, "You can return at most 2 × Kettle."),
        ({f"units-{KETTLE}": "0"}, 422, "Choose at least one item to return."),
        ({f"units-{KETTLE}": "-1"}, 422, "Enter whole numbers of items."),
        ({f"units-{KETTLE}": "1.5"}, 422, "Enter whole numbers of items."),
        ({f"units-{KETTLE}": "9" * 400}, 422, "Enter whole numbers of items."),
        ({f"units-{KETTLE}": "🫖"}, 422, "Enter whole numbers of items."),
        ({"units-TEST-PEN": "1"}, 422, "This order has no such item."),
        ({"reason": ""}, 422, "Choose a reason for the return."),
        ({"reason": "<b>"}, 422, "Choose a reason for the return."),
        ({"comment": "x" * 501}, 422, "Use at most 500 characters"),
        ({"form_key": ""}, 422, "The form is not complete."),
        ({"form_key": "a b"}, 422, "The form is not complete."),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_request_that_cannot_be_used_is_shown_again_with_the_reason(
    shop: Shop, visitor: Visitor, paid: str, changed: dict[str, str], status: int, sentence: str
) -> None:
    form = typed(visitor, paid, **changed)
    answer = visitor.post(f"{paid}/returns", form)
    assert (answer.status_code, sentence in answer.text) == (status, True), answer.text
    assert shop.count(Return) == 0
    if "comment" not in changed:
        assert "A crack</textarea>" in answer.text
    shop.sweep()


def test_numbers_in_full_width_digits_and_texts_in_any_script_are_understood(
    shop: Shop, visitor: Visitor, paid: str
) -> None:
    visitor.post(f"{paid}/returns", typed(visitor, paid, **{f"units-{KETTLE}": "２", "comment": "<b>שלום</b> 🫖"}))
    assert only_return().comment == "<b>שלום</b> 🫖"
    assert "2 × Kettle" in visitor.get(paid).text
    shop.sweep()


def test_an_unpaid_order_has_no_returns(shop: Shop, visitor: Visitor) -> None:
    path = visitor.order()
    assert "Return items" not in visitor.get(path).text
    page = visitor.get(f"{path}/returns")
    assert page.status_code == 200 and "The items of this order cannot be returned." in page.text
    assert "<form class=" not in re.sub(r"(?s)<(header|footer).*?</\1>", "", page.text)
    shop.sweep()


def test_after_the_days_the_page_offers_no_return_and_gives_the_reason(shop: Shop, visitor: Visitor, paid: str) -> None:
    form = typed(visitor, paid)
    shop.turn(days=14, hours=1)
    assert "Return items" not in visitor.get(paid).text
    answer = visitor.post(f"{paid}/returns", form)
    assert answer.status_code == 409 and "The time to return items of this order has ended." in answer.text
    page = visitor.get("/returns").text
    assert "for 14 days after the last package was shipped" in page


def test_the_page_of_an_order_with_returns_needs_one_statement_more(shop: Shop, visitor: Visitor, paid: str) -> None:
    for _ in range(2):
        visitor.post(f"{paid}/returns", typed(visitor, paid))
    sent = [one for one in sent_for(visitor, paid) if "order_returns" in one]
    assert len(sent) == 1
    shop.sweep()
