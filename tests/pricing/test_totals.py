"""Orders with delivery, discount and tax on both databases: frozen lines, ledger, refunds, ends and revivals."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from shop.checkout import cart
from shop.core import clock
from shop.core.actor import Actor
from shop.core.db import OutdatedSnapshot, db, transaction
from shop.core.errors import Refusal
from shop.core.money import Money
from shop.ledger.models import LedgerEntry
from shop.orders import events
from shop.orders.models import Order
from shop.payments.records.types import RefundDestination
from shop.payments.refunds import requests
from shop.payments.updates.apply import accept
from shop.pricing import change
from shop.pricing import uses as code_uses
from shop.pricing.decide import Code
from shop.pricing.models import DiscountCode, DiscountUse, DiscountValue
from shop.pricing.states import UseState
from tests.parts.waiting import until
from tests.race_fixtures import Race
from tests.shop_fixtures import KETTLE, PEN, Shop

KETTLE_PRICE = 120000
TEN = Code("TEN", percent=10)


def lines(order: Order) -> list[tuple[str, int]]:
    """Kinds and amounts of the order's lines, as the database has them."""
    db.session.rollback()
    return [(line.kind, line.total.amount) for line in db.session.get_one(Order, order.id).all_lines]


def balances(currency: str = "TWD") -> dict[str, int]:
    """Balances of the accounts that are not zero."""
    db.session.rollback()
    found: Counter[str] = Counter()
    for entry in db.session.scalars(db.select(LedgerEntry).where(LedgerEntry.currency == currency)):
        found[entry.account] += entry.amount
    return {account: amount for account, amount in found.items() if amount}


def uses(code: str = "TEN") -> tuple[int, int]:
    """Uses of a code, and what it has given in TWD."""
    db.session.rollback()
    spent = db.session.get_one(DiscountValue, (code, "TWD")).spent
    return db.session.get_one(DiscountCode, code).uses, spent


def refund(shop: Shop, order: Order, amount: int) -> None:
    requests.request(shop.capture(order), Money(amount, order.currency), reason="", by=shop.sam)
    shop.sweep()


# --- lines and ledger ---


def test_an_order_keeps_its_delivery_discount_and_tax_as_lines(priced: Shop) -> None:
    order = priced.order((KETTLE, 1), (PEN, 2), delivery="express", code="TEN")
    placed = [
        ("item", 120000),
        ("item", 18000),
        ("discount", -13800),
        ("delivery", 12000),
        ("tax", 6500),
    ]
    assert (lines(order), order.total_amount) == (placed, 136200)
    change.set_tax("TW", "VAT", 20_000, is_included=False)
    change.remove_delivery("express")
    change.disable_code("TEN")
    assert (lines(order), priced.payment(order).amount) == (placed, 136200)


def test_a_shop_without_rules_has_only_products_in_its_orders(shop: Shop) -> None:
    order = shop.order((KETTLE, 1))
    assert (lines(order), order.charges) == ([("item", KETTLE_PRICE)], [])


def test_a_paid_order_divides_its_money_in_the_ledger(priced: Shop) -> None:
    priced.paid_order((KETTLE, 1), delivery="express", code="TEN")
    assert balances() == {
        "receivable:fakepay": 120000,
        "sales": -114300,
        "delivery": -11400,
        "discounts": 11400,
        "tax_payable": -5700,
    }


def test_tax_that_is_added_is_paid_and_owed(priced: Shop) -> None:
    order = priced.paid_order((KETTLE, 1), country="US")
    assert order.total_amount == 132000
    assert balances() == {"receivable:fakepay": 132000, "sales": -120000, "tax_payable": -12000}


def test_store_credit_and_card_pay_their_shares_of_the_tax(priced: Shop) -> None:
    customer = priced.customer(credit=50000)
    priced.paid_order((KETTLE, 1), customer=customer, credit=50000)
    assert balances() == {
        "receivable:fakepay": 70000,
        "goodwill": 50000,
        "sales": -114300,
        "tax_payable": -5700,
    }


def test_an_accepted_other_amount_is_divided_as_the_total(priced: Shop) -> None:
    order = priced.order((KETTLE, 1), delivery="express")
    payment = priced.payment(order)
    priced.acquirer.capture(payment.id, money=Money(131000, "TWD"))
    priced.deliver_webhook(payment)
    accept(priced.capture(order), by=priced.sam)
    assert balances() == {
        "receivable:fakepay": 131000,
        "sales": -114300,
        "delivery": -11400,
        "tax_payable": -6300,
        "differences": 1000,
    }
    refund(priced, order, 131000)
    assert balances() == {"sales": -114300, "refunds": 113300, "differences": 1000}


# --- refunds ---


