"""Rules A to E and what refunds alert of, as pure functions over numbers. Nothing in here knows a database.

A rule says what it finds in the numbers of one order; GONE says when the cause of an alert is no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from shop.orders import states as order_states
from shop.payments import refund_states, states
from shop.payments.due import MISSES

P1, P2, P3 = "P1", "P2", "P3"
RULES: dict[str, tuple[str, str]] = {
    "RULE_A": (P2, "Captured, and the order is not paid"),
    "RULE_B": (P2, "Paid, and the acquirer's query does not show the capture"),
    "RULE_C": (P1, "Captured after the order had ended, or on a payment already closed"),
    "RULE_D": (P1, "Captured twice"),
    "RULE_E": (P1, "Another amount or currency was captured"),
    "RULE_F": (P2, "Settlement file and ledger disagree"),
    "OPS_REFUND_REJECTED": (P2, "A refund was refused"),
    "OPS_REFUND_FAILED_LATER": (P1, "A refund that was done has failed"),
    "OPS_BAD_SIGNATURE": (P2, "Webhooks came that nobody of ours signed"),
    "OPS_CLOCK_SKEW": (P2, "Webhooks are signed at another time than ours"),
    "OPS_KEY_REUSED": (P2, "An event id came again with other content"),
    "OPS_ORPHAN": (P1, "A signed notice is about a payment that we do not know"),
    "OPS_FOREIGN": (P2, "A notice is about another merchant's payment"),
    "OPS_WEBHOOKS_SILENT": (P2, "Money is heard of by asking only; no webhook comes"),
    "OPS_PROVIDER_UNAVAILABLE": (P1, "A provider has not answered for ten minutes"),
    "OPS_CLOSING_WAITS": (P2, "An order should have ended ten minutes ago"),
    "OPS_DEAD_LETTER": (P2, "Something was tried again and again and is not done"),
    "OPS_INVARIANT": (P1, "Something that must always hold does not"),
}
"""Each rule's severity and what it says."""
SOON = timedelta(seconds=5)
"""What the poller may take to ask what is due, before it is looked at again."""


@dataclass(frozen=True)
class CaptureNumbers:
    """A capture. `id` is ours, `capture_id` theirs; `gone_back` is what has left us of it for good: refunds, and
    `kept`, which banks took back.
    """

    id: int
    capture_id: str
    payment: str
    amount: int
    currency: str
    standing: str | None
    captured_at: datetime
    heard_at: datetime
    heard_from: str
    gone_back: int = 0
    kept: int = 0


@dataclass(frozen=True)
class PaymentNumbers:
    """A payment. `closed_at` is when we heard that it had ended without money."""

    id: str
    provider: str
    amount: int
    currency: str
    state: str
    confirmed: bool = False
    confirm_misses: int = 0
    next_check_at: datetime | None = None
    closed_at: datetime | None = None


@dataclass(frozen=True)
class RefundNumbers:
    """A refund. `was_done` when it had been done before it was rejected."""

    id: str
    capture: int | None
    amount: int
    currency: str
    kind: str
    state: str
    created_at: datetime
    was_done: bool = False
    code: str | None = None


@dataclass(frozen=True)
class Claim:
    """A trusted report that says captured, and that we could not book."""

    payment: str
    heard_at: datetime
    heard_from: str


@dataclass(frozen=True)
class OrderNumbers:
    """All that the rules look at. `to_pay` is what payments had to bring; `moves` are (when, state), oldest first."""

    id: int
    number: str
    state: str
    currency: str
    to_pay: int
    payer: str | None = None
    accepted: int | None = None
    moves: tuple[tuple[datetime, str], ...] = ()
    payments: tuple[PaymentNumbers, ...] = ()
    captures: tuple[CaptureNumbers, ...] = ()
    refunds: tuple[RefundNumbers, ...] = ()
    claims: tuple[Claim, ...] = ()

    def payment(self, payment_id: str) -> PaymentNumbers:
        return next(p for p in self.payments if p.id == payment_id)

    def capture(self, capture_id: int | None) -> CaptureNumbers | None:
        return next((c for c in self.captures if c.id == capture_id), None)


@dataclass(frozen=True)
class Finding:
    """What a rule has found; `cause` tells it from what the same rule finds next."""

    rule: str
    cause: str
    source: str
    observed: dict[str, Any] = field(hash=False)
    expected: dict[str, Any] = field(hash=False)


