"""Fulfilment for customers and programs: order page, mail, API, webhooks of other programs; and retention."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest

from shop.core.db import db
from shop.fulfilment.carriers import Tracking
from shop.jobs import retention
from shop.mail import compose
from shop.mail.states import MailKind
from shop.orders.models import Order
from shop.outgoing_webhooks.models import OutgoingEvent
from tests.fulfilment.conftest import DHL, fulfilment, pack, package_of, refund, ship
from tests.mail.conftest import stored
from tests.shop_fixtures import KETTLE, PEN, Shop

one_database = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def page_of(shop: Shop, order: Order) -> str:
    """The text of the order page."""
    update = shop.app.test_client().get(f"/orders/{order.token}/status").text
    return " ".join(re.sub(r"<[^>]+>", " ", html.unescape(update)).split())


def steps_of(shop: Shop, order: Order) -> list[str]:
    """The steps that are done."""
    update = shop.app.test_client().get(f"/orders/{order.token}/status").text
    return re.findall(r'<li class="done"[^>]*>(\w+)', update)


@one_database
def test_the_order_page_shows_each_state_of_the_shipping(shop: Shop) -> None:
    order = shop.paid_order((KETTLE, 2), (PEN, 1))
    page = page_of(shop, order)
    assert "Payment received" in page and "We are packing your order" in page and "Shipping" not in page
    assert steps_of(shop, order) == ["Placed", "Paid"]
    pack(shop, order, "form-1", kettle=2)
    page = page_of(shop, order)
    assert "Packed, waiting for the carrier 2 × Kettle To be packed 1 × Pen" in page and "Payment received" in page
    pack(shop, order, "form-2", pen=1)
    assert "Your order is packed" in page_of(shop, order) and steps_of(shop, order) == ["Placed", "Paid", "Packed"]
    ship(shop, order, 1)
    page = page_of(shop, order)
    assert (
        "Part of your order has been shipped" in page and "with DHL Tracking number: JD0146 Track this package" in page
    )
    assert "Packed, waiting for the carrier 1 × Pen" in page and steps_of(shop, order) == ["Placed", "Paid", "Packed"]
    ship(shop, order, 2, Tracking("", "", ""))
    page = page_of(shop, order)
    assert "Your order has been shipped" in page and "Your order is on its way to you." in page
    assert steps_of(shop, order) == ["Placed", "Paid", "Packed", "Shipped"]
    raw = shop.app.test_client().get(f"/orders/{order.token}/status").text
    assert f'href="{DHL.url}" target="_blank" rel="noopener noreferrer"' in raw


@one_database
def test_a_refund_in_full_ends_the_packing_on_the_order_page(shop: Shop) -> None:
    order = shop.paid_order((KETTLE, 2))
    pack(shop, order, kettle=1)
    refund(shop, order, order.total_amount)
    page = page_of(shop, order)
    assert "Items that have not been shipped will not be sent, because your order was refunded." in page
    assert "waiting for the carrier" not in page and "To be packed" not in page


@one_database
def test_an_order_that_was_shipped_before_its_refund_keeps_its_package_on_the_page(shop: Shop) -> None:
    order = shop.paid_order((KETTLE, 1))
    pack(shop, order)
    ship(shop, order)
    refund(shop, order, order.total_amount)
    page = page_of(shop, order)
    assert "with DHL" in page and "will not be sent" not in page and "Refunded" in page


def test_each_package_causes_one_mail_with_its_units_and_tracking(shop: Shop) -> None:
    order = shop.paid_order((KETTLE, 2), (PEN, 1))
    pack(shop, order, "form-1", kettle=2)
    shop.sweep()
    assert MailKind.ORDER_SHIPPED not in {mail.kind for mail in stored()}
    ship(shop, order, 1)
    pack(shop, order, "form-2", pen=1)
    for _ in range(2):
        ship(shop, order, 2, Tracking("", "", ""))
    with_events_again(shop)
    first, second = (compose.content(mail) for mail in stored() if mail.kind == MailKind.ORDER_SHIPPED)
    assert first.subject == f"Order {order.number} has been shipped"
    assert "with DHL, tracking number JD0146:\n\n2 × Kettle\n" in first.text and DHL.url in first.text
    assert "The rest of your order follows" in first.text and "Pen" not in first.text
    assert "1 × Pen" in second.text and "Kettle" not in second.text and "The rest" not in second.text
    assert "dhl.com" not in second.text


def with_events_again(shop: Shop) -> None:
    """Publish all events, and then once more."""
    shop.sweep()
    db.session.execute(db.text("UPDATE outbox SET due_at = created_at, published_at = NULL"))
    db.session.commit()
    shop.sweep()


@one_database
@pytest.mark.parametrize(
    ("language", "words"), [("zh_Hant", "物流編號 JD0146"), ("zh_Hans", "物流单号 JD0146"), ("ja", "追跡番号：JD0146")]
)
def test_the_mail_is_in_the_language_of_the_order(shop: Shop, language: str, words: str) -> None:
    order = shop.paid_order((KETTLE, 2))
    pack(shop, order)
    ship(shop, order)
    shop.sweep()
    [mail] = [one for one in stored() if one.kind == MailKind.ORDER_SHIPPED]
    mail.language = language
    content = compose.content(mail)
    assert words in content.text and "Kettle × 2" in content.text and order.number in content.subject


def test_another_program_gets_an_event_for_each_package_without_its_tracking(shop: Shop) -> None:
    order = shop.paid_order((KETTLE, 2))
    pack(shop, order, "form-1", kettle=1)
    ship(shop, order, 1)
    with_events_again(shop)
    bodies = [one.body for one in db.session.scalars(db.select(OutgoingEvent)) if one.type == "order.shipped"]
    [body] = bodies
    assert '"shipment":{"number":1,"fulfilment":"PARTLY_SHIPPED","lines":[{"sku":"TEST-KETTLE","quantity":1}]}' in body
    assert "JD0146" not in body


def test_tracking_numbers_of_guests_are_erased_with_their_addresses(shop: Shop) -> None:
    order = shop.paid_order((KETTLE, 1))
    pack(shop, order)
    ship(shop, order)
    shop.sweep()
    retention.sweep()
    assert package_of(order).tracking_number == "JD0146"
    shop.turn(seconds=timedelta(days=shop.app.config["GUEST_DATA_DAYS"] + 1).total_seconds())
    retention.sweep()
    package = package_of(order)
    assert (package.tracking_number, package.tracking_url, package.carrier) == ("", "", "DHL")
    assert fulfilment(order) == "SHIPPED"
