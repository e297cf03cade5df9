"""Merchant with Stripe's own library as the client and as the receiver."""

from __future__ import annotations

from typing import Any

import httpx
import stripe

from tests.acquirer.conftest import Hook, World

SECRET = "whsec_stripe_demo"
RETURN = "http://shop.test/orders/abc/return"
Api = Any  # the library's services; their types want literal dictionaries


class Merchant:
    """A merchant with Stripe's library, pointed at the acquirer."""

    def __init__(self, world: World, base: str) -> None:
        self.world, self.base = world, base
        self.api = self.client()

    def client(self, key: str = "sk_test_demo") -> Api:
        addresses: Any = {"api": self.base}
        return stripe.StripeClient(key, base_addresses=addresses, max_network_retries=0).v1

    @property
    def sessions(self) -> Api:
        return self.api.checkout.sessions

    def open(self, key: str | None = None, **changed: Any) -> Any:
        """Open a Checkout Session."""
        return self.sessions.create(wish(**changed), {"idempotency_key": key} if key else {})

    def approve(self, session: Any, **card: str) -> Any:
        """Pay as the customer; returns the session with its PaymentIntent."""
        self.world.sim("POST", f"/payments/{session.id}/approve", card)
        return self.shown(session)

    def shown(self, session: Any) -> Any:
        return self.sessions.retrieve(session.id, {"expand": ["payment_intent.latest_charge"]})

    def curl(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Call without the library."""
        headers = {"Authorization": "Bearer sk_test_demo"} | more.pop("headers", {})
        return httpx.request(method, f"{self.base}/v1{path}", headers=headers, **more)


def wish(**changed: Any) -> dict[str, Any]:
    """Request that opens a session."""
    item = {"quantity": 2, "price_data": {"currency": "twd", "unit_amount": 60000, "product_data": {"name": "Pencils"}}}
    sent = {
        "mode": "payment",
        "client_reference_id": "P-1",
        "line_items": [item],
        "success_url": RETURN,
        "payment_intent_data": {"metadata": {"reference": "P-1"}},
    }
    return {name: value for name, value in (sent | changed).items() if value is not None}


def read(hook: Hook) -> Any:
    """Parse with Stripe's library, including the signature."""
    return stripe.Webhook.construct_event(hook.body, hook.headers.get("stripe-signature"), SECRET)  # type: ignore[no-untyped-call]


def item(**price: Any) -> dict[str, Any]:
    """A line item; values of None are left out."""
    changed = {"currency": "twd", "unit_amount": 100, "product_data": {"name": "Pen"}} | price
    quantity = changed.pop("quantity", 1)
    return {"price_data": {name: kept for name, kept in changed.items() if kept is not None}, "quantity": quantity}
