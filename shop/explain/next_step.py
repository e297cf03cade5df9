"""Next automatic steps of an order, decided from its due rows. Pure: no database, no Flask, no clock.

The clock finds due rows every second, so each step happens at its time or a moment later. What waits for a person is no
step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from shop.orders import states as order_states
from shop.orders.states import OrderState
from shop.payments.providers.types import PaymentState, RefundState
from shop.payments.records import states as payment_states
from shop.payments.records.types import RefundDestination, RefundKind


@dataclass(frozen=True)
class DuePayment:
    """A payment of the order. `provider` is its display name; calls to it are paused until `paused_until`."""

    id: str
    provider: str
    state: PaymentState
    next_check_at: datetime | None
    cancel_requested_at: datetime | None = None
    paused_until: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self.state in payment_states.STILL_OPEN


@dataclass(frozen=True)
class DueRefund:
    """A refund of the order; `provider` as for a payment, `money` as text."""

    id: str
    provider: str
    money: str
    state: RefundState
    kind: RefundKind
    destination: RefundDestination
    next_check_at: datetime | None


@dataclass(frozen=True)
class DueMail:
    """A queued mail about the order."""

    kind: str
    next_attempt_at: datetime


@dataclass(frozen=True)
class DueEvent:
    """An event of the order that is not published yet; `error` says why an earlier attempt has failed."""

    kind: str
    due_at: datetime
    error: str | None = None


@dataclass(frozen=True)
class DueWebhook:
    """A stored webhook about a payment of the order that is applied later; `provider` as for a payment."""

    event_id: str
    provider: str
    due_at: datetime


@dataclass(frozen=True)
class DueRows:
    """An order and its rows with due times. `resumes_at` is when an interrupted checkout is continued."""

    state: OrderState
    pay_by: datetime
    cancel_requested_at: datetime | None = None
    review_since: datetime | None = None
    resumes_at: datetime | None = None
    payments: Sequence[DuePayment] = ()
    refunds: Sequence[DueRefund] = ()
    mails: Sequence[DueMail] = ()
    webhooks: Sequence[DueWebhook] = ()
    events: Sequence[DueEvent] = ()


@dataclass(frozen=True)
class Step:
    """A step that happens without a person, and its time. A time in the past is due now."""

    at: datetime
    text: str


def steps(rows: DueRows) -> list[Step]:
    """The next step of the order and of each of its rows, the earliest first."""
    found = [*_of_order(rows), *_of_payments(rows.payments), *_of_refunds(rows.refunds)]
    found += [Step(mail.next_attempt_at, f"Sends the mail “{mail.kind.replace('_', ' ')}”") for mail in rows.mails]
    found += [Step(one.due_at, f"Applies webhook {one.event_id} of {one.provider} again") for one in rows.webhooks]
    found += _of_events(rows.events)
    return sorted(found, key=lambda step: step.at)


def _of_order(rows: DueRows) -> Iterator[Step]:
    """The end of an unpaid order, as `shop.checkout.ending.decide` decides it."""
    if rows.resumes_at:
        yield Step(rows.resumes_at, "Continues the checkout, which was interrupted")
    if rows.state not in order_states.PAYABLE or rows.review_since:
        return
    still_open = [payment for payment in rows.payments if payment.is_open]
    if any(payment.cancel_requested_at and payment.next_check_at for payment in still_open):
        return  # the order ends after the payment was closed, which is the step of the payment
    at = rows.cancel_requested_at or rows.pay_by
    end = "Cancels the order" if rows.cancel_requested_at else "Expires the order"
    closing = "".join(f"Closes payment {payment.id} at {payment.provider}, then e" for payment in still_open[:1])
    yield Step(at, f"{closing}nds the order" if closing else end)


def _of_payments(payments: Sequence[DuePayment]) -> Iterator[Step]:
    for payment in payments:
        if payment.next_check_at is None:
            continue
        if payment.cancel_requested_at and payment.is_open:
            text = f"Closes payment {payment.id} at {payment.provider}, and asks for its result"
        elif payment.is_open:
            text = f"Asks {payment.provider} again about payment {payment.id}"
        elif payment.state is PaymentState.CAPTURED:
            text = f"Asks {payment.provider} to confirm the capture of payment {payment.id}"
        else:
            text = f"Asks {payment.provider} for money that arrived after the end of payment {payment.id}"
        yield Step(max(payment.next_check_at, payment.paused_until or payment.next_check_at), text)


def _of_refunds(refunds: Sequence[DueRefund]) -> Iterator[Step]:
    for refund in refunds:
        if refund.next_check_at is None:
            continue
        if refund.kind is not RefundKind.OUTSIDE and refund.destination is not RefundDestination.PROVIDER:
            text = f"Books refund {refund.id} of {refund.money}"
        elif refund.state is RefundState.REQUESTED:
            text = f"Sends refund {refund.id} of {refund.money} to {refund.provider}"
        elif refund.state is RefundState.DONE:
            text = f"Checks refund {refund.id} of {refund.money}, which is done, once more at {refund.provider}"
        else:
            text = f"Asks {refund.provider} for the result of refund {refund.id} of {refund.money}"
        yield Step(refund.next_check_at, text)


def _of_events(events: Sequence[DueEvent]) -> Iterator[Step]:
    """Publications of events, with their effects: documents and mails. Events with the same time are one step."""
    for at in sorted({event.due_at for event in events}):
        mine = [event for event in events if event.due_at == at]
        names = ", ".join(dict.fromkeys(event.kind.replace("_", " ").replace(".", ": ") for event in mine))
        failed = ", which failed before" if any(event.error for event in mine) else ""
        yield Step(at, f"Publishes “{names}”, and prepares its documents and mails{failed}")
