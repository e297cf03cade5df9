"""What buyers do once they have an order: a table of habits, some good, some bad, some of their banks."""

from __future__ import annotations

from collections.abc import Callable

from bench.chaos.customers import DECLINED, GOOD, LATE, PROVIDERS, Thinking, Visit, open_page, pay, place

NEVER_TOLD, TWICE, TOLD_FIRST = "4000009100000051", "4000009100000044", "4000009100000069"
ASKS_BACK, REFUNDS_LATER, REFUND_FAILS = "4000000000003220", "4000000000007726", "4000000000005126"


KNOW_MORE = ("kpay", "stripe")
"""Acquirers that say when a refund fails later, and send back any currency; of the others the first is heard after a
day, for which nobody waits here, and tpay's refunds know no other currency than its own.
"""


def _with(card: str, *, at: tuple[str, ...] = ()) -> Callable[[Visit], Thinking]:
    """Pays with `card`, but with a good one where the provider is none of those `at` which it is wanted."""

    def pays(visit: Visit) -> Thinking:
        yield from open_page(visit)
        if visit.payment:
            yield from pay(visit, card if not at or visit.provider in at else GOOD)

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
    if answer is not None and answer.status == 303:
        visit.streets.promise("end", token=visit.token)


def _comes_too_late(visit: Visit) -> Thinking:
    """Has the page open and presses Pay around the moment at which the order's time is over."""
    yield from open_page(visit)
    if visit.payment:
        yield visit.streets.pay_within * visit.dice.uniform(0.9, 1.1)
        yield from pay(visit)


def _fated(*fates: dict[str, object], at: tuple[str, ...] = ()) -> Callable[[Visit], Thinking]:
    """Pays in good faith, and the acquirer takes something else, where the provider is one of those `at`."""

    def pays(visit: Visit) -> Thinking:
        yield from open_page(visit)
        if visit.payment and (not at or visit.provider in at):
            fate, where = visit.dice.choice(fates), f"/_sim/payments/{visit.payment}/faults"
            yield from visit.until_answered(lambda: visit.bank("PUT", where, {"pay": fate}))
        if visit.payment:
            yield from pay(visit)

    return pays


def _disputes(visit: Visit) -> Thinking:
    """Pays, then goes to the bank about it, which mostly decides."""
    yield from open_page(visit)
    if not visit.payment:
        return
    yield from pay(visit)
    yield visit.dice.uniform(1, 5)
    at, kind = f"/_sim/payments/{visit.payment}/dispute", visit.dice.choice(("chargeback", "chargeback", "inquiry"))
    answer = yield from visit.until_answered(lambda: visit.bank("POST", at, {"kind": kind}))
    if answer is None or answer.status != 200:
        return
    visit.streets.count("disputes")
    yield visit.dice.uniform(1, 6)
    if visit.chance(80):
        outcome = visit.dice.choice(("won", "lost"))
        yield from visit.until_answered(lambda: visit.bank("POST", at, {"outcome": outcome}))


HABITS: tuple[tuple[str, int, Callable[[Visit], Thinking]], ...] = (
    ("pay", 36, _with(GOOD)),
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
    ("are charged a wrong amount", 2, _fated({"amount_delta": 100}, {"amount_delta": -100})),
    ("are charged in a wrong currency", 1, _fated({"wrong_currency": True}, at=KNOW_MORE)),
    ("pay, and dispute it", 3, _disputes),
    ("have a card whose refunds take time", 1, _with(REFUNDS_LATER)),
    ("have a card whose refunds fail later", 1, _with(REFUND_FAILS, at=KNOW_MORE)),
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
