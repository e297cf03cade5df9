"""Steps that bring an order into each status of its page, by actions of the acquirer and by advancing the clock."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from e2e.control import Control
from e2e.customers import HttpCustomer, Placed
from e2e.demo import Demo
from tests.parts.waiting import until

SILENT_ACQUIRER = {"api": [{"op": "query", "do": "500"}, {"op": "cancel", "do": "500"}], "hook": {"drop": 1_000_000}}
"""The acquirer fails queries and cancellations, and sends no webhooks."""
AFTER_TIME = "PT31M"


@dataclass(frozen=True)
class Stage:
    """Context of these steps."""

    demo: Demo
    acquirer: Control
    http_customer: HttpCustomer

    def open(self) -> tuple[Placed, str]:
        """An order whose customer has opened the payment page, and the acquirer's id of the payment."""
        placed = self.http_customer.order()
        return placed, self.http_customer.go_and_pay(placed)


Way = Callable[[Stage], Placed]


def preparing(on: Stage) -> Placed:
    """The acquirer is slow to open the payment; meanwhile the order is found by its e-mail address."""
    on.acquirer.faults(api=[{"op": "start", "do": "lag", "for": "PT3S"}])
    on.http_customer.add()
    threading.Thread(target=on.http_customer.place, kwargs={"email": "slow@example.com"}, daemon=True).start()
    history = HttpCustomer(on.demo)
    return until(lambda: next(iter(history.orders_of("slow@example.com")), None), what="the order")


def choose(on: Stage) -> Placed:
    on.acquirer.faults(api=[{"op": "start", "do": "500"}])  # polled: an earlier order may be opening, too
    placed = on.http_customer.order()
    on.acquirer.faults()
    on.acquirer.turn("PT30S")
    return placed


def unavailable(on: Stage) -> Placed:
    on.acquirer.faults(api=[{"op": "start", "do": "429"}])
    placed = on.http_customer.order()
    on.acquirer.faults()
    return placed


def waiting(on: Stage) -> Placed:
    return on.http_customer.order()


def finish_in_tab(on: Stage) -> Placed:
    return on.open()[0]


def confirming(on: Stage) -> Placed:
    placed, _ = on.open()
    on.acquirer.faults(**SILENT_ACQUIRER)
    on.http_customer.come_back(placed)
    return placed


def still_waiting(on: Stage) -> Placed:
    placed = confirming(on)
    on.acquirer.turn("PT61S")
    return placed


def closing(on: Stage) -> Placed:
    placed = on.http_customer.order()
    on.acquirer.faults(**SILENT_ACQUIRER)
    on.http_customer.post(f"/orders/{placed.token}/cancel")
    return placed


def expiring(on: Stage) -> Placed:
    placed = on.http_customer.order()
    on.acquirer.faults(**SILENT_ACQUIRER)
    on.acquirer.turn(AFTER_TIME)
    return placed


def acts(action: str, **details: str) -> Way:
    """The customer does `action` on the payment page."""

    def way(on: Stage) -> Placed:
        placed, payment = on.open()
        on.acquirer.act(payment, action, **details)
        return placed

    return way


def pays(**fault: object) -> Way:
    """The customer pays, and the acquirer makes this mistake."""

    def way(on: Stage) -> Placed:
        placed, payment = on.open()
        if fault:
            on.acquirer.faults_of(payment, pay=fault)
        on.acquirer.approve(payment)
        return placed

    return way


def session_ended(on: Stage) -> Placed:
    """The acquirer's clock is ahead for a moment: its page has expired while there is still time to pay."""
    placed = on.http_customer.order()
    on.demo.stop("web")
    on.acquirer.turn_alone(AFTER_TIME)
    on.demo.start_again("web")
    on.acquirer.turn("PT1M")
    return placed


def expired(on: Stage) -> Placed:
    placed = on.http_customer.order()
    on.acquirer.turn(AFTER_TIME)
    return placed


def cancelled(on: Stage) -> Placed:
    placed = on.http_customer.order()
    on.http_customer.post(f"/orders/{placed.token}/cancel")
    return placed


def late(on: Stage) -> Placed:
    placed, payment = on.open()
    on.acquirer.faults_of(payment, pay={"late_after_expiry": "PT10M"})
    on.acquirer.approve(payment)
    on.acquirer.turn(AFTER_TIME)
    until(lambda: STATUSES["expired"][1] in on.http_customer.page(placed.url), what="the end of the order")
    on.acquirer.turn("PT11M")
    return placed


STATUSES: dict[str, tuple[Way, str]] = {
    "preparing": (preparing, "Preparing your payment"),
    "choose": (choose, "Pay to complete your order"),
    "unavailable": (unavailable, "We cannot reach KPay right now"),
    "waiting": (waiting, "Pay to complete your order"),
    "finish_in_tab": (finish_in_tab, "Finish paying in the other tab"),
    "confirming": (confirming, "We are confirming your payment"),
    "still_waiting": (still_waiting, "Still waiting for confirmation"),
    "closing": (closing, "We are cancelling your order"),
    "expiring": (expiring, "Checking for a last payment"),
    "paid": (pays(), "Payment received"),
    "declined": (acts("decline", code="insufficient_funds"), "Your card was declined"),
    "failed": (acts("fail"), "The payment did not go through"),
    "session_ended": (session_ended, "The payment page has timed out"),
    "cancelled_there": (acts("cancel"), "You cancelled the payment"),
    "expired": (expired, "Your order has expired"),
    "cancelled": (cancelled, "Your order is cancelled"),
    "late": (late, "We received your payment late"),
    "review": (pays(amount_delta=100), "We are checking your payment"),
    "twice": (pays(double=True), "We received two payments"),
}
"""Every status that card payments can lead to: its steps, and the heading of its page."""