def test_refunds_return_their_shares_and_the_last_one_the_rest(priced: Shop) -> None:
    order = priced.paid_order((KETTLE, 1), delivery="express", code="TEN")
    refund(priced, order, 40000)
    assert balances() == {
        "receivable:fakepay": 80000,
        "sales": -114300,
        "refunds": 38100,
        "delivery": -7600,
        "discounts": 7600,
        "tax_payable": -3800,
    }
    for amount in (33300, 100, 46600):
        refund(priced, order, amount)
    assert balances() == {"sales": -114300, "refunds": 114300}
    assert uses() == (1, 12000), "the use returns only when an order ends unpaid"


def test_a_refund_that_fails_later_takes_its_shares_back(priced: Shop) -> None:
    order = priced.paid_order((KETTLE, 1), delivery="express", code="TEN")
    before = balances()
    refund(priced, order, 70000)
    refund(priced, order, 50000)
    first, second = (one.id for one in priced.refunds(order))
    for name in (first, second):
        priced.acquirer.refund_becomes(name, "REJECTED")
    priced.turn(days=1, minutes=1)
    assert priced.state(order) == "PAID"
    assert balances() == before


def test_a_refund_to_store_credit_and_one_to_a_bank_have_the_same_shares(priced: Shop) -> None:
    order = priced.paid_order((KETTLE, 1), customer=priced.customer())
    for destination in (RefundDestination.STORE_CREDIT, RefundDestination.BANK):
        requested = requests.request(
            priced.capture(order), Money(40000, "TWD"), reason="", by=priced.sam, to=destination
        )
        if requested.needs_two:
            requests.approve(requested.id, priced.kim)
        priced.sweep()
    assert balances()["tax_payable"] == -1900
    refund(priced, order, 40000)
    assert "tax_payable" not in balances()


# --- codes ---


def test_an_order_that_ends_unpaid_releases_its_code(priced: Shop) -> None:
    cancelled = priced.order((KETTLE, 1), code="TEN")
    assert uses() == (1, 12000)
    priced.cancel(cancelled)
    assert uses() == (0, 0)
    expired = priced.order((KETTLE, 1), code="TEN")
    priced.turn(minutes=31)
    assert (priced.state(expired), uses()) == ("EXPIRED", (0, 0))


def test_a_code_is_used_once_by_an_address_and_again_when_its_order_has_ended(priced: Shop) -> None:
    first = priced.order((PEN, 1), code="TEN")
    with pytest.raises(Refusal) as refused:
        priced.order((PEN, 1), code="TEN")
    assert refused.value.code == "code_used_before"
    priced.order((PEN, 1), code="TEN", email="bob@example.com")
    priced.cancel(first)
    priced.order((PEN, 1), code="TEN")
    assert uses()[0] == 2


def test_uses_from_when_a_code_could_be_used_often_count_once_it_cannot(priced: Shop) -> None:
    change.set_code(change.NewCode("TEN", percent=10, once_per_email=False))
    first, second = (priced.order((PEN, 1), code="TEN") for _ in range(2))
    change.set_code(change.NewCode("TEN", percent=10))
    for order in (first, second):
        with pytest.raises(Refusal) as refused:
            priced.order((PEN, 1), code="TEN")
        assert refused.value.code == "code_used_before"
        priced.cancel(order)
    priced.order((PEN, 1), code="TEN")
    assert uses()[0] == 1


CHANGED = {
    "disabled": {"is_active": False},
    "not valid yet": {"starts_at": datetime(2999, 1, 1, tzinfo=UTC)},
    "expired": {"ends_at": datetime(2001, 1, 1, tzinfo=UTC)},
    "another percentage": {"percent": 5},
    "once per address": {"once_per_email": False},
}


@pytest.mark.parametrize("changed", CHANGED.values(), ids=CHANGED)
def test_a_code_that_changed_after_it_was_read_is_not_used(priced: Shop, changed: dict[str, object]) -> None:
    order = priced.order((PEN, 1))
    with transaction():
        db.session.execute(db.update(DiscountCode).where(DiscountCode.code == "TEN").values(**changed))
    with pytest.raises(OutdatedSnapshot), transaction():
        code_uses.use(order.id, TEN, Money(900, "TWD"), email="ada@example.com", at=clock.now())
    assert uses() == (0, 0)


def test_an_amount_that_changed_after_it_was_read_is_not_taken_off(priced: Shop) -> None:
    change.set_code(change.NewCode("OFF", amounts={"TWD": Money(5000, "TWD")}))
    order = priced.order((PEN, 1))
    seen = Code("OFF", amount=4000)
    with pytest.raises(OutdatedSnapshot), transaction():
        code_uses.use(order.id, seen, Money(4000, "TWD"), email="ada@example.com", at=clock.now())
    assert uses("OFF") == (0, 0)


