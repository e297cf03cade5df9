"""Returns from the request to the refund, with stock, money and credit notes, on both databases."""

from __future__ import annotations

from typing import Any

import pytest

from shop.accounts.permissions import Role
from shop.accounts.rights import Forbidden
from shop.core import ids
from shop.core.audit_search import find
from shop.core.db import db, transaction
from shop.core.errors import BadInput, Refusal
from shop.core.money import Money
from shop.documents.models import Document
from shop.fulfilment import carriers
from shop.fulfilment import write as packages
from shop.inventory.models import StockMovement
from shop.jobs import retention
from shop.mail.models import Mail
from shop.orders import events
from shop.orders.models import ERASED, Order
from shop.payments.refunds import requests as refund_requests
from shop.returns import handling, refunding, requests
from shop.returns.models import Return, ReturnLine
from tests.race_fixtures import Race
from tests.returns.conftest import (
    CUSTOMER,
    accepted,
    found,
    mia,
    received,
    refund_in_full,
    requested,
    sue,
    wanted,
)
from tests.shop_fixtures import KETTLE, PEN, UNITS, Shop


def kinds(order: Order) -> list[str]:
    """Events of returns in the order's history."""
    db.session.rollback()
    return [event.kind for event in events.since(order.id, 0) if event.kind.startswith("return.")]


def restocked() -> list[tuple[str, int]]:
    db.session.rollback()
    rows = db.select(StockMovement).where(StockMovement.kind == "return").order_by(StockMovement.id)
    return [(row.sku, row.quantity) for row in db.session.scalars(rows)]


def credited(order: Order) -> int:
    """Sum of the credit notes of an order."""
    db.session.rollback()
    notes = db.select(db.func.sum(Document.total_amount)).where(Document.order_id == order.id)
    return db.session.scalar(notes.where(Document.kind == "credit_note")) or 0


def test_a_return_goes_from_the_request_to_stock_and_money(taxed: Shop) -> None:
    shop = taxed
    order = shop.paid_order((PEN, 3), (KETTLE, 1), code="TEN")
    assert order.total_amount == 144_300, "NT$1,470 less 10 %, and the delivery"
    one = accepted(shop, order, {PEN: 2})
    shop.sweep()
    before = shop.can_sell(PEN)
    handling.receive(one.id, {PEN: (1, 1)}, by=mia(shop), reason="one is scratched")
    assert restocked() == [(PEN, 1)] and shop.can_sell(PEN) == before + 1
    assert found(one.reference).amount == Money(16_200, "TWD"), "two pens less 10 %"
    [refund] = refund_in_full(shop, one)
    shop.sweep()
    assert [(row.id, row.amount, row.state) for row in shop.refunds(order)] == [(refund, 16_200, "DONE")]
    assert shop.state(order) == "PARTIALLY_REFUNDED" and credited(order) == 16_200
    assert kinds(order) == ["return.requested", "return.accepted", "return.received", "return.closed"]
    last = found(one.reference)
    assert (last.state, last.granted_amount, last.closed_by) == ("CLOSED", 16_200, shop.sam)


def test_the_returns_of_all_units_refund_everything_with_the_delivery(taxed: Shop) -> None:
    shop = taxed
    order = shop.paid_order((PEN, 3), (KETTLE, 1), code="TEN")
    for units in ({PEN: 1}, {KETTLE: 1}, {PEN: 2}):
        one = received(shop, order, units)
        [refund] = refund_in_full(shop, one)
        if shop.refunds(order)[-1].awaits_approval:
            refund_requests.approve(refund, shop.kim)
        shop.sweep()
    assert sum(row.amount for row in shop.refunds(order)) == order.total_amount == credited(order)
    assert shop.state(order) == "REFUNDED"
    assert [row.delivery_amount for row in db.session.scalars(db.select(Return).order_by(Return.id))] == [0, 0, 12_000]
    assert shop.can_sell(PEN) == shop.can_sell(KETTLE) == UNITS


def test_a_return_of_an_order_that_store_credit_paid_in_part_refunds_the_payment_first(shop: Shop) -> None:
    customer = shop.customer(credit=10_000)
    order = shop.paid_order((PEN, 3), customer=customer, credit=10_000)
    first, second = received(shop, order, {PEN: 1}), received(shop, order, {PEN: 2})
    assert len(refund_in_full(shop, first)) == 1
    assert len(refund_in_full(shop, second)) == 2
    shop.sweep()
    by_destination = [(row.destination, row.amount) for row in shop.refunds(order)]
    assert sorted(by_destination) == [("provider", 8000), ("provider", 9000), ("store_credit", 10_000)]
    assert shop.state(order) == "REFUNDED" and shop.credit(customer) == 10_000


