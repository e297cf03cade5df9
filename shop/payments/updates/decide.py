"""Decision about a payment update: its effect on a payment and its order. Pure: no database, no Flask, no clock.

    names another payment of the acquirer (FOREIGN)  → nothing
    capture that is booked for another payment       → nothing; the others are booked
    for each capture that is not booked yet:
        amount or currency is not the order's        → MISMATCH, staff decide
        order is paid already                        → DUPLICATE, automatic refund
        order can be paid (orders.states.PAYABLE)    → PAYS_ORDER
        ended unpaid, captured before its deadline or the request to cancel it, and stock, store credit and discount
        code still there                             → PAYS_ORDER
        else                                         → LATE, automatic refund
    a MISMATCH puts the order under review, and a paid order closes its other payments
    the state of the payment follows its table (records.states), that of the order its own (orders.states)

Repeating an update changes no money and no state: only the time of the next poll. The order in which the updates of one
payment arrive does not matter; of captures of several payments the first one pays.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any

from shop.core.actor import Actor
from shop.core.event_types import (
    Event,
    HistoryEntry,
    OrderMoved,
    OrderReviewEnded,
    PaymentCaptured,
    PaymentCodeShown,
    PaymentDeclined,
    RefundRequested,
)
from shop.core.money import Money
from shop.inventory.states import ReservationState
from shop.ledger import chart
from shop.ledger.hold_states import HoldState
from shop.orders import states as order_states
from shop.orders.states import OrderState, Reason
from shop.payments.order_money import review, split_entries
from shop.payments.order_money.snapshot import CaptureRow
from shop.payments.order_money.snapshot import Snapshot as MoneySnapshot
from shop.payments.providers.interface import CaptureFact, Show
from shop.payments.providers.types import DisputeState, Outcome, PaymentState, decisive
from shop.payments.records import poll_schedule, refund_states, states
from shop.payments.records.types import REFUNDED_AUTOMATICALLY, Allocation, Source
from shop.payments.updates import store_codes
from shop.payments.updates.decision import (
    CreditChange,
    Decision,
    NewCapture,
    NewJournal,
    NewRefund,
    StockChange,
)
from shop.payments.updates.snapshot import CodeSeen, OrderSeen, PaymentSeen, PaymentUpdate, Rules, Snapshot


class NotAcceptable(Exception):
    """Staff cannot accept a mismatch: `code` is `not_to_accept`, `nothing_to_hold` or `ended`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class _Draft:
    """A decision in the making. Rows are replaced, so that each rule sees the changes of those before it."""

    seen: Snapshot
    now: datetime
    order: OrderSeen
    payments: dict[str, PaymentSeen]
    captures: list[NewCapture] = field(default_factory=list)
    refunds: list[NewRefund] = field(default_factory=list)
    journals: list[NewJournal] = field(default_factory=list)
    stock: tuple[StockChange, ...] = ()
    credit: CreditChange | None = None
    code: CodeSeen | None = None
    events: list[HistoryEntry] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=lambda: [Outcome.DUPLICATE])
    reasons: list[str] = field(default_factory=list)
    paid_after: timedelta | None = None

    @classmethod
    def of(cls, seen: Snapshot, now: datetime) -> _Draft:
        return cls(seen, now, seen.order, {one.id: one for one in seen.payments})

    def change(self, payment_id: str, **values: Any) -> PaymentSeen:
        self.payments[payment_id] = replace(self.payments[payment_id], **values)
        return self.payments[payment_id]

    def decision(self, *, is_recorded: bool = False, accepted: int | None = None) -> Decision:
        """The changes, found by comparing rows with the snapshot."""
        payments = {one.id: _difference(one, self.payments[one.id]) for one in self.seen.payments}
        return Decision(
            outcome=decisive(self.outcomes),
            reasons=tuple(self.reasons),
            order=_difference(self.seen.order, self.order),
            payments={payment_id: change for payment_id, change in payments.items() if change},
            captures=tuple(self.captures),
            accepted=accepted,
            refunds=tuple(self.refunds),
            journals=tuple(self.journals),
            stock=self.stock,
            credit=self.credit,
            code=self.code,
            events=tuple(self.events),
            is_recorded=is_recorded,
            paid_after=self.paid_after,
        )


def _difference(before: OrderSeen | PaymentSeen, after: OrderSeen | PaymentSeen) -> dict[str, Any]:
    names = (one.name for one in fields(before))
    return {name: getattr(after, name) for name in names if getattr(after, name) != getattr(before, name)}


