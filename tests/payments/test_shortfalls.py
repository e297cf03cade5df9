"""Less than the price is accepted by two people when one person may not give up that much."""

from __future__ import annotations

import pytest

from shop.accounts.models import User
from shop.accounts.rights import Lapsed
from shop.alerts import requests
from shop.checkout import end_order
from shop.core import audit_search, clock
from shop.core.db import db, transaction
from shop.core.errors import Refusal
from shop.core.money import Money
from shop.ledger import book, chart
from shop.orders.models import Order
from shop.payments.records.models import ShortfallRequest
from shop.payments.refunds import second_person
from shop.payments.updates import shortfalls
from shop.payments.updates.apply import accept, approve_shortfall, decline_shortfall
from tests.race_fixtures import Race
from tests.shop_fixtures import KETTLE, PRICES, Shop

PRICE = PRICES[KETTLE]["TWD"]
LIMIT = 1000


def _waiting(shop: Shop, short: int = LIMIT + 1) -> tuple[Order, str]:
    """An order that is paid `short` too little, and the request of Sam to accept that; empty if none was needed."""
    shop.app.config["REFUND_NEEDS_TWO"] = {"TWD": LIMIT}
    order = shop.order()
    shop.acquirer.capture(shop.payment(order).id, money=Money(PRICE - short, "TWD"))
    shop.deliver_webhook(shop.payment(order))
    return order, accept(shop.capture(order), by=shop.sam, note="the rest was cash") or ""


def _state(request_id: str) -> str:
    db.session.rollback()
    return db.session.get_one(ShortfallRequest, request_id).state


@pytest.mark.parametrize(
    ("amount", "currency", "needs"),
    [(1000, "TWD", False), (1001, "TWD", True), (-5000, "TWD", False), (1, "JPY", True), (-1, "JPY", False)],
)
def test_more_than_one_person_may_refund_needs_two(amount: int, currency: str, needs: bool) -> None:
    assert second_person.shortfall_needs_two(Money(amount, currency), {"TWD": LIMIT}) is needs


def test_a_large_shortfall_is_booked_when_a_second_person_approves_it(shop: Shop) -> None:
    order, request = _waiting(shop)
    assert (shop.state(order), book.balance(chart.DIFFERENCES, "TWD").amount) == ("WAITING_PAYMENT", 0)
    assert shop.order_status(order).key == "review"
    assert [(one.id, one.money.amount, one.requested_by) for one in shortfalls.waiting()] == [
        (request, LIMIT + 1, shop.sam)
    ]
    assert [(one.kind, one.order_number) for one in requests.load(9)] == [("shortfall", order.number)]
    approve_shortfall(request, by=shop.kim)
    assert (shop.state(order), _state(request), shortfalls.waiting()) == ("PAID", "APPROVED", [])
    assert book.balance(chart.DIFFERENCES, "TWD") == Money(LIMIT + 1, "TWD")
    requested, accepted = reversed(audit_search.find().rows)
    assert (requested.act, requested.actor) == ("payment.shortfall_requested", str(shop.sam))
    assert (accepted.act, accepted.actor) == ("payment.amount_accepted", str(shop.kim))
    assert requested.reason == accepted.reason == "the rest was cash"


@pytest.mark.parametrize("short", [LIMIT, -5 * LIMIT])
def test_a_small_shortfall_and_a_surplus_need_one_person(shop: Shop, short: int) -> None:
    order, request = _waiting(shop, short)
    assert (shop.state(order), request) == ("PAID", "")


def test_the_requester_may_withdraw_the_request_and_not_approve_it(shop: Shop) -> None:
    order, request = _waiting(shop)
    with pytest.raises(Refusal, match="another person than the one who requested it"):
        approve_shortfall(request, by=shop.sam)
    with pytest.raises(Refusal, match="sam@example.com has already requested this"):
        accept(shop.capture(order), by=shop.kim)
    decline_shortfall(request, by=shop.sam, reason="wrong order")
    for decide in (approve_shortfall, decline_shortfall):
        with pytest.raises(Refusal, match="already been decided"):
            decide(request, by=shop.kim)
    assert (shop.state(order), _state(request)) == ("WAITING_PAYMENT", "DECLINED")
    again = accept(shop.capture(order), by=shop.kim)
    assert again and again != request, "a declined one can be requested again"


def test_an_outdated_request_is_not_approved(shop: Shop) -> None:
    order, request = _waiting(shop)
    shop.acquirer.capture(shop.payment(order).id, money=Money(LIMIT + 1, "TWD"))
    shop.deliver_webhook(shop.payment(order), "evt-rest")
    with pytest.raises(Refusal, match="The captured amounts have changed") as refused:
        approve_shortfall(request, by=shop.kim)
    assert (refused.value.status, _state(request), shop.state(order)) == (409, "REQUESTED", "WAITING_PAYMENT")


def test_a_request_waits_no_longer_than_its_money(shop: Shop) -> None:
    order, request = _waiting(shop)
    end_order.cancel_or_refund(order.id, shop.kim)
    assert shortfalls.waiting() == [] and [one.kind for one in requests.load(9)] == ["refund"]
    with pytest.raises(Refusal, match="cannot be accepted|have changed"):
        approve_shortfall(request, by=shop.kim)


def test_the_request_of_a_person_who_lost_the_permission_lapses(shop: Shop) -> None:
    order, request = _waiting(shop)
    with transaction():
        db.session.get_one(User, shop.sam.user_id).disabled_at = clock.now()
    with pytest.raises(Lapsed):
        approve_shortfall(request, by=shop.kim)
    assert (shop.state(order), _state(request)) == ("WAITING_PAYMENT", "REQUESTED")


def test_of_concurrent_decisions_one_counts(shop: Shop, race: Race) -> None:
    order, request = _waiting(shop)
    people = [shop.colleague(f"person{number}") for number in range(8)]

    def decide(number: int) -> None:
        (approve_shortfall if number % 2 else decline_shortfall)(request, by=people[number])

    results = race(decide)
    assert results.count(None) == 1
    assert (_state(request) == "APPROVED") == (shop.state(order) == "PAID")
