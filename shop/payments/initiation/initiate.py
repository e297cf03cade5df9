"""Initiate payments, and initiate another one when the customer chooses another payment method."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from shop.core import clock, ids
from shop.core.actor import Actor
from shop.core.db import db, table, transactional
from shop.core.errors import BadInput, Refusal
from shop.core.event_types import PaymentVisited
from shop.core.money import Money
from shop.core.sentences import sentence
from shop.orders import events
from shop.orders import states as order_states
from shop.orders.models import Order
from shop.orders.states import OrderState
from shop.payments.calls import circuit_breaker
from shop.payments.calls import request as requests
from shop.payments.initiation import attempt_limits
from shop.payments.polling import poll
from shop.payments.providers import registry
from shop.payments.providers.interface import Facts, NextAction, PaymentRequest, Rejected, Started, Unavailable, Unknown
from shop.payments.providers.types import PaymentState
from shop.payments.records import states
from shop.payments.records.locking import order_with_payments
from shop.payments.records.models import Payment
from shop.payments.records.types import Source
from shop.payments.updates.apply import apply
from shop.payments.updates.snapshot import PaymentUpdate

TOO_LATE = timedelta(minutes=2)
"""Least time before `pay_by` in which an order may get a further payment."""
_TOO_LATE = sentence("There is not enough time left to start another payment.")


def open_payment(
    order_id: int,
    provider_name: str,
    *,
    instead_of: str = "",
    created: Callable[[str, bool], None] = lambda _payment_id, _is_new: None,
) -> Payment:
    """The order's open payment at `provider_name`: the existing one, else a new one.

    A payment that is open at another provider is closed there first; so is one at this provider whose id is
    `instead_of` and which shows a store code. `created` is called with the id of the payment, and True if it is new, in
    the transaction that inserts or finds it. Raises Refusal: `unknown_method`, `cannot_charge`, `not_payable` (paid,
    ended, ending or under review), `confirming` (another payment may still bring money), `too_late`, `too_soon` and
    `too_many_payments` (see `attempt_limits`).
    """
    provider = registry.get(provider_name)
    if provider is None:
        raise BadInput("unknown_method", sentence("Choose one of the listed payment methods."))
    registry.refuse_unless_chargeable(provider_name, db.session.get_one(Order, order_id).to_pay)
    replaced = _replaced(order_id, provider_name, instead_of)
    if replaced:
        _refuse_to_replace(order_id)  # before anything is closed for a payment that is then refused
    if replaced and poll.close(replaced) in states.STILL_OPEN:
        raise Refusal("confirming", sentence("We are still confirming your first payment. Please do not pay again."))
    payment_id, is_new = _create(order_id, provider_name, created)
    if is_new:
        start(payment_id)
    return db.session.get_one(Payment, payment_id, populate_existing=True)


def start(payment_id: str) -> None:
    """Call the provider for a payment whose row exists, and apply its answer. Safe to repeat after a crash."""
    loaded = requests.load(payment_id)
    if loaded is None or registry.get(loaded.provider) is None:
        return
    apply(PaymentUpdate(payment_id, call(loaded.provider, loaded.request, loaded.return_url), Source.START))


def call(provider_name: str, request: PaymentRequest, return_url: str) -> Facts:
    """Call the provider to start a payment, outside any transaction. Raises KeyError for a provider that we do not
    have.
    """
    provider = registry.all_providers()[provider_name]
    webhook_url = requests.webhook_url(provider_name)
    return _facts(circuit_breaker.call(provider, "start", lambda: provider.start(request, return_url, webhook_url)))


def insert_payment(
    order_id: int, provider_name: str, money: Money, at: datetime, check_after: timedelta = poll.CREATED_IS_UNKNOWN
) -> str:
    """Insert a payment that has not been initiated yet, in the current transaction; returns its id. `check_after` is
    the delay of the first poll, unless the response to the initiation has been applied before.
    """
    payment_id = ids.payment_id()
    values = {
        "id": payment_id,
        "order_id": order_id,
        "provider": provider_name,
        "state": PaymentState.CREATED,
        "amount": money.amount,
        "currency": money.currency,
        "created_at": at,
        "next_check_at": at + check_after,
    }
    db.session.execute(table(Payment).insert(), values)
    return payment_id


def _facts(answer: Started | Rejected | Unknown | Unavailable) -> Facts:
    if isinstance(answer, Started):
        return Facts(
            state=PaymentState.OPEN,
            action=answer.action,
            expires_at=answer.expires_at,
            provider_data=answer.provider_data,
        )
    if isinstance(answer, Rejected):
        return Facts(state=PaymentState.FAILED, end_reason="refused", provider_data={"refused": answer.code})
    if isinstance(answer, Unavailable):  # the call was not made: nothing can have happened there
        return Facts(state=PaymentState.FAILED, end_reason="unavailable")
    return Facts(state=PaymentState.UNKNOWN)


def next_action(payment: Payment) -> NextAction | None:
    """Next action of the customer while the payment is open; None for a URL that is not one of its acquirer's pages."""
    if payment.state != PaymentState.OPEN or not payment.action:
        return None
    if payment.action["url"] and not registry.is_page(payment.provider, payment.action["url"]):
        return None
    return NextAction(payment.action["kind"], payment.action["url"], payment.action.get("fields", {}))