def decide(seen: Snapshot, update: PaymentUpdate, now: datetime, rules: Rules) -> Decision:
    """Decide what `update` does: outcome applied, duplicate, stale, illegal, mismatch, hint or foreign."""
    draft, payment = _Draft.of(seen, now), seen.payment(update.payment_id)
    if payment.contradicts(update.facts.provider_data):
        if update.answer is not None:
            draft.change(payment.id, next_check_at=poll_schedule.after_report(payment, now, rules.consistency_window))
        return replace(draft.decision(), outcome=Outcome.FOREIGN, reasons=("another payment of the acquirer",))
    if seen.of_others:
        draft.outcomes.append(Outcome.FOREIGN)
        draft.reasons.append("a capture of another payment")
        update = update.without_captures(seen.of_others)
    _note_details(draft, update, rules)
    booked = set(seen.booked)
    for capture in update.facts.captures:
        if capture.id not in booked:
            booked.add(capture.id)
            _book(draft, update, capture, rules)
    _move_payment(draft, update, rules)
    _carry_to_order(draft, update)
    payment = draft.payments[update.payment_id]
    draft.change(payment.id, next_check_at=poll_schedule.after_report(payment, now, rules.consistency_window))
    _close_unwanted(draft, update)
    _note_answer(draft, update, rules)
    return draft.decision(is_recorded=is_recorded(decisive(draft.outcomes), update))


def is_recorded(outcome: Outcome, update: PaymentUpdate) -> bool:
    """True if a record of the update is kept: queries that bring nothing new are only counted."""
    return outcome != Outcome.DUPLICATE or update.source in (Source.WEBHOOK, Source.STAFF)


# --- captured money --------------------------------------------------------------------------------------------------


def _book(draft: _Draft, update: PaymentUpdate, fact: CaptureFact, rules: Rules) -> None:
    """Book a capture once, by the acquirer's id. The ledger records every capture, whatever its allocation."""
    payment = draft.payments[update.payment_id]
    allocation, reason = _allocate(draft, payment, fact)
    draft.reasons.append(reason)
    draft.outcomes.append(Outcome.MISMATCH if allocation == Allocation.MISMATCH else Outcome.APPLIED)
    refunded = fact.money.amount if allocation in REFUNDED_AUTOMATICALLY else 0
    draft.captures.append(NewCapture(payment.provider, payment.id, fact.id, fact.money, fact.at, allocation, refunded))
    unallocated = ((chart.UNALLOCATED_FUNDS, fact.money * -1),)
    credited = split_entries.by_payment(draft.order) if allocation == Allocation.PAYS_ORDER else unallocated
    entries = ((chart.receivable(payment.provider), fact.money), *credited)
    draft.journals.append(NewJournal(f"capture:{payment.provider}:{fact.id}", "capture", entries))
    method = (payment.instrument or {}).get("method")
    event = PaymentCaptured(payment.id, fact.money.amount, fact.money.currency, allocation, method)
    draft.events.append(HistoryEntry(event, update.actor))
    if allocation == Allocation.PAYS_ORDER:
        because = Reason.CAPTURED if draft.order.state in order_states.PAYABLE else Reason.PAID_IN_TIME_SEEN_LATE
        _pay(draft, because, update.actor, paid_by=payment.id, payment=payment.id)
        draft.paid_after = max(timedelta(0), draft.now - fact.at)
    elif allocation in REFUNDED_AUTOMATICALLY:
        _refund_automatically(draft, payment, fact, allocation, rules)


def _allocate(draft: _Draft, payment: PaymentSeen, fact: CaptureFact) -> tuple[Allocation, str]:
    """Return the allocation of a capture, and its reason."""
    order = draft.order
    if fact.money != payment.money or fact.money != order.to_pay:
        draft.order = replace(order, review_since=order.review_since or draft.now)
        return Allocation.MISMATCH, "amount or currency differs"
    if order.paid_by is not None:
        return Allocation.DUPLICATE, "order is paid already"
    if order.state in order_states.PAYABLE:
        return Allocation.PAYS_ORDER, "captured"
    if fact.at > min(order.pay_by, order.cancel_requested_at or order.pay_by):
        return Allocation.LATE, "captured after the order ended"
    if not can_hold_again(draft.seen):
        return Allocation.LATE, "captured in time, but stock, store credit or the discount code is gone"
    return Allocation.PAYS_ORDER, "captured in time, reported late"


