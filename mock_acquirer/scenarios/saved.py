"""Save a payment as a scenario: armed faults, steps, and result."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from mock_acquirer import cards, faults, plans, timeline
from mock_acquirer.models import Payment
from mock_acquirer.scenarios import Scenario, runner

PAUSE = timedelta(seconds=30)
Step = dict[str, Any]
PATTERNS: tuple[tuple[str, Step], ...] = (
    # text of the timeline: the step; named groups become its parameters
    (r"The customer pays with (?P<brand>\w+) ending in (?P<last4>\d{4})", {"do": "pay"}),
    (r"The customer pays with (the )?wallet", {"do": "approve"}),
    (r"The bank declines: (?P<code>\w+)", {"do": "decline"}),
    (r"The payment fails", {"do": "fail"}),
    (r"The customer cancels", {"do": "cancel"}),
    (r"The customer chooses a convenience store", {"do": "choose_store"}),
    (r"The customer pays at the counter", {"do": "pay_at_counter"}),
    (r"The customer disputes the payment", {"do": "dispute"}),
    (r"The dispute is (?P<outcome>won|lost)", {"do": "dispute"}),
    (r"The customer answers the 3-D Secure challenge: (?P<answer>approve|fail|timeout)", {"do": "challenge"}),
)


def saved(payment: Payment) -> Scenario:
    """The scenario that repeats this payment's history."""
    found = runner.happened(payment)
    expect = {name: value for name, value in found.items() if value not in (None, [], {}) and name != "delivered"}
    name = f"saved_{re.sub(r'[^A-Za-z0-9]+', '_', payment.reference).strip('_').lower()[:40] or payment.id}"
    sentence = f"Saved from payment {payment.reference}."
    return Scenario(name, sentence, "own", _fate(payment), tuple(_steps(payment)), expect, (payment.dialect,))


def _fate(payment: Payment) -> dict[str, Any]:
    """All armed rules, most specific level first; seed and chance of the most specific plan that has them."""
    plan: dict[str, Any] = {}
    for _, armed in reversed(faults.armed_for(payment)):
        plan = plans.merged(plan, armed) | {name: armed[name] for name in plans.TOP if name in armed}
    return plan


def _steps(payment: Payment) -> list[Step]:
    steps: list[Step] = []
    last = payment.created_at
    for entry in timeline.of(payment):
        step = _step(entry.text) if entry.kind in ("page", "control") else None
        if step is None:
            continue
        if entry.at - last > PAUSE:
            steps.append({"do": "advance", "by": f"PT{int((entry.at - last).total_seconds())}S"})
        steps.append(step)
        last = entry.at
    return steps


def _step(text: str) -> Step | None:
    for pattern, step in PATTERNS:
        found = re.fullmatch(pattern, text)
        if found:
            words = found.groupdict()
            known = {name: value for name, value in words.items() if name not in ("brand", "last4") and value}
            return dict(step) | known | _card(words.get("last4"), words.get("brand"))
    return None


def _card(last4: str | None, brand: str | None) -> Step:
    """The test card with these last digits; the timeline never holds a card number."""
    wanted = (card for card in cards.CARDS if card.last4 == last4 and card.brand == brand)
    found = next(wanted, None)
    return {"card": found.number} if found else {}
