"""`bin/demo saga`: order, webhook or poll, and alert, in three steps through the APIs of shop and acquirer."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
import redis
import say
from own_demo import OwnDemo
from say import Step, Trouble

STREAM = "alerts.order_payment_inconsistency.v1"
PATIENCE = 60.0
"""Seconds after which something that should happen counts as missing."""
SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 0.3
"""Seconds between two queries."""
LOST = {"hook": {"drop": 1_000_000}}
TOO_MUCH = {"pay": {"amount_delta": 100}}
"""Faults of the acquirer: no attempt to deliver a webhook arrives; 100 minor units too much are captured."""
SOURCES = {"webhook": "'s webhook", "poll": "'s answer to a query at"}
"""Words of the shop's explanation by the source of a payment update."""
MORE_TRIES = 2
NEW_ORDER = {
    "items": [{"sku": "BOWL-NEST", "quantity": 1}],
    "currency": "TWD",
    "email": "ada@example.com",
    "address": {"name": "Ada Lin", "line1": "12 Yongkang St", "city": "Taipei", "postcode": "106", "country": "TW"},
}
STAFF = {"email": "support@settled.example", "password": "settled-demo"}
Found = TypeVar("Found")


@dataclass(frozen=True)
class Placed:
    """An order and its payment. `total` is in minor units."""

    id: int
    number: str
    token: str
    total: int
    payment: str

    @property
    def bearer(self) -> dict[str, str]:
        return _bearer(self.token)


