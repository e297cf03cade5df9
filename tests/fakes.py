"""A small honest acquirer that lives in the test: it obeys the provider's manual and misbehaves only when told to."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from shop.core.money import Money
from shop.payments import states
from shop.payments.provider import (
    BadSignature,
    Capabilities,
    CaptureFact,
    Decline,
    DisputeFact,
    Done,
    Facts,
    Found,
    Malformed,
    NextAction,
    NotFound,
    Notice,
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
)


@dataclass
class Remote:
    """A payment as the acquirer has it. `purpose` is what its buyer reads: the number of the order."""

    reference: str
    money: Money
    state: str = states.OPEN
    captures: list[CaptureFact] = field(default_factory=list)
    decline: Decline | None = None
    end_reason: str | None = None
    show: Show | None = None
    purpose: str = ""


@dataclass
class Acquirer:
    """The other side. `does` holds one-time misbehaviours by operation; `away` makes every call fail.

    `refunds` are what went back, or will, by the reference that was given: capture, money, state; `over_asked` are
    those that were refused because the capture had not that much left. `denied` are payments of which it was told to
    say that it knows nothing. `pause` is called where a call has not had its effect yet, and again where its answer has
    not arrived yet.
    """

    clock: Callable[[], datetime]
    payments: dict[str, Remote] = field(default_factory=dict)
    refunds: dict[str, tuple[str, Money, str]] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    does: dict[str, list[str]] = field(default_factory=dict)
    away: bool = False
    over_asked: list[str] = field(default_factory=list)
    denied: set[str] = field(default_factory=set)
    pause: Callable[[], None] = lambda: None

    def misbehave(self, operation: str, *what: str) -> None:
        """The next calls of `operation` do `what`: lose_request, lose_answer, refuse, unreachable, forget,
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
        """The buyer pays."""
        remote = self.payments[reference]
        remote.state = states.CAPTURED
        number = len(remote.captures) + 1
        remote.captures.append(CaptureFact(f"cap-{reference}-{number}", money or remote.money, at or self.clock()))
        return remote

    def has_left(self, capture_id: str, money: Money) -> bool:
        """Whether that much of a capture has not gone back yet."""
        taken = sum(c.money.amount for p in self.payments.values() for c in p.captures if c.id == capture_id)
        back = sum(
            sent.amount for theirs, sent, state in self.refunds.values() if theirs == capture_id and state != "REJECTED"
        )
        return back + money.amount <= taken

    def decline(self, reference: str, code: str = "insufficient_funds") -> Remote:
        """The buyer's card is declined; the session stays open."""
        remote = self.payments[reference]
        remote.decline = Decline(code, "other_method", f"d{len(self.calls)}")
        return remote

    def end(self, reference: str, state: str, reason: str) -> Remote:
        """The payment ends without money."""
        remote = self.payments[reference]
        remote.state, remote.end_reason = state, reason
        return remote

    def show_code(self, reference: str, lasts: timedelta) -> Remote:
        """The buyer chooses to pay at a counter."""
        remote = self.payments[reference]
        remote.show = Show("store_code", f"CODE{reference[-4:]}", "", self.clock() + lasts)
        return remote

    def refund_becomes(self, refund: str, state: str) -> None:
        """A refund that waited goes through, or does not; one that was done comes back."""
        capture, money, _ = self.refunds[refund]
        self.refunds[refund] = (capture, money, state)

    def webhook(self, reference: str, event: str, **changed: Any) -> tuple[dict[str, str], bytes]:
        """A signed webhook about the payment as it is now; `changed` overrides what it says."""
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
        """A signed webhook about a refund as it is now."""
        capture, _, state = self.refunds[refund]
        owner = next(p.reference for p in self.payments.values() for c in p.captures if c.id == capture)
        return self.webhook(owner, event, state=None, captures=[], decline=None, show=None, refund=[refund, state])