def can_hold_again(seen: Snapshot) -> bool:
    """True if all stock, store credit and the discount code that the order has released are still there."""
    released = [one for one in seen.reservations if one.state == ReservationState.RELEASED]
    credit = seen.credit
    has_credit = credit is None or credit.state != HoldState.RELEASED or (credit.free or 0) >= credit.amount
    has_code = seen.released_code is None or seen.released_code.is_free
    return has_credit and has_code and all((one.free or 0) >= one.quantity for one in released)


def _pay(
    draft: _Draft,
    because: Reason,
    actor: Actor,
    *,
    paid_by: str,
    payment: str | None = None,
    accepted_amount: int | None = None,
    note: str | None = None,
) -> None:
    """Make the order PAID, use its reservations and store credit, and close its other payments. The only function that
    does.
    """
    order, now = draft.order, draft.now
    _move_order(draft, OrderState.PAID, because, actor, payment=payment, amount=accepted_amount, note=note)
    draft.order = replace(draft.order, paid_by=paid_by, paid_at=now, accepted_amount=accepted_amount)
    draft.stock = tuple(
        StockChange(one.sku, one.quantity, one.state)
        for one in sorted(draft.seen.reservations, key=lambda one: one.sku)
        if one.state != ReservationState.SOLD
    )
    credit = draft.seen.credit
    if credit is not None and credit.state != HoldState.USED:
        draft.credit = CreditChange(credit.user_id, credit.currency, credit.amount, credit.state)
        money = Money(credit.amount, credit.currency)
        entries = ((chart.store_credit(credit.user_id), money), *split_entries.by_credit(order))
        draft.journals.append(NewJournal(f"credit_used:{order.id}", "credit_used", entries))
    draft.code = draft.seen.released_code
    for other in draft.payments.values():
        if other.id != paid_by and other.is_open:
            draft.change(other.id, cancel_requested_at=other.cancel_requested_at or now, next_check_at=now)


def _refund_automatically(
    draft: _Draft, payment: PaymentSeen, fact: CaptureFact, allocation: Allocation, rules: Rules
) -> None:
    """Refund a whole capture that pays for nothing."""
    refund = NewRefund(rules.new_refund_id(), payment.provider, payment.id, fact.id, fact.money, allocation)
    draft.refunds.append(refund)
    requested = RefundRequested(refund.id, fact.money.amount, fact.money.currency, why=allocation)
    draft.events.append(HistoryEntry(requested, refund_states.AUTOMATIC))


# --- payment without an acquirer -------------------------------------------------------------------------------------


def decide_nothing_left(seen: Snapshot, now: datetime) -> Decision | None:
    """Pay an order that credit or a discount covers; None if neither does, or it has ended or is being cancelled."""
    draft, order = _Draft.of(seen, now), seen.order
    if order.to_pay.amount or order.state != OrderState.PENDING or order.cancel_requested_at is not None:
        return None
    by = order_states.STORE_CREDIT if order.credit_amount else order_states.NOTHING_DUE
    _pay(draft, Reason.NOTHING_LEFT_TO_PAY, Actor.customer(order.user_id), paid_by=by)
    if not order.total_amount:
        draft.journals.append(NewJournal(f"nothing_due:{order.id}", "nothing_due", split_entries.nothing_due(order)))
    return draft.decision()


def decide_accept(
    seen: Snapshot, money: MoneySnapshot, capture_id: int, by: Actor, note: str, now: datetime
) -> Decision:
    """Pay an order with another amount than its price, which staff accept. `money` are all captures, refunds and
    disputes of the order. Raises NotAcceptable.
    """
    draft, order, capture = _Draft.of(seen, now), seen.order, money.capture(capture_id)
    if order.paid_by or not _is_acceptable(money, capture):
        raise NotAcceptable("not_to_accept")
    if order.state in order_states.UNPAID_END and not can_hold_again(seen):
        raise NotAcceptable("nothing_to_hold")
    if order.state not in order_states.sources(OrderState.PAID, Reason.MISMATCH_ACCEPTED):
        raise NotAcceptable("ended")
    accepted = capture.money.amount + order.credit_amount
    payment = capture.payment_id
    _pay(draft, Reason.MISMATCH_ACCEPTED, by, paid_by=payment, payment=payment, accepted_amount=accepted, note=note)
    difference = Money(order.to_pay.amount - capture.money.amount, order.currency)
    entries = (
        (chart.UNALLOCATED_FUNDS, capture.money),
        *split_entries.by_payment(order),
        (chart.DIFFERENCES, difference),
    )
    key = f"accepted:{capture.provider}:{capture.capture_id}"
    draft.journals.append(NewJournal(key, "mismatch_accepted", entries))
    others = money.with_capture(replace(capture, allocation=Allocation.PAYS_ORDER))
    if order.review_since is not None and not review.is_needed(others):
        draft.order = replace(draft.order, review_since=None)
        draft.events.append(HistoryEntry(OrderReviewEnded(), by))
    return draft.decision(accepted=capture.id)


