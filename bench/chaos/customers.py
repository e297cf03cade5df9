"""Buyers who do not behave. Each is a generator: it does something, yields how long it thinks, and goes on.

What an answer says is a promise that is looked up at the end. No answer, or a 5xx, says nothing: the same form is sent
again.
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

from bench.chaos.browser import Answer, Browser, Lines, NoAnswer

Thinking = Iterator[float]
Heard = Answer | None
"""None is "nobody knows"."""
GOOD, DECLINED, LATE = "4242424242424242", "4000000000009995", "4000009100000036"
ADDRESS = {
    "email": "ada@example.com",
    "name": "Ada Byron",
    "line1": "1 Quiet Lane",
    "city": "Taipei",
    "postcode": "100",
    "country": "TW",
}
PROVIDERS = {"TWD": ("kpay", "stripe", "tpay"), "JPY": ("kpay", "stripe", "paypay"), "USD": ("kpay", "stripe")}
PATIENCE = 40
"""Tries of one step before a buyer goes away."""
PASSWORD = "a quiet lane in Taipei"  # noqa: S105 - of buyers that there are only here
MAY_GO_ON = frozenset(
    {"preparing", "confirming", "still_waiting", "waiting", "finish_in_tab", "declined", "choose", "closing"}
    | {"unavailable"}
)
"""What the order's page says while a payment page may still open; with anything else a buyer stops asking for one."""
_addresses = itertools.count(1)


class Streets(Protocol):
    """What a buyer needs of the place. `together` does several things at the same moment."""

    shop: str
    acquirer: str
    control: str
    goods: list[str]
    pay_within: float
    lines: Lines

    def browser(self, currency: str, customer: bool) -> Browser: ...
    def promise(self, kind: str, **what: object) -> None: ...
    def count(self, what: str) -> None: ...
    def together(self, *things: Callable[[], Heard]) -> list[Heard]: ...


@dataclass
class Visit:
    """One buyer with one order in mind. Everything that is left to chance comes from `dice`."""

    streets: Streets
    number: int
    seed: int
    dice: random.Random = field(init=False)
    browser: Browser = field(init=False)
    address: str = field(init=False)
    token: str = ""
    payment: str = ""

    def __post_init__(self) -> None:
        self.dice = random.Random(f"{self.seed}:{self.number}")
        at = next(_addresses)
        self.address = f"10.{at >> 16 & 255}.{at >> 8 & 255}.{at & 255}"
        self.currency = self.dice.choices(("TWD", "JPY", "USD"), (70, 15, 15))[0]
        self.provider = self.dice.choices(PROVIDERS[self.currency], (88, 8, 4)[: len(PROVIDERS[self.currency])])[0]
        self.sku = self.dice.choice(self.streets.goods)
        self.customer = self.chance(8)
        self.browser = self.streets.browser(self.currency, self.customer)

    def chance(self, percent: float) -> bool:
        return self.dice.random() * 100 < percent

    # --- single requests ---

    def get(self, path: str) -> Heard:
        return self._send("GET", path)

    def post(self, path: str, **form: str) -> Heard:
        return self._send("POST", path, form)

    def bank(self, method: str, path: str, what: dict[str, Any]) -> Heard:
        """What no page of the acquirer does: its control API, which speaks for banks and for fate."""
        headers = {"Authorization": f"Bearer {self.streets.control}", "Content-Type": "application/json"}
        return self._heard(
            False, lambda: self.streets.lines.send(self.streets.acquirer, method, path, json.dumps(what), headers)[0]
        )

    def _send(self, method: str, path: str, form: dict[str, str] | None = None) -> Heard:
        """As a browser sends it from one of the site's own pages."""
        to_shop = path.startswith("/")
        site = self.streets.shop if to_shop else self.streets.acquirer
        path = path.removeprefix(site)
        headers = {"Origin": site, "Sec-Fetch-Site": "same-origin", "X-Forwarded-For": self.address}
        heard = self._heard(to_shop, lambda: self.browser.send(site, method, path, form, headers))
        if heard is not None and heard.status == 500:
            self.streets.promise("broken", error=f"{method} {path}: 500")
        return heard if heard is None or heard.status < 500 else None

    def _heard(self, from_shop: bool, send: Callable[[], Answer]) -> Heard:
        try:
            answer = send()
        except NoAnswer:
            self.streets.count("no answer")
            return None
        if answer.status < 500 and answer.status != 429:
            return answer
        self.streets.count(f"{'the shop' if from_shop else 'the acquirer'} answered {answer.status}")
        return answer if from_shop and answer.status == 500 else None

    def until_answered(self, ask: Callable[[], Heard], most: int = PATIENCE) -> Generator[float, None, Heard]:
        """Ask again until somebody answers; returns the answer, or None when the buyer's patience is over."""
        for tries in range(most):
            answer = ask()
            if answer is not None:
                return answer
            yield min(0.2 + 0.1 * tries, 1.0)
        self.streets.count("buyers who gave up")
        return None


# --- up to the order --------------------------------------------------------------------------------------------------


