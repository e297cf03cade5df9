"""Random facts written straight into the tables, and a plain recount of them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from shop.alerts.models import Alert
from shop.core import clock, ids
from shop.core.actor import Actor
from shop.core.db import db, transaction
from shop.orders.models import Order, OrderEvent
from shop.payments.records.models import Capture, Payment, Refund
from shop.payments.records.settlement_models import Dispute
from shop.payments.records.types import Source
from shop.statistics.decide import LIMITS

SPAN = timedelta(days=6)
WHERE = {"email": "ada@example.com", "name": "Ada", "line1": "1 Main St", "city": "Taipei", "country": "TW"}
REASONS = ("captured", "nothing_left_to_pay", "paid_in_time_seen_late", "mismatch_accepted", "time_over", "cancelled")
TARGETS = dict(zip(REASONS, ("PAID", "PAID", "PAID", "PAID", "EXPIRED", "CANCELLED"), strict=True))
NOT_COUNTED = (("refund_failed_later", "PAID"), ("refund_done", "REFUNDED"), ("payment_opened", "WAITING_PAYMENT"))


class Facts:
    """Writes orders with random histories whose events happened within SPAN until now."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._now = clock.now()
        self.events = 0
        self._capture = self._number = 0

    def write(self, events: int) -> None:
        """Write orders until there are this many events."""
        while self.events < events:
            with transaction():
                while self.events < events:
                    self._order()
                    if self.events % 500 < 5:
                        break

    def _at(self) -> datetime:
        if self._random.random() < 0.1:
            return self._now - timedelta(seconds=self._random.uniform(0, 600))
        return self._now - self._random.random() * SPAN

    def _order(self) -> None:
        self._number += 1
        placed, currency = self._at(), self._random.choice(("TWD", "JPY", "USD"))
        names = {"number": f"N{self._number}", "token": f"t{self._number}", "checkout_key": f"k{self._number}"}
        times = {"placed_at": placed, "pay_by": placed + timedelta(minutes=30)}
        total = self._random.choice((1, 100, 3_000_000_000))
        order = Order(state="PAID", currency=currency, total_amount=total, event_seq=0, **names, **times, **WHERE)
        db.session.add(order)
        db.session.flush()
        self._seq = 0
        payments = [self._payment(order, placed) for _ in range(self._random.randrange(3))]
        db.session.flush()
        self._event(order, "order.placed", placed, target="PENDING")
        for _ in range(self._random.randrange(6)):
            self._moved(order, payments)
            for payment in payments:
                self._of_payment(order, payment)
        if self._random.random() < 0.3:
            self._alert()

    def _payment(self, order: Order, placed: datetime) -> Payment:
        at = min(self._now, placed + self._random.choice((0.0, 1.0)) * timedelta(hours=self._random.random()))
        whose = {"id": ids.payment_id(), "order_id": order.id, "provider": self._random.choice(("fakepay", "otherpay"))}
        payment = Payment(**whose, state="CAPTURED", amount=order.total_amount, currency=order.currency, created_at=at)
        db.session.add(payment)
        return payment

    def _moved(self, order: Order, payments: list[Payment]) -> None:
        because = self._random.choice(REASONS)
        target: str | None = TARGETS[because]
        if self._random.random() < 0.3:
            because, target = self._random.choice(NOT_COUNTED)
        more: dict[str, Any] = {"amount": 7} if because == "mismatch_accepted" else {}
        if because == "captured" and payments:
            more["payment"] = self._random.choice(payments).id
        self._event(order, "order.moved", self._at(), source="PENDING", target=target, because=because, **more)

    def _of_payment(self, order: Order, payment: Payment) -> None:
        kind = self._random.choice(("failed", "cancelled", "expired", "declined", "captured", "visited", "refund"))
        at = self._at()
        if kind == "captured":
            self._captured(order, payment, at)
        elif kind == "refund":
            self._refund(order, payment, at)
        else:
            code = {"code": self._random.choice(("insufficient_funds", "lost"))} if kind == "declined" else {}
            self._event(order, f"payment.{kind}", at, payment=payment.id, **code)

    def _captured(self, order: Order, payment: Payment, at: datetime) -> None:
        """One capture that pays at most, as the shop books it."""
        pays = db.session.query(Capture).filter_by(payment_id=payment.id, allocation="pays_order").count() == 0
        allocations = ("pays_order", "late", "duplicate", "mismatch") if pays else ("late", "duplicate")
        allocation = self._random.choice(allocations)
        currency = "USD" if allocation == "mismatch" else order.currency
        money = {"amount": order.total_amount + (allocation == "mismatch"), "currency": currency}
        self._capture += 1
        took = self._random.choice((-1, 0, 0.2, 4, 59, 61, 100_000))
        times = {"captured_at": at - timedelta(seconds=took), "received_at": at}
        what = {"provider": payment.provider, "capture_id": f"c{self._capture}", "payment_id": payment.id}
        capture = Capture(**what, **money, **times, source=self._random.choice(tuple(Source)), allocation=allocation)
        db.session.add(capture)
        db.session.flush()
        method = {"method": self._random.choice(("card", "convenience store", "wallet"))}
        named = method if self._random.random() < 0.8 else {}
        self._event(order, "payment.captured", at, payment=payment.id, **money, allocation=allocation, **named)
        if self._random.random() < 0.3:
            self._dispute(order, payment, capture)

    def _refund(self, order: Order, payment: Payment, at: datetime) -> None:
        is_credit = self._random.random() < 0.3
        whose = {"id": ids.refund_id(), "order_id": order.id, "payment_id": None if is_credit else payment.id}
        money = {"amount": 5, "currency": order.currency}
        rest = {"kind": "customer", "state": "DONE", "requested_by": Actor.operator(), "created_at": at}
        db.session.add(Refund(**whose, destination="store_credit", **money, **rest))
        db.session.flush()
        for state in self._random.sample(("requested", "pending", "done", "rejected"), 2):
            self._event(order, f"refund.{state}", self._at(), refund=whose["id"], **money, why="customer")

    def _dispute(self, order: Order, payment: Payment, capture: Capture) -> None:
        name, money = f"d{capture.id}", {"amount": 3, "currency": order.currency}
        of = {"provider": payment.provider, "dispute_id": name, "capture_id": capture.id, "order_id": order.id}
        rest = {"kind": "chargeback", "state": "WON", "opened_at": self._now, "received_at": self._now}
        db.session.add(Dispute(**of, **money, **rest, source="webhook"))
        db.session.flush()
        for state in self._random.sample(("open", "won", "lost"), 2):
            self._event(order, f"dispute.{state}", self._at(), dispute=name, **money, disputed="chargeback", reason="x")

    def _alert(self) -> None:
        at, rule = self._at(), self._random.choice(("RULE_A", "RULE_D", "OPS_ORPHAN"))
        times = {"detected_at": at, "state": "RESOLVED", "severity": "P2"}
        which = {"rule": rule, "subject": f"s{self._number}", "cause": "x", "source": "poll"}
        db.session.add(Alert(**which, **times, observed={}, expected={}))

    def _event(self, order: Order, kind: str, at: datetime, **data: Any) -> None:
        self._seq += 1
        self.events += 1
        moved = {name: data.pop(name, None) for name in ("source", "target", "because")}
        of = {"order_id": order.id, "seq": self._seq, "kind": kind, "at": at, "actor": Actor.customer()}
        db.session.add(OrderEvent(**of, **moved, data=data))


