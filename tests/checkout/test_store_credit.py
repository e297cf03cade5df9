"""Store credit pays all or a part of an order, is reserved meanwhile, and is released when the order ends unpaid."""

from __future__ import annotations

import pytest

from shop.checkout import end_order, saga
from shop.core.db import db, transaction
from shop.core.errors import Refusal
from shop.core.money import Money
from shop.http_kit.template_helpers import payment_methods
from shop.inventory import stock
from shop.ledger import book, chart, store_credit
from shop.orders.models import Order
from shop.payments.initiation import initiate
from shop.payments.providers import charging, registry, stripe
from shop.payments.providers.capabilities import Capabilities
from shop.payments.refunds import requests
from tests.race_fixtures import Race
from tests.shop_fixtures import KETTLE, PRICES, Shop

PRICE = PRICES[KETTLE]["TWD"]
_TWD = frozenset({"TWD"})


def test_store_credit_that_covers_the_order_pays_it_at_once_and_opens_nothing(shop: Shop) -> None:
    ada = shop.customer(credit=PRICE + 5000)
    order = shop.order(customer=ada, credit=PRICE + 5000)
    assert (shop.state(order), order.paid_by, order.credit_amount) == ("PAID", "store_credit", PRICE)
    assert shop.payments(order) == []
    assert shop.moves(order) == ["PENDING", "PAID"]
    assert shop.credit(ada) == 5000
    assert shop.can_sell() == 9
    assert shop.order_status(order).key == "paid"
    assert shop.order_status(order).final


def test_store_credit_pays_a_part_and_the_payment_the_rest(shop: Shop) -> None:
    ada = shop.customer(credit=50000)
    order = shop.order(customer=ada, credit=50000)
    assert shop.payment(order).amount == PRICE - 50000
    assert shop.credit(ada) == 0
    assert book.balance(chart.store_credit(ada), "TWD") == Money(-50000, "TWD"), "held, not spent"
    shop.acquirer.capture(shop.payment(order).id)
    shop.deliver_webhook(shop.payment(order))
    assert shop.state(order) == "PAID"
    assert book.balance(chart.store_credit(ada), "TWD") == Money(0, "TWD")
    assert book.balance(chart.SALES, "TWD") == Money(-PRICE, "TWD")


@pytest.mark.parametrize("how", ["cancel", "expire"])
def test_an_order_that_ends_without_money_lets_go_of_its_credit(shop: Shop, how: str) -> None:
    ada = shop.customer(credit=50000)
    order = shop.order(customer=ada, credit=50000)
    if how == "cancel":
        shop.cancel(order)
    else:
        shop.turn(minutes=31)
    assert shop.state(order) in ("CANCELLED", "EXPIRED")
    assert shop.credit(ada) == 50000


def test_a_payment_of_the_whole_price_is_wrong_when_credit_pays_a_part(shop: Shop) -> None:
    ada = shop.customer(credit=50000)
    order = shop.order(customer=ada, credit=50000)
    shop.acquirer.capture(shop.payment(order).id, money=order.total)
    shop.deliver_webhook(shop.payment(order))
    assert shop.captures(order) == ["mismatch"]
    assert shop.credit(ada) == 0, "still held"


def test_the_same_credit_is_spent_once_by_eight_checkouts_at_once(shop: Shop, race: Race) -> None:
    ada = shop.customer(credit=PRICE)
    carts = [shop.cart((KETTLE, 1)) for _ in range(8)]
    results = race(lambda number: shop.place(carts[number], customer=ada, credit=PRICE).id)
    assert len([r for r in results if isinstance(r, int)]) == 1
    assert {r.code for r in results if isinstance(r, Refusal)} == {"not_enough_credit"}
    assert shop.count(Order) == 1
    assert shop.can_sell() == 9, "who could not pay holds nothing"
    assert shop.credit(ada) == 0


def test_a_customer_with_too_little_credit_keeps_the_cart_and_sees_the_balance(shop: Shop) -> None:
    ada = shop.customer(credit=50000)
    cart_id = shop.cart((KETTLE, 1))
    with pytest.raises(Refusal, match="NT.500") as refused:
        shop.place(cart_id, customer=ada, credit=60000)
    assert (refused.value.code, refused.value.details["available"]) == ("not_enough_credit", 50000)
    assert shop.place(cart_id, customer=ada, credit=50000).credit_amount == 50000


