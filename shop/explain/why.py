"""Explanation of an order's state as one sentence, made from its history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from shop.core.actor import Actor, ActorKind
from shop.core.event_types import EventKind
from shop.core.money import Money
from shop.explain.order_rows import OrderRows
from shop.orders.models import Order, OrderEvent
from shop.orders.states import Reason
from shop.payments.providers import registry
from shop.payments.providers.types import DisputeState, RefundState
from shop.payments.records.models import Capture, Payment
from shop.payments.records.settlement_models import Dispute
from shop.payments.records.types import Allocation, RefundKind

_SOURCES = {
    ActorKind.WEBHOOK: "{who}'s webhook{event}",
    ActorKind.POLL: "{who}'s answer to a query",
    ActorKind.RETURN: "{who}'s answer to a query when the customer returned",
    ActorKind.VIEW: "{who}'s answer to a query when the order page was viewed",
    ActorKind.CLOSING: "{who}'s answer to the cancellation of the payment",
    ActorKind.START: "{who}'s answer to the opening of the payment",
    ActorKind.SETTLEMENT_FILE: "{who}'s settlement file",
}
"""Names of the sources of updates. Other actors have a label."""


def why(rows: OrderRows) -> str:
    """Explanation in one sentence: the state, its cause, the source, and the time (UTC).

    Unallocated money and each dispute that is open or lost get a sentence each, and money that waits for a decision of
    staff another one.
    """
    order, context = rows.order, _Context(rows)
    sentence = SENTENCES[context.transition.because or "placed"](context)
    review = (
        f" Since {_at(order.review_since)} a capture has been waiting for a staff decision."
        if order.review_since
        else ""
    )
    beside = "".join(f" {_pays_nothing(capture)}{context.refunded_part(capture)}." for capture in context.others)
    disputed = "".join(f" {_disputed(dispute)}." for dispute in context.disputes)
    return f"{_words(order.state).capitalize()} because {sentence}.{beside}{review}{disputed}"


@dataclass
class _Context:
    """An order, its history, and the subject of its last transition."""

    rows: OrderRows
    transition: OrderEvent = field(init=False)
    before: OrderEvent | None = field(init=False)

    def __post_init__(self) -> None:
        *earlier, self.transition = [event for event in self.rows.events if event.target]
        self.before = earlier[-1] if earlier else None

    @property
    def order(self) -> Order:
        return self.rows.order

    @property
    def history(self) -> list[OrderEvent]:
        return self.rows.events

    @property
    def payment(self) -> Payment | None:
        """The payment of the transition; if it names none, the latest payment."""
        named = self.transition.data.get("payment") or self.order.paid_by
        return self.rows.payment(named) if named else next(reversed(self.rows.payments), None)

    @property
    def who(self) -> str:
        return registry.label(self.payment.provider) if self.payment else "no provider"

    @property
    def capture(self) -> Capture:
        """The capture that paid the order."""
        mine = (one for one in self.rows.captures if one.payment_id == self.order.paid_by)
        return next(one for one in mine if one.allocation == Allocation.PAYS_ORDER)

    @property
    def others(self) -> list[Capture]:
        """Captures that pay nothing, in the order of receipt."""
        mine = [one for one in self.rows.captures if one.allocation != Allocation.PAYS_ORDER]
        return sorted(mine, key=lambda one: (one.received_at, one.id))

    def refunded_part(self, capture: Capture) -> str:
        """End of a sentence about a capture: how much of it was refunded, and how much will be."""
        refunds = (one for one in self.rows.refunds if one.capture_id == capture.id)
        if done := sum(one.amount for one in refunds if one.state == RefundState.DONE):
            part = "it" if done == capture.amount else f"{Money(done, capture.currency).with_code()} of it"
            return f"; {part} was refunded"
        return "; its refund is under way" if capture.refunded_amount else ""

    @property
    def disputes(self) -> list[Dispute]:
        """Disputes that are open or lost, in the order of their opening."""
        mine = [one for one in self.rows.disputes if one.state != DisputeState.WON]
        return sorted(mine, key=lambda one: (one.opened_at, one.id))

    def source_of(self, actor: Actor, event: str = "") -> str:
        if actor.kind in _SOURCES:
            return _SOURCES[actor.kind].format(who=self.who, event=event and f" {event}")
        return self.rows.name(actor)

    def capture_source(self) -> str:
        """The source of the capture that paid, by the name of the webhook if it was one."""
        capture = self.capture
        for report, webhook in self.rows.updates:
            is_mine = (report.payment_id, report.source) == (capture.payment_id, capture.source)
            if is_mine and any(one["id"] == capture.capture_id for one in report.facts.get("captures", ())):
                return self.source_of(Actor.of_source(report.source), webhook.dedupe_key if webhook else "")
        return self.source_of(Actor.of_source(capture.source))

    def refund(self) -> tuple[str, str, str]:
        """(the refund of the transition, by its id and, for an outside refund, its origin; its amount; the source of
        its result).

        A refund's own event comes after the transition that it causes.
        """
        later = (
            event for event in self.history if event.seq > self.transition.seq and event.kind.startswith("refund.")
        )
        event = next(later)
        money = Money(int(event.data["amount"]), str(event.data["currency"]))
        made = (
            f", made at {self.who} and not requested by the shop,"
            if event.data.get("why") == RefundKind.OUTSIDE
            else ""
        )
        return f"{event.data['refund']}{made}", money.with_code(), self.source_of(event.actor)


def _words(name: str | None) -> str:
    return (name or "").replace("_", " ").lower()


def _at(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "an unknown time"


def _price(order: Order) -> str:
    """The amount that a payment has to bring, as text."""
    less = f" less {order.credit.with_code()} of store credit" if order.credit_amount else ""
    return f"the price{less}"


_PAYS_NOTHING = {
    Allocation.LATE: "when the order had ended",
    Allocation.DUPLICATE: "when the order had already been paid",
    Allocation.MISMATCH: "which is not the price",
}


def _pays_nothing(capture: Capture) -> str:
    who, at = registry.label(capture.provider), _at(capture.captured_at)
    because = _PAYS_NOTHING[capture.allocation]
    return f"{who} took {capture.money.with_code()} (capture {capture.capture_id}) at {at}, {because}"


def _disputed(dispute: Dispute) -> str:
    reason = f" ({dispute.reason.replace('_', ' ')})" if dispute.reason else ""
    what = f"{dispute.kind} of {dispute.money.with_code()}{reason}"
    if dispute.state is DisputeState.LOST:
        return f"The {what} was lost at {_at(dispute.closed_at)}: the customer's bank has taken the money back"
    answer = f" and has to be answered by {_at(dispute.respond_by)}" if dispute.respond_by else ""
    return f"A {what} has been open since {_at(dispute.opened_at)}{answer}"


def _captured(context: _Context) -> str:
    capture = context.capture
    source = f"{context.capture_source()} at {_at(capture.received_at)} said that capture {capture.capture_id}"
    return f"{source} of {capture.money.with_code()} was made, which is {_price(context.order)}"


def _revived(context: _Context) -> str:
    capture, before = context.capture, context.before
    source = f"{context.capture_source()} at {_at(capture.received_at)} said that capture {capture.capture_id}"
    ended = f"it had been {_words(before.target)} since {_at(before.at)}" if before else "it had ended"
    return f"{source} of {capture.money.with_code()} was made in time, at {_at(capture.captured_at)}, although {ended}"


def _accepted(context: _Context) -> str:
    capture, order, accepted = context.capture, context.order, context.transition
    note = f' ("{accepted.data["note"]}")' if accepted.data.get("note") else ""
    return (
        f"{context.source_of(accepted.actor)} at {_at(accepted.at)} accepted capture {capture.capture_id} "
        f"of {capture.money.with_code()} in place of {order.to_pay.with_code()}{note}"
    )


def _covered(context: _Context) -> str:
    order, at = context.order, _at(context.transition.at)
    if not order.total_amount:
        return f"a discount covered the price at {at}"
    return f"store credit of {order.credit.with_code()} covered the price at {at}"


def _opened(context: _Context) -> str:
    payment = context.payment
    what = f"payment {payment.id} of {payment.money.with_code()}" if payment else "a payment"
    silent = "" if context.others else " and has reported no payment since"
    return f"{context.who} opened {what} at {_at(context.transition.at)}{silent}"


def _refused(context: _Context) -> str:
    payment = context.payment
    reason = f" ({payment.end_reason})" if payment and payment.end_reason else ""
    return f"{context.who} did not open payment {payment.id if payment else ''} at {_at(context.transition.at)}{reason}"


def _ended(context: _Context) -> str:
    payment = context.payment
    reason = f" ({payment.end_reason})" if payment and payment.end_reason else ""
    source = context.source_of(context.transition.actor)
    which = payment.id if payment else ""
    return f"{source} at {_at(context.transition.at)} said that payment {which} ended without a capture{reason}"


def _queried(context: _Context) -> str:
    if context.payment:
        return f"a query to {context.who} before that found no capture"
    return "no payment had been opened"


def _expired(context: _Context) -> str:
    return f"the time to pay ended at {_at(context.order.pay_by)} without a capture; {_queried(context)}"


def _cancelled(context: _Context) -> str:
    request = next(
        (event for event in context.history if event.kind == EventKind.ORDER_CANCEL_REQUESTED), context.transition
    )
    return f"{context.source_of(request.actor)} cancelled it at {_at(request.at)}; {_queried(context)}"


def _refunded(context: _Context) -> str:
    refund, money, source = context.refund()
    refunded = Money(int(context.transition.data.get("refunded", 0)), context.order.currency)
    done = f"refund {refund} of {money} was completed at {_at(context.transition.at)}, reported by {source}"
    return f"{done}; {_total_refunded(context, refunded)}"


def _refund_failed(context: _Context) -> str:
    refund, money, source = context.refund()
    refunded = Money(int(context.transition.data.get("refunded", 0)), context.order.currency)
    failed = f"refund {refund} of {money} failed after completion at {_at(context.transition.at)}, reported by {source}"
    return f"{failed}; {_total_refunded(context, refunded)}"


def _total_refunded(context: _Context, refunded: Money) -> str:
    """Refunded part of the payment at that time."""
    if not refunded.amount:
        return "nothing has been refunded"
    paid = context.order.accepted
    return f"{'all' if refunded == paid else refunded.with_code()} of {paid.with_code()} has been refunded"


def _placed(context: _Context) -> str:
    return f"it was placed at {_at(context.transition.at)} and no payment is open yet"


SENTENCES: dict[str, Callable[[_Context], str]] = {
    "placed": _placed,
    Reason.PAYMENT_OPENED: _opened,
    Reason.CAPTURED: _captured,
    Reason.NOTHING_LEFT_TO_PAY: _covered,
    Reason.OPENING_REFUSED: _refused,
    Reason.PAYMENT_ENDED: _ended,
    Reason.TIME_OVER: _expired,
    Reason.CANCELLED: _cancelled,
    Reason.PAID_IN_TIME_SEEN_LATE: _revived,
    Reason.MISMATCH_ACCEPTED: _accepted,
    Reason.REFUND_DONE: _refunded,
    Reason.REFUND_FAILED_LATER: _refund_failed,
}
"""Sentences by reason of the state table, and one for an order without transitions."""
