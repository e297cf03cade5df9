"""Buyers who do not behave. Each is a generator: it does something, yields how long it thinks, and goes on.

What an answer says is a promise that is looked up at the end. No answer, or a 5xx, says nothing: the same form is sent
again.
"""

from __future__ import annotations

import html
import itertools
import random
import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import httpx

Thinking = Iterator[float]
Answer = httpx.Response | None
GOOD, DECLINED, NEVER_TOLD = "4242424242424242", "4000000000009995", "4000009100000051"
LATE, TWICE, TOLD_FIRST, ASKS_BACK = "4000009100000036", "4000009100000044", "4000009100000069", "4000000000003220"
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
_addresses = itertools.count(1)


class Streets(Protocol):
    """What a buyer needs of the place. `together` does several things at the same moment."""

    shop: str
    acquirer: str
    goods: list[str]
    pay_within: float

    def client(self, base: str) -> httpx.Client: ...
    def promise(self, kind: str, **what: object) -> None: ...
    def count(self, what: str) -> None: ...
    def together(self, *things: Callable[[], Answer]) -> list[Answer]: ...


@dataclass
class Visit:
    """One buyer with one order in mind. Everything that is left to chance comes from `dice`."""

    streets: Streets
    number: int
    seed: int
    client: httpx.Client
    dice: random.Random = field(init=False)
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

    def chance(self, percent: float) -> bool:
        return self.dice.random() * 100 < percent

    # --- single requests; None is "nobody knows" ---

    def get(self, path: str) -> Answer:
        return self._send("GET", path)

    def post(self, path: str, **form: str) -> Answer:
        return self._send("POST", path, form)

    def _send(self, method: str, path: str, form: dict[str, str] | None = None) -> Answer:
        """As a browser sends it from one of the site's own pages."""
        to_shop = path.startswith("/")
        client = self.client if to_shop else self.streets.client(self.streets.acquirer)
        origin = self.streets.shop if to_shop else self.streets.acquirer
        headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin", "X-Forwarded-For": self.address}
        try:
            answer = client.request(method, path, data=form, headers=headers)
        except httpx.HTTPError:
            self.streets.count("no answer")
            return None
        if answer.status_code >= 500 or answer.status_code == 429:
            self.streets.count(f"{'the shop' if to_shop else 'the acquirer'} answered {answer.status_code}")
            if to_shop and answer.status_code == 500:
                self.streets.promise("broken", error=f"{method} {path}: 500")
            return None
        return answer

    def until_answered(self, ask: Callable[[], Answer]) -> Generator[float, None, Answer]:
        """Ask again until somebody answers; returns the answer, or None when the buyer's patience is over."""
        for tries in range(PATIENCE):
            answer = ask()
            if answer is not None:
                return answer
            yield min(0.2 + 0.1 * tries, 1.0)
        self.streets.count("buyers who gave up")
        return None


# --- up to the order --------------------------------------------------------------------------------------------------


def place(visit: Visit) -> Thinking:
    """Fill the cart and send the checkout until there is an order; its token is then `visit.token`."""
    for _ in range(6):
        yield from visit.until_answered(lambda: visit.post("/cart/currency", currency=visit.currency))
        yield from visit.until_answered(lambda: visit.post("/cart/lines", sku=visit.sku, quantity="1"))
        page = yield from visit.until_answered(lambda: visit.get("/checkout"))
        key = page and re.search(r'name="key"[^>]*? value="([^"]+)"', page.text)
        if page is None or not key:
            visit.sku = visit.dice.choice(visit.streets.goods)
            continue
        if (yield from _send_checkout(visit, key[1])):
            return
        visit.sku = visit.dice.choice(visit.streets.goods)  # sold out while we looked


def _send_checkout(visit: Visit, key: str) -> Generator[float, None, bool]:
    """True when an order was promised. A third of the buyers press the button twice."""
    form = {**ADDRESS, "country": "JP" if visit.currency == "JPY" else "TW", "method": visit.provider, "key": key}
    times = 2 if visit.chance(30) else 1
    if times == 2:
        visit.streets.count("double clicks")

    def press() -> Answer:
        answers = visit.streets.together(*[lambda: visit.post("/checkout", **form)] * times)
        tokens = {found for answer in answers if answer is not None and (found := _order_in(answer))}
        for token in tokens:
            visit.streets.promise("order", token=token, key=key, visit=visit.number)
        known = [answer for answer in answers if answer is not None]
        return next((answer for answer in known if _order_in(answer)), known[0] if len(known) == times else None)

    answer = yield from visit.until_answered(press)
    visit.token = _order_in(answer) if answer is not None else ""
    return bool(visit.token)