def test_guests_and_other_currencies_have_no_credit(shop: Shop) -> None:
    ada = shop.customer(credit=50000, currency="TWD")
    with pytest.raises(Refusal) as guest:
        shop.order(credit=100)
    assert guest.value.code == "not_signed_in"
    with pytest.raises(Refusal) as yen:
        shop.place(shop.cart((KETTLE, 1), currency="JPY"), customer=ada, credit=100)
    assert yen.value.code == "not_enough_credit"


def test_a_crash_after_the_credit_was_held_is_resumed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = shop.customer(credit=PRICE)
    with monkeypatch.context() as broken:
        broken.setattr(saga, "start", lambda *_: None)
        order = shop.order(customer=ada, credit=PRICE)
    assert shop.state(order) == "PENDING"
    assert shop.credit(ada) == 0
    shop.turn(seconds=11)
    assert shop.state(order) == "PAID"
    assert shop.payments(order) == []


def test_nothing_can_be_opened_for_what_credit_pays(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = shop.customer(credit=PRICE)
    with monkeypatch.context() as broken:
        broken.setattr(saga, "start", lambda *_: None)
        order = shop.order(customer=ada, credit=PRICE)
    with pytest.raises(Refusal) as refused:
        initiate.open_payment(order.id, "fakepay")
    assert refused.value.code == "not_payable"
    shop.turn(seconds=11)


def test_a_capture_in_time_revives_the_order_with_its_credit(shop: Shop) -> None:
    ada = shop.customer(credit=50000)
    order = shop.order(customer=ada, credit=50000)
    payment = shop.payment(order)
    in_time = shop.opened_at(order)
    shop.turn(minutes=31)
    assert shop.credit(ada) == 50000
    shop.acquirer.capture(payment.id, at=in_time)
    shop.deliver_webhook(payment)
    assert shop.state(order) == "PAID"
    assert shop.credit(ada) == 0


def test_a_capture_in_time_is_refunded_when_the_credit_was_spent_meanwhile(shop: Shop) -> None:
    ada = shop.customer(credit=PRICE)
    order = shop.order(customer=ada, credit=50000)
    payment, in_time = shop.payment(order), shop.opened_at(order)
    shop.turn(minutes=31)
    shop.order(customer=ada, credit=PRICE)
    left = shop.can_sell()
    shop.acquirer.capture(payment.id, at=in_time)
    shop.deliver_webhook(payment)
    shop.sweep()
    assert shop.state(order) == "EXPIRED"
    assert [r.state for r in shop.refunds(order)] == ["DONE"]
    assert shop.can_sell() == left, "its stock was not kept either"


def test_a_refund_can_go_to_store_credit_and_never_twice(shop: Shop) -> None:
    ada = shop.customer()
    order = shop.paid_order(customer=ada)
    requests.request(shop.capture(order), order.total, reason="kind", by=shop.sam, to="store_credit")
    shop.sweep()
    assert shop.state(order) == "REFUNDED"
    assert shop.credit(ada) == PRICE
    assert shop.acquirer.refunds == {}, "the acquirer has nothing to do with it"
    with pytest.raises(Refusal) as refused:
        requests.request(shop.capture(order), order.total, reason="", by=shop.sam)
    assert refused.value.details["refundable"] == 0


def test_store_credit_is_refunded_to_store_credit(shop: Shop) -> None:
    ada = shop.customer(credit=PRICE)
    order = shop.order(customer=ada, credit=PRICE)
    requests.request_credit(order.id, Money(20000, "TWD"), reason="", by=shop.sam, expected_refundable=PRICE)
    shop.sweep()
    assert (shop.state(order), shop.credit(ada)) == ("PARTIALLY_REFUNDED", 20000)
    with pytest.raises(Refusal) as stale:
        requests.request_credit(order.id, Money(20000, "TWD"), reason="", by=shop.sam, expected_refundable=PRICE)
    assert stale.value.details["refundable"] == PRICE - 20000
    requests.request_all(order.id, reason="", by=shop.sam)
    shop.sweep()
    assert (shop.state(order), shop.credit(ada)) == ("REFUNDED", PRICE)


def test_eight_refunds_of_60_percent_of_the_credit_at_once_exactly_one(shop: Shop, race: Race) -> None:
    ada = shop.customer(credit=PRICE)
    order = shop.order(customer=ada, credit=PRICE)
    share = Money(PRICE * 60 // 100, "TWD")
    order_id = order.id
    results = race(lambda _: requests.request_credit(order_id, share, reason="", by=shop.sam).id)
    assert len([r for r in results if isinstance(r, str)]) == 1
    shop.sweep()
    assert shop.credit(ada) == share.amount


def test_a_guest_has_no_store_credit_to_refund_to(shop: Shop) -> None:
    order = shop.paid_order()
    with pytest.raises(Refusal) as refused:
        requests.request(shop.capture(order), order.total, reason="", by=shop.sam, to="store_credit")
    assert refused.value.code == "no_account"


def test_movements_list_all_uses_of_the_credit(shop: Shop) -> None:
    ada = shop.customer(credit=PRICE)
    order = shop.order(customer=ada, credit=PRICE)
    requests.request_all(order.id, reason="", by=shop.sam)
    shop.sweep()
    movements = [(m.kind, m.money.amount, m.order_id) for m in store_credit.movements(ada)]
    assert sorted(movements) == sorted(
        [("refund", PRICE, order.id), ("credit_used", -PRICE, order.id), ("credit_given", PRICE, None)]
    )
    assert store_credit.balances(ada) == [Money(PRICE, "TWD")]


def test_giving_the_same_credit_twice_is_refused_by_the_database(shop: Shop) -> None:
    ada = shop.customer(credit=100)
    with pytest.raises(Exception, match="(?i)unique|duplicate"), transaction():
        store_credit.give(ada, Money(100, "TWD"), key=f"gift:{ada}", kind="credit_given", debit=chart.GOODWILL)
    db.session.rollback()
    assert shop.credit(ada) == 100


def test_out_of_stock_holds_no_credit(shop: Shop) -> None:
    ada = shop.customer(credit=PRICE)
    cart_id = shop.cart((KETTLE, 2))
    with transaction():
        stock.receive(KETTLE, -9, "adjustment")
    with pytest.raises(Refusal) as refused:
        shop.place(cart_id, customer=ada, credit=PRICE)
    assert refused.value.code == "out_of_stock"
    assert shop.credit(ada) == PRICE


def test_an_order_that_is_being_cancelled_is_not_paid_by_store_credit(shop: Shop) -> None:
    """The checkout is resumed between the request to cancel and the end."""
    ada = shop.customer(credit=PRICE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saga, "start", lambda *_: None)
        order = shop.order(customer=ada, credit=PRICE)
        patch.setattr(end_order, "finish", lambda _: None)
        shop.cancel(order)
    saga.run(order.id)
    assert shop.state(order) == "PENDING"
    shop.sweep()
    assert (shop.state(order), shop.credit(ada)) == ("CANCELLED", PRICE)


def test_a_rest_that_the_acquirer_cannot_charge_is_refused_before_there_is_an_order(shop: Shop) -> None:
    """Tpay charges whole dollars."""
    ada = shop.customer(credit=50050)
    cart_id = shop.cart()
    with pytest.raises(Refusal, match=r"Tpay cannot charge NT\$699\.50.*use NT\$500 of your") as refused:
        shop.place(cart_id, provider="tpay", customer=ada, credit=50050)
    assert (refused.value.code, shop.count(Order), shop.credit(ada)) == ("cannot_charge", 0, 50050)
    assert refused.value.details == {"usable_credit": 50000}
    order = shop.place(cart_id, provider="tpay", customer=ada, credit=50000)
    assert order.to_pay == Money(70000, "TWD")


def test_an_order_whose_rest_a_provider_cannot_charge_is_not_offered_it_and_cannot_use_it(shop: Shop) -> None:
    """The remaining amount is half a dollar above what Tpay can charge; KPay can."""
    ada = shop.customer(credit=50050)
    order = shop.order(customer=ada, credit=50050)
    assert {"kpay", "fakepay"} <= {method.provider for method in payment_methods(order)}
    assert "tpay" not in {method.provider for method in payment_methods(order)}
    first = shop.payment(order)
    with pytest.raises(Refusal, match=r"^Tpay cannot charge NT\$699\.50\. Choose another payment method\.$") as refused:
        initiate.open_payment(order.id, "tpay")
    assert refused.value.code == "cannot_charge"
    assert [payment.id for payment in shop.payments(order)] == [first.id] and shop.payment(order).state == "OPEN"


@pytest.mark.parametrize(
    ("able", "amount", "takes", "following"),
    [
        (Capabilities(_TWD), 1, True, 1),
        (Capabilities(_TWD, steps={"TWD": 100}), 150, False, 200),
        (Capabilities(_TWD, steps={"TWD": 100}, least={"TWD": 150}), 50, False, 200),
        (Capabilities(_TWD, least={"TWD": 50}), 49, False, 50),
        (Capabilities(_TWD, most={"TWD": 100}), 100, True, 100),
        (Capabilities(_TWD, most={"TWD": 100}), 101, False, None),
        (Capabilities(_TWD, steps={"TWD": 100}, most={"TWD": 250}), 201, False, None),
        (Capabilities(_TWD, most={"USD": 1}), 10**15, True, 10**15),
        (Capabilities(frozenset({"USD"})), 100, False, None),
    ],
)
def test_the_next_amount_that_can_be_charged(
    able: Capabilities, amount: int, takes: bool, following: int | None
) -> None:
    assert able.takes(Money(amount, "TWD")) is takes
    assert able.next_charge(Money(amount, "TWD")) == (Money(following, "TWD") if following else None)


STRIPE = charging.Charging(stripe.PROVIDER.LABEL, stripe.PROVIDER.capabilities)


@pytest.mark.parametrize(
    ("credit", "usable", "output"),
    [
        (3770, 3750, "or use $37.50 of your store credit."),
        (20, 0, "or leave out store credit."),
    ],
)
def test_the_refusal_of_a_rest_below_the_smallest_charge_states_the_usable_credit(
    credit: int, usable: int, output: str
) -> None:
    """Stripe charges 50 cents at least."""
    total = 3800 if usable else 50
    refused = charging.refusal(STRIPE, Money(total - credit, "USD"), Money(credit, "USD"))
    assert refused and refused.details == {"usable_credit": usable} and refused.message.endswith(output)


def test_an_amount_above_the_largest_charge_is_refused_without_mentioning_credit() -> None:
    refused = charging.refusal(STRIPE, Money(100_000_000, "USD"), Money(100, "USD"))
    assert refused and refused.message.endswith("cannot charge $1,000,000.00. Choose another payment method.")
    assert "usable_credit" not in refused.details
    assert charging.refusal(STRIPE, Money(99_999_999, "USD")) is None


@pytest.mark.parametrize(
    ("money", "why"),
    [
        (Money(0, "TWD"), ""),
        (Money(2500, "TWD"), ""),
        (Money(2499, "TWD"), "Stripe cannot charge NT$24.99: the next amount that it can charge is NT$25."),
        (Money(49, "JPY"), "Stripe cannot charge ¥49: the next amount that it can charge is ¥50."),
        (Money(10**8, "USD"), "Stripe cannot charge $1,000,000.00: the amount is too high."),
    ],
)
def test_the_reason_against_an_amount_names_the_next_one_that_can_be_charged(money: Money, why: str) -> None:
    assert charging.reason(STRIPE, money) == why


def test_a_provider_states_its_smallest_charge_for_each_of_its_currencies_or_charges_any_amount() -> None:
    """Stripe has a minimum in every currency; TWD has none of its own in Stripe's list."""
    assert set(stripe.PROVIDER.capabilities.least) == set(stripe.PROVIDER.capabilities.currencies)


def test_a_payment_that_its_provider_cannot_charge_is_refused(shop: Shop) -> None:
    with pytest.raises(Refusal, match=r"Choose another payment method\.$"):
        registry.refuse_unless_chargeable("stripe", Money(100_000_000, "USD"))
    registry.refuse_unless_chargeable("stripe", Money(99_999_999, "USD"))
