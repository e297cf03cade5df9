"""Fake acquirer in the test's process: it follows the provider interface and fails only on request."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from shop.core.money import Money
from shop.payments.providers.capabilities import Capabilities
from shop.payments.providers.interface import (
    BadSignature,
    CaptureFact,
    Decline,
    DisputeFact,
    Done,
    Facts,
    Found,
    Malformed,
    NextAction,
    NotFound,
    PaymentProvider,
    PaymentRequest,
    Pending,
    RefundFact,
    RefundRequest,
    Rejected,
    SettlementLine,
    Show,
    Started,
    Unavailable,
    Unknown,
    WebhookEvent,
)
from shop.payments.providers.types import PaymentState
from shop.payments.records import states


@dataclass
class Remote:
    """A payment at the acquirer. `purpose` is the order number that its customer reads."""

    reference: str
    money: Money
    state: str = PaymentState.OPEN
    captures: list[CaptureFact] = field(default_factory=list)
    decline: Decline | None = None
    end_reason: str | None = None
    show: Show | None = None
    purpose: str = ""


@dataclass
class Acquirer:
    """The fake acquirer. `does` holds one-time failures by operation; `away` makes every call fail.

    `refunds` are refunds made or pending, by reference: capture, money, state; `over_asked` are those refused because
    the
    capture's remaining amount was too small, even without refunds made at the acquirer.
    `done_at` is the time of refunds made at the acquirer. `denied` are payments that it has to deny
    knowing. `pause` is called before a call has its effect, and again before its response arrives.
    """

    clock: Callable[[], datetime]
    payments: dict[str, Remote] = field(default_factory=dict)
    refunds: dict[str, tuple[str, Money, str]] = field(default_factory=dict)
    done_at: dict[str, datetime] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    does: dict[str, list[str]] = field(default_factory=dict)
    away: bool = False
    excessive_refunds: list[str] = field(default_factory=list)
    denied: set[str] = field(default_factory=set)
    pause: Callable[[], None] = lambda: None

    def misbehave(self, operation: str, *what: str) -> None:
        """Make the next calls of `operation` do `what`: lose_request, lose_answer, refuse, unreachable, forget,
        forget_money, busy, wait, crash.
        """
        self.does.setdefault(operation, []).extend(what)

    def next_fault(self, operation: str, reference: str) -> str | None:
        self.pause()
        self.calls.append((operation, reference))
        if self.away:
            return "away"
        planned = self.does.get(operation)
        fault = planned.pop(0) if planned else None
        if fault == "crash":
            raise RuntimeError("the adapter has a mistake")
        return fault

    def capture(self, reference: str, *, money: Money | None = None, at: datetime | None = None) -> Remote:
        """Pay as the customer."""
        remote = self.payments[reference]
        remote.state = PaymentState.CAPTURED
        number = len(remote.captures) + 1
        remote.captures.append(CaptureFact(f"cap-{reference}-{number}", money or remote.money, at or self.clock()))
        return remote

    def has_left(self, capture_id: str, money: Money, *, but_for_others: bool = False) -> bool:
        """True when that much of a capture is not refunded yet; `but_for_others`: not counting refunds made at the
        acquirer.
        """
        taken = sum(c.money.amount for p in self.payments.values() for c in p.captures if c.id == capture_id)
        back = sum(
            sent.amount
            for name, (theirs, sent, state) in self.refunds.items()
            if theirs == capture_id and state != "REJECTED" and not (but_for_others and name.startswith("X"))
        )
        return back + money.amount <= taken

    def decline(self, reference: str, code: str = "insufficient_funds") -> Remote:
        """Decline the customer's card; the session stays open."""
        remote = self.payments[reference]
        remote.decline = Decline(code, "other_method", f"d{len(self.calls)}")
        return remote

    def end(self, reference: str, state: str, reason: str) -> Remote:
        """End the payment unpaid."""
        remote = self.payments[reference]
        remote.state, remote.end_reason = state, reason
        return remote

    def show_code(self, reference: str, lasts: timedelta) -> Remote:
        """Choose a store code, as the customer."""
        remote = self.payments[reference]
        remote.show = Show("store_code", f"CODE{reference[-4:]}", "", self.clock() + lasts)
        return remote

    def refund_becomes(self, refund: str, state: str) -> None:
        """Complete or fail a pending refund; a completed one may fail later."""
        capture, money, _ = self.refunds[refund]
        self.refunds[refund] = (capture, money, state)
        if refund.startswith("X") and state == "DONE":
            self.done_at[refund] = self.clock()

    def refund_outside(self, capture_id: str, money: Money, *, state: str = "DONE", name: str = "") -> str:
        """Make a refund in the acquirer's dashboard; returns its id there."""
        number = sum(one.startswith("X") for one in self.refunds) + 1
        name = name or f"X{number}"
        self.refunds[name] = (capture_id, money, state)
        self.done_at |= {name: self.clock()} if state == "DONE" else {}
        return name

    def refund_facts(self, remote: Remote) -> tuple[RefundFact, ...]:
        """All refunds of a payment, as a query lists them."""
        mine = {capture.id for capture in remote.captures}
        return tuple(
            RefundFact(name, state, id=name, money=money, capture_id=capture, payment=remote.reference)
            for name, (capture, money, state) in self.refunds.items()
            if capture in mine
        )

    def webhook(self, reference: str, event: str, **changed: Any) -> tuple[dict[str, str], bytes]:
        """A signed webhook about the payment's present state; `changed` overrides its fields."""
        remote = self.payments.get(reference) or Remote(reference, Money(1, "TWD"))
        body = {
            "id": event,
            "reference": remote.reference,
            "state": remote.state,
            "merchant": "demo",
            "captures": [[c.id, c.money.amount, c.money.currency, c.at.isoformat()] for c in remote.captures],
            "decline": remote.decline and remote.decline.code,
            "end_reason": remote.end_reason,
            "show": remote.show and [remote.show.code, remote.show.deadline.isoformat()],
        } | changed
        return {"x-signature": "good"}, json.dumps(body).encode()

    def refund_webhook(self, refund: str, event: str) -> tuple[dict[str, str], bytes]:
        """A signed webhook about a refund's present state."""
        capture, money, state = self.refunds[refund]
        owner = next(p.reference for p in self.payments.values() for c in p.captures if c.id == capture)
        fields = [refund, state, refund, money.amount, money.currency, capture, owner]
        return self.webhook(owner, event, state=None, captures=[], decline=None, show=None, refund=fields)