def _order_in(answer: httpx.Response) -> str:
    found = re.search(r"/orders/([^/]+)$", answer.headers.get("Location", ""))
    return found[1] if answer.status_code == 303 and found else ""


# --- from the order to the payment page -------------------------------------------------------------------------------


def open_page(visit: Visit, method: str = "") -> Thinking:
    """Press Pay until the acquirer's page is there; `visit.payment` stays empty when the shop does not offer it."""
    visit.payment = ""
    chosen = {"method": method} if method else {}
    for tries in range(8):
        answer = yield from visit.until_answered(lambda: visit.post(f"/orders/{visit.token}/pay", **chosen))
        if answer is None:
            return
        visit.payment = yield from _payment_behind(visit, answer)
        if visit.payment:
            return
        yield 2.0 + tries  # "we are confirming": the shop does not know yet whether it has opened one


def _payment_behind(visit: Visit, answer: Answer) -> Generator[float, None, str]:
    """The acquirer's id of the payment to which an answer leads: by a redirect, a form to post on, or a code."""
    if answer is None:
        return ""
    if answer.status_code == 200 and 'id="post-on"' in answer.text:
        action = re.search(r'id="post-on" method="post" action="([^"]+)"', answer.text)
        fields = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', answer.text)
        form = {name: html.unescape(value) for name, value in fields}
        where = html.unescape(action[1]) if action else ""
        answer = yield from visit.until_answered(lambda: visit.post(where, **form))
    elif _order_in(answer):
        answer = yield from visit.until_answered(lambda: visit.get(f"/orders/{visit.token}"))
    if answer is None:
        return ""
    found = re.search(r"/pay/(pay_[0-9a-f]+)", answer.headers.get("Location", "") + answer.text)
    return found[1] if found else ""


# --- at the acquirer --------------------------------------------------------------------------------------------------


def pay(visit: Visit, card: str = GOOD, times: int = 1) -> Thinking:
    """Send the card form (or press Pay in the wallet), `times` times at once, until the acquirer answers."""
    page = f"{visit.streets.acquirer}/pay/{visit.payment}"
    form = {"number": card, "expiry": "12/34", "cvc": "123", "name": "Ada Byron"}
    wallet = visit.provider == "paypay"

    def press() -> Answer:
        send = (lambda: visit.post(f"{page}/wallet")) if wallet else (lambda: visit.post(f"{page}/card", **form))
        answers = [answer for answer in visit.streets.together(*[send] * times) if answer is not None]
        return next((answer for answer in answers if _is_back(visit, answer)), answers[0] if answers else None)

    answer = yield from visit.until_answered(press)
    if answer is not None and answer.headers.get("Location", "").endswith("/challenge"):
        answer = yield from visit.until_answered(lambda: visit.post(f"{page}/challenge", answer="approve"))
    if answer is not None and _is_back(visit, answer) and (wallet or card not in (LATE, DECLINED)):
        visit.streets.promise("money", token=visit.token, payment=visit.payment)
    if answer is not None and _is_back(visit, answer) and visit.chance(60):
        visit.get(f"/orders/{visit.token}/return")


def _is_back(visit: Visit, answer: httpx.Response) -> bool:
    """Whether the acquirer is done with the buyer, and sends them back."""
    return answer.headers.get("Location", "").startswith(visit.streets.shop)


# --- what buyers do ---------------------------------------------------------------------------------------------------


def _with(card: str) -> Callable[[Visit], Thinking]:
    def pays(visit: Visit) -> Thinking:
        yield from open_page(visit)
        if visit.payment:
            yield from pay(visit, card)

    return pays


def _leaves(visit: Visit) -> Thinking:
    if visit.chance(50):
        yield from open_page(visit)


