"""Forms of the acts on an order, with the present numbers: refund, cancel, accept a wrong amount."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flask import current_app

from shop.core.money import Money
from shop.ops.formats import words
from shop.orders import states
from shop.orders.models import Order
from shop.payments.order_money.snapshot import CaptureRow, RefundRow, Snapshot
from shop.payments.providers import registry
from shop.payments.records import refund_states
from shop.payments.records.types import RefundDestination
from shop.payments.refunds import second_person

CREDIT = "credit"
"""`about` of the form that refunds store credit; that of any other is the number of a capture."""
PROVIDER, STORE_CREDIT, BANK = RefundDestination.PROVIDER, RefundDestination.STORE_CREDIT, RefundDestination.BANK
_LABELS = {
    STORE_CREDIT: "To the customer's store credit",
    BANK: "To the customer's bank: you send it yourself, and a second person checks and approves that",
}
DESTINATIONS = {PROVIDER: "the payment method", STORE_CREDIT: "store credit", BANK: "a bank"}


@dataclass(frozen=True)
class Form:
    """A form of an act. `now` says its numbers, and `seen` is the one that is sent back: when it has moved, nothing is
    done. `money` is what the reader may refund a part of, and `ways` are where that may go, with their labels.
    """

    about: str
    title: str
    now: str
    seen: str
    money: Money | None = None
    ways: Mapping[RefundDestination, str] | None = None


def refund(order: Order, seen: Snapshot) -> list[Form]:
    """A form for each capture of which something can be refunded, and one for the store credit that paid."""
    found = []
    for one in seen.captures:
        left = Money(max(0, seen.refundable(one)), one.currency)
        name = registry.label(one.provider)
        pays = "pays the order" if one.pays_order else f"does not pay the order: {words(one.allocation)}"
        title = f"Payment of {one.money.with_code()} by {name}"
        now = f"{left.with_code()} can be refunded now. This payment {pays}."
        if left.amount:
            found.append(Form(str(one.id), title, now, str(left.amount), left, ways(name, seen)))
    if seen.credit and seen.credit.left:
        left = Money(seen.credit.left, seen.credit.currency)
        title = f"Store credit of {Money(seen.credit.amount, left.currency).with_code()}"
        to = STORE_CREDIT if seen.order.user_id else BANK
        now = f"{left.with_code()} can be refunded now, to {DESTINATIONS[to]}."
        found.append(Form(CREDIT, title, now, str(left.amount), left, {to: _LABELS[to]}))
    return found


def cancel(order: Order, seen: Snapshot) -> list[Form]:
    """A form while the order is unpaid."""
    if order.state not in states.PAYABLE:
        return []
    now = f"{order.total.with_code()}, {words(order.state)}. Its payment is closed at the acquirer and its units are "
    return [Form("", "Cancel order", f"{now}released. Money that arrives meanwhile is refunded.", order.state)]


def accept(order: Order, seen: Snapshot) -> list[Form]:
    """A form for each captured amount that differs from the total and waits for a decision."""
    mismatched = [one for one in seen.captures if one.waits_for_decision]
    waiting = str(sum(one.amount for one in mismatched))
    return [
        Form(
            str(one.id),
            f"Captured: {one.money.with_code()} by {registry.label(one.provider)}",
            _price(order, one),
            waiting,
        )
        for one in mismatched
    ]


def _price(order: Order, capture: CaptureRow) -> str:
    """Sentences with the price, and what accepting the capture costs the shop."""
    price = f"The order costs {order.total.with_code()}. The difference is booked."
    short = Money(order.to_pay.amount - capture.amount, order.currency)
    if capture.currency != order.currency or not second_person.shortfall_needs_two(
        short, current_app.config["REFUND_NEEDS_TWO"]
    ):
        return price
    return f"{price} {short.with_code()} are missing, so a second person has to approve it."


def ways(provider: str, seen: Snapshot) -> dict[RefundDestination, str]:
    """Destinations of refunds of captured money, with labels."""
    others = [STORE_CREDIT, BANK] if seen.order.user_id else [BANK]
    return {PROVIDER: f"Back through {provider}"} | {to: _LABELS[to] for to in others}


# --- refunds that were requested before ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Requested:
    """A refund of the order, where its money goes and the acquirer's answer to it in words, and, if it failed and its
    money is still there, the destinations to which it can be sent: the same one, and another one.
    """

    refund: RefundRow
    to: str
    answer: str
    again: RefundDestination | None = None
    otherwise: RefundDestination | None = None


_ANSWERS = {
    refund_states.DECLINED: "A second person declined it.",
    refund_states.BOUNCED: "The bank returned the transfer.",
    refund_states.MADE_THERE: "Withdrawn, because the money was refunded at the acquirer.",
    refund_states.NO_ACCOUNT: "Not booked: the customer has deleted the account. Request it again.",
    refund_states.ID_TAKEN: "Not sent: a refund made at the acquirer has its id.",
}
_OF_STATE = {
    "REQUESTED": "Not sent yet.",
    "PENDING": "{provider} has accepted it and has not finished it.",
    "UNKNOWN": "{provider} has not answered.",
    "DONE": "Done.",
}


def requested(seen: Snapshot) -> list[Requested]:
    """The refunds of the order, the newest first. Failed ones stay in the list."""
    return [_requested(seen, one) for one in reversed(seen.refunds)]


def _requested(seen: Snapshot, refund: RefundRow) -> Requested:
    capture = seen.capture_of(refund)
    to = DESTINATIONS[refund.destination]
    answer = _answer(refund, registry.label(capture.provider) if capture else "The shop")
    is_failed = refund.is_rejected and refund.rejected_code not in refund_states.CALLED_OFF
    if not is_failed or refund.is_made_outside or capture is None or seen.refundable(capture) < refund.amount:
        return Requested(refund, to, answer)
    possible = ways("", seen)
    others = [way for way in possible if way not in (refund.destination, PROVIDER)]
    again = refund.destination if refund.destination in possible else None
    return Requested(refund, to, answer, again, others[0] if others else None)


def _answer(refund: RefundRow, provider: str) -> str:
    if refund.is_rejected:
        code = refund.rejected_code or ""
        return _ANSWERS.get(code, f"{provider} refused it: {words(code) or 'no reason'}.")
    if refund.awaits_approval and refund.destination == BANK:
        return "Its requester sends it. Waits for a second person, who checks that it was sent."
    if refund.awaits_approval:
        return "Waits for a second person."
    text = _OF_STATE[refund.state].format(provider=provider)
    return f"{text} Tried {refund.checks} times." if refund.checks > 1 and refund.ended_at is None else text
