"""Customers without a browser: they place orders in a few requests, so that a test can begin at its subject."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

import httpx

from e2e.demo import Demo
from shop.orders import links

PLENTY = "six-cedar-pencils"
"""A product with ample stock."""
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


def new_email() -> str:
    """A new customer's e-mail address: the shop limits the unpaid orders of one address."""
    return f"ada{next(_numbers)}@example.com"


@dataclass(frozen=True)
class Placed:
    """A placed order. `url` is its page, which is also the right to see and pay it."""

    url: str
    number: str

    @property
    def token(self) -> str:
        return self.url.rsplit("/", 1)[1]


class HttpCustomer:
    """A visitor with its own cookie, e-mail address and client address."""

    def __init__(self, demo: Demo) -> None:
        number = next(_numbers)
        self.client = httpx.Client(
            base_url=demo.shop,
            headers={"X-Forwarded-For": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"},
            timeout=30,
        )
        self.email = new_email()
        self._csrf = ""

    def page(self, path: str) -> str:
        """The HTML of a page of the shop."""
        answer = self.client.get(path, follow_redirects=True)
        assert answer.is_success, f"{path}: {answer.status_code}"
        return answer.text

    def post(self, path: str, **form: str) -> httpx.Response:
        """Send a form as a page of the shop does."""
        if not self._csrf:
            self._csrf = _value(self.page(f"/products/{PLENTY}"), "csrf_token")
        return self.client.post(path, data={"csrf_token": self._csrf, **form})

    def add(self, slug: str = PLENTY, quantity: int = 1) -> None:
        """Add a product to the cart."""
        answer = self.post("/cart/lines", sku=_value(self.page(f"/products/{slug}"), "sku"), quantity=str(quantity))
        assert answer.status_code == 303, answer.text

    def place(self, **changed: str) -> Placed:
        """Place an order for the cart."""
        page = self.page("/checkout")
        carried = {name: _value(page, name) for name in ("key", "terms", "shown", "customer")}
        answer = self.post("/checkout", **{**ADDRESS, "email": self.email, **carried, **changed})
        assert answer.status_code == 303, answer.text
        url = str(self.client.base_url.join(answer.headers["Location"]))
        return Placed(url, re.search(r'class="reference">([^<]+)<', self.page(url))[1])  # type: ignore[index]

    def order(self, slug: str = PLENTY, quantity: int = 1, **changed: str) -> Placed:
        """Order one product, without paying."""
        self.add(slug, quantity)
        return self.place(**changed)

    def orders_of(self, email: str) -> list[Placed]:
        """The orders of an e-mail address, newest first, through the mailed link; none while no mail was sent."""
        assert self.post("/orders", email=email).status_code == 303
        mails = self.client.get("/dev/mail.json").json()
        texts = [one["text"] for one in mails if (one["kind"], one["to"]) == ("order_link", email)]
        link = re.search(r"/orders/of/\S+", texts[0]) if texts else None
        rows = re.findall(r'<a href="(/orders/[^"/]+)">([A-Z0-9-]+)</a>', self.page(link[0])) if link else []
        return [Placed(str(self.client.base_url.join(path)), number) for path, number in rows]

    def go_and_pay(self, order: Placed) -> str:
        """Press Pay on the order page; returns the acquirer's id of the payment whose page opens."""
        answer = self.post(f"/orders/{order.token}/pay")
        found = re.search(r"/pay/(pay_[0-9a-f]+)", answer.headers.get("Location", ""))
        assert found, f"no payment page: {answer.status_code} {answer.headers}"
        return found[1]

    def come_back(self, order: Placed) -> None:
        """Return to the shop as the acquirer redirects."""
        answer = self.client.get(f"/return/{links.return_token(order.number, order.token)}")
        assert answer.status_code == 303 and answer.headers["Location"] == f"/orders/{order.token}"


def _value(page: str, name: str) -> str:
    """The value of a hidden field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, f"no field {name}"
    return found[1]
