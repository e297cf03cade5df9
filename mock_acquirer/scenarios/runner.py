"""Arm a scenario, play its steps, and report unmet expectations."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from mock_acquirer import acts, clock, deliveries, dialect_interface, engine, faults, loop, states, timeline
from mock_acquirer.db import db
from mock_acquirer.errors import conflict, not_found
from mock_acquirer.models import Payment
from mock_acquirer.scenarios import Scenario, every
from mock_acquirer.shop_clock import ShopClock
from mock_acquirer.times import parse_duration
from mock_acquirer.validation import nearest


def named(name: Any) -> Scenario:
    """The scenario with this name. Refuses with 404."""
    found = every().get(name) if isinstance(name, str) else None
    if found is None:
        near = nearest(name, every())
        raise not_found(f"There is no scenario {name!r:.60}.{near} GET /_sim/scenarios lists them.")
    return found


def arm(payment: Payment, scenario: Scenario) -> None:
    """Arm the scenario on the payment. Refuses (409) where it does not apply: an ended payment, or another dialect."""
    if payment.state not in states.OPEN or payment.capture_due_at is not None:
        raise conflict(f"already_{payment.state}", f"The payment is {payment.state}; a scenario needs an open one.")
    if not scenario.fits(payment.dialect):
        raise conflict("other_dialect", f"{scenario.name} can happen in {', '.join(scenario.dialects)} only.")
    faults.arm(payment.run, "scenario", payment.id, scenario.fate, scenario=scenario.name)
    timeline.note(payment, "control", f"Scenario armed: {scenario.name}")


def arm_next(run: str, scenario: Scenario | None) -> None:
    """Arm the scenario on the run's next payment, its opening included; None disarms."""
    name = scenario.name if scenario else None
    faults.arm(run, "scenario", faults.NEXT, scenario.fate if scenario else {}, scenario=name)


def play(payment: Payment, scenario: Scenario) -> list[str]:
    """Perform the steps, send due deliveries, and return the unmet expectations as sentences."""
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
    """Advance the run's clock, and on the default run the shop's, performing everything that falls due."""
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
    """The payment's result, in the keys of `expect`."""
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
    """Each capture compared with the requested amount: nothing, as_agreed, other_amount or other_currency."""
    if not payment.captures:
        return "nothing"
    if any(one.currency != payment.currency for one in payment.captures):
        return "other_currency"
    return "as_agreed" if all(one.amount == payment.amount for one in payment.captures) else "other_amount"


def unmet(payment: Payment, scenario: Scenario) -> list[str]:
    """Sentences about unmet expectations.

    `state`, `captures` (their number), `money`, `declined`, `refunds` and `disputes` (their states) must be equal;
    `fired` names faults that must have fired; `made` and `delivered` count webhooks by type, of those types that the
    dialect sends.
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
    return (
        dialect_interface.named(payment.dialect).event_body(payment, kind, "evt_none", clock.now(payment.run))
        is not None
    )