def test_a_large_refund_of_a_return_waits_for_a_second_person(shop: Shop) -> None:
    shop.app.config["REFUND_NEEDS_TWO"] = {"TWD": 5000}
    order = shop.paid_order((PEN, 1))
    [refund] = refund_in_full(shop, received(shop, order, {PEN: 1}))
    assert shop.refunds(order)[0].awaits_approval
    with pytest.raises(Refusal):
        refund_requests.approve(refund, shop.sam)
    refund_requests.approve(refund, shop.kim)
    shop.sweep()
    assert shop.state(order) == "REFUNDED"


def test_what_was_refunded_otherwise_is_not_refunded_again_for_a_return(shop: Shop) -> None:
    order = shop.paid_order((PEN, 2))
    one = received(shop, order, {PEN: 2})
    refund_requests.request(shop.capture(order), Money(15_000, "TWD"), reason="", by=shop.sam)
    with pytest.raises(Refusal) as stale:
        refunding.refund(one.id, one.amount, expected=18_000, by=shop.sam, reason="came back")
    assert (stale.value.code, stale.value.details) == ("not_refundable", {"refundable": 3000})
    with pytest.raises(Refusal) as left:
        refunding.close(one.id, by=shop.sam, reason="nothing left")
    assert left.value.code == "refund_left"
    refunding.refund(one.id, Money(3000, "TWD"), expected=3000, by=shop.sam, reason="the rest")
    shop.sweep()
    assert shop.state(order) == "REFUNDED" and found(one.reference).granted_amount == 3000


def test_a_return_of_which_nothing_can_be_refunded_is_closed_without_a_refund(shop: Shop) -> None:
    order = shop.paid_order((PEN, 2))
    one = received(shop, order, {PEN: 2})
    refund_requests.request_all(order.id, reason="goodwill", by=shop.sam)
    for _ in range(2):
        refunding.close(one.id, by=shop.sam, reason="refunded by goodwill")
    assert (found(one.reference).state, found(one.reference).granted_amount) == ("CLOSED", 0)
    shop.sweep()


def test_less_is_refunded_for_units_that_have_lost_value_and_the_rest_stays_refundable(shop: Shop) -> None:
    order = shop.paid_order((PEN, 2))
    one = received(shop, order, {PEN: 2}, restock=False)
    refunding.refund(one.id, Money(5000, "TWD"), expected=18_000, by=sue(shop), reason="used")
    shop.sweep()
    assert shop.state(order) == "PARTIALLY_REFUNDED" and restocked() == []
    refund_requests.request(shop.capture(order), Money(13_000, "TWD"), reason="after a call", by=shop.sam)
    shop.sweep()
    assert shop.state(order) == "REFUNDED"


def test_units_that_did_not_arrive_can_be_returned_later(shop: Shop) -> None:
    order = shop.paid_order((PEN, 3))
    one = accepted(shop, order, {PEN: 3})
    with pytest.raises(Refusal):
        requested(shop, order, {PEN: 1})
    handling.receive(one.id, {PEN: (1, 0)}, by=mia(shop))
    assert requested(shop, order, {PEN: 2}).state == "REQUESTED"
    shop.sweep()


@pytest.mark.parametrize(("days", "is_late"), [(13.99, False), (14.01, True)])
def test_a_customer_requests_a_return_within_the_days_and_staff_later(shop: Shop, days: float, is_late: bool) -> None:
    order = shop.paid_order((PEN, 1))
    shop.turn(days=days)
    if not is_late:
        assert requested(shop, order, {PEN: 1}).state == "REQUESTED"
        return
    with pytest.raises(Refusal) as late:
        requested(shop, order, {PEN: 1})
    assert late.value.code == "return_too_late"
    with pytest.raises(Forbidden):
        requests.request(order.id, wanted({PEN: 1}), by=mia(shop), form_key=ids.token())
    requests.request(order.id, wanted({PEN: 1}, comment="by phone"), by=sue(shop), form_key=ids.token())
    [entry, *_] = find().rows
    assert (entry.act, entry.subject_id, entry.reason) == ("return.requested", order.number, "")
    assert entry.personal and entry.personal["comment"] == "by phone", "retention erases it"
    shop.sweep()