def _is_acceptable(money: MoneySnapshot, capture: CaptureRow) -> bool:
    """True for a mismatch in the order's currency of which nothing is refunded or disputed."""
    is_mismatch = capture.allocation == Allocation.MISMATCH and capture.currency == money.order.currency
    banks = money.charged_back(capture, DisputeState.OPEN, DisputeState.LOST)
    return is_mismatch and capture.refunded_amount == 0 and banks == 0


# --- the payment -----------------------------------------------------------------------------------------------------


def _note_details(draft: _Draft, update: PaymentUpdate, rules: Rules) -> None:
    """Store details, which are only shown to the customer and staff."""
    payment, facts = draft.payments[update.payment_id], update.facts
    known: dict[str, Any] = {**payment.provider_data, **facts.provider_data}
    if known != payment.provider_data:
        payment = draft.change(payment.id, provider_data=known)
    if facts.action and payment.action is None:
        action = {"kind": facts.action.kind, "url": facts.action.url, "fields": dict(facts.action.fields)}
        payment = draft.change(payment.id, action=action)
    if facts.expires_at and payment.expires_at is None:
        payment = draft.change(payment.id, expires_at=facts.expires_at)
    if facts.instrument:
        payment = draft.change(payment.id, instrument=dict(facts.instrument))
    if facts.show and payment.is_open:
        _store_code(draft, update, facts.show, rules)
    elif facts.decline:
        decline = {"code": facts.decline.code, "class": facts.decline.klass, "id": facts.decline.id}
        if decline != payment.last_decline and payment.is_open:
            draft.change(payment.id, last_decline=decline)
            draft.outcomes.append(Outcome.APPLIED)
            _record_event(draft, update, PaymentDeclined(payment.id, facts.decline.code))


def code_action(show: Show) -> dict[str, Any]:
    """The action of a payment that shows a store code."""
    return {"kind": show.kind, "url": "", "fields": {"code": show.code, "barcode": show.barcode}}


def _store_code(draft: _Draft, update: PaymentUpdate, show: Show, rules: Rules) -> None:
    """Store the code to pay at a store; the order waits for it as `store_codes` says."""
    action = code_action(show)
    if draft.payments[update.payment_id].action == action:
        return
    is_first = not any(one.shows_code for one in draft.payments.values())
    draft.change(update.payment_id, action=action, expires_at=show.deadline, last_decline=None)
    until = store_codes.extended(draft.order, show.deadline, draft.now, rules, draft.seen.shares, is_first=is_first)
    draft.outcomes.append(Outcome.APPLIED)
    _record_event(draft, update, PaymentCodeShown(update.payment_id, show.deadline.isoformat(), _pay_by(draft, until)))


def _pay_by(draft: _Draft, until: datetime | None) -> str | None:
    """Set `pay_by`, and return it for the event; None when it stays."""
    if until is None:
        return None
    draft.order = replace(draft.order, pay_by=until)
    return until.isoformat()


def _move_payment(draft: _Draft, update: PaymentUpdate, rules: Rules) -> None:
    payment, facts, now = draft.payments[update.payment_id], update.facts, draft.now
    reported = PaymentState.CAPTURED if facts.state is not None and facts.captures else facts.state
    if reported is None:
        return
    if reported == PaymentState.CAPTURED and not facts.captures and payment.state != PaymentState.CAPTURED:
        draft.outcomes.append(Outcome.HINT)
        draft.reasons.append("captured, but no capture is named")
        return
    outcome = states.judge(payment.state, reported)
    draft.outcomes.append(outcome)
    if outcome != Outcome.APPLIED:
        draft.reasons.append(f"payment is {payment.state}, {reported} was reported")
        return
    values: dict[str, Any] = {"state": reported, "unavailable_since": None}
    if reported in (PaymentState.OPEN, PaymentState.AUTHORIZED) and payment.opened_at is None:
        values |= {"opened_at": now, "checks": 0}
    if reported == PaymentState.CAPTURED:  # the event of the capture covers it
        draft.change(payment.id, **values, ended_at=now)
    elif reported in states.ENDED_WITHOUT_MONEY:
        draft.change(payment.id, **values, ended_at=now, end_reason=facts.end_reason)
        pay_by = _pay_by(draft, store_codes.shortened(draft.order, payment, now, rules.pay_within))
        _record_event(draft, update, states.END_EVENTS[reported](payment.id, payment.state, pay_by))
    else:
        draft.change(payment.id, **values)
        _record_event(draft, update, states.EVENTS[reported](payment.id, payment.state))


