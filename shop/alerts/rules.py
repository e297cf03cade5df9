"""Rules A to E and the alerts on refunds, as pure functions over the snapshot of an order.

A rule returns its findings in one snapshot; RESOLUTIONS decides when the cause of an alert is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from shop.alerts.states import Severity
from shop.orders import states as order_states
from shop.orders.states import OrderState
from shop.payments.providers.types import PaymentState, RefundState
from shop.payments.records import refund_states
from shop.payments.records.poll_schedule import MISSES
from shop.payments.records.types import Allocation, RefundKind, Source

P1, P2, P3 = Severity
RULES: dict[str, tuple[Severity, str]] = {
    "RULE_A": (P2, "Payment captured but the order is not paid"),
    "RULE_B": (P2, "Order paid but the acquirer's query does not show the capture"),
    "RULE_C": (P1, "Payment captured after the order or the payment had ended"),
    "RULE_D": (P1, "Order paid twice"),
    "RULE_E": (P1, "Captured amount or currency differs from the order"),
    "RULE_F": (P2, "Settlement file and ledger differ"),
    "OPS_REFUND_OUTSIDE": (P2, "Refund made at the acquirer, not requested by the shop"),
    "OPS_REFUND_REJECTED": (P2, "Refund rejected"),
    "OPS_REFUND_FAILED_LATER": (P1, "Completed refund has failed"),
    "OPS_BAD_SIGNATURE": (P2, "Webhooks with invalid signatures"),
    "OPS_CLOCK_SKEW": (P2, "Webhook timestamps differ from our clock"),
    "OPS_PROCESS_TIME": (P1, "Clock or worker process stopped because its time is wrong"),
    "OPS_KEY_REUSED": (P2, "Webhook event ID reused with different content"),
    "OPS_ORPHAN": (P1, "Signed webhook for an unknown payment"),
    "OPS_FOREIGN": (P2, "Webhooks for another merchant's payments"),
    "OPS_MALFORMED": (P2, "Malformed webhooks"),
    "OPS_WEBHOOKS_SILENT": (P2, "No webhooks arrive; payments are found only by polling"),
    "OPS_PROVIDER_UNAVAILABLE": (P1, "Payment provider unavailable for ten minutes"),
    "OPS_CLOSING_WAITS": (P2, "Order not ended ten minutes after its deadline"),
    "OPS_DEAD_LETTER": (P2, "Task failed after all retries"),
    "OPS_MAIL_FAILED": (P2, "Mail about an order could not be delivered"),
    "OPS_ENDPOINT_DISABLED": (P2, "Webhook endpoint disabled because it failed"),
    "OPS_SETTLEMENT_MISSING": (P2, "Settlement file could not be fetched"),
    "OPS_UNPAID_LIMIT": (P3, "Client repeatedly exceeds the limits on unpaid orders"),
    "OPS_STOCK_HELD": (P3, "Unpaid orders reserve a large share of a product's stock"),
    "OPS_STOCK_LOW": (P3, "Few units of a product are left"),
    "OPS_INVARIANT": (P1, "Invariant violated"),
    "OPS_CLOCK_STOPPED": (P1, "Clock process is not running"),
    "OPS_APPROVAL_WAITS": (P2, "Request waits for a second person"),
    "OPS_DISPUTE_DUE": (P2, "Dispute has to be answered soon"),
}
"""Severity and text of each rule."""
SOON = timedelta(seconds=5)
"""Time that the poller may take to query due payments, before the order is checked again."""


@dataclass(frozen=True)
class CaptureSnapshot:
    """A capture. `id` is ours, `capture_id` the acquirer's; `gone_back` is the amount that has left us for good:
    refunds, and `kept`, which banks took back.
    """

    id: int
    capture_id: str
    payment: str
    amount: int
    currency: str
    allocation: str
    captured_at: datetime
    received_at: datetime
    source: str
    returned: int = 0
    kept: int = 0


@dataclass(frozen=True)
class PaymentSnapshot:
    """A payment. `closed_at` is when we recorded that it had ended without money."""

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
class RefundSnapshot:
    """A refund. `was_done`: it had been done before it was rejected."""

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
class NotBooked:
    """An outside refund that could not be booked because of `why`."""

    refund: str
    amount: int
    currency: str
    why: str


@dataclass(frozen=True)
class Claim:
    """A trusted update that says captured and could not be booked."""

    payment: str
    received_at: datetime
    source: str


@dataclass(frozen=True)
class OrderSnapshot:
    """The input of the rules. `to_pay` is what payments had to bring; `moves` are (time, state), oldest first."""

    id: int
    number: str
    state: str
    currency: str
    to_pay: int
    payer: str | None = None
    accepted: int | None = None
    moves: tuple[tuple[datetime, str], ...] = ()
    payments: tuple[PaymentSnapshot, ...] = ()
    captures: tuple[CaptureSnapshot, ...] = ()
    refunds: tuple[RefundSnapshot, ...] = ()
    not_booked: tuple[NotBooked, ...] = ()
    claims: tuple[Claim, ...] = ()

    def payment(self, payment_id: str) -> PaymentSnapshot:
        return next(p for p in self.payments if p.id == payment_id)

    def capture(self, capture_id: int | None) -> CaptureSnapshot | None:
        return next((c for c in self.captures if c.id == capture_id), None)


@dataclass(frozen=True)
class Finding:
    """A finding of a rule; `cause` distinguishes it from the next finding of the same rule."""

    rule: str
    cause: str
    source: str
    observed: dict[str, Any] = field(hash=False)
    expected: dict[str, Any] = field(hash=False)


def findings(order: OrderSnapshot, at: datetime, confirm: timedelta) -> list[Finding]:
    """All findings at the time `at`; `confirm` is how long a capture may take to make its order PAID."""
    explained = [found for rule in (_differs, _late, _twice) for found in rule(order)]
    about_refunds = [*_refunded_outside(order), *_refund_failed(order)]
    return [*explained, *_unpaid(order, at, confirm), *_unconfirmed(order), *about_refunds]


def next_check(order: OrderSnapshot, at: datetime, confirm: timedelta) -> datetime | None:
    """The time of the next check if nothing happens until then; None: no check before an event."""
    times = [received_at + confirm for _, received_at, _ in _unexplained(order) if received_at + confirm > at]
    times += [max(p.next_check_at, at) + SOON for p in order.payments if p.next_check_at and _is_polled(order, p)]
    return min(times, default=None)


def _is_polled(order: OrderSnapshot, payment: PaymentSnapshot) -> bool:
    confirms = payment.state == PaymentState.CAPTURED and not payment.confirmed and payment.confirm_misses < MISSES
    return confirms and order.payer == payment.id


# --- the rules -------------------------------------------------------------------------------------------------------


def _money(capture: CaptureSnapshot) -> dict[str, Any]:
    return {
        "captureId": capture.capture_id,
        "payment": capture.payment,
        "amount": capture.amount,
        "currency": capture.currency,
        "capturedAt": capture.captured_at.isoformat(),
        "heardAt": capture.received_at.isoformat(),
    }


def _is_other(order: OrderSnapshot, capture: CaptureSnapshot) -> bool:
    payment, money = order.payment(capture.payment), (capture.amount, capture.currency)
    return money != (payment.amount, payment.currency) or money != (order.to_pay, order.currency)


def _cause(capture: CaptureSnapshot) -> str:
    return f"capture {capture.id}"


def _differs(order: OrderSnapshot) -> Iterator[Finding]:
    """Rule E."""
    for capture in order.captures:
        if _is_other(order, capture):
            expected = {"amount": order.to_pay, "currency": order.currency}
            yield Finding("RULE_E", _cause(capture), capture.source, _money(capture), expected)


def _late(order: OrderSnapshot) -> Iterator[Finding]:
    """Rule C. Measured from the time of recording, not of capture; Rule E takes precedence."""
    for capture in order.captures:
        ended = (
            capture.allocation == Allocation.LATE or _state_at(order, capture.received_at) in order_states.UNPAID_END
        )
        closed_at = order.payment(capture.payment).closed_at
        closed = closed_at is not None and closed_at < capture.received_at
        if (ended or closed) and not _is_other(order, capture):
            observed = _money(capture) | {
                "orderState": _state_at(order, capture.received_at),
                "paymentClosedAt": closed_at.isoformat() if closed_at and closed else None,
            }
            expected = {"orderState": sorted(order_states.PAYABLE), "paymentClosedAt": None}
            yield Finding("RULE_C", _cause(capture), capture.source, observed, expected)


def _state_at(order: OrderSnapshot, moment: datetime) -> str | None:
    return next((target for at, target in reversed(order.moves) if at < moment), None)


def _twice(order: OrderSnapshot) -> Iterator[Finding]:
    """Rule D. Every capture of the right amount except the one that paid or, if none did, the first; Rule E takes
    precedence.
    """
    right = sorted(
        (c for c in order.captures if not _is_other(order, c)),
        key=lambda c: (c.allocation != Allocation.PAYS_ORDER, c.id),
    )
    for number, capture in enumerate(right):
        if capture.allocation == Allocation.DUPLICATE or (number and capture.allocation != Allocation.PAYS_ORDER):
            observed = _money(capture) | {"captures": len(right), "paidBy": order.payer}
            yield Finding("RULE_D", _cause(capture), capture.source, observed, {"captures": 1})


def _unexplained(order: OrderSnapshot) -> list[tuple[str, datetime, str]]:
    """(payment, time, source) of every update that reported a capture while the order is neither paid nor explained."""
    if order.payer is not None:
        return []
    reported = {int(f.cause.removeprefix("capture ")) for rule in (_differs, _late, _twice) for f in rule(order)}
    captured = [(c.payment, c.received_at, c.source) for c in order.captures if c.id not in reported]
    explained = {c.payment for c in order.captures if c.id in reported}
    return captured + [(c.payment, c.received_at, c.source) for c in order.claims if c.payment not in explained]


def _unpaid(order: OrderSnapshot, at: datetime, confirm: timedelta) -> Iterator[Finding]:
    """Rule A. Once per payment."""
    reported: dict[str, tuple[datetime, str]] = {}
    for payment_id, received_at, source in sorted(_unexplained(order), key=lambda row: row[1]):
        reported.setdefault(payment_id, (received_at, source))
    for payment_id, (received_at, source) in reported.items():
        if at >= received_at + confirm:
            payment = order.payment(payment_id)
            observed = {
                "orderState": order.state,
                "payment": payment_id,
                "paymentState": payment.state,
                "saidCapturedAt": received_at.isoformat(),
            }
            expected = {"orderState": OrderState.PAID, "withinSeconds": int(confirm.total_seconds())}
            yield Finding("RULE_A", f"payment {payment_id}", source, observed, expected)


def _unconfirmed(order: OrderSnapshot) -> Iterator[Finding]:
    """Rule B."""
    for payment in order.payments:
        if order.payer == payment.id and not payment.confirmed and payment.confirm_misses >= MISSES:
            observed = {"payment": payment.id, "orderState": order.state, "queriesWithoutIt": payment.confirm_misses}
            expected = {"paymentState": PaymentState.CAPTURED, "amount": payment.amount, "currency": payment.currency}
            yield Finding("RULE_B", f"payment {payment.id}", Source.POLL, observed, expected)


def _refunded_outside(order: OrderSnapshot) -> Iterator[Finding]:
    for refund in order.refunds:
        if refund.kind == RefundKind.OUTSIDE:
            capture = order.capture(refund.capture)
            observed = {
                "refund": refund.id,
                "amount": refund.amount,
                "currency": refund.currency,
                "captureId": capture and capture.capture_id,
                "orderState": order.state,
            }
            yield Finding("OPS_REFUND_OUTSIDE", f"refund {refund.id}", "refund", observed, {"madeBy": "us"})
    for refused in order.not_booked:
        observed = {
            "refund": refused.refund,
            "amount": refused.amount,
            "currency": refused.currency,
            "notBooked": refused.why,
            "orderState": order.state,
        }
        yield Finding("OPS_REFUND_OUTSIDE", f"refund {refused.refund}", "refund", observed, {"madeBy": "us"})


def _refund_failed(order: OrderSnapshot) -> Iterator[Finding]:
    for refund in order.refunds:
        if refund.state == RefundState.REJECTED and refund.code not in refund_states.CALLED_OFF:
            observed = {
                "refund": refund.id,
                "kind": refund.kind,
                "amount": refund.amount,
                "currency": refund.currency,
                "code": refund.code,
            }
            rule = "OPS_REFUND_FAILED_LATER" if refund.was_done else "OPS_REFUND_REJECTED"
            yield Finding(rule, f"refund {refund.id}", "refund", observed, {"refundState": RefundState.DONE})


# --- when the cause is gone ------------------------------------------------------------------------------------------


def _paid_or_booked(order: OrderSnapshot, payment_id: str) -> str | None:
    """Rule A."""
    if order.payer is not None:
        return "The order has been paid."
    captured = any(c.payment == payment_id for c in order.captures)
    if captured and payment_id not in {payment for payment, _, _ in _unexplained(order)}:
        return "The payment has been booked and is reported by another rule."
    return None


def _confirmed(order: OrderSnapshot, payment_id: str) -> str | None:
    """Rule B."""
    if order.payment(payment_id).confirmed:
        return "The acquirer's query shows the capture."
    captures = [c for c in order.captures if c.payment == payment_id]
    return _REFUNDED if captures and all(c.returned >= c.amount for c in captures) else None


def _settled(order: OrderSnapshot, capture_id: str) -> str | None:
    """Rules C, D and E."""
    capture = order.capture(int(capture_id))
    if capture is None:
        return None
    if capture.allocation == Allocation.PAYS_ORDER and _is_other(order, capture):
        return "The amount has been accepted." if order.accepted is not None else None
    if capture.allocation == Allocation.PAYS_ORDER:
        return "The payment has paid the order."
    return _REFUNDED if capture.returned >= capture.amount else None


def _refunded_again(order: OrderSnapshot, refund_id: str) -> str | None:
    failed = next((r for r in order.refunds if r.id == refund_id), None)
    if failed is None:
        return None
    capture = order.capture(failed.capture)
    if capture and failed.kind == RefundKind.MISMATCH and capture.allocation == Allocation.PAYS_ORDER:
        return "The amount has been accepted."
    others = (r for r in order.refunds if r.capture == failed.capture)
    later = [r for r in others if r.created_at > failed.created_at or r.kind == RefundKind.OUTSIDE]
    done = sum(r.amount for r in later if r.state == RefundState.DONE)
    if done >= failed.amount:
        return "The money has been refunded with a later refund."
    return _REFUNDED if capture and done + capture.kept >= failed.amount else None


_REFUNDED = "The money has been refunded."
RESOLUTIONS: dict[str, Callable[[OrderSnapshot, str], str | None]] = {
    "RULE_A": _paid_or_booked,
    "RULE_B": _confirmed,
    "RULE_C": _settled,
    "RULE_D": _settled,
    "RULE_E": _settled,
    "OPS_REFUND_REJECTED": _refunded_again,
    "OPS_REFUND_FAILED_LATER": _refunded_again,
}
"""For each rule, why its alert is over without staff, or None; called with what follows the first word of the cause."""


def resolution(rule: str, cause: str, order: OrderSnapshot) -> str | None:
    """A sentence saying why the cause of an alert is over; None while it lasts, or when only people can decide."""
    over = RESOLUTIONS.get(rule)
    return over(order, cause.partition(" ")[2]) if over else None