def findings(order: OrderNumbers, at: datetime, confirm: timedelta) -> list[Finding]:
    """Everything that is to be alerted of at `at`; `confirm` is how long a capture may take to make its order PAID."""
    explained = [found for rule in (_differs, _late, _twice) for found in rule(order)]
    return [*explained, *_unpaid(order, at, confirm), *_unconfirmed(order), *_refund_failed(order)]


def look_again(order: OrderNumbers, at: datetime, confirm: timedelta) -> datetime | None:
    """When the order is to be looked at again if nothing happens until then; None: not before something happens."""
    times = [heard_at + confirm for _, heard_at, _ in _unexplained(order) if heard_at + confirm > at]
    times += [max(p.next_check_at, at) + SOON for p in order.payments if p.next_check_at and _is_asked_about(order, p)]
    return min(times, default=None)


def _is_asked_about(order: OrderNumbers, payment: PaymentNumbers) -> bool:
    confirms = payment.state == states.CAPTURED and not payment.confirmed and payment.confirm_misses < MISSES
    return confirms and order.payer == payment.id


# --- the rules -------------------------------------------------------------------------------------------------------


def _money(capture: CaptureNumbers) -> dict[str, Any]:
    return {
        "captureId": capture.capture_id,
        "payment": capture.payment,
        "amount": capture.amount,
        "currency": capture.currency,
        "capturedAt": capture.captured_at.isoformat(),
        "heardAt": capture.heard_at.isoformat(),
    }


def _is_other(order: OrderNumbers, capture: CaptureNumbers) -> bool:
    payment, money = order.payment(capture.payment), (capture.amount, capture.currency)
    return money != (payment.amount, payment.currency) or money != (order.to_pay, order.currency)


def _cause(capture: CaptureNumbers) -> str:
    return f"capture {capture.id}"


def _differs(order: OrderNumbers) -> Iterator[Finding]:
    """E."""
    for capture in order.captures:
        if _is_other(order, capture):
            expected = {"amount": order.to_pay, "currency": order.currency}
            yield Finding("RULE_E", _cause(capture), capture.heard_from, _money(capture), expected)


def _late(order: OrderNumbers) -> Iterator[Finding]:
    """C. By when we heard of it, not by when it was captured; E beats it."""
    for capture in order.captures:
        ended = capture.standing == "late" or _state_at(order, capture.heard_at) in order_states.UNPAID_END
        closed_at = order.payment(capture.payment).closed_at
        closed = closed_at is not None and closed_at < capture.heard_at
        if (ended or closed) and not _is_other(order, capture):
            observed = _money(capture) | {
                "orderState": _state_at(order, capture.heard_at),
                "paymentClosedAt": closed_at.isoformat() if closed_at and closed else None,
            }
            expected = {"orderState": sorted(order_states.PAYABLE), "paymentClosedAt": None}
            yield Finding("RULE_C", _cause(capture), capture.heard_from, observed, expected)


def _state_at(order: OrderNumbers, moment: datetime) -> str | None:
    return next((target for at, target in reversed(order.moves) if at < moment), None)


def _twice(order: OrderNumbers) -> Iterator[Finding]:
    """D. Every capture of the right amount but the one that paid, or, where none did, but the first; E beats it."""
    right = sorted((c for c in order.captures if not _is_other(order, c)), key=lambda c: (c.standing != "paid", c.id))
    for number, capture in enumerate(right):
        if capture.standing == "second" or (number and capture.standing != "paid"):
            observed = _money(capture) | {"captures": len(right), "paidBy": order.payer}
            yield Finding("RULE_D", _cause(capture), capture.heard_from, observed, {"captures": 1})


def _unexplained(order: OrderNumbers) -> list[tuple[str, datetime, str]]:
    """(payment, when, from whom) of everything that said captured while the order is neither paid nor explained."""
    if order.payer is not None:
        return []
    told = {int(f.cause.removeprefix("capture ")) for rule in (_differs, _late, _twice) for f in rule(order)}
    said = [(c.payment, c.heard_at, c.heard_from) for c in order.captures if c.id not in told]
    explained = {c.payment for c in order.captures if c.id in told}
    return said + [(c.payment, c.heard_at, c.heard_from) for c in order.claims if c.payment not in explained]