_REFUND_ANSWER: dict[str, Done | Pending | Rejected] = {
    "DONE": Done(),
    "PENDING": Pending(),
    "REJECTED": Rejected("failed"),
}
_NOT_DONE: dict[str, Unavailable | Unknown | Rejected] = {
    "away": Unavailable("unreachable"),
    "unreachable": Unavailable("unreachable"),
    "lose_request": Unknown("timeout"),
    "refuse": Rejected("refused"),
}
"""Answers to faults that keep the acquirer from opening a payment or refunding it."""


def _dispute(name: str, capture: str, kind: str, state: str, amount: int, currency: str, at: str) -> DisputeFact:
    return DisputeFact(name, capture, kind, state, Money(amount, currency), datetime.fromisoformat(at))


def _refund(name: str, state: str, theirs: str, amount: int, currency: str, capture: str, payment: str) -> RefundFact:
    return RefundFact(name, state, theirs, Money(amount, currency), capture, payment)


class FakePay(PaymentProvider):
    """The adapter of the fake acquirer."""

    NAME = "fakepay"
    LABEL = "FakePay"
    MERCHANT = "demo"
    capabilities = Capabilities(frozenset({"TWD", "JPY", "USD"}), start_again=True)

    def __init__(self, acquirer: Acquirer, name: str = "fakepay") -> None:
        where = {"ACQUIRER_PUBLIC_URL": "https://fakepay.example"}
        super().__init__(where, lambda: None)  # type: ignore[arg-type, return-value]
        self.acquirer, self.NAME, self.LABEL = acquirer, name, name.capitalize()

    def start(
        self, payment: PaymentRequest, return_url: str, webhook_url: str
    ) -> Started | Rejected | Unknown | Unavailable:
        fault = self.acquirer.next_fault("start", payment.id)
        if fault in _NOT_DONE:
            return _NOT_DONE[fault]
        remote = self.acquirer.payments.setdefault(payment.id, Remote(payment.id, payment.money))
        remote.purpose = payment.description
        self.acquirer.pause()
        if fault == "lose_answer":
            return Unknown("timeout")
        url = f"https://fakepay.example/pay/{payment.id}"
        return Started(NextAction("redirect", url), payment.pay_by, {"id": f"remote-{payment.id}"})

    def query(self, payment: PaymentRequest) -> Found | NotFound | Unavailable:
        fault = self.acquirer.next_fault("query", payment.id)
        if fault in ("away", "busy"):
            return Unavailable(fault, retry_after=60 if fault == "busy" else None)
        remote = self.acquirer.payments.get(payment.id)
        if fault == "forget":
            self.acquirer.denied.add(payment.id)
            return NotFound()
        if remote is None:
            return NotFound()
        if fault == "forget_money" and remote.captures:
            return Found(self._facts(replace(remote, state=PaymentState.CANCELLED, captures=[])))
        facts = self._facts(remote)
        self.acquirer.pause()
        return Found(facts)

    def cancel(self, payment: PaymentRequest) -> Done | Pending | Rejected | Unknown:
        fault = self.acquirer.next_fault("cancel", payment.id)
        if fault == "away":
            return Unknown("away")
        remote = self.acquirer.payments.get(payment.id)
        if remote and remote.captures:
            return Rejected("captured")
        if remote and remote.state in states.STILL_OPEN and fault != "lose_request":
            remote.state, remote.end_reason = PaymentState.CANCELLED, "merchant"
        self.acquirer.pause()
        return Done()

    def refund(
        self, payment: PaymentRequest, refund: RefundRequest
    ) -> Done | Pending | Rejected | Unknown | Unavailable:
        fault = self.acquirer.next_fault("refund", refund.id)
        if fault in _NOT_DONE:
            return _NOT_DONE[fault]
        if refund.id not in self.acquirer.refunds and not self.acquirer.has_left(refund.capture_id, refund.money):
            if not self.acquirer.has_left(refund.capture_id, refund.money, but_for_others=True):
                self.acquirer.excessive_refunds.append(refund.id)
            return Rejected("nothing_left")
        if self._is_anothers(refund):
            return Rejected("reference_reused")
        first = (refund.capture_id, refund.money, "PENDING" if fault == "wait" else "DONE")
        answer = _REFUND_ANSWER[self.acquirer.refunds.setdefault(refund.id, first)[2]]
        self.acquirer.pause()
        return Unknown("timeout") if fault == "lose_answer" else answer

    def query_refund(
        self, payment: PaymentRequest, refund: RefundRequest
    ) -> Done | Pending | Rejected | NotFound | Unavailable:
        if self.acquirer.next_fault("query_refund", refund.id) == "away":
            return Unavailable("away")
        if refund.id not in self.acquirer.refunds or self._is_anothers(refund):
            return NotFound()
        answer = _REFUND_ANSWER[self.acquirer.refunds[refund.id][2]]
        self.acquirer.pause()
        return answer

    def _is_anothers(self, refund: RefundRequest) -> bool:
        """Return whether the reference of a refund belongs to another refund there."""
        known = self.acquirer.refunds.get(refund.id)
        return known is not None and known[:2] != (refund.capture_id, refund.money)

    def verify(self, headers: Mapping[str, str], raw: bytes) -> None:
        if headers.get("x-signature") != "good":
            raise BadSignature("not signed")

    def parse(self, headers: Mapping[str, str], raw: bytes) -> list[WebhookEvent]:
        body = json.loads(raw)
        captures = tuple(CaptureFact(i, Money(a, c), datetime.fromisoformat(at)) for i, a, c, at in body["captures"])
        decline = Decline(body["decline"], "other_method") if body["decline"] else None
        if body["state"] not in states.STATES and body["state"] is not None:
            raise Malformed("no such state")
        code = body.get("show")
        show = Show("store_code", code[0], "", datetime.fromisoformat(code[1])) if code else None
        facts = Facts(body["state"], captures, decline=decline, show=show, end_reason=body["end_reason"])
        refund = _refund(*body["refund"]) if body.get("refund") else None
        dispute = _dispute(*body["dispute"]) if body.get("dispute") else None
        trust = body.get("trust", "signed")
        return [WebhookEvent("payment", body["id"], body["reference"], facts, trust, body["merchant"], refund, dispute)]

    def parse_settlement(self, raw: bytes) -> list[SettlementLine]:
        return [
            SettlementLine(
                name, kind, about, Money(a, c), Money(fee, c), datetime.fromisoformat(at), reference, capture
            )
            for name, kind, about, reference, capture, a, fee, c, at in json.loads(raw)
        ]

    def ack(self, outcome: str) -> tuple[int, str]:
        return {"bad_signature": 401, "malformed": 400, "key_reused": 409, "unavailable": 503}.get(
            outcome, 200
        ), outcome

    def _facts(self, remote: Remote) -> Facts:
        return Facts(
            remote.state,
            tuple(remote.captures),
            remote.decline,
            show=remote.show,
            action=NextAction("redirect", f"https://fakepay.example/pay/{remote.reference}"),
            end_reason=remote.end_reason,
            provider_data={"id": f"remote-{remote.reference}"},
            refunds=self.acquirer.refund_facts(remote),
        )