@transactional
def visited(payment_id: str) -> None:
    """Record that the customer was redirected to the payment page; the order page shows it."""
    at = clock.now()
    payment = db.session.get_one(Payment, payment_id, with_for_update=True)
    if payment.visited_at is None and payment.state == PaymentState.OPEN:
        payment.visited_at = at
        events.record(payment.order_id, PaymentVisited(payment_id), actor=Actor.customer())


def _refuse_to_replace(order_id: int) -> None:
    at = clock.now()
    payments = list(db.session.scalars(select(Payment).where(Payment.order_id == order_id)))
    pay_by = db.session.get_one(Order, order_id).pay_by
    db.session.rollback()
    attempt_limits.check(payments, at)
    if pay_by - at < TOO_LATE:
        raise Refusal("too_late", _TOO_LATE)


def _replaced(order_id: int, provider_name: str, instead_of: str) -> str | None:
    """The id of the open payment that has to be closed before another one is opened at this provider."""
    still_open = (Payment.order_id == order_id, Payment.state.in_(states.STILL_OPEN))
    payment = db.session.scalar(select(Payment).where(*still_open))
    given_up = payment and (payment.provider != provider_name or payment.id == instead_of and payment.shows_code)
    found = payment.id if payment and given_up else None
    db.session.rollback()
    return found


def _create(order_id: int, provider_name: str, created: Callable[[str, bool], None]) -> tuple[str, bool]:
    """Id of the open payment at this provider, and True if it is new. The unique index decides races."""
    try:
        return _find_or_create(order_id, provider_name, created)
    except IntegrityError:
        return _find_or_create(order_id, provider_name, created)


@transactional
def _find_or_create(order_id: int, provider_name: str, created: Callable[[str, bool], None]) -> tuple[str, bool]:
    payment_id, is_new = _found_or_inserted(order_id, provider_name)
    created(payment_id, is_new)
    return payment_id, is_new


def _found_or_inserted(order_id: int, provider_name: str) -> tuple[str, bool]:
    order, payments = order_with_payments(order_id)
    found = next((p for p in payments if p.is_open), None)
    _refuse_unless_payable(order, payments)
    if found is not None:
        if found.provider != provider_name or found.cancel_requested_at:
            raise Refusal(
                "confirming", sentence("We are still confirming your first payment. Please do not pay again.")
            )
        return found.id, False
    attempt_limits.check(payments, clock.now())
    return insert_payment(order_id, provider_name, order.to_pay, clock.now()), True


def _refuse_unless_payable(order: Order, payments: list[Payment]) -> None:
    at = clock.now()
    if order.state not in order_states.PAYABLE:
        raise Refusal("not_payable", sentence("This order is not waiting for a payment."))
    if not order.to_pay.amount:
        raise Refusal("not_payable", sentence("Store credit covers this order. There is nothing left to pay."))
    if order.review_since:
        raise Refusal("not_payable", sentence("We are checking a payment for this order. Please do not pay again."))
    if order.cancel_requested_at or order.pay_by <= at:
        raise Refusal("not_payable", sentence("This order can no longer be paid."))
    if order.state == OrderState.FAILED and payments and order.pay_by - at < TOO_LATE:
        raise Refusal("too_late", _TOO_LATE)
