"""Acts of staff on an order in the console: refunds, cancellations, accepted amounts, queries."""

from __future__ import annotations

import html
import re

import pytest

from shop.core import audit_search
from shop.core.audit import Act
from shop.core.db import db
from shop.core.money import Money
from shop.orders.models import Order
from shop.payments.refunds import requests
from tests.ops.conftest import visitor_as
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor


def fields(visitor: Visitor) -> dict[str, str]:
    """The hidden fields of the first form on the page."""
    return {name: visitor.field(name) for name in ("about", "seen")}


def refund(visitor: Visitor, order: Order, **changed: str) -> tuple[int, str]:
    """Open the form, change some of its fields and send it."""
    page = visitor.get(f"/ops/orders/{order.number}/refund").text
    form = {**fields(visitor), "amount": "200", "to": "provider", "reason": "broken"}
    assert "can be refunded now" in page
    answer = visitor.post(f"/ops/orders/{order.number}/refund", {**form, **changed})
    return answer.status_code, answer.text


def acts_of(order: Order) -> list[tuple[Act, str]]:
    db.session.rollback()
    found = audit_search.find().rows
    return [(one.act, one.reason) for one in found if one.subject_id == order.number]


def test_a_part_of_a_payment_is_refunded_with_a_reason(shop: Shop) -> None:
    order, support = shop.paid_order(), visitor_as(shop, "support")
    assert refund(support, order)[0] == 303
    assert "is sent within seconds. It needs no second person." in support.get(f"/ops/orders/{order.number}").text
    shop.sweep()
    assert (shop.state(order), [one.amount for one in shop.refunds(order)]) == ("PARTIALLY_REFUNDED", [20000])
    assert acts_of(order) == [(Act.REFUND_REQUESTED, "broken")]


def test_a_number_that_has_moved_meanwhile_refuses_the_refund_and_shows_the_new_one(shop: Shop) -> None:
    order, support = shop.paid_order(), visitor_as(shop, "support")
    support.get(f"/ops/orders/{order.number}/refund")
    form = {**fields(support), "amount": "200", "to": "provider"}
    requests.request(shop.capture(order), Money(50000, "TWD"), reason="", by=shop.sam)
    answer = support.post(f"/ops/orders/{order.number}/refund", {**form, "reason": "broken"})
    assert answer.status_code == 409 and "Only NT$700 can still be refunded." in answer.text
    assert "NT$700 can be refunded now." in answer.text and "broken" in answer.text
    assert len(shop.refunds(order)) == 1


def test_a_reason_is_one_line_without_invisible_characters(shop: Shop) -> None:
    order, support = shop.paid_order(), visitor_as(shop, "support")
    assert refund(support, order, reason=" ok \u202eevil\u202c\r\nApproved by Kim ")[0] == 303
    [made] = shop.refunds(order)
    assert made.reason == "ok evil Approved by Kim"


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"amount": "much"}, "Enter the amount to refund"),
        ({"amount": "0"}, "greater than zero"),
        ({"about": "99999"}, "Choose a payment of this order."),
        ({"to": "moon"}, "Choose a destination"),
        ({"seen": "x"}, "The form is not complete."),
        ({"reason": ""}, "Give a reason."),
        ({"reason": "ok\x07"}, "A reason has no control characters."),
    ],
)
def test_a_refund_that_cannot_be_understood_is_refused(shop: Shop, changed: dict[str, str], sentence: str) -> None:
    order, support = shop.paid_order(), visitor_as(shop, "support")
    status, page = refund(support, order, **changed)
    assert status == 422 and sentence in page and shop.refunds(order) == []


def test_store_credit_that_paid_is_refunded_to_store_credit(shop: Shop) -> None:
    customer = shop.customer(credit=200000)
    order, support = shop.order(customer=customer, credit=120000), visitor_as(shop, "support")
    assert shop.state(order) == "PAID"
    assert refund(support, order, to="store_credit", amount="1200")[0] == 303
    shop.sweep()
    assert (shop.state(order), shop.credit(customer)) == ("REFUNDED", 200000)


def test_a_refund_that_failed_stays_with_its_answer_and_is_sent_again_or_another_way(shop: Shop) -> None:
    customer = shop.customer()
    order, support = shop.paid_order(customer=customer), visitor_as(shop, "support")
    shop.acquirer.misbehave("refund", "refuse")
    refund(support, order)
    shop.sweep()
    path = f"/ops/orders/{order.number}"
    page = html.unescape(support.get(path).text)
    assert "Fakepay refused it: refused." in page
    links = re.findall(r'href="([^"]+)">(Try again|Refund another way)<', page)
    assert [text for _, text in links] == ["Try again", "Refund another way"]
    other = support.get(links[1][0]).text
    assert 'value="200.00"' in other and re.search(r'value="store_credit" required checked', other)
    assert (
        "“Your refund is on its way. The refund goes to your store credit.”" in other and ">broken</textarea>" in other
    )
    assert refund(support, order, to="store_credit")[0] == 303
    shop.sweep()
    assert shop.credit(customer) == 20000
    assert "Fakepay refused it: refused." in html.unescape(support.get(path).text), "the failed one stays"
    assert support.get(f"{path}/refund?amount=1").status_code == 422


