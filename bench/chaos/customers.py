"""Steps of a customer's visit as generators: each sends requests and yields the pause in seconds until it resumes.

Results acknowledged by a response are recorded and checked at the end. No response, or a 5xx, acknowledges nothing: the
same form is sent again.
"""

from __future__ import annotations

import html
import itertools
import json
import random
import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from bench.chaos.browser import Answer, Browser, NoAnswer, Pool

Pauses = Iterator[float]
Response = Answer | None
"""None: no response, the result is unknown."""
GOOD, DECLINED, LATE = "4242424242424242", "4000000000009995", "4000009100000036"
ADDRESS = {
    "name": "Ada Byron",
    "line1": "1 Quiet Lane",
    "city": "Taipei",
    "postcode": "100",
}
CODES = ("WELCOME10", "FEW", "RICH")
"""Discount codes of the run: the demo's, one with few uses, one with a budget (`environment`)."""
PROVIDERS = {"TWD": ("kpay", "stripe", "tpay"), "JPY": ("kpay", "stripe", "paypay"), "USD": ("kpay", "stripe")}
PATIENCE = 40
"""Attempts of one step before a customer gives up."""
PASSWORD = "a quiet lane in Taipei"  # noqa: S105 - of test accounts
MAY_STILL_OPEN = frozenset(
    {"preparing", "confirming", "still_waiting", "waiting", "finish_in_tab", "declined", "choose", "closing"}
    | {"unavailable"}
)
"""States of the order page in which a payment page may still open; in any other state a customer stops pressing Pay."""
_addresses = itertools.count(1)


class Context(Protocol):
    """Services for visits. `concurrently` makes several calls at the same time."""

    shop: str
    acquirer: str
    control: str
    goods: list[str]
    pay_within: float
    pool: Pool

    def browser(self, currency: str, customer: bool) -> Browser: ...
    def promise(self, kind: str, **what: object) -> None: ...
    def count(self, what: str) -> None: ...
    def concurrently(self, *calls: Callable[[], Response]) -> list[Response]: ...


@dataclass
class Visit:
    """One customer with one order. All random choices come from `rng`."""

    context: Context
    number: int
    seed: int
    rng: random.Random = field(init=False)
    browser: Browser = field(init=False)
    address: str = field(init=False)
    token: str = ""
    payment: str = ""
    return_url: str = ""
    """The return address to which the acquirer redirected the customer, once it has."""

    def __post_init__(self) -> None:
        self.rng = random.Random(f"{self.seed}:{self.number}")
        at = next(_addresses)
        self.address = f"10.{at >> 16 & 255}.{at >> 8 & 255}.{at & 255}"
        self.currency = self.rng.choices(("TWD", "JPY", "USD"), (70, 15, 15))[0]
        self.provider = self.rng.choices(PROVIDERS[self.currency], (88, 8, 4)[: len(PROVIDERS[self.currency])])[0]
        self.sku = self.rng.choice(self.context.goods)
        self.customer = self.chance(8)
        self.browser = self.context.browser(self.currency, self.customer)

    def chance(self, percent: float) -> bool:
        return self.rng.random() * 100 < percent

    @property
    def email(self) -> str:
        """A separate address per visit: the shop limits the unpaid orders of one address."""
        return f"ada-{self.number}@example.com"

    # --- single requests ---

    def get(self, path: str) -> Response:
        return self._send("GET", path)

    def post(self, path: str, **form: str) -> Response:
        return self._send("POST", path, form)

    def control(self, method: str, path: str, what: dict[str, Any]) -> Response:
        """Call the acquirer's control API, which acts for banks and arms faults."""
        headers = {"Authorization": f"Bearer {self.context.control}", "Content-Type": "application/json"}
        return self._answered(
            False, lambda: self.context.pool.send(self.context.acquirer, method, path, json.dumps(what), headers)[0]
        )

    def _send(self, method: str, path: str, form: dict[str, str] | None = None) -> Response:
        """Send a request as a browser does from one of the site's own pages."""
        to_shop = path.startswith("/")
        site = self.context.shop if to_shop else self.context.acquirer
        path = path.removeprefix(site)
        headers = {"Origin": site, "Sec-Fetch-Site": "same-origin", "X-Forwarded-For": self.address}
        response = self._answered(to_shop, lambda: self.browser.send(site, method, path, form, headers))
        if response is not None and response.status == 500:
            self.context.promise("broken", error=f"{method} {path}: 500")
        return response if response is None or response.status < 500 else None

    def _answered(self, from_shop: bool, send: Callable[[], Answer]) -> Response:
        try:
            answer = send()
        except NoAnswer:
            self.context.count("no answer")
            return None
        if answer.status < 500 and answer.status != 429:
            return answer
        self.context.count(f"{'the shop' if from_shop else 'the acquirer'} answered {answer.status}")
        return answer if from_shop and answer.status == 500 else None

    def until_answered(self, request: Callable[[], Response], most: int = PATIENCE) -> Generator[float, None, Response]:
        """Repeat the request until there is a response; returns it, or None after `most` attempts."""
        for tries in range(most):
            answer = request()
            if answer is not None:
                return answer
            yield min(0.2 + 0.1 * tries, 1.0)
        self.context.count("customers who gave up")
        return None