def test_the_hash_of_an_address_is_keyed_and_differs_between_codes(app: Flask, priced: Shop) -> None:
    priced.order((PEN, 1), code="TEN")
    kept = db.session.scalars(db.select(DiscountUse.email_digest)).one()
    assert kept == code_uses.digest("TEN", "ada@example.com") != code_uses.digest("FIVE", "ada@example.com")
    app.config["SECRET_KEY"] = "another key of the shop, long enough"
    assert code_uses.digest("TEN", "ada@example.com") != kept


def test_a_code_that_is_used_up_keeps_the_cart_and_makes_no_order(priced: Shop) -> None:
    change.set_code(change.NewCode("ONE", percent=50, use_limit=1))
    priced.order((PEN, 1), code="ONE")
    cart_id = priced.cart((PEN, 1))
    with pytest.raises(Refusal) as refused:
        priced.place(cart_id, code="ONE", email="bob@example.com")
    assert (refused.value.code, priced.count(Order), cart.load(cart_id).units) == ("code_used_up", 1, 1)


def test_a_code_that_ends_between_the_page_and_the_order_is_refused(priced: Shop) -> None:
    change.set_code(change.NewCode("DAY", percent=10, ends_at=clock.now() + timedelta(days=1)))
    cart_id = priced.cart((PEN, 1))
    form = priced.form(cart_id, code="DAY")
    priced.wait(days=1)
    with pytest.raises(Refusal) as refused:
        priced.place(cart_id, form=form, code="DAY")
    assert (refused.value.code, priced.count(Order)) == ("code_expired", 0)


def test_only_the_agreed_total_is_ordered(priced: Shop) -> None:
    for changed in ({"country": "US"}, {"delivery": "express"}, {"code": ""}):
        cart_id = priced.cart((PEN, 1))
        form = priced.form(cart_id, code="TEN")
        with pytest.raises(Refusal) as refused:
            priced.place(cart_id, form=form, **({"code": "TEN"} | changed))
        assert refused.value.code == "cart_changed"
    cart_id = priced.cart((PEN, 1))
    form = priced.form(cart_id)
    change.set_tax("TW", "VAT", 8000, is_included=False)
    with pytest.raises(Refusal):
        priced.place(cart_id, form=form)
    assert priced.count(Order) == 0


# --- nothing to pay ---


def test_a_full_discount_pays_the_order(priced: Shop) -> None:
    change.set_code(change.NewCode("ALL", percent=100, use_limit=5))
    customer = priced.customer()
    order = priced.order((KETTLE, 1), code="ALL", customer=customer)
    assert (priced.state(order), order.total_amount, order.paid_by) == ("PAID", 0, "nothing_due")
    assert {event.actor for event in events.since(order.id, 0)} == {Actor.customer(customer)}
    assert priced.payments(order) == [] and priced.order_status(order).key == "paid"
    assert balances() == {"sales": -114300, "discounts": 114300}
    assert uses("ALL") == (1, 120000)
    with pytest.raises(Refusal) as refused:
        requests.request_all(order.id, reason="", by=priced.sam, to=RefundDestination.PROVIDER)
    assert refused.value.code == "not_refundable"


def test_a_discount_and_store_credit_together_pay_the_order(priced: Shop) -> None:
    change.set_code(change.NewCode("HALF", percent=50))
    customer = priced.customer(credit=60000)
    order = priced.order((KETTLE, 1), code="HALF", customer=customer, credit=60000)
    assert (priced.state(order), order.paid_by) == ("PAID", "store_credit")
    assert balances() == {"goodwill": 60000, "sales": -114200, "discounts": 57100, "tax_payable": -2900}
    requests.request_credit(order.id, Money(60000, "TWD"), reason="", by=priced.sam)
    priced.sweep()
    assert (priced.state(order), balances()["refunds"]) == ("REFUNDED", 114200)
    assert "tax_payable" not in balances()


# --- revived orders ---


def revive(shop: Shop, order: Order) -> None:
    """The acquirer reports money that it took before the order ended."""
    taken = order.placed_at + timedelta(minutes=5)
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id, at=taken)
    shop.deliver_webhook(payment)
    shop.sweep()


def test_an_order_that_late_money_revives_uses_its_code_again(priced: Shop) -> None:
    change.set_code(change.NewCode("TWO", percent=10, use_limit=2, budgets={"TWD": Money(24000, "TWD")}))
    order = priced.order((KETTLE, 1), code="TWO")
    priced.turn(minutes=31)
    assert (priced.state(order), uses("TWO")) == ("EXPIRED", (0, 0))
    priced.order((KETTLE, 1), code="TWO", email="bob@example.com")
    revive(priced, order)
    assert (priced.state(order), uses("TWO")) == ("PAID", (2, 24000))
    db.session.rollback()
    assert db.session.get_one(DiscountUse, order.id).state == UseState.HELD