def test_a_form_that_is_sent_twice_requests_one_return(shop: Shop) -> None:
    order = shop.paid_order((PEN, 3))
    first = requests.request(order.id, wanted({PEN: 1}), by=CUSTOMER, form_key="form-key-1")
    assert requests.request(order.id, wanted({PEN: 1}), by=CUSTOMER, form_key="form-key-1") == first
    with pytest.raises(Refusal) as used:
        requests.request(order.id, wanted({PEN: 2}), by=CUSTOMER, form_key="form-key-1")
    assert used.value.code == "form_used"
    assert shop.count(Return) == 1 and first == f"{order.number}-R1"
    for key in ("", "x" * 65, "a\0"):
        with pytest.raises(BadInput):
            requests.request(order.id, wanted({PEN: 1}), by=CUSTOMER, form_key=key)
    shop.sweep()


def test_a_return_is_withdrawn_before_it_is_received_and_its_units_can_be_returned_again(shop: Shop) -> None:
    order, other = shop.paid_order((PEN, 1)), shop.paid_order((PEN, 1))
    one = accepted(shop, order, {PEN: 1})
    with pytest.raises(Refusal):
        requests.withdraw(other.id, one.reference, by=CUSTOMER)
    for _ in range(2):
        requests.withdraw(order.id, one.reference, by=CUSTOMER)
    assert kinds(order)[-1] == "return.withdrawn" and len(kinds(order)) == 3
    with pytest.raises(Refusal) as moved:
        handling.receive(one.id, {PEN: (1, 0)}, by=mia(shop))
    assert moved.value.message == "The customer has withdrawn this return. Nothing was changed."
    again = received(shop, order, {PEN: 1})
    with pytest.raises(Refusal) as late:
        requests.withdraw(order.id, again.reference, by=CUSTOMER)
    assert late.value.code == "not_withdrawn"
    refund_in_full(shop, again)
    shop.sweep()


def test_each_step_is_safe_to_repeat_and_the_other_person_reads_who_was_first(shop: Shop) -> None:
    order = shop.paid_order((PEN, 1))
    one = requested(shop, order, {PEN: 1})
    bo = shop.colleague("bo", Role.MERCHANDISER)
    steps: list[tuple[Any, str]] = [
        (lambda by: handling.accept(one.id, by=by), "mia@example.com has already accepted this return."),
        (lambda by: handling.receive(one.id, {PEN: (1, 0)}, by=by), "mia@example.com has already received"),
    ]
    for act, sentence in steps:
        for _ in range(2):
            act(mia(shop))
        with pytest.raises(Refusal) as refused:
            act(bo)
        assert refused.value.code == "return_moved" and sentence in refused.value.message
    assert restocked() == [(PEN, 1)]
    assert refund_in_full(shop, one) and refund_in_full(shop, one) == []
    with pytest.raises(Refusal, match="sam@example.com has already closed this return"):
        refunding.refund(one.id, Money(9000, "TWD"), expected=9000, by=shop.kim, reason="mine")
    assert len(shop.refunds(order)) == 1
    shop.sweep()


def test_each_act_needs_its_permission_and_writes_one_entry_with_the_reason(shop: Shop) -> None:
    order = shop.paid_order((PEN, 2))
    first, second = requested(shop, order, {PEN: 1}), requested(shop, order, {PEN: 1})
    ann = shop.colleague("ann", Role.ADMIN)
    acts: list[tuple[Any, Any, str, str]] = [
        (lambda by: handling.decline(second.id, by=by, message="used"), sue(shop), "return.declined", "used"),
        (lambda by: handling.accept(first.id, by=by, message="by post"), mia(shop), "return.accepted", "by post"),
        (
            lambda by: handling.receive(first.id, {PEN: (0, 1)}, by=by, reason="wet"),
            mia(shop),
            "return.received",
            "wet",
        ),
        (
            lambda by: refunding.refund(first.id, Money(9000, "TWD"), expected=9000, by=by, reason="back"),
            sue(shop),
            "return.refunded",
            "back",
        ),
    ]
    for act, who, name, reason in acts:
        with pytest.raises(Forbidden):
            act(ann)
        act(who)
        entry = find().rows[0]
        assert (entry.act, entry.actor, entry.reason, entry.subject_id) == (name, str(who), reason, order.number)
    with pytest.raises(Forbidden):
        handling.receive(second.id, {PEN: (1, 0)}, by=sue(shop))
    with pytest.raises(Forbidden):
        refunding.refund(first.id, Money(9000, "TWD"), expected=9000, by=mia(shop), reason="back")
    shop.sweep()


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501, "a\0b"])
def test_a_decline_and_units_that_are_not_restocked_need_a_reason(shop: Shop, reason: str) -> None:
    one = accepted(shop, shop.paid_order((PEN, 1)), {PEN: 1})
    with pytest.raises(BadInput):
        handling.decline(one.id, by=mia(shop), message=reason)
    with pytest.raises(BadInput):
        handling.receive(one.id, {PEN: (0, 1)}, by=mia(shop), reason=reason)
    assert found(one.reference).state == "ACCEPTED"
    shop.sweep()


