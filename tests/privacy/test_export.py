"""The export of an account: complete, without secrets, and without the data of others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shop.accounts import address_book, recovery
from shop.accounts.decide import LinkPurpose
from shop.accounts.models import User
from shop.core.db import db, transaction
from shop.core.money import Money
from shop.ledger import chart, store_credit
from shop.mail import outgoing
from shop.mail.states import MailKind
from shop.payments.records.models import Payment
from shop.payments.refunds import requests
from shop.privacy import export
from tests.parts.statements import statements
from tests.privacy.people import EMAIL, account, owner
from tests.privacy.test_delete_account import ADDRESS
from tests.shop_fixtures import PEN, Shop


def exported(user_id: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads("".join(export.stream(user_id)))
    return found


def test_the_export_has_the_account_with_its_orders_payments_refunds_and_mails(shop: Shop) -> None:
    user_id = owner()
    address_book.add(user_id, ADDRESS)
    with transaction():
        store_credit.give(user_id, Money(5000, "TWD"), key="gift", kind="credit_given", debit=chart.GOODWILL)
    order = shop.paid_order((PEN, 2), customer=user_id, email=EMAIL)
    requests.request_all(order.id, reason="", by=shop.sam)
    shop.turn(minutes=1)
    found = exported(user_id)
    assert (found["version"], found["is_complete"]) == (1, True)
    assert (found["account"]["email"], found["addresses"][0]["line1"]) == (EMAIL, "12 Yongkang St")
    assert found["store_credit"]["balances"] == [{"amount": 5000, "currency": "TWD"}]
    [one] = found["orders"]
    assert (one["number"], one["state"], one["lines"][0]["quantity"]) == (order.number, "REFUNDED", 2)
    assert one["payments"][0]["money"] == {"amount": 18000, "currency": "TWD"}
    assert one["refunds"][0]["state"] == "DONE"
    assert {document["kind"] for document in one["documents"]} == {"receipt", "credit_note"}
    assert {mail["order"] for mail in found["mails"]} == {order.number}


def test_the_export_has_no_secret(shop: Shop) -> None:
    user_id = owner()
    order = shop.paid_order((PEN, 1), customer=user_id)
    with transaction():
        db.session.get_one(Payment, shop.payment(order).id).provider_data = {"secret": "of the acquirer"}
    recovery.request(LinkPurpose.RESET, EMAIL, "en")
    shop.sweep()
    text = "".join(export.stream(user_id))
    for secret in (account(user_id).password_hash, order.token, order.checkout_key, "of the acquirer", "$argon2"):
        assert secret not in text


def test_orders_and_mails_of_others_with_the_same_address_are_not_in_it(shop: Shop) -> None:
    guests = shop.order((PEN, 1), email=EMAIL)
    outgoing.queue(MailKind.ORDER_LINK, to=EMAIL, language="en", data={}, key="before")
    shop.wait(minutes=1)
    user_id = owner()
    found = exported(user_id)
    assert (found["orders"], found["mails"]) == ([], []) and guests.number not in json.dumps(found)
    shop.cancel(guests)


def test_without_a_verified_address_the_export_does_not_show_who_looked_for_orders(shop: Shop) -> None:
    user_id = owner()
    with transaction():
        db.session.get_one(User, user_id).email_verified_at = None
    outgoing.queue(MailKind.ORDER_LINK, to=EMAIL, language="en", data={}, key="later")
    outgoing.queue(MailKind.NEW_DEVICE, to=EMAIL, language="en", data={}, key="later")
    assert [mail["kind"] for mail in exported(user_id)["mails"]] == ["new_device"]


def test_many_orders_are_read_in_batches(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_BATCH", 2)
    user_id = owner()
    orders = [shop.order((PEN, 1), customer=user_id) for _ in range(5)]
    with statements() as sent:
        numbers = [one["number"] for one in exported(user_id)["orders"]]
    assert numbers == [order.number for order in reversed(orders)]
    assert sum("FROM order_lines" in one for one in sent) == 3, "one statement for each table and batch"
    monkeypatch.setattr(export, "MOST_ORDERS", 4)
    assert len(exported(user_id)["orders"]) == 4
    for order in orders:
        shop.cancel(order)
