"""Behaviours of customers after placing an order, as a table of weights and visits."""

from __future__ import annotations

from collections.abc import Callable

from bench.chaos.customers import DECLINED, GOOD, LATE, PROVIDERS, Pauses, Visit, open_page, pay, place

NO_WEBHOOK, CHARGED_TWICE, WEBHOOK_FIRST = "4000009100000051", "4000009100000044", "4000009100000069"
CHALLENGED, REFUNDS_LATER, REFUND_FAILS = "4000000000003220", "4000000000007726", "4000000000005126"


REPORT_LATE_FAILURES = ("kpay", "stripe")
"""Acquirers that send a webhook when a refund fails later, and refund in any currency. The others report a failed
refund a day later, beyond this test, and tpay refunds in TWD alone.
"""


def _with(card: str, *, at: tuple[str, ...] = ()) -> Callable[[Visit], Pauses]:
    """Pay with `card`; with a good card if the provider is not in `at`."""

    def pays(visit: Visit) -> Pauses:
        yield from open_page(visit)
        if visit.payment:
            yield from pay(visit, card if not at or visit.provider in at else GOOD)

    return pays


def _leaves(visit: Visit) -> Pauses:
    if visit.chance(50):
        yield from open_page(visit)


def _declined_first(visit: Visit) -> Pauses:
    yield from open_page(visit)
    if visit.payment:
        for _ in range(visit.rng.choice((1, 1, 2))):
            yield from pay(visit, DECLINED)
        yield from pay(visit)


def _declined_for_good(visit: Visit) -> Pauses:
    """Three declines end the payment; try once more while the shop allows it."""
    yield from open_page(visit)
    if visit.payment:
        for _ in range(3):
            yield from pay(visit, DECLINED)
        if visit.return_url:
            visit.get(visit.return_url)
        yield 1.0
        yield from open_page(visit)
        if visit.payment:
            yield from pay(visit)


def _pays_twice(visit: Visit) -> Pauses:
    """Open the payment page and press Pay twice at once; then pay again although it is paid."""
    yield from open_page(visit)
    if visit.payment:
        yield from pay(visit, times=2)
        yield from open_page(visit)
        if visit.payment:
            yield from pay(visit)


def _pays_elsewhere(visit: Visit) -> Pauses:
    """Open a payment page, pay at another provider, and then pay on the first page as well."""
    yield from open_page(visit)
    first, others = visit.payment, [name for name in PROVIDERS[visit.currency] if name != visit.provider]
    if first and visit.provider != "paypay":
        chosen = visit.rng.choice(others)
        yield from open_page(visit, chosen)
        if visit.payment and visit.payment != first:
            before, visit.provider = visit.provider, chosen
            yield from pay(visit)
            visit.payment, visit.provider = first, before
        if visit.payment:
            yield from pay(visit)


def _cancels(visit: Visit) -> Pauses:
    if visit.chance(70):
        yield from open_page(visit)
    yield from _cancel(visit)


def _cancels_and_pays(visit: Visit) -> Pauses:
    """In two tabs: cancel the order while paying it."""
    yield from open_page(visit)
    if visit.payment and visit.provider != "paypay":
        form = {"number": GOOD, "expiry": "12/34", "cvc": "123", "name": "Ada Byron"}
        page = f"{visit.context.acquirer}/pay/{visit.payment}/card"
        visit.context.concurrently(
            lambda: visit.post(f"/orders/{visit.token}/cancel"),
            lambda: visit.post(page, **form),
        )
    yield from _cancel(visit)


def _cancel(visit: Visit) -> Pauses:
    answer = yield from visit.until_answered(lambda: visit.post(f"/orders/{visit.token}/cancel"))
    if answer is not None and answer.status == 303:
        visit.context.promise("end", token=visit.token)


def _comes_too_late(visit: Visit) -> Pauses:
    """Open the payment page and press Pay around the time at which the order expires."""
    yield from open_page(visit)
    if visit.payment:
        yield visit.context.pay_within * visit.rng.uniform(0.9, 1.1)
        yield from pay(visit)


def _with_fault(*faults: dict[str, object], at: tuple[str, ...] = ()) -> Callable[[Visit], Pauses]:
    """Pay with a fault armed that changes the captured money, if the provider is in `at`."""

    def pays(visit: Visit) -> Pauses:
        yield from open_page(visit)
        if visit.payment and (not at or visit.provider in at):
            fault, where = visit.rng.choice(faults), f"/_sim/payments/{visit.payment}/faults"
            yield from visit.until_answered(lambda: visit.control("PUT", where, {"pay": fault}))
        if visit.payment:
            yield from pay(visit)

    return pays


def _disputes(visit: Visit) -> Pauses:
    """Pay, then dispute the payment; the bank decides most disputes."""
    yield from open_page(visit)
    if not visit.payment:
        return
    yield from pay(visit)
    yield visit.rng.uniform(1, 5)
    at, kind = f"/_sim/payments/{visit.payment}/dispute", visit.rng.choice(("chargeback", "chargeback", "inquiry"))
    answer = yield from visit.until_answered(lambda: visit.control("POST", at, {"kind": kind}))
    if answer is None or answer.status != 200:
        return
    visit.context.count("disputes")
    yield visit.rng.uniform(1, 6)
    if visit.chance(80):
        outcome = visit.rng.choice(("won", "lost"))
        yield from visit.until_answered(lambda: visit.control("POST", at, {"outcome": outcome}))


BEHAVIOURS: tuple[tuple[str, int, Callable[[Visit], Pauses]], ...] = (
    ("pay", 36, _with(GOOD)),
    ("pay, and no webhook ever comes", 10, _with(NO_WEBHOOK)),
    ("pay, and the webhook comes first", 2, _with(WEBHOOK_FIRST)),
    ("pay after the bank asked back", 2, _with(CHALLENGED)),
    ("are declined, then pay", 7, _declined_first),
    ("are declined for good, then try again", 3, _declined_for_good),
    ("leave", 9, _leaves),
    ("pay twice, then although paid", 6, _pays_twice),
    ("are charged twice", 2, _with(CHARGED_TWICE)),
    ("change the provider, and pay on both pages", 3, _pays_elsewhere),
    ("cancel", 4, _cancels),
    ("cancel and pay at the same time", 3, _cancels_and_pays),
    ("pay, and the money comes after the time is over", 3, _with(LATE)),
    ("press Pay when the time is just over", 2, _comes_too_late),
    ("are charged a wrong amount", 2, _with_fault({"amount_delta": 100}, {"amount_delta": -100})),
    ("are charged in a wrong currency", 1, _with_fault({"wrong_currency": True}, at=REPORT_LATE_FAILURES)),
    ("pay, and dispute it", 3, _disputes),
    ("have a card whose refunds take time", 1, _with(REFUNDS_LATER)),
    ("have a card whose refunds fail later", 1, _with(REFUND_FAILS, at=REPORT_LATE_FAILURES)),
)
"""(behaviour, share in per cent, generator)."""


def run_visit(visit: Visit) -> Pauses:
    """Run one visit, from the catalogue to the end."""
    name, _, behaviour = visit.rng.choices(BEHAVIOURS, [share for _, share, _ in BEHAVIOURS])[0]
    yield from place(visit)
    if not visit.token:
        visit.context.count("orders that could not be placed")
        return
    visit.context.count("orders placed")
    visit.context.count(f"customers who {name}")
    yield from behaviour(visit)