def _record_event(draft: _Draft, update: PaymentUpdate, event: Event) -> None:
    draft.events.append(HistoryEntry(event, update.actor))


def _close_unwanted(draft: _Draft, update: PaymentUpdate) -> None:
    """Request the close of a payment that is open at the acquirer and must not be paid any more."""
    payment = draft.payments[update.payment_id]
    if not _must_close(draft, update, payment):
        return
    if payment.cancel_requested_at is None or update.source == Source.START:
        payment = draft.change(payment.id, next_check_at=draft.now)
    draft.change(payment.id, cancel_requested_at=payment.cancel_requested_at or draft.now)


def _must_close(draft: _Draft, update: PaymentUpdate, payment: PaymentSeen) -> bool:
    """True if the order has ended or is under review, the shop had given the payment up and may initiate another, or
    the response with the next action was lost and a query does not repeat it.
    """
    if payment.is_open:
        lost = payment.state == PaymentState.OPEN and payment.action is None and update.source != Source.WEBHOOK
        unwanted = draft.order.state in order_states.ENDED or draft.order.review_since is not None
        return lost or (unwanted and payment.state != PaymentState.CREATED)
    given_up = payment.state in states.ENDED_WITHOUT_MONEY and payment.end_reason in states.NEVER_OPENED
    return given_up and update.facts.state in (PaymentState.OPEN, PaymentState.AUTHORIZED)


def _note_answer(draft: _Draft, update: PaymentUpdate, rules: Rules) -> None:
    """Record that the acquirer answered a query, and whether the query shows a capture that we had before it.

    A payment with a new capture is queried once more: an acquirer that charges twice does it now.
    """
    if update.answer is None:
        return
    payment = draft.payments[update.payment_id]
    payment = draft.change(payment.id, unavailable_since=None, answered_at=payment.polled_at)
    if update.answer.state_before != PaymentState.CAPTURED or payment.confirmed_at:
        return
    if update.facts.captures:
        payment = draft.change(payment.id, confirmed_at=draft.now)
    else:
        payment = draft.change(payment.id, confirm_misses=payment.confirm_misses + 1)
    draft.change(payment.id, next_check_at=poll_schedule.after_report(payment, draft.now, rules.consistency_window))


# --- the order -------------------------------------------------------------------------------------------------------


def _carry_to_order(draft: _Draft, update: PaymentUpdate) -> None:
    """Move an order that is not paid or ended to the state that follows from its payment."""
    payment, order = draft.payments[update.payment_id], draft.order
    if Outcome.APPLIED not in draft.outcomes or order.state not in order_states.PAYABLE:
        return
    if payment.state in (PaymentState.OPEN, PaymentState.AUTHORIZED):
        _move_order(draft, OrderState.WAITING_PAYMENT, Reason.PAYMENT_OPENED, update.actor, payment=payment.id)
    elif payment.state in states.ENDED_WITHOUT_MONEY and not _is_ending(draft, payment):
        because = Reason.OPENING_REFUSED if payment.end_reason in states.NEVER_OPENED else Reason.PAYMENT_ENDED
        _move_order(draft, OrderState.FAILED, because, update.actor, payment=payment.id)


def _is_ending(draft: _Draft, payment: PaymentSeen) -> bool:
    order = draft.order
    another = any(other.is_open for other in draft.payments.values() if other.id != payment.id)
    return another or order.cancel_requested_at is not None or order.pay_by <= draft.now


def _move_order(
    draft: _Draft,
    target: OrderState,
    because: Reason,
    actor: Actor,
    *,
    payment: str | None,
    amount: int | None = None,
    note: str | None = None,
) -> None:
    """Move the order, if the table of transitions allows it from its state."""
    order = draft.order
    if order.state not in order_states.sources(target, because):
        return
    ends = target in order_states.ENDED and order.state not in order_states.ENDED
    moved = OrderMoved(order.state, target, because, payment, amount=amount, note=note)
    draft.order = replace(order, state=target, ended_at=draft.now if ends else order.ended_at)
    draft.events.append(HistoryEntry(moved, actor))