def _unpaid(order: OrderNumbers, at: datetime, confirm: timedelta) -> Iterator[Finding]:
    """A. Once for each payment."""
    said: dict[str, tuple[datetime, str]] = {}
    for payment_id, heard_at, heard_from in sorted(_unexplained(order), key=lambda row: row[1]):
        said.setdefault(payment_id, (heard_at, heard_from))
    for payment_id, (heard_at, heard_from) in said.items():
        if at >= heard_at + confirm:
            payment = order.payment(payment_id)
            observed = {
                "orderState": order.state,
                "payment": payment_id,
                "paymentState": payment.state,
                "saidCapturedAt": heard_at.isoformat(),
            }
            expected = {"orderState": order_states.PAID, "withinSeconds": int(confirm.total_seconds())}
            yield Finding("RULE_A", f"payment {payment_id}", heard_from, observed, expected)


def _unconfirmed(order: OrderNumbers) -> Iterator[Finding]:
    """B."""
    for payment in order.payments:
        if order.payer == payment.id and not payment.confirmed and payment.confirm_misses >= MISSES:
            observed = {"payment": payment.id, "orderState": order.state, "queriesWithoutIt": payment.confirm_misses}
            expected = {"paymentState": states.CAPTURED, "amount": payment.amount, "currency": payment.currency}
            yield Finding("RULE_B", f"payment {payment.id}", "poll", observed, expected)


def _refund_failed(order: OrderNumbers) -> Iterator[Finding]:
    for refund in order.refunds:
        if refund.state == refund_states.REJECTED and refund.code != refund_states.DECLINED:
            observed = {
                "refund": refund.id,
                "kind": refund.kind,
                "amount": refund.amount,
                "currency": refund.currency,
                "code": refund.code,
            }
            rule = "OPS_REFUND_FAILED_LATER" if refund.was_done else "OPS_REFUND_REJECTED"
            yield Finding(rule, f"refund {refund.id}", "refund", observed, {"refundState": refund_states.DONE})


# --- when the cause is gone ------------------------------------------------------------------------------------------


def _told_otherwise(order: OrderNumbers, payment_id: str) -> str | None:
    """A."""
    if order.payer is not None:
        return "The order has been paid."
    captured = any(c.payment == payment_id for c in order.captures)
    if captured and payment_id not in {payment for payment, _, _ in _unexplained(order)}:
        return "The money has been booked, and another rule tells of it."
    return None


def _confirmed(order: OrderNumbers, payment_id: str) -> str | None:
    """B."""
    if order.payment(payment_id).confirmed:
        return "The acquirer's query shows the capture."
    captures = [c for c in order.captures if c.payment == payment_id]
    return _GONE_BACK if captures and all(c.gone_back >= c.amount for c in captures) else None


def _settled(order: OrderNumbers, capture_id: str) -> str | None:
    """C, D and E."""
    capture = order.capture(int(capture_id))
    if capture is None:
        return None
    if capture.standing == "paid" and _is_other(order, capture):
        return "The amount has been accepted." if order.accepted is not None else None
    if capture.standing == "paid":
        return "It has paid the order."
    return _GONE_BACK if capture.gone_back >= capture.amount else None


def _sent_anew(order: OrderNumbers, refund_id: str) -> str | None:
    failed = next((r for r in order.refunds if r.id == refund_id), None)
    if failed is None:
        return None
    capture = order.capture(failed.capture)
    if capture and failed.kind == "mismatch" and capture.standing == "paid":
        return "The amount has been accepted."
    later = (r for r in order.refunds if r.capture == failed.capture and r.created_at > failed.created_at)
    done = sum(r.amount for r in later if r.state == refund_states.DONE)
    if done >= failed.amount:
        return "The money has gone back with a later refund."
    return _GONE_BACK if capture and done + capture.kept >= failed.amount else None


_GONE_BACK = "The money has gone back."
GONE: dict[str, Callable[[OrderNumbers, str], str | None]] = {
    "RULE_A": _told_otherwise,
    "RULE_B": _confirmed,
    "RULE_C": _settled,
    "RULE_D": _settled,
    "RULE_E": _settled,
    "OPS_REFUND_REJECTED": _sent_anew,
    "OPS_REFUND_FAILED_LATER": _sent_anew,
}
"""For each rule, why its alert is over by itself, or None; called with what follows the first word of the cause."""


def gone(rule: str, cause: str, order: OrderNumbers) -> str | None:
    """Why the cause of an alert is no more, in a sentence; None while it lasts, or when only people can say."""
    over = GONE.get(rule)
    return over(order, cause.partition(" ")[2]) if over else None