class Trade:
    """The customer, the acquirer's control API, staff, and a consumer of the stream of alerts."""

    def __init__(self, demo: OwnDemo) -> None:
        self._check = demo.check
        self._shop = httpx.Client(base_url=f"{demo.shop}/api/v1", timeout=30, trust_env=False)
        control = _bearer(demo.control_token)
        self._acquirer = httpx.Client(base_url=f"{demo.acquirer}/_sim", headers=control, timeout=30, trust_env=False)
        self._redis = redis.Redis.from_url(demo.redis_url, decode_responses=True)
        self._staff = _bearer(self._send(self._shop, "POST", "/auth/login", STAFF)["access_token"])

    def place(self) -> Placed:
        """Place an order and open its payment."""
        order = self._send(self._shop, "POST", "/orders", NEW_ORDER, _new_key())
        headers = _new_key() | _bearer(order["token"])
        payment = self._send(self._shop, "POST", "/payments", {"order_id": order["id"], "provider": "kpay"}, headers)
        return Placed(order["id"], order["number"], order["token"], order["total"]["amount"], payment["id"])

    def pay(self, order: Placed, fault: dict[str, Any] | None = None) -> int:
        """Pay at the acquirer, as a customer whose browser does not return to the shop. Returns the captured amount."""
        if fault:
            self._send(self._acquirer, "PUT", f"/payments/{order.payment}/faults", fault)
        record = self._send(self._acquirer, "POST", f"/payments/{order.payment}/approve", {})
        return sum(int(capture["amount"]) for capture in record["captures"])

    def is_paid(self, order: Placed) -> bool:
        state: str = self._send(self._shop, "GET", f"/orders/{order.id}", headers=order.bearer)["state"]
        return state == "PAID"

    def why(self, order: Placed) -> str:
        """The shop's explanation of the state of an order, for staff."""
        return str(self._send(self._shop, "GET", f"/orders/{order.id}/explanation", headers=self._staff)["why"])

    def alert(self, order: Placed) -> dict[str, Any] | None:
        """The alert about an order on the stream, if there is one."""
        entries: Any = self._redis.xrange(STREAM)
        for _, fields in entries:
            payload: dict[str, Any] = json.loads(fields["payload"])
            if payload["orderNo"] == order.number:
                return payload
        return None

    def wait(self, met: Callable[[], Found | None], step: Step, missing: str) -> Found:
        """The first result of `met` that is true. Raises Trouble after PATIENCE seconds, and when a process ends."""
        began, pause = time.monotonic(), SHORTEST_PAUSE
        while not (found := met()):
            self._check()
            waited = time.monotonic() - began
            if waited > PATIENCE:
                raise Trouble(f"{missing} within {PATIENCE:.0f} s.")
            step.now(f"{waited:.0f} s")
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)
        return found

    def _send(
        self, client: httpx.Client, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        answer = client.request(method, path, json=body, headers=headers or {})
        if answer.is_error:
            raise Trouble(f"{method} {answer.url}: {answer.status_code} {answer.text[:500]}")
        found: dict[str, Any] = answer.json()
        return found


def run(demo: OwnDemo) -> dict[str, object]:
    """Show the three steps. Returns what was seen; raises Trouble when something is missing."""
    trade = Trade(demo)
    say.line("\n  1. A customer places an order and pays it at the acquirer.\n")
    order, paid_at = _paid(trade)

    say.line("\n  2. The shop learns of the payment.\n")
    webhook = _settled(trade, order, paid_at, "webhook")
    for _ in range(MORE_TRIES):
        if webhook["by"] == "webhook":
            break
        say.line("     On this busy machine the poll was faster than the webhook. Once more:\n")
        webhook = _settled(trade, *_paid(trade), "webhook")
    say.line("\n     The webhook of the next order is lost. No browser returns either, so the shop has to poll.\n")
    poll = _settled(trade, *_paid(trade, LOST), "poll")

    say.line("\n  3. The acquirer captures another amount than the order's, which raises an alert.\n")
    alert = _alerted(trade, *_paid(trade, TOO_MUCH))
    for seen, wanted in ((webhook, "webhook"), (poll, "poll")):
        if seen["by"] != wanted:
            raise Trouble(f"Order {seen['order']} was paid, but not by {wanted}: {seen['why']}")
    say.line("\n  All three steps were seen.\n")
    return {"webhook": webhook, "poll": poll, "alert": alert}


def _paid(trade: Trade, fault: dict[str, Any] | None = None) -> tuple[Placed, float]:
    """A new order that the customer has paid, and when the payment began."""
    order = trade.place()
    say.line(f"     Order {order.number} over {_money(order.total)} is placed and waits for payment {order.payment}.")
    began = time.monotonic()
    say.line(f"     The acquirer captured {_money(trade.pay(order, fault))}.")
    return order, began


def _settled(trade: Trade, order: Placed, paid_at: float, way: str) -> dict[str, object]:
    """Wait until the order is paid; `by` is how the shop has learned of the payment."""
    step = _step(f"{way}: order {order.number}", paid_at)
    trade.wait(lambda: trade.is_paid(order), step, f"Order {order.number} was not paid")
    seconds = round(time.monotonic() - paid_at, 1)
    step.done("PAID")
    why = trade.why(order)
    say.line(f"     {why}")
    by = next((name for name, words in SOURCES.items() if words in why), "another way")
    return {"order": order.number, "by": by, "seconds": seconds, "why": why}


def _alerted(trade: Trade, order: Placed, paid_at: float) -> dict[str, object]:
    """Wait for the alert about the order. Raises Trouble when there is none, or another one."""
    step = _step(f"alert: order {order.number}", paid_at)
    alert = trade.wait(lambda: trade.alert(order), step, f"There was no alert about order {order.number}")
    seconds = round(time.monotonic() - paid_at, 1)
    if alert["ruleId"] != "RULE_E":
        raise Trouble(f"The alert about order {order.number} is of {alert['ruleId']}, not of RULE_E.")
    step.done(f"{alert['ruleId']}, {alert['severity']}")
    expected, observed = alert["expected"], alert["observed"]
    say.line(f"     Expected {_money(expected['amount'])}, captured {_money(observed['amount'])}. On {STREAM}:")
    say.line("\n".join(f"       {line}" for line in json.dumps(alert, indent=2).splitlines()))
    return {"order": order.number, "seconds": seconds, "stream": STREAM, "event": alert}


def _step(title: str, began: float) -> Step:
    """A step whose time counts from `began`, when the customer paid."""
    step = Step(f"   {title}")
    step.began = began
    return step


def _money(amount: int) -> str:
    """An amount of TWD in hundredths, as the shop writes it."""
    return f"NT${amount // 100:,}" + (f".{amount % 100:02d}" if amount % 100 else "")


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _new_key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid.uuid4())}