def test_a_return_that_does_not_exist_is_unknown(shop: Shop) -> None:
    acts: list[Any] = [
        lambda: handling.accept(7, by=mia(shop)),
        lambda: refunding.close(7, by=shop.sam, reason="x"),
        lambda: requests.withdraw(shop.order((PEN, 1)).id, "7K3M-9QXT-2F-R1", by=CUSTOMER),
    ]
    for act in acts:
        with pytest.raises(Refusal) as unknown:
            act()
        assert (unknown.value.code, unknown.value.status) == ("unknown_return", 404)


def test_each_step_is_mailed_once_in_the_language_of_the_order(shop: Shop) -> None:
    order = shop.paid_order((PEN, 2))
    with transaction():
        db.session.get_one(Order, order.id).locale = "ja"
    one = received(shop, order, {PEN: 1})
    declined = requested(shop, order, {PEN: 1})
    handling.decline(declined.id, by=mia(shop), message="使用済みです")
    refund_in_full(shop, one)
    for _ in range(3):
        shop.turn(minutes=2)
    mails = [row for row in db.session.scalars(db.select(Mail).order_by(Mail.id)) if row.kind.startswith("return")]
    expected = ["return_accepted", "return_declined", "return_received", "return_requested", "return_requested"]
    assert sorted(row.kind for row in mails) == expected
    assert {(row.language, row.recipient) for row in mails} == {("ja", order.email)}
    [message] = [row.data["message"] for row in mails if row.kind == "return_declined"]
    assert message == "使用済みです"


def test_the_texts_of_a_return_are_erased_with_the_data_of_a_guest(shop: Shop) -> None:
    order = shop.paid_order((PEN, 1))
    one = requested(shop, order, {PEN: 1}, comment="Call Ada at home")
    handling.decline(one.id, by=mia(shop), message="Dear Ada, no")
    shop.turn(minutes=2)
    shop.wait(days=731)
    retention.sweep()
    assert (found(one.reference).comment, found(one.reference).message) == (ERASED, ERASED)


# --- races ---


def outcomes(results: list[Any]) -> list[str]:
    """`done`, or the code of the refusal, of each caller; any other exception is raised."""
    for one in results:
        if isinstance(one, Exception) and not isinstance(one, Refusal):
            raise one
    return sorted(one.code if isinstance(one, Refusal) else "done" for one in results)


def test_of_requests_for_the_last_units_at_once_exactly_as_many_win_as_units_are_left(shop: Shop, race: Race) -> None:
    order = shop.paid_order((PEN, 3))
    order_id = order.id  # the session of the test is not for the callers, who would load the row in it
    results = race(lambda _: requests.request(order_id, wanted({PEN: 1}), by=CUSTOMER, form_key=ids.token()))
    assert outcomes(results) == ["done"] * 3 + ["nothing_to_return"] * 5
    assert shop.count(ReturnLine) == 3
    shop.sweep()


def test_one_form_eight_times_at_once_is_one_return(shop: Shop, race: Race) -> None:
    order = shop.paid_order((PEN, 3))
    order_id = order.id  # the session of the test is not for the callers, who would load the row in it
    results = race(lambda _: requests.request(order_id, wanted({PEN: 1}), by=CUSTOMER, form_key="form-key-1"))
    assert set(results) == {f"{order.number}-R1"} and shop.count(Return) == 1
    shop.sweep()