@pytest.mark.parametrize("gone", ["limit", "budget", "address"])
def test_late_money_is_refunded_when_the_code_cannot_be_used_again(priced: Shop, gone: str) -> None:
    limits = {"limit": {"use_limit": 1}, "budget": {"budgets": {"TWD": Money(20000, "TWD")}}, "address": {}}[gone]
    change.set_code(change.NewCode("SCARCE", percent=10, **limits))
    order = priced.order((KETTLE, 1), code="SCARCE")
    priced.turn(minutes=31)
    priced.order((KETTLE, 1), code="SCARCE", email="ada@example.com" if gone == "address" else "bob@example.com")
    revive(priced, order)
    assert (priced.state(order), priced.captures(order)) == ("EXPIRED", ["late"])
    assert [one.state for one in priced.refunds(order)] == ["DONE"]
    assert uses("SCARCE") == (1, 12000)


# --- races ---


def test_eight_at_once_cannot_use_a_code_more_often_than_its_limit(priced: Shop, race: Race) -> None:
    change.set_code(change.NewCode("THREE", percent=10, use_limit=3))
    carts = [priced.cart((PEN, 1)) for _ in range(8)]
    priced.form(carts[0])
    results = race(lambda n: priced.place(carts[n], code="THREE", email=f"c{n}@example.com"))
    kinds = Counter(one.code if isinstance(one, Refusal) else type(one).__name__ for one in results)
    assert kinds == {"Order": 3, "code_used_up": 5}, results
    assert uses("THREE") == (3, 2700)


def test_eight_at_once_cannot_overspend_a_budget(priced: Shop, race: Race) -> None:
    change.set_code(change.NewCode("RICH", amounts={"TWD": Money(5000, "TWD")}, budgets={"TWD": Money(22000, "TWD")}))
    carts = [priced.cart((PEN, 1)) for _ in range(8)]
    results = race(lambda n: priced.place(carts[n], code="RICH", email=f"c{n}@example.com"))
    kinds = Counter(one.code if isinstance(one, Refusal) else type(one).__name__ for one in results)
    assert kinds == {"Order": 4, "code_used_up": 4}, results
    assert uses("RICH") == (4, 20000)


def test_eight_forms_of_one_address_use_a_code_once(priced: Shop, race: Race) -> None:
    carts = [priced.cart((PEN, 1)) for _ in range(8)]
    results = race(lambda n: priced.place(carts[n], code="TEN"))
    kinds = Counter(one.code if isinstance(one, Refusal) else type(one).__name__ for one in results)
    assert kinds == {"Order": 1, "code_used_before": 7}, results


def waits_for_a_lock() -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with db.engine.connect() as connection:
        return bool(connection.scalar(sa.text(query)))


def test_a_release_and_a_use_of_one_address_at_once_never_deadlock(app: Flask, priced: Shop) -> None:
    """The release waits for the code's row before it changes its own use: the other order waits for that use."""
    first = priced.order((PEN, 1), code="TEN")
    second = priced.order((PEN, 1))
    locked, outcome = threading.Event(), []

    def release() -> None:
        with app.app_context():
            locked.wait(10)
            try:
                with transaction():
                    code_uses.release(first.id)
                outcome.append("released")
            except Exception as error:  # noqa: BLE001 - a deadlock is the result
                outcome.append(str(error))

    releasing = threading.Thread(target=release)
    releasing.start()
    with pytest.raises(Refusal) as refused, transaction():
        db.session.execute(db.update(DiscountCode).where(DiscountCode.code == "TEN").values(uses=DiscountCode.uses))
        locked.set()
        if db.engine.dialect.name == "postgresql":
            until(waits_for_a_lock)
        code_uses.use(second.id, TEN, Money(900, "TWD"), email="ada@example.com", at=clock.now())
    releasing.join(30)
    priced.cancel(first)
    assert (refused.value.code, outcome, uses()) == ("code_used_before", ["released"], (0, 0))


def test_a_limit_cannot_be_set_below_what_is_used(priced: Shop) -> None:
    for number in range(2):
        priced.order((PEN, 1), code="TEN", email=f"c{number}@example.com")
    for limits in ({"use_limit": 1}, {"budgets": {"TWD": Money(1700, "TWD")}}):
        with pytest.raises(Refusal) as refused:
            change.set_code(change.NewCode("TEN", percent=10, **limits))
        assert refused.value.code == "limit_exceeded"
    change.set_code(change.NewCode("TEN", percent=20, use_limit=2, budgets={"TWD": Money(1800, "TWD")}))
    assert uses() == (2, 1800)