_REFUND_ANSWER: dict[str, Done | Pending | Rejected] = {
    "DONE": Done(),
    "PENDING": Pending(),
    "REJECTED": Rejected("failed"),
}


def _dispute(name: str, capture: str, kind: str, state: str, amount: int, currency: str, at: str) -> DisputeFact:
    return DisputeFact(name, capture, kind, state, Money(amount, currency), datetime.fromisoformat(at))


class FakePay(PaymentProvider):
    """The adapter of the fake acquirer."""

    NAME = "fakepay"
    LABEL = "FakePay"
    MERCHANT = "demo"
    capabilities = Capabilities(frozenset({"TWD", "JPY", "USD"}), start_again=True)

    def __init__(self, acquirer: Acquirer, name: str = "fakepay") -> None:
        super().__init__({}, lambda: None)  # type: ignore[arg-type, return-value]
        self.acquirer, self.NAME, self.LABEL = acquirer, name, name.capitalize()

    def start(
        self, payment: PaymentRequest, return_url: str, webhook_url: str
    ) -> Started | Rejected | Unknown | Unavailable:
        fault = self.acquirer.next_fault("start", payment.id)
        if fault in ("away", "unreachable"):
            return Unavailable("unreachable")
        if fault == "lose_request":
            return Unknown("timeout")
        if fault == "refuse":
            return Rejected("refused")
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
            return Found(self._facts(replace(remote, state=states.CANCELLED, captures=[])))
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
            remote.state, remote.end_reason = states.CANCELLED, "merchant"
        self.acquirer.pause()
        return Done()

    def refund(
        self, payment: PaymentRequest, refund: RefundRequest
    ) -> Done | Pending | Rejected | Unknown | Unavailable:
        fault = self.acquirer.next_fault("refund", refund.id)
        if fault in ("away", "unreachable"):
            return Unavailable("unreachable")
        if fault == "lose_request":
            return Unknown("timeout")
        if fault == "refuse":
            return Rejected("refused")
        if refund.id not in self.acquirer.refunds and not self.acquirer.has_left(refund.capture_id, refund.money):
            self.acquirer.over_asked.append(refund.id)
            return Rejected("nothing_left")
        first = (refund.capture_id, refund.money, "PENDING" if fault == "wait" else "DONE")
        answer = _REFUND_ANSWER[self.acquirer.refunds.setdefault(refund.id, first)[2]]
        self.acquirer.pause()
        return Unknown("timeout") if fault == "lose_answer" else answer

    def query_refund(
        self, payment: PaymentRequest, refund: RefundRequest
    ) -> Done | Pending | Rejected | NotFound | Unavailable:
        if self.acquirer.next_fault("query_refund", refund.id) == "away":
            return Unavailable("away")
        if refund.id not in self.acquirer.refunds:
            return NotFound()
        answer = _REFUND_ANSWER[self.acquirer.refunds[refund.id][2]]
        self.acquirer.pause()
        return answer

    def verify(self, headers: Mapping[str, str], raw: bytes) -> None:
        if headers.get("x-signature") != "good":
            raise BadSignature("not signed")

    def parse(self, headers: Mapping[str, str], raw: bytes) -> list[Notice]:
        body = json.loads(raw)
        captures = tuple(CaptureFact(i, Money(a, c), datetime.fromisoformat(at)) for i, a, c, at in body["captures"])
        decline = Decline(body["decline"], "other_method") if body["decline"] else None
        if body["state"] not in states.STATES and body["state"] is not None:
            raise Malformed("no such state")
        code = body.get("show")
        show = Show("store_code", code[0], "", datetime.fromisoformat(code[1])) if code else None
        facts = Facts(body["state"], captures, decline, show=show, end_reason=body["end_reason"])
        refund = RefundFact(*body["refund"]) if body.get("refund") else None
        dispute = _dispute(*body["dispute"]) if body.get("dispute") else None
        trust = body.get("trust", "signed")
        return [Notice("payment", body["id"], body["reference"], facts, trust, body["merchant"], refund, dispute)]

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
        )