def test_a_refund_to_a_bank_waits_for_a_second_person(shop: Shop) -> None:
    order, support = shop.paid_order(), visitor_as(shop, "support")
    assert refund(support, order, to="bank")[0] == 303
    page = html.unescape(support.get(f"/ops/orders/{order.number}").text)
    assert "Send NT$200 to the customer's bank account yourself. Another person then checks" in page
    [requested] = shop.refunds(order)
    assert [one.id for one in requests.waiting()] == [requested.id]
    assert "You requested it." in support.get("/ops/approvals").text


def test_an_unpaid_order_is_cancelled_with_a_reason(shop: Shop) -> None:
    order, support = shop.order(), visitor_as(shop, "support")
    path = f"/ops/orders/{order.number}/cancel"
    assert "“Your order is cancelled. No money has been taken. The items have been released.”" in support.get(path).text
    assert support.post(path, {**fields(support), "reason": "customer called"}).status_code == 303
    shop.sweep()
    assert shop.state(order) == "CANCELLED"
    assert acts_of(order) == [(Act.CANCELLATION_REQUESTED, "customer called")]
    assert "Only unpaid orders can be cancelled." in support.get(path).text


def test_an_order_that_was_paid_meanwhile_is_not_cancelled(shop: Shop) -> None:
    order, support = shop.order(), visitor_as(shop, "support")
    path = f"/ops/orders/{order.number}/cancel"
    support.get(path)
    form = {**fields(support), "reason": "customer called"}
    shop.acquirer.capture(shop.payment(order).id)
    shop.deliver_webhook(shop.payment(order))
    answer = support.post(path, form)
    assert answer.status_code == 409 and "and is PAID now. Nothing was changed." in answer.text
    assert shop.state(order) == "PAID" and acts_of(order) == []
    assert support.post(path, {**form, "seen": "PAID"}).status_code == 422


def test_a_wrong_amount_is_accepted_by_finance_alone(shop: Shop) -> None:
    order = shop.order()
    shop.acquirer.capture(shop.payment(order).id, money=Money(110000, "TWD"))
    shop.deliver_webhook(shop.payment(order))
    path = f"/ops/orders/{order.number}/accept"
    assert visitor_as(shop, "support").get(path).status_code == 403
    finance = visitor_as(shop, "finance")
    assert "NT$1,100" in finance.get(path).text
    form = {**fields(finance), "reason": "the rest was cash"}
    changed = finance.post(path, {**form, "seen": "1"})
    assert changed.status_code == 409 and "The captured amounts have changed" in changed.text
    assert finance.post(path, form).status_code == 303
    assert shop.state(order) == "PAID"
    again = finance.post(path, form)
    assert again.status_code in (409, 422) and "No amount of this order waits" in again.text


def test_a_query_finds_what_a_lost_webhook_did_not_report(shop: Shop) -> None:
    order, support = shop.order(), visitor_as(shop, "support")
    shop.acquirer.capture(shop.payment(order).id)
    support.get(f"/ops/orders/{order.number}/cancel")
    assert support.post(f"/ops/orders/{order.number}/query").status_code == 303
    assert shop.state(order) == "PAID"
    assert acts_of(order) == [(Act.PAYMENT_QUERIED, "")]


def test_acts_on_an_order_that_does_not_exist_are_not_found(shop: Shop) -> None:
    support = visitor_as(shop, "support")
    support.get("/ops")
    for act in ("refund", "cancel"):
        assert support.get(f"/ops/orders/NO-SUCH/{act}").status_code == 404
        assert support.post(f"/ops/orders/NO-SUCH/{act}", {"reason": "x"}).status_code == 404
    assert support.post("/ops/orders/NO-SUCH/query").status_code == 404


def test_the_acquirer_is_queried_about_the_selected_orders_with_an_entry_for_each(shop: Shop) -> None:
    support, paid = visitor_as(shop, "support"), shop.paid_order()
    orders = [shop.order() for _ in range(2)]
    shop.turn(seconds=11)
    shop.wait(seconds=3)
    support.get("/ops/orders")
    numbers = [order.number for order in (*orders, paid)]
    answer = support.post("/ops/orders/query?state=PAID", {"number": numbers})
    assert answer.location == "/ops/orders?state=PAID"
    page = support.get(answer.location).text
    assert "asked about 2 orders within seconds. Of the others (1)" in page
    db.session.rollback()
    entries = audit_search.find(audit_search.Filters(acts=[Act.PAYMENT_QUERIED])).rows
    assert {entry.subject_id for entry in entries} == {order.number for order in orders}
    for chosen, message in (([], "Select at least one order."), (["X"] * 51, "Select at most 50 orders.")):
        refused = support.post("/ops/orders/query", {"number": chosen})
        assert refused.status_code == 422 and message in refused.text
