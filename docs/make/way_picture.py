"""docs/pictures/way-of-a-payment.svg: who says what to whom, from the checkout to "Payment received"."""

from __future__ import annotations

from dataclasses import dataclass

from docs.make.svg import Box, Drawing

WHO = ("order page", "payment tab", "web", "database", "clock, worker", "Redis", "acquirer")
_X = dict(zip(WHO, (90, 250, 420, 700, 940, 1100, 1260), strict=True))
_TOP, _STEP = 96, 38


@dataclass(frozen=True)
class Say:
    """One arrow. `answer` is drawn dashed; `where` is the file that does it."""

    source: str
    target: str
    words: str
    answer: bool = False
    where: str = ""


@dataclass(frozen=True)
class Part:
    """A heading between arrows."""

    words: str


WAY: tuple[Say | Part, ...] = (
    Part("Placing the order"),
    Say("order page", "web", "POST /checkout", where="shop/web/checkout.py"),
    Say("web", "database", "order PENDING, stock reserved, saga row", where="shop/checkout/saga.py"),
    Say("web", "database", "payment CREATED (one open per order)", where="shop/payments/start.py"),
    Say("web", "acquirer", "POST /kpay/v1/payments, key = the payment's id", where="shop/payments/providers/kpay.py"),
    Say("acquirer", "web", "201, the address of the payment page", True),
    Say("web", "database", "settle: OPEN; order WAITING_PAYMENT", where="shop/payments/settle.py"),
    Say("web", "order page", "303, the order's page; its stream opens", True, "shop/live/sse.py"),
    Part("Paying, in another tab"),
    Say("payment tab", "web", "POST …/pay", where="shop/web/orders.py"),
    Say("web", "payment tab", "303", True),
    Say("payment tab", "acquirer", "card number, approve"),
    Part("The webhook"),
    Say("acquirer", "web", "payment.captured, signed", where="shop/web/webhooks.py"),
    Say("web", "database", "unit 1: inbox row", where="shop/payments/inbox.py"),
    Say("web", "database", "unit 2: capture, PAID, stock, event, outbox", where="shop/payments/settle.py"),
    Say("web", "Redis", "publish: order, number of the event", where="shop/core/outbox.py"),
    Say("web", "acquirer", "200", True),
    Say("Redis", "web", "wakes the hub", True, "shop/live/hub.py"),
    Say("web", "order page", "“Payment received”", True, "shop/live/fragments.py"),
    Say("clock, worker", "Redis", "outbox row to the stream", where="shop/core/outbox.py"),
    Part("The same when the webhook is lost"),
    Say("clock, worker", "database", "rows whose next_check_at has passed", where="shop/jobs/clock.py"),
    Say("clock, worker", "acquirer", "GET /kpay/v1/payments/…", where="shop/payments/poll.py"),
    Say("clock, worker", "database", "settle: the same unit as above", where="shop/payments/settle.py"),
    Say("clock, worker", "Redis", "publish, and on as above", where="shop/core/outbox.py"),
)


def picture() -> str:
    """The text of the picture."""
    width, height = _X[WHO[-1]] + 90, _TOP + 30 + _STEP * len(WAY) + 30
    drawing = Drawing(width, height, "The way of a payment", "Who says what to whom, from the checkout to PAID.")
    drawing.text(32, 40, "The way of a payment", "title")
    for name, x in _X.items():
        drawing.line(((x, _TOP), (x, height - 24)), "life")
        drawing.named_box(Box(x - 70, _TOP - 34, 140, 36), name, "end" if name == "acquirer" else "box")
    for place, step in enumerate(WAY):
        y = _TOP + 34 + place * _STEP
        if isinstance(step, Part):
            drawing.rect(Box(20, y - 17, width - 40, 24), "band", 6)
            drawing.text(34, y, step.words, "soft")
            continue
        start, end = _X[step.source], _X[step.target]
        drawing.line(((start, y), (end, y)), "arrow answer" if step.answer else "arrow")
        drawing.text((start + end) / 2, y - 6, step.words, "label middle")
    return drawing.svg()
