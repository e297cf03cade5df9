"""The only place that decides that money arrived.

Whoever hears something about a payment (webhook, query, answer to opening it) brings the facts here. One transaction
books new captures, moves the payment and the order, consumes stock, and records the report with its verdict; no network
and no Redis in it. Repeating a report changes nothing; the order of reports does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from flask import current_app
from sqlalchemy import select, update

from shop.core import clock, logs, metrics, outbox
from shop.core.db import changed, db, retried, writing
from shop.core.errors import BadInput, Refusal
from shop.core.later import add_last, after_commit, write_last
from shop.core.money import Money
from shop.ledger import book, chart
from shop.orders import events
from shop.orders import states as order_states
from shop.orders.models import STORE_CREDIT, Order
from shop.orders.move import move, move_locked
from shop.payments import due, holdings, refunds, registry, review, states
from shop.payments.lock import Around, around, order_with_payments
from shop.payments.models import Capture, Payment, Report
from shop.payments.provider import CaptureFact, Facts, Show
from shop.payments.settlement_models import charged_back

log = logs.get()
_WEIGHT = ("duplicate", "hint", "stale", "illegal", "applied", "mismatch")
"""When a report deserves several verdicts, the last of these is its verdict."""


class UnknownPayment(KeyError):
    """We have no such payment, or another provider runs it."""


@dataclass
class _Hearing:
    """One report while it is being judged: the locked rows, and what has been found so far. A plain one ends with the
    order's move.
    """

    payment: Payment
    order: Order
    others: list[Payment]
    facts: Facts
    heard_from: str
    at: datetime
    booked: set[str]
    is_plain: bool = False
    verdicts: list[str] = field(default_factory=lambda: ["duplicate"])
    news: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


def settle(
    payment_id: str,
    facts: Facts,
    heard_from: str,
    *,
    provider: str | None = None,
    inbox_id: int | None = None,
    found: Around | None = None,
) -> str:
    """Apply what was heard and return the verdict: applied, duplicate, stale, illegal, mismatch, hint or foreign.

    `heard_from` is webhook, poll, return, view, start, staff or settlement file. Joins the caller's unit if there is
    one, which may have `found` and locked what is around the payment. Raises UnknownPayment for a payment that we do
    not have, or that `provider`, when given, does not run.
    """
    if db.session().info.get("writing"):
        return _settle(payment_id, facts, heard_from, provider, inbox_id, found)

    def unit() -> str:
        with writing():
            return _settle(payment_id, facts, heard_from, provider, inbox_id)

    return retried(unit)


def _settle(
    payment_id: str, facts: Facts, heard_from: str, by: str | None, inbox_id: int | None, found: Around | None = None
) -> str:
    order_and_all = found or around(payment_id, by)
    if order_and_all is None:
        raise UnknownPayment(payment_id)
    order, payments, booked = order_and_all
    payment = next(p for p in payments if p.id == payment_id)
    if payment.contradicts(facts.provider_data):
        return "foreign"
    others = [p for p in payments if p.id != payment_id]
    hearing = _Hearing(payment, order, others, facts, heard_from, clock.now(), booked, is_plain=found is not None)
    _note_details(hearing)
    for capture in facts.captures:
        _book(hearing, capture)
    _move_payment(hearing)
    _carry_to_order(hearing)
    provider = registry.get(payment.provider)
    window = provider.capabilities.consistency_window if provider else due.pick((0,), 0)
    payment.next_check_at = due.after_report(payment, hearing.at, window)
    if _must_close(hearing):
        if payment.cancel_requested_at is None or heard_from == "start":
            payment.next_check_at = hearing.at
        payment.cancel_requested_at = payment.cancel_requested_at or hearing.at
    if hearing.is_plain:
        write_last(payment)
    return _record(hearing, inbox_id)


# --- money -----------------------------------------------------------------------------------------------------------


def _book(hearing: _Hearing, fact: CaptureFact) -> None:
    """Write a capture down once, by the acquirer's id, and decide what it is to the order. What pays nothing goes back
    by itself.

    The payment's row is locked, so nobody else books for it now; the unique index on the acquirer's id stands behind
    that.
    """
    payment = hearing.payment
    if fact.id in hearing.booked:
        return
    hearing.booked.add(fact.id)
    standing = _standing(hearing, fact)
    money = {"amount": fact.money.amount, "currency": fact.money.currency, "captured_at": fact.at}
    heard = {"heard_at": hearing.at, "heard_from": hearing.heard_from, "standing": standing}
    row: dict[str, Any] = {"provider": payment.provider, "capture_id": fact.id, "payment_id": payment.id}
    row |= money | heard
    _post(hearing, fact, chart.SALES if standing == "paid" else chart.ASIDE)
    hearing.verdicts.append("mismatch" if standing == "mismatch" else "applied")
    if standing == "paid":  # the order's move has told of it, and nobody asks for its id in this unit
        add_last(Capture, **row)
        return
    hearing.news.append(_captured(fact, standing))
    capture = Capture(**row)
    db.session.add(capture)
    db.session.flush()
    refunds.by_itself(capture, hearing.order.id)


def _captured(fact: CaptureFact, standing: str) -> tuple[str, dict[str, Any]]:
    """The event that tells of a capture."""
    return "payment.captured", {"amount": fact.money.amount, "currency": fact.money.currency, "standing": standing}


def _post(hearing: _Hearing, fact: CaptureFact, account: str) -> None:
    """The ledger has what the acquirer took, whatever it is to the order."""
    name = hearing.payment.provider
    key, order_id = f"capture:{name}:{fact.id}", hearing.order.id
    book.transfer(key, "capture", fact.money, debit=chart.receivable(name), credit=account, order_id=order_id)


def _standing(hearing: _Hearing, fact: CaptureFact) -> str:
    order, payment = hearing.order, hearing.payment
    if fact.money != payment.money or fact.money != order.to_pay:
        order.review_since = order.review_since or hearing.at
        return "mismatch"
    if order.paid_by is not None:
        return "second"
    if order.state in order_states.PAYABLE:
        return "paid" if _pay(hearing, fact, "captured") else "late"
    in_time = fact.at <= min(order.pay_by, order.cancel_requested_at or order.pay_by)
    if in_time and holdings.hold_again(order.id) and _pay(hearing, fact, "paid_in_time_seen_late"):
        return "paid"
    return "late"


def _pay(hearing: _Hearing, fact: CaptureFact, because: str) -> bool:
    order, payment = hearing.order, hearing.payment
    kind, says = _captured(fact, "paid")  # its event takes its number together with the move's
    then = (outbox.PAYMENTS, kind, {"payment": payment.id, **says})
    told: dict[str, Any] = {"last": hearing.is_plain, "payment": payment.id, "then": [then]}
    if not _make_paid(order, hearing.others, because, hearing.heard_from, paid_by=payment.id, **told):
        return False
    seconds = max(0.0, (hearing.at - fact.at).total_seconds())
    after_commit(lambda: metrics.SETTLE_SECONDS.labels(hearing.heard_from).observe(seconds))
    return True


def _make_paid(
    order: Order,
    others: list[Payment],
    because: str,
    actor: str,
    *,
    paid_by: str,
    accepted: int | None = None,
    **told: Any,
) -> bool:
    """The order becomes PAID, what it holds is used, and no other payment of it stays open. False when it may not."""
    at = clock.now()
    values = {"paid_by": paid_by, "paid_at": at, "accepted_amount": accepted}
    if not move_locked(order, order_states.PAID, because, actor=actor, values=values, **told):
        return False
    holdings.use(order)
    for other in others:
        if other.is_open:
            other.cancel_requested_at = other.cancel_requested_at or at
            other.next_check_at = at
    return True


# --- without an acquirer ---------------------------------------------------------------------------------------------


def nothing_left_to_pay(order_id: int) -> bool:
    """Whether store credit pays for all of the order; if so it becomes PAID, unless it has ended or its buyer wants to
    cancel it. Safe to repeat.
    """

    def unit() -> bool:
        with writing():
            order, payments = order_with_payments(order_id)
            if order.to_pay.amount:
                return False
            if order.state == order_states.PENDING and order.cancel_requested_at is None:
                _make_paid(order, payments, "nothing_left_to_pay", "buyer", paid_by=STORE_CREDIT)
            return True

    return retried(unit)


def accept(capture_id: int, *, by: str, note: str = "") -> None:
    """People take another amount than the price for the whole of it: the order becomes PAID, the difference is booked.

    Raises Refusal: `not_to_accept` when this money does not wait for that (another currency can only be refunded, and
    what a bank has or wants is not ours), `nothing_to_hold` when stock or store credit that the order had let go is
    gone; then too only a refund is left.
    """

    def unit() -> None:
        with writing():
            _accept(capture_id, by, note)

    retried(unit)


def _accept(capture_id: int, by: str, note: str) -> None:
    found = select(Payment.order_id).join(Capture, Capture.payment_id == Payment.id).where(Capture.id == capture_id)
    order_id = db.session.scalar(found)
    if order_id is None:
        raise BadInput("unknown_capture", "We have no such payment.")
    order, payments = order_with_payments(order_id)
    untouched = (Capture.standing == "mismatch", Capture.refunded_amount == 0, Capture.currency == order.currency)
    ours = charged_back(Capture.id, "OPEN", "LOST") == 0
    taken = update(Capture).where(Capture.id == capture_id, *untouched, ours).values(standing="paid")
    if order.paid_by or not changed(taken):
        raise Refusal("not_to_accept", "This money cannot be accepted for the order. It can only go back.")
    capture = db.session.get_one(Capture, capture_id, populate_existing=True)
    if order.state in order_states.UNPAID_END and not holdings.hold_again(order.id):
        raise Refusal("nothing_to_hold", "What was ordered is no longer there. The money can only go back.")
    others = [p for p in payments if p.id != capture.payment_id]
    accepted = capture.amount + order.credit_amount
    told = {"payment": capture.payment_id, "amount": accepted, "note": note}
    if not _make_paid(order, others, "mismatch_accepted", by, paid_by=capture.payment_id, accepted=accepted, **told):
        raise Refusal("not_to_accept", "This order can no longer become paid.")
    difference = capture.amount - order.to_pay.amount
    book.post(
        f"accepted:{capture.provider}:{capture.capture_id}",
        "mismatch_accepted",
        [
            (chart.ASIDE, capture.money),
            (chart.SALES, order.to_pay * -1),
            (chart.DIFFERENCES, Money(-difference, order.currency)),
        ],
        order_id=order.id,
    )
    review.end(order)


# --- the payment -----------------------------------------------------------------------------------------------------


def _move_payment(hearing: _Hearing) -> None:
    payment, facts = hearing.payment, hearing.facts
    reported = facts.state
    if reported is None:
        return
    if facts.captures:
        reported = states.CAPTURED
    elif reported == states.CAPTURED and payment.state != states.CAPTURED:
        hearing.verdicts.append("hint")
        return
    verdict = states.judge(payment.state, reported)
    hearing.verdicts.append(verdict)
    if verdict != "applied":
        return
    before, payment.state = payment.state, reported
    payment.unavailable_since = None
    if reported in (states.OPEN, states.AUTHORIZED) and payment.opened_at is None:
        payment.opened_at, payment.checks = hearing.at, 0
    if reported in states.ENDED_WITHOUT_MONEY:
        payment.ended_at, payment.end_reason = hearing.at, facts.end_reason
    if reported == states.CAPTURED:  # booking the capture has told of it
        payment.ended_at = hearing.at
        return
    hearing.news.append((f"payment.{reported.lower()}", {"before": before}))


def _note_details(hearing: _Hearing) -> None:
    """Details never decide anything; they are what the buyer and staff are shown."""
    payment, facts = hearing.payment, hearing.facts
    known = {**payment.provider_data, **facts.provider_data}
    if known != payment.provider_data:
        payment.provider_data = known
    if facts.action and payment.action is None:
        payment.action = {"kind": facts.action.kind, "url": facts.action.url, "fields": dict(facts.action.fields)}
    if facts.expires_at and payment.expires_at is None:
        payment.expires_at = facts.expires_at
    if facts.instrument:
        payment.instrument = dict(facts.instrument)
    if facts.show and payment.is_open:
        _show(hearing, facts.show)
    elif facts.decline:
        decline = {"code": facts.decline.code, "class": facts.decline.klass, "id": facts.decline.id}
        if decline != payment.last_decline and payment.is_open:
            payment.last_decline = decline
            hearing.verdicts.append("applied")
            hearing.news.append(("payment.declined", {"code": facts.decline.code}))


def _show(hearing: _Hearing, show: Show) -> None:
    """From now on the buyer pays at a counter; with the first code of an order, it waits as long as the code does."""
    payment, order = hearing.payment, hearing.order
    action = {"kind": show.kind, "url": "", "fields": {"code": show.code, "barcode": show.barcode}}
    if payment.action == action:
        return
    is_first = not any(one.shows_code for one in (payment, *hearing.others))
    payment.action, payment.expires_at, payment.last_decline = action, show.deadline, None
    told: dict[str, Any] = {"deadline": show.deadline.isoformat()}
    latest = hearing.at + timedelta(seconds=current_app.config["PAY_WITHIN_STORE"])
    if is_first and _waits_for_money(hearing) and min(show.deadline, latest) > order.pay_by:
        order.pay_by = min(show.deadline, latest)
        told["pay_by"] = order.pay_by.isoformat()
    hearing.verdicts.append("applied")
    hearing.news.append(("payment.code_shown", told))


def _waits_for_money(hearing: _Hearing) -> bool:
    order = hearing.order
    return order.state in order_states.PAYABLE and not order.cancel_requested_at and order.pay_by > hearing.at


# --- the order -------------------------------------------------------------------------------------------------------


def _carry_to_order(hearing: _Hearing) -> None:
    """What the payment's state means for an order that money has not settled."""
    payment, order = hearing.payment, hearing.order
    if "applied" not in hearing.verdicts or order.state not in order_states.PAYABLE:
        return
    db.session.flush()
    if payment.state in (states.OPEN, states.AUTHORIZED):
        move(order.id, order_states.WAITING_PAYMENT, "payment_opened", actor=hearing.heard_from, payment=payment.id)
    elif payment.state in states.ENDED_WITHOUT_MONEY and not _closing(hearing):
        because = "opening_refused" if payment.end_reason in states.NEVER_OPENED else "payment_ended"
        move(order.id, order_states.FAILED, because, actor=hearing.heard_from, payment=payment.id)