def place(visit: Visit) -> Thinking:
    """Fill the cart and send the checkout until there is an order; its token is then `visit.token`."""
    if visit.customer and not visit.browser.account:
        yield from _make_account(visit)
    for _ in range(6):
        if visit.browser.currency != visit.currency:
            yield from visit.until_answered(lambda: visit.post("/cart/currency", currency=visit.currency))
        added = yield from visit.until_answered(lambda: visit.post("/cart/lines", sku=visit.sku, quantity="1"))
        page = (yield from visit.until_answered(lambda: visit.get("/checkout"))) if _is_done(added) else None
        key = page and re.search(r'name="key"[^>]*? value="([^"]+)"', page.text)
        if page is not None and key and (yield from _send_checkout(visit, page.text, key[1])):
            visit.browser.currency = visit.currency
            return
        yield from _look_for_something_else(visit)


def _make_account(visit: Visit) -> Thinking:
    """Whoever cannot sign in now, because Redis is away, buys as a guest."""
    email = f"ada-{visit.number}@example.com"
    form = {"email": email, "name": "Ada Byron", "password": PASSWORD}
    answer = yield from visit.until_answered(lambda: visit.post("/register", **form), most=4)
    if not _is_done(answer):  # the account may be there all the same
        answer = yield from visit.until_answered(lambda: visit.post("/sign-in", **form), most=4)
    if _is_done(answer):
        visit.browser.account = email
        visit.streets.count("accounts made")


def _look_for_something_else(visit: Visit) -> Thinking:
    """It is sold out, or the cart is not what we think it is: begin with a clean one."""
    visit.browser.currency = ""
    sku = visit.sku
    yield from visit.until_answered(lambda: visit.post(f"/cart/lines/{sku}/remove"), most=4)
    visit.sku = visit.dice.choice(visit.streets.goods)


def _is_done(answer: Heard) -> bool:
    """Whether the shop did what was asked, and leads on."""
    return answer is not None and answer.status == 303


def _send_checkout(visit: Visit, page: str, key: str) -> Generator[float, None, bool]:
    """True when an order was promised. A third of the buyers press the button twice."""
    form = {**ADDRESS, "country": "JP" if visit.currency == "JPY" else "TW", "method": visit.provider, "key": key}
    credit = re.search(r'name="credit" value="([0-9]+)"', page)
    if credit:
        visit.streets.count("orders with store credit")
        form["credit"] = credit[1]
    times = 2 if visit.chance(30) else 1
    if times == 2:
        visit.streets.count("double clicks")

    def press() -> Heard:
        answers = visit.streets.together(*[lambda: visit.post("/checkout", **form)] * times)
        tokens = {found for answer in answers if answer is not None and (found := _order_in(answer))}
        for token in tokens:
            visit.streets.promise("order", token=token, key=key, visit=visit.number)
        known = [answer for answer in answers if answer is not None]
        return next((answer for answer in known if _order_in(answer)), known[0] if len(known) == times else None)

    answer = yield from visit.until_answered(press)
    visit.token = _order_in(answer) if answer is not None else ""
    return bool(visit.token)


def _order_in(answer: Answer) -> str:
    found = re.search(r"/orders/([^/]+)$", answer.location)
    return found[1] if answer.status == 303 and found else ""


# --- from the order to the payment page -------------------------------------------------------------------------------


def open_page(visit: Visit, method: str = "") -> Thinking:
    """Press Pay until the acquirer's page is there; `visit.payment` stays empty when the shop does not offer it."""
    visit.payment = ""
    chosen = {"method": method} if method else {}
    for tries in range(8):
        answer = yield from visit.until_answered(lambda: visit.post(f"/orders/{visit.token}/pay", **chosen))
        said = (yield from _what_the_order_says(visit, answer)) if answer is not None else None
        if said is None:
            return
        found = re.search(r"/pay/(pay_[0-9a-f]+)", said.location + said.text)
        if found:
            visit.payment = found[1]
            return
        stands = re.search(r'data-state="([a-z_]+)"', said.text)
        if stands and stands[1] not in MAY_GO_ON:
            return
        yield 2.0 + tries  # "we are confirming": the shop does not know yet whether it has opened one


def _what_the_order_says(visit: Visit, answer: Answer) -> Generator[float, None, Heard]:
    """Where Pay leads: a redirect to the acquirer, or the answer to a form to post on, or how the order stands."""
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


def pay(visit: Visit, card: str = GOOD, times: int = 1) -> Thinking:
    """Send the card form (or press Pay in the wallet), `times` times at once, until the acquirer answers."""
    page = f"{visit.streets.acquirer}/pay/{visit.payment}"
    form = {"number": card, "expiry": "12/34", "cvc": "123", "name": "Ada Byron"}
    wallet = visit.provider == "paypay"

    def press() -> Heard:
        send = (lambda: visit.post(f"{page}/wallet")) if wallet else (lambda: visit.post(f"{page}/card", **form))
        answers = [answer for answer in visit.streets.together(*[send] * times) if answer is not None]
        return next((answer for answer in answers if _is_back(visit, answer)), answers[0] if answers else None)

    answer = yield from visit.until_answered(press)
    if answer is not None and answer.location.endswith("/challenge"):
        answer = yield from visit.until_answered(lambda: visit.post(f"{page}/challenge", answer="approve"))
    if answer is not None and _is_back(visit, answer) and (wallet or card not in (LATE, DECLINED)):
        visit.streets.promise("money", token=visit.token, payment=visit.payment)
    if answer is not None and _is_back(visit, answer) and visit.chance(60):
        visit.get(f"/orders/{visit.token}/return")


def _is_back(visit: Visit, answer: Answer) -> bool:
    """Whether the acquirer is done with the buyer, and sends them back."""
    return answer.location.startswith(visit.streets.shop)