# --- up to the order --------------------------------------------------------------------------------------------------


def place(visit: Visit) -> Pauses:
    """Fill the cart and submit the checkout until an order exists; its token is then `visit.token`."""
    if visit.customer and not visit.browser.account:
        yield from _make_account(visit)
    for _ in range(6):
        if visit.browser.currency != visit.currency:
            yield from visit.until_answered(lambda: visit.post("/cart/currency", currency=visit.currency))
        added = yield from visit.until_answered(lambda: visit.post("/cart/lines", sku=visit.sku, quantity="1"))
        page = (yield from visit.until_answered(lambda: visit.get("/checkout"))) if _is_done(added) else None
        if page is not None and 'name="key"' in page.text and (yield from _send_checkout(visit, page.text)):
            visit.browser.currency = visit.currency
            return
        yield from _choose_another_product(visit)


def _make_account(visit: Visit) -> Pauses:
    """Create an account or sign in. While Redis is away this fails, and the customer continues as a guest."""
    form = {"email": visit.email, "name": "Ada Byron", "password": PASSWORD}
    answer = yield from visit.until_answered(lambda: visit.post("/register", **form), most=4)
    if not _is_done(answer):  # the account may exist nevertheless
        answer = yield from visit.until_answered(lambda: visit.post("/sign-in", **form), most=4)
    if _is_done(answer):
        visit.browser.account = visit.email
        visit.context.count("accounts made")


def _choose_another_product(visit: Visit) -> Pauses:
    """Start again with a clean cart and another product: it is sold out, or the cart is not as expected."""
    visit.browser.currency = ""
    sku = visit.sku
    yield from visit.until_answered(lambda: visit.post(f"/cart/lines/{sku}/remove"), most=4)
    visit.sku = visit.rng.choice(visit.context.goods)


def _is_done(answer: Response) -> bool:
    """True when the shop did what was requested and redirects."""
    return answer is not None and answer.status == 303


def _send_checkout(visit: Visit, page: str) -> Generator[float, None, bool]:
    """Submit the checkout form, a third of the time twice at once. True when an order was acknowledged."""
    form = {**ADDRESS, "email": visit.email, "method": visit.provider, **_choices(visit), **_carried(page)}
    updated = yield from visit.until_answered(lambda: visit.post("/checkout/update", **form))
    if updated is None or updated.status != 200:
        return False
    page = updated.text
    carried = _carried(page)
    form |= carried
    credit = re.search(r'name="credit" value="([0-9]+)"', page)
    if credit:
        visit.context.count("orders with store credit")
        form["credit"] = credit[1]
    times = 2 if visit.chance(30) else 1
    if times == 2:
        visit.context.count("double clicks")

    def press() -> Response:
        answers = visit.context.concurrently(*[lambda: visit.post("/checkout", **form)] * times)
        tokens = {found for answer in answers if answer is not None and (found := _order_in(answer))}
        for token in tokens:
            visit.context.promise("order", token=token, key=carried["key"], visit=visit.number)
        known = [answer for answer in answers if answer is not None]
        return next((answer for answer in known if _order_in(answer)), known[0] if len(known) == times else None)

    answer = yield from visit.until_answered(press)
    visit.token = _order_in(answer) if answer is not None else ""
    return bool(visit.token)