def test_of_eight_members_of_staff_who_decide_at_once_one_wins_and_the_others_read_who_did(
    shop: Shop, race: Race
) -> None:
    order = shop.paid_order((PEN, 1))
    one = requested(shop, order, {PEN: 1})
    staff = shop.staff(*(f"m{number}" for number in range(8)), role=Role.MERCHANDISER)

    return_id = one.id

    def decide(number: int) -> None:
        if number % 2:
            handling.accept(return_id, by=staff[number])
        else:
            handling.decline(return_id, by=staff[number], message="no")

    results = race(decide)
    assert set(outcomes(results)) == {"done", "return_moved"}
    refused = [result for result in results if isinstance(result, Refusal)]
    assert len(refused) in (6, 7), "an accepted return may be declined afterwards"
    assert all("@example.com has already" in refusal.message for refusal in refused)
    assert len(kinds(order)) == 1 + 8 - len(refused)
    shop.sweep()


def test_units_received_by_eight_at_once_are_restocked_once(shop: Shop, race: Race) -> None:
    order = shop.paid_order((PEN, 3))
    one = accepted(shop, order, {PEN: 3})
    staff = shop.staff(*(f"m{number}" for number in range(8)), role=Role.MERCHANDISER)
    return_id = one.id
    results = race(lambda number: handling.receive(return_id, {PEN: (3, 0)}, by=staff[number]))
    assert outcomes(results) == ["done"] + ["return_moved"] * 7
    assert restocked() == [(PEN, 3)] and shop.can_sell(PEN) == UNITS
    shop.sweep()


def test_a_return_is_refunded_once_by_eight_at_once(shop: Shop, race: Race) -> None:
    order = shop.paid_order((PEN, 3))
    one = received(shop, order, {PEN: 2})
    staff = shop.staff(*(f"f{number}" for number in range(8)))
    return_id, amount = one.id, one.amount
    results = race(lambda number: refunding.refund(return_id, amount, expected=18_000, by=staff[number], reason="back"))
    assert outcomes(results) == ["done"] + ["return_moved"] * 7
    shop.sweep()
    assert [(row.amount, row.state) for row in shop.refunds(order)] == [(18_000, "DONE")]


def test_returns_and_refunds_of_one_order_at_once_refund_no_more_than_was_captured(shop: Shop, race: Race) -> None:
    order = shop.paid_order((PEN, 4))
    returned = [received(shop, order, {PEN: 1}).id for _ in range(4)]
    staff = shop.staff(*(f"f{number}" for number in range(8)))

    def refund(number: int) -> None:
        if number < 4:
            refunding.refund(returned[number], Money(9000, "TWD"), expected=9000, by=staff[number], reason="came back")
        else:
            refund_requests.request(shop_capture, Money(20_000, "TWD"), reason="", by=staff[number])

    shop_capture = shop.capture(order)
    race(refund)
    shop.sweep()
    promised = sum(row.amount for row in shop.refunds(order) if row.state != "REJECTED")
    assert 27_000 <= promised <= 36_000 == order.total_amount


def test_of_a_partly_shipped_order_the_shipped_units_are_returned_for_days_from_the_last_package(shop: Shop) -> None:
    order = shop.paid_order((PEN, 3))
    package = packages.pack(order.id, {PEN: 2}, by=mia(shop), form_key="1")
    shop.wait(days=10)
    packages.ship(order.id, package, carriers.tracking("dhl", "1"), by=mia(shop))
    shop.wait(days=13)
    with pytest.raises(Refusal, match="at most 2"):
        requested(shop, order, {PEN: 3})
    assert requested(shop, order, {PEN: 2}).state == "REQUESTED"
    late = shop.paid_order((PEN, 1))
    packages.pack_and_ship(late.id, carriers.tracking("dhl", "2"), by=mia(shop), form_key="2")
    shop.wait(days=15)
    with pytest.raises(Refusal, match="has ended"):
        requested(shop, late, {PEN: 1})
    shop.sweep()


def test_the_link_of_an_order_is_valid_while_its_items_can_be_returned_and_a_return_is_handled(shop: Shop) -> None:
    def answer(order: Order) -> int:
        return shop.app.test_client().get(f"/orders/{order.token}").status_code

    slow, never_sent = shop.paid_order((PEN, 1)), shop.paid_order((PEN, 1))
    shop.turn(days=35)
    assert [answer(slow), answer(never_sent)] == [404, 404]
    packages.pack_and_ship(slow.id, carriers.tracking("dhl", "1"), by=mia(shop), form_key="1")
    shop.turn(days=13)
    assert [answer(slow), answer(never_sent)] == [200, 404]
    assert requested(shop, slow, {PEN: 1}).state == "REQUESTED"
    shop.turn(days=13)
    assert answer(slow) == 200
    shop.turn(days=2)
    assert answer(slow) == 404
