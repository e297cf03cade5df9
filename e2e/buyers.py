"""Buyers without a browser: they place orders in a few requests, so that a test begins where it becomes interesting."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

import httpx

from e2e.demo import Demo

PLENTY = "six-cedar-pencils"
"""The product of which there is always enough."""
ADDRESS = {
    "email": "ada@example.com",
    "name": "Ada Byron",
    "line1": "1 Quiet Lane",
    "line2": "",
    "city": "Taipei",
    "postcode": "100",
    "country": "TW",
    "method": "kpay",
}
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Placed:
    """An order that was placed. `url` is its page; whoever has it may see and pay it."""

    url: str
    number: str

    @property
    def token(self) -> str:
        return self.url.rsplit("/", 1)[1]


class Buyer:
    """One visitor with a cookie and an address of their own."""

    def __init__(self, demo: Demo) -> None:
        number = next(_numbers)
        self.client = httpx.Client(
            base_url=demo.shop,
            headers={"X-Forwarded-For": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"},
            timeout=30,
        )
        self._csrf = ""

    def page(self, path: str) -> str:
        """The HTML of a page of the shop."""
        answer = self.client.get(path, follow_redirects=True)
        assert answer.is_success, f"{path}: {answer.status_code}"
        return answer.text

    def post(self, path: str, **form: str) -> httpx.Response:
        """Send a form as a page of the shop would."""
        if not self._csrf:
            self._csrf = _value(self.page(f"/products/{PLENTY}"), "csrf_token")
        return self.client.post(path, data={"csrf_token": self._csrf, **form})

    def add(self, slug: str = PLENTY, quantity: int = 1) -> None:
        """Put a product into the cart."""
        answer = self.post("/cart/lines", sku=_value(self.page(f"/products/{slug}"), "sku"), quantity=str(quantity))
        assert answer.status_code == 303, answer.text

    def place(self, **changed: str) -> Placed:
        """Place an order of what is in the cart."""
        key = _value(self.page("/checkout"), "key")
        answer = self.post("/checkout", **{**ADDRESS, "key": key, **changed})
        assert answer.status_code == 303, answer.text
        url = str(self.client.base_url.join(answer.headers["Location"]))
        return Placed(url, re.search(r'class="reference">([^<]+)<', self.page(url))[1])  # type: ignore[index]

    def order(self, slug: str = PLENTY, quantity: int = 1, **changed: str) -> Placed:
        """Buy one thing, up to the payment."""
        self.add(slug, quantity)
        return self.place(**changed)

    def orders_of(self, email: str) -> list[Placed]:
        """The orders that an e-mail address has, newest first, through the link that the demonstration shows."""
        link = re.search(r'href="([^"]*/orders/of/[^"]*)"', self.post("/orders", email=email).text)
        assert link, "no link"
        rows = re.findall(r'<a href="(/orders/[^"/]+)">([A-Z0-9-]+)</a>', self.page(link[1]))
        return [Placed(str(self.client.base_url.join(path)), number) for path, number in rows]

    def go_and_pay(self, order: Placed) -> str:
        """Press Pay on the order's page; returns the acquirer's id of the payment whose page opens."""
        answer = self.post(f"/orders/{order.token}/pay")
        found = re.search(r"/pay/(pay_[0-9a-f]+)", answer.headers.get("Location", ""))
        assert found, f"no payment page: {answer.status_code} {answer.headers}"
        return found[1]

    def come_back(self, order: Placed) -> None:
        """Return to the shop as the acquirer sends one back."""
        assert self.client.get(f"/orders/{order.token}/return").status_code == 303


def _value(page: str, name: str) -> str:
    """The value of a hidden field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, f"no field {name}"
    return found[1]