Counted = tuple[datetime, tuple[Any, ...], int]


def all_rows() -> list[Counted]:
    """(time, (subject, state, currency, provider, method), amount) of every fact, by a look at every row."""
    db.session.rollback()
    found = [*_from_events(), *_from_payments(), *_from_alerts()]
    db.session.rollback()
    return found


def recount(every: list[Counted], first: date, last: date, zone: ZoneInfo) -> dict[tuple[Any, ...], tuple[int, int]]:
    """Number and amount of each figure in these days."""
    numbers: Counter[tuple[Any, ...]] = Counter()
    amounts: Counter[tuple[Any, ...]] = Counter()
    for at, figure, amount in every:
        if first <= at.astimezone(zone).date() <= last:
            numbers[figure] += 1
            amounts[figure] += amount
    return {figure: (number, amounts[figure]) for figure, number in numbers.items()}


def _from_payments() -> Iterator[Counted]:
    for one in db.session.query(Payment):
        yield one.created_at, ("payment", "initiated", one.currency, one.provider, ""), one.amount


def _from_alerts() -> Iterator[Counted]:
    for one in db.session.query(Alert):
        yield one.detected_at, ("alert", one.rule, "", "", ""), 0


def _from_events() -> Iterator[Counted]:
    orders = {one.id: one for one in db.session.query(Order)}
    payments = {one.id: one for one in db.session.query(Payment)}
    refunds = {one.id: one.payment_id for one in db.session.query(Refund)}
    captures = {one.id: one for one in db.session.query(Capture)}
    disputes = {one.dispute_id: captures[one.capture_id].payment_id for one in db.session.query(Dispute)}
    paying = {one.payment_id: one for one in captures.values() if one.allocation == "pays_order"}
    by_order: dict[int, list[Payment]] = {}
    for one in payments.values():
        by_order.setdefault(one.order_id, []).append(one)
    for event in db.session.query(OrderEvent):
        order, data, subject, state = orders[event.order_id], event.data, *event.kind.split(".")
        payment_id = data.get("payment") or refunds.get(data.get("refund")) or disputes.get(data.get("dispute"))
        payment = payments.get(payment_id or "")
        if subject == "order":
            earlier = [one for one in by_order.get(order.id, []) if one.created_at <= event.at]
            payment = payment or max(earlier, key=lambda one: (one.created_at, one.id), default=None)
            if state == "moved" and event.because not in REASONS:
                continue
            state = {"PENDING": "placed"}.get(event.target or "", (event.target or "").lower())
            amount = data.get("amount", order.total_amount)
            yield event.at, ("order", state, order.currency, payment.provider if payment else "", ""), amount
            continue
        provider = payment.provider if payment else ""
        if subject == "payment" and state == "captured":
            method = {"card": "card", "convenience store": "store", "wallet": "other", None: ""}[data.get("method")]
            where = (data["currency"], provider)
            yield event.at, ("capture", data["allocation"], *where, method), data["amount"]
            if data["allocation"] == "pays_order":
                capture = paying[payment_id or ""]
                yield event.at, ("source", str(capture.source), *where, ""), data["amount"]
                took = max(0.0, (event.at - capture.captured_at).total_seconds())
                yield event.at, ("time", f"{min(one for one in LIMITS if one >= took):g}", *where, ""), 0
        elif state == "declined":
            yield event.at, ("decline", data["code"], order.currency, provider, ""), 0
        elif subject == "payment" and state != "visited" and payment:
            yield event.at, ("payment", state, order.currency, provider, ""), payment.amount
        elif subject in ("refund", "dispute") and state != "pending":
            state = "opened" if state == "open" else state
            yield event.at, (subject, state, data["currency"], provider, ""), data["amount"]
