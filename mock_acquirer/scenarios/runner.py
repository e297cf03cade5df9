"""Arms a scenario, plays its steps, and says what did not happen as it should."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from mock_acquirer import acts, clock, deliveries, dialects, engine, faults, loop, states, timeline
from mock_acquirer.db import db
from mock_acquirer.errors import conflict, not_found
from mock_acquirer.models import Payment
from mock_acquirer.scenarios import Scenario, every
from mock_acquirer.shop_clock import ShopClock
from mock_acquirer.times import parse_duration


def named(name: Any) -> Scenario:
    """The scenario of this name. Refuses with 404."""
    found = every().get(name) if isinstance(name, str) else None
    if found is None:
        raise not_found(f"There is no scenario {name!r:.60}. GET /_sim/scenarios lists them.")
    return found


def arm(payment: Payment, scenario: Scenario) -> None:
    """Put the scenario's fate on the payment. Refuses (409) where it cannot happen: ended, or another dialect."""
    if payment.state not in states.OPEN or payment.capture_due_at is not None:
        raise conflict(f"already_{payment.state}", f"The payment is {payment.state}; a scenario needs an open one.")
    if not scenario.fits(payment.dialect):
        raise conflict("other_dialect", f"{scenario.name} can happen in {', '.join(scenario.dialects)} only.")
    faults.arm(payment.run, "scenario", payment.id, scenario.fate)
    timeline.note(payment, "control", f"Scenario armed: {scenario.name}")


def arm_next(run: str, scenario: Scenario | None) -> None:
    """Let the next payment of the run take this fate, its opening included; None takes a waiting one away."""
    faults.arm(run, "scenario", faults.NEXT, scenario.fate if scenario else {})


def play(payment: Payment, scenario: Scenario) -> list[str]:
    """Do the steps, send what is due, and answer what was expected and did not happen, in sentences."""
    for step in scenario.steps:
        words = {name: value for name, value in step.items() if name != "do"}
        PLAY.get(step["do"], _act(step["do"]))(payment, words)
        db.session.refresh(payment)
    _turn(payment.run, timedelta())
    db.session.expire_all()
    db.session.refresh(payment)
    return unmet(payment, scenario)


Step = Callable[[Payment, dict[str, Any]], object]


def _act(do: str) -> Step:
    return acts.ACTS.get(do, lambda *_: None)


def _turn(run: str, by: timedelta) -> None:
    """Turn the run's clock, the shop's with it on the default run, doing what becomes due on the way."""
    loop.advance(run, clock.now(run) + by, ShopClock(run).turn)


def _merchant_cancels(payment: Payment, _: dict[str, Any]) -> None:
    engine.cancel(payment, "merchant")


def _merchant_refunds(payment: Payment, words: dict[str, Any]) -> None:
    engine.refund(payment, words.get("amount"))


def _resend(payment: Payment, _: dict[str, Any]) -> None:
    for delivery in deliveries.of(payment):
        if delivery.state == "held":
            deliveries.resend(delivery)


PLAY: dict[str, Step] = {
    "advance": lambda payment, words: _turn(payment.run, parse_duration(words["by"])),
    "resend": _resend,
    "merchant_cancels": _merchant_cancels,
    "merchant_refunds": _merchant_refunds,
}


def happened(payment: Payment) -> dict[str, Any]:
    """What `expect` is compared with."""
    made = deliveries.of(payment)
    return {
        "state": payment.state,
        "captures": len(payment.captures),
        "money": _money(payment),
        "declined": payment.last_decline,
        "fired": sorted({use.fault for use in faults.used(payment)}),
        "made": dict(Counts(one.event.type for one in made)),
        "delivered": dict(Counts(one.event.type for one in made if one.state == "delivered")),
        "refunds": [one.state for one in payment.refunds],
        "disputes": [one.state for one in payment.disputes],
    }


def _money(payment: Payment) -> str:
    """Nothing, as_agreed, other_amount or other_currency: each taking of money against what was asked."""
    if not payment.captures:
        return "nothing"
    if any(one.currency != payment.currency for one in payment.captures):
        return "other_currency"
    return "as_agreed" if all(one.amount == payment.amount for one in payment.captures) else "other_amount"


def unmet(payment: Payment, scenario: Scenario) -> list[str]:
    """Sentences about what is not as expected.

    `state`, `captures` (their number), `money`, `declined`, `refunds` and `disputes` (their states) must be equal;
    `fired` names faults that must have fired; `made` and `delivered` count webhooks by type, of those types that the
    dialect tells about.
    """
    found, missing = happened(payment), []
    for name, wanted in scenario.expect.items():
        if name == "fired":
            missing += [f"The fault {fault} did not fire." for fault in wanted if fault not in found["fired"]]
        elif name in ("made", "delivered"):
            for kind, number in wanted.items():
                got = found[name].get(kind, 0)
                if got != number and _is_told(payment, kind):
                    missing.append(f"{got} webhooks {kind} were {name}, not {number}.")
        elif found[name] != wanted:
            missing.append(f"{name} is {found[name]}, not {wanted}.")
    return missing


def _is_told(payment: Payment, kind: str) -> bool:
    if not payment.webhook_url:
        return False
    return dialects.named(payment.dialect).event_body(payment, kind, "evt_none", clock.now(payment.run)) is not None
