"""External half of a generated history: acquirers, which capture and refund at any time, and the network, which
loses, duplicates, delays and forges webhooks.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from shop.core.money import Money
from shop.payments.providers import registry
from shop.payments.providers.types import PaymentState
from shop.payments.webhooks import inbox
from tests.chaos.world import PROVIDERS, World
from tests.fakes import Remote

SignedWebhook = tuple[str, dict[str, str], bytes]
"""A webhook: provider, headers, body."""

MOST_ORDERS = 4
which = st.integers(0, MOST_ORDERS - 1)
places = st.sampled_from([0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12])
"""The point at which an actor is suspended; 0 is never."""
delivery = st.sampled_from(["now", "later", "never"])
providers = st.sampled_from(PROVIDERS)
FAULTS = [("start", f) for f in ("lose_answer", "lose_request", "refuse", "unreachable")]
FAULTS += [("cancel", "lose_answer"), ("cancel", "lose_request")]
FAULTS += [("query", f) for f in ("busy", "forget", "forget_money")]
FAULTS += [("query_refund", "away"), ("query_refund", "away")]
FAULTS += [("refund", f) for f in ("lose_answer", "lose_request", "refuse", "unreachable", "wait", "wait")]
some_orders = precondition(lambda history: history.orders)
some_webhooks = precondition(lambda history: history.webhooks)


class Beyond(RuleBasedStateMachine):
    """External events. `world` is the test's environment."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.world.begin()
        self.acquirer = self.world.acquirer
        self.orders: list[dict[str, Any]] = []
        self.webhooks: list[SignedWebhook] = []
        self.written = 0
        self.set_back = False

    # --- at the acquirer ---

    @some_orders
    @rule(order=which, delivery=delivery, places=places)
    def pay(self, order: int, delivery: str, places: int) -> None:
        for remote in self._there(order, PaymentState.OPEN, PaymentState.AUTHORIZED):
            self.acquirer.capture(remote.reference)
            self._notify(remote, delivery, places)

    @some_orders
    @rule(order=which, delivery=delivery)
    def authorise(self, order: int, delivery: str) -> None:
        for remote in self._there(order, PaymentState.OPEN):
            remote.state = PaymentState.AUTHORIZED
            self._notify(remote, delivery)

    @some_orders
    @rule(order=which, delivery=delivery)
    def pay_although_closed(self, order: int, delivery: str) -> None:
        for remote in self._there(order):
            if not remote.captures:
                self.acquirer.capture(remote.reference)
                self._notify(remote, delivery)

    @some_orders
    @rule(order=which, ago=st.sampled_from([600, 2400]), delivery=delivery)
    def have_been_paid(self, order: int, ago: int, delivery: str) -> None:
        """The acquirer reports only now that it captured the money long ago."""
        for remote in self._there(order):
            if not remote.captures:
                self.acquirer.capture(remote.reference, at=self.world.now - timedelta(seconds=ago))
                self._notify(remote, delivery)

    @some_orders
    @rule(order=which, delivery=delivery)
    def capture_twice(self, order: int, delivery: str) -> None:
        for remote in self._there(order):
            if len(remote.captures) == 1:
                self.acquirer.capture(remote.reference)
                self._notify(remote, delivery)

    @some_orders
    @rule(order=which, wrong=st.sampled_from([(-1, "TWD"), (1, "TWD"), (5000, "TWD"), (0, "JPY")]), delivery=delivery)
    def capture_another_amount(self, order: int, wrong: tuple[int, str], delivery: str) -> None:
        difference, currency = wrong
        for remote in self._there(order, PaymentState.OPEN, PaymentState.AUTHORIZED):
            self.acquirer.capture(remote.reference, money=Money(remote.money.amount + difference, currency))
            self._notify(remote, delivery)

    @some_orders
    @rule(order=which, end=st.sampled_from(["FAILED", "CANCELLED", "EXPIRED"]), delivery=delivery)
    def give_up(self, order: int, end: str, delivery: str) -> None:
        for remote in self._there(order, PaymentState.OPEN, PaymentState.AUTHORIZED):
            self.acquirer.end(remote.reference, end, "customer")
            self._notify(remote, delivery)

    @some_orders
    @rule(order=which, delivery=delivery)
    def decline(self, order: int, delivery: str) -> None:
        for remote in self._there(order, PaymentState.OPEN):
            self.acquirer.decline(remote.reference)
            self._notify(remote, delivery)

    @some_orders
    @rule(order=which, hours=st.sampled_from([1, 72, 200]), delivery=delivery)
    def choose_a_counter(self, order: int, hours: int, delivery: str) -> None:
        for remote in self._there(order, PaymentState.OPEN):
            self.acquirer.show_code(remote.reference, timedelta(hours=hours))
            self._notify(remote, delivery)

    @precondition(lambda history: history.acquirer.refunds)
    @rule(refund=which, state=st.sampled_from(["DONE", "REJECTED"]), delivery=delivery, places=places)
    def decide_about_a_refund(self, refund: int, state: str, delivery: str, places: int) -> None:
        """A pending refund succeeds or fails; a completed one fails later."""
        names = sorted(self.acquirer.refunds)
        name = names[refund % len(names)]
        if self.acquirer.refunds[name][2] != "REJECTED":
            self.acquirer.refund_becomes(name, state)
            self._send(self._about_refund(name), delivery, places)

    # --- the network ---

    def _notify(self, remote: Remote, delivery: str, places: int = 0) -> None:
        self._send(self._about(remote), delivery, places)

    def _send(self, letter: SignedWebhook, delivery: str, places: int = 0) -> None:
        if delivery == "now":
            self._deliver(letter, places)
        elif delivery == "later":
            self.webhooks.append(letter)

    def _about(self, remote: Remote, **changed: Any) -> SignedWebhook:
        self.written += 1
        row = self.world.rows("SELECT provider FROM payments WHERE id = :id", id=remote.reference)
        provider = row[0]["provider"] if row else "fakepay"
        return provider, *self.acquirer.webhook(remote.reference, f"evt-{self.written}", **changed)

    def _about_refund(self, name: str) -> SignedWebhook:
        self.written += 1
        capture = self.acquirer.refunds[name][0]
        owner = next(p.reference for p in self.acquirer.payments.values() for c in p.captures if c.id == capture)
        row = self.world.rows("SELECT provider FROM payments WHERE id = :id", id=owner)
        provider = row[0]["provider"] if row else "fakepay"
        return provider, *self.acquirer.refund_webhook(name, f"evt-{self.written}")

    def _deliver(self, letter: SignedWebhook, places: int = 0) -> None:
        name, headers, body = letter
        provider = registry.get(name)
        assert provider
        self._do(lambda: inbox.receive(provider, headers, body), places)

    @some_orders
    @rule(order=which, delivery=delivery)
    def write(self, order: int, delivery: str) -> None:
        """The acquirer sends a webhook about the present state."""
        for remote in self._there(order):
            self._notify(remote, delivery)

    @some_webhooks
    @rule(letter=st.integers(0, 9), places=places)
    def deliver(self, letter: int, places: int) -> None:
        """Late, repeated, or in another order."""
        self._deliver(self.webhooks[letter % len(self.webhooks)], places)

    @some_orders
    @rule(all_pay=st.booleans(), places=places)
    def write_of_everything_at_once(self, all_pay: bool, places: int) -> None:
        """Webhooks about each payment, all at the same moment, perhaps the one in which all customers pay: a busy
        process
        applies them together.
        """
        latest = list(self.acquirer.payments.values())[-6:]
        for remote in latest:
            if all_pay and remote.state == PaymentState.OPEN:
                self.acquirer.capture(remote.reference)
        webhooks = [self._about(remote) for remote in latest]
        self._do(lambda: _arrive(webhooks), places)

    @some_orders
    @rule(order=which, forgery=st.sampled_from(["forged", "other_merchant", "hint", "same_name"]))
    def write_what_proves_nothing(self, order: int, forgery: str) -> None:
        """A forged webhook that reports a capture; it may have no effect."""
        for remote in self._there(order):
            money = [["cap-false", remote.money.amount, remote.money.currency, self.world.now.isoformat()]]
            false = {"state": PaymentState.CAPTURED, "captures": money}
            if forgery == "forged":
                name, _, body = self._about(remote, **false)
                self._deliver((name, {"x-signature": "bad"}, body))
            elif forgery == "other_merchant":
                self._deliver(self._about(remote, **false, merchant="somebody"))
            elif forgery == "hint":
                self._deliver(self._about(remote, **false, trust="unsigned"))
            elif self.webhooks:
                name = self.webhooks[-1][0]
                self._deliver(self.webhooks[-1])
                headers, body = self.acquirer.webhook(remote.reference, f"evt-{self.written}", **false)
                used = self.world.rows(
                    "SELECT 1 FROM webhook_events WHERE dedupe_key = :key AND provider = :name",
                    key=f"evt-{self.written}",
                    name=name,
                )
                if used:
                    self._deliver((name, headers, body))

    @rule(provider=providers)
    def notify_of_the_next_payment(self, provider: str) -> None:
        """A webhook about a payment that the shop has not stored yet."""
        name = self.world.next_payment()
        self.written += 1
        headers, body = self.acquirer.webhook(name, f"evt-{self.written}", state=PaymentState.OPEN)
        self._deliver((provider, headers, body))

    @rule(fault=st.sampled_from(FAULTS))
    def misbehave(self, fault: tuple[str, str]) -> None:
        self.acquirer.misbehave(*fault)

    @rule()
    def leave(self) -> None:
        self.acquirer.away = True

    @rule()
    def come_back(self) -> None:
        self.acquirer.away = False

    # --- helpers ---

    def _do(self, do: Callable[[], Any], places: int = 0) -> None:
        self.world.do(do, places)
        self._see_orders()

    def _see_orders(self) -> None:
        self.orders = self.world.rows("SELECT id, number FROM orders ORDER BY id")

    def _order(self, number: int) -> dict[str, Any]:
        return self.orders[number % len(self.orders)]

    def _there(self, number: int, *in_states: str) -> list[Remote]:
        """The acquirer's payments of an order, whatever the shop knows of them."""
        purpose = f"Settled order {self._order(number)['number']}"
        found = [r for r in self.acquirer.payments.values() if r.purpose == purpose]
        return [r for r in found if not in_states or r.state in in_states]

    def _refundable(self, order_id: int) -> dict[str, Any] | None:
        sql = """
            SELECT c.id, c.amount, c.currency FROM captures c JOIN payments p ON p.id = c.payment_id
            WHERE p.order_id = :id
            ORDER BY c.allocation = 'pays_order' DESC, c.amount - c.refunded_amount DESC, c.id LIMIT 1
        """
        return next(iter(self.world.rows(sql, id=order_id)), None)


def _arrive(webhooks: list[SignedWebhook]) -> None:
    for name, headers, body in webhooks:
        provider = registry.get(name)
        assert provider
        inbox.receive(provider, headers, body)