def _declined_first(visit: Visit) -> Thinking:
    yield from open_page(visit)
    if visit.payment:
        for _ in range(visit.dice.choice((1, 1, 2))):
            yield from pay(visit, DECLINED)
        yield from pay(visit)


def _declined_for_good(visit: Visit) -> Thinking:
    """Three declines end the payment; the buyer tries once more while the shop lets them."""
    yield from open_page(visit)
    if visit.payment:
        for _ in range(3):
            yield from pay(visit, DECLINED)
        visit.get(f"/orders/{visit.token}/return")
        yield 1.0
        yield from open_page(visit)
        if visit.payment:
            yield from pay(visit)


def _pays_twice(visit: Visit) -> Thinking:
    """Two payment pages, and Pay pressed in both; then once more, although it is paid."""
    yield from open_page(visit)
    if visit.payment:
        yield from pay(visit, times=2)
        yield from open_page(visit)
        if visit.payment:
            yield from pay(visit)


def _pays_elsewhere(visit: Visit) -> Thinking:
    """Opens a page, changes their mind, pays at another provider, and then on the first page as well."""
    yield from open_page(visit)
    first, others = visit.payment, [name for name in PROVIDERS[visit.currency] if name != visit.provider]
    if first and visit.provider != "paypay":
        chosen = visit.dice.choice(others)
        yield from open_page(visit, chosen)
        if visit.payment and visit.payment != first:
            before, visit.provider = visit.provider, chosen
            yield from pay(visit)
            visit.payment, visit.provider = first, before
        if visit.payment:
            yield from pay(visit)


def _cancels(visit: Visit) -> Thinking:
    if visit.chance(70):
        yield from open_page(visit)
    yield from _cancel(visit)


def _cancels_and_pays(visit: Visit) -> Thinking:
    """In two tabs: cancels the order here while the money is taken there."""
    yield from open_page(visit)
    if visit.payment and visit.provider != "paypay":
        form = {"number": GOOD, "expiry": "12/34", "cvc": "123", "name": "Ada Byron"}
        page = f"{visit.streets.acquirer}/pay/{visit.payment}/card"
        visit.streets.together(
            lambda: visit.post(f"/orders/{visit.token}/cancel"),
            lambda: visit.post(page, **form),
        )
    yield from _cancel(visit)


def _cancel(visit: Visit) -> Thinking:
    answer = yield from visit.until_answered(lambda: visit.post(f"/orders/{visit.token}/cancel"))
    if answer is not None and answer.status_code == 303:
        visit.streets.promise("end", token=visit.token)


def _comes_too_late(visit: Visit) -> Thinking:
    """Has the page open and presses Pay around the moment at which the order's time is over."""
    yield from open_page(visit)
    if visit.payment:
        yield visit.streets.pay_within * visit.dice.uniform(0.9, 1.1)
        yield from pay(visit)


HABITS: tuple[tuple[str, int, Callable[[Visit], Thinking]], ...] = (
    ("pay", 44, _with(GOOD)),
    ("pay, and no webhook ever comes", 10, _with(NEVER_TOLD)),
    ("pay, and the webhook comes first", 2, _with(TOLD_FIRST)),
    ("pay after the bank asked back", 2, _with(ASKS_BACK)),
    ("are declined, then pay", 7, _declined_first),
    ("are declined for good, then try again", 3, _declined_for_good),
    ("leave", 9, _leaves),
    ("pay twice, then although paid", 6, _pays_twice),
    ("are charged twice", 2, _with(TWICE)),
    ("change the provider, and pay on both pages", 3, _pays_elsewhere),
    ("cancel", 4, _cancels),
    ("cancel and pay at the same time", 3, _cancels_and_pays),
    ("pay, and the money comes after the time is over", 3, _with(LATE)),
    ("press Pay when the time is just over", 2, _comes_too_late),
)
"""(what they do, how many of a hundred, how)."""


def live(visit: Visit) -> Thinking:
    """One buyer, from the shelf to the end."""
    says, _, habit = visit.dice.choices(HABITS, [share for _, share, _ in HABITS])[0]
    yield from place(visit)
    if not visit.token:
        visit.streets.count("orders that could not be placed")
        return
    visit.streets.count("orders placed")
    visit.streets.count(f"buyers who {says}")
    yield from habit(visit)
