"""The saga of a checkout: reserve stock, use a discount code, hold store credit, open a payment. Each step is recorded
when it is done, and can be undone.

The first three steps are done in the transaction that creates the order and its payment. If the process crashes after
it, the saga is due and the clock process resumes it. Steps are undone, in the opposite order, when the order ends
without money (`shop.checkout.end_order`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, select, update

from shop.checkout.models import Saga
from shop.checkout.saga_states import PAY_LATER, SagaState, SagaStep
from shop.core import clock, logs
from shop.core.db import changed, db, table, transactional
from shop.core.errors import Refusal
from shop.inventory import stock
from shop.ledger import store_credit
from shop.payments.initiation import initiate
from shop.payments.providers.interface import PaymentRequest
from shop.payments.providers.types import PaymentState
from shop.payments.records.types import Source
from shop.payments.updates import apply as updates
from shop.payments.updates.snapshot import PaymentUpdate
from shop.pricing import uses

log = logs.get()
RESUME_AFTER = timedelta(seconds=10)
_SAGAS = table(Saga)
_RUNNING = update(_SAGAS).where(_SAGAS.c.order_id == bindparam("order"), _SAGAS.c.state == SagaState.RUNNING)
_FINISH = _RUNNING.values(state=SagaState.DONE, due_at=None)
_FINISH_WITH_PAYMENT = _FINISH.values(payment_opened_at=bindparam("at"))


@dataclass(frozen=True)
class Step:
    """A step. `done_at` is the column that records it. `undo` runs in the transaction that ends the order; payments
    have been closed before.
    """

    name: SagaStep
    done_at: str
    undo: Callable[[int], None]


STEPS = (
    Step(SagaStep.RESERVE_STOCK, "stock_reserved_at", stock.release),
    Step(SagaStep.USE_CODE, "code_used_at", uses.release),
    Step(SagaStep.HOLD_CREDIT, "credit_held_at", store_credit.release),
    Step(SagaStep.OPEN_PAYMENT, "payment_opened_at", lambda order_id: None),
)


_UNDO = (
    update(_SAGAS)
    .where(_SAGAS.c.order_id == bindparam("order"), _SAGAS.c.undone_at.is_(None))
    .values(state=SagaState.UNDONE, due_at=None, undone_at=bindparam("at"))
    .returning(*(_SAGAS.c[step.done_at] for step in STEPS))
)


def begin(order_id: int, provider: str, done: Sequence[SagaStep], at: datetime) -> None:
    """Record a saga and the steps that are done, in the transaction that does them."""
    steps = {step.done_at: at if step.name in done else None for step in STEPS}
    saga = {
        "order_id": order_id,
        "provider": provider,
        "state": SagaState.RUNNING,
        "due_at": at + RESUME_AFTER,
        **steps,
    }
    db.session.execute(_SAGAS.insert(), saga)


def start(order_id: int, provider: str, payment: PaymentRequest | None, return_url: str) -> None:
    """Do the last step of a new order: start its payment, apply the provider's response and finish the saga. Without a
    payment, nothing is left to pay, or the customer pays later.
    """
    if payment is None:
        run(order_id)
        return
    answer = initiate.call(provider, payment, return_url)

    _apply_answer(order_id, PaymentUpdate(payment.id, answer, Source.START))


@transactional
def _apply_answer(order_id: int, update: PaymentUpdate) -> None:
    updates.apply(update)
    _finish(order_id, with_payment=True)


def run(order_id: int) -> None:
    """Do the remaining steps of a saga. Safe to repeat and to run in several processes at once."""
    saga = db.session.execute(select(Saga.provider, Saga.state).where(Saga.order_id == order_id)).one_or_none()
    db.session.rollback()
    if saga is None or saga.state != SagaState.RUNNING:
        return
    try:
        if updates.nothing_left_to_pay(order_id) or saga.provider == PAY_LATER:
            _finish(order_id, with_payment=False)
            return
        payment = initiate.open_payment(order_id, saga.provider)
        if payment.state == PaymentState.CREATED and payment.created_at + RESUME_AFTER <= clock.now():
            initiate.start(payment.id)
    except Refusal as refusal:
        log.info("saga.not_opened", order_id=order_id, code=refusal.code)
    _finish(order_id, with_payment=True)


def undo(order_id: int) -> None:
    """Undo the steps that are done, last first, in the transaction that ends the order."""
    done = db.session.execute(_UNDO, {"order": order_id, "at": clock.now()}).one_or_none()
    if done is None:
        return
    for step in reversed(STEPS):
        if getattr(done, step.done_at) is not None:
            step.undo(order_id)


def due(limit: int = 200) -> list[int]:
    """Orders whose saga was interrupted."""
    query = select(Saga.order_id).where(Saga.due_at <= clock.now()).order_by(Saga.due_at).limit(limit)
    found = list(db.session.scalars(query))
    db.session.rollback()
    return found


def resume(order_id: int) -> None:
    """Continue an interrupted saga, unless another process has claimed it."""
    if _claim(order_id):
        run(order_id)


@transactional
def _claim(order_id: int) -> bool:
    at = clock.now()
    claim = update(Saga).where(Saga.order_id == order_id, Saga.due_at <= at)
    return bool(changed(claim.values(due_at=at + RESUME_AFTER, tries=Saga.tries + 1)))


@transactional
def _finish(order_id: int, *, with_payment: bool) -> None:
    if with_payment:
        db.session.execute(_FINISH_WITH_PAYMENT, {"order": order_id, "at": clock.now()})
    else:
        db.session.execute(_FINISH, {"order": order_id})