def _choices(visit: Visit) -> dict[str, str]:
    """Country, delivery method and discount code, which decide what the order costs."""
    home = {"JPY": "JP", "USD": "US"}.get(visit.currency, "TW")
    chosen = {"country": home if visit.chance(80) else visit.rng.choice(("TW", "JP", "US", "DE"))}
    if visit.chance(30):
        chosen["delivery"] = "express"
    if visit.chance(40):
        chosen["code"] = visit.rng.choice(CODES)
    for name in chosen:
        visit.context.count(f"chose a {name}")
    return chosen


def _carried(page: str) -> dict[str, str]:
    """Hidden fields of the checkout form."""
    return dict(re.findall(r'type="hidden" name="(key|terms|shown|customer)" value="([^"]*)"', page))


def _order_in(answer: Answer) -> str:
    found = re.search(r"/orders/([^/]+)$", answer.location)
    return found[1] if answer.status == 303 and found else ""


# --- from the order to the payment page -------------------------------------------------------------------------------


def open_page(visit: Visit, method: str = "") -> Pauses:
    """Press Pay until the acquirer's page opens; `visit.payment` stays empty when the shop does not offer it."""
    visit.payment = ""
    chosen = {"method": method} if method else {}
    for tries in range(8):
        answer = yield from visit.until_answered(lambda: visit.post(f"/orders/{visit.token}/pay", **chosen))
        page = (yield from _follow(visit, answer)) if answer is not None else None
        if page is None:
            return
        found = re.search(r"/pay/(pay_[0-9a-f]+)", page.location + page.text)
        if found:
            visit.payment = found[1]
            return
        state = re.search(r'data-state="([a-z_]+)"', page.text)
        if state and state[1] not in MAY_STILL_OPEN:
            return
        yield 2.0 + tries  # "confirming": the shop does not know yet whether the payment was opened


def _follow(visit: Visit, answer: Answer) -> Generator[float, None, Response]:
    """Follow the response to Pay: a redirect to the acquirer, the response to an auto-submitted form, or the order's
    status.
    """
    if answer.status == 200 and 'id="post-on"' in answer.text:
        action = re.search(r'id="post-on" method="post" action="([^"]+)"', answer.text)
        fields = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', answer.text)
        form = {name: html.unescape(value) for name, value in fields}
        where = html.unescape(action[1]) if action else ""
        return (yield from visit.until_answered(lambda: visit.post(where, **form)))
    if _order_in(answer):
        return (yield from visit.until_answered(lambda: visit.get(f"/orders/{visit.token}/status")))
    return answer


# --- at the acquirer --------------------------------------------------------------------------------------------------


def pay(visit: Visit, card: str = GOOD, times: int = 1) -> Pauses:
    """Submit the card form (or Pay in the wallet), `times` times at once, until the acquirer responds."""
    page = f"{visit.context.acquirer}/pay/{visit.payment}"
    form = {"number": card, "expiry": "12/34", "cvc": "123", "name": "Ada Byron"}
    wallet = visit.provider == "paypay"

    def press() -> Response:
        send = (lambda: visit.post(f"{page}/wallet")) if wallet else (lambda: visit.post(f"{page}/card", **form))
        answers = [answer for answer in visit.context.concurrently(*[send] * times) if answer is not None]
        return next((answer for answer in answers if _is_back(visit, answer)), answers[0] if answers else None)

    answer = yield from visit.until_answered(press)
    if answer is not None and answer.location.endswith("/challenge"):
        answer = yield from visit.until_answered(lambda: visit.post(f"{page}/challenge", answer="approve"))
    if answer is not None and _is_back(visit, answer) and (wallet or card not in (LATE, DECLINED)):
        visit.context.promise("money", token=visit.token, payment=visit.payment)
    if answer is not None and _is_back(visit, answer):
        visit.return_url = answer.location.removeprefix(visit.context.shop)
        if visit.chance(60):
            visit.get(visit.return_url)


def _is_back(visit: Visit, answer: Answer) -> bool:
    """True when the acquirer redirects the customer to the shop."""
    return answer.location.startswith(visit.context.shop)