def _closing(hearing: _Hearing) -> bool:
    order = hearing.order
    another = any(other.is_open for other in hearing.others)
    return another or order.cancel_requested_at is not None or order.pay_by <= hearing.at


def _must_close(hearing: _Hearing) -> bool:
    """Open there, and must not take money any more: its order has ended or people look at other money for it, we had
    given it up and may open another, or the answer that said how to pay was lost and a query does not say it again.
    """
    payment = hearing.payment
    if payment.is_open:
        lost = payment.state == states.OPEN and payment.action is None and hearing.heard_from != "webhook"
        unwanted = hearing.order.state in order_states.ENDED or hearing.order.review_since is not None
        return lost or unwanted and payment.state != states.CREATED
    given_up = payment.state in states.ENDED_WITHOUT_MONEY and payment.end_reason in states.NEVER_OPENED
    return given_up and hearing.facts.state in (states.OPEN, states.AUTHORIZED)


# --- the record ------------------------------------------------------------------------------------------------------


def _record(hearing: _Hearing, inbox_id: int | None) -> str:
    payment, order, facts = hearing.payment, hearing.order, hearing.facts
    verdict = max(hearing.verdicts, key=_WEIGHT.index)
    if verdict != "duplicate" or hearing.heard_from in ("webhook", "staff"):
        add_last(
            Report,
            payment_id=payment.id,
            inbox_id=inbox_id,
            heard_from=hearing.heard_from,
            verdict=verdict,
            state=facts.state,
            facts=facts.as_json(),
            occurred_at=facts.occurred_at or hearing.at,
            heard_at=hearing.at,
        )
    if hearing.news:
        news = [(kind, {"payment": payment.id, **data}) for kind, data in hearing.news]
        events.record_all(order.id, news, actor=hearing.heard_from, stream=outbox.PAYMENTS)
    payment_id, order_number, heard_from = payment.id, order.number, hearing.heard_from

    def tell() -> None:
        metrics.REPORTS.labels(heard_from, verdict).inc()
        if verdict != "duplicate":
            log.info("payment.heard", payment=payment_id, order=order_number, heard_from=heard_from, verdict=verdict)

    after_commit(tell)
    return verdict
