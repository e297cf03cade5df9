"""Scenario files: a name, a sentence, a fault plan, the steps of customer and clock, and the expected result.

Each is a TOML file in a folder here, which is its group. `runner` arms and plays them.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from mock_acquirer import plans, schemas, states
from mock_acquirer.cards import DECLINES
from mock_acquirer.dialect_interface import Dialect
from mock_acquirer.dialects import discover
from mock_acquirer.errors import Refused, invalid
from mock_acquirer.events import EVENTS, one_of_events
from mock_acquirer.money import LARGEST
from mock_acquirer.schemas import Body
from mock_acquirer.times import in_words, parse_duration
from mock_acquirer.validation import Check, counts_of, duration, list_of, not_among, one_of, whole, words

FOLDER = Path(__file__).resolve().parent
GROUPS = {
    "journeys": "Customer journeys",
    "declines": "Declines",
    "three_d_secure": "3-D Secure",
    "money": "Wrong amounts",
    "webhooks": "Webhooks",
    "api": "The API",
    "afterwards": "Refunds and disputes",
}
STEPS: dict[str, str] = {
    # actions of customer, bank or clock: the instruction for a person
    "approve": "Pay{card}.",
    "pay": "Enter the card {card} and press Pay.",
    "challenge": "Answer the 3-D Secure page with {answer}.",
    "decline": "The bank declines.",
    "fail": "The payment fails.",
    "cancel": "Press Cancel and return.",
    "choose_store": "Choose the convenience store.",
    "pay_at_counter": "Pay with the code at the counter.",
    "dispute": "The customer's bank disputes the payment.",
    "advance": "Advance {by}.",
    "resend": "Resend the held webhooks.",
    "merchant_cancels": "The shop cancels the session.",
    "merchant_refunds": "The shop refunds{amount}.",
}
REASONS = {
    "authentication_failed": "3-D Secure failed",
    "authentication_required": "3-D Secure required",
    "card_velocity_exceeded": "Card used too often",
    "expired_card": "Expired card",
    "fraudulent": "Suspected fraud",
    "generic_decline": "No reason given",
    "incorrect_cvc": "Wrong security code",
    "incorrect_number": "Wrong card number",
    "insufficient_funds": "Insufficient funds",
    "lost_card": "Lost card",
    "no_answer": "No answer from the bank",
    "processing_error": "Processing error",
    "stolen_card": "Stolen card",
}
"""Decline codes in words."""
OTHER_STEPS: dict[str, Body] = {
    # parameters of steps that are no calls of the control API; all others take their call's body
    "advance": Body({"by": duration}, needs=("by",), example='by = "PT15M"'),
    "resend": Body(),
    "merchant_cancels": Body(),
    "merchant_refunds": Body({"amount": whole(1, LARGEST)}, example="amount = 100"),
}
FAULTS = (
    *(f"api.{name}" for name in plans.API_FAULTS),
    *(f"{section}.{name}" for section, known in (("pay", plans.PAY), ("hook", plans.HOOK)) for name in known),
)
EXPECTS: dict[str, Check] = {
    "state": one_of(*states.TRANSITIONS),
    "captures": whole(0, 1000),
    "money": one_of("nothing", "as_agreed", "other_amount", "other_currency"),
    "declined": one_of(*DECLINES),
    "fired": list_of(one_of(*FAULTS)),
    "made": counts_of(one_of_events()),
    "delivered": counts_of(one_of_events()),
    "refunds": list_of(one_of(*states.REFUND_TRANSITIONS)),
    "disputes": list_of(one_of("scheduled", "open", "won", "lost")),
}


@dataclass(frozen=True)
class Scenario:
    """A scenario. `fate` is a fault plan, `steps` are rows of STEPS with their parameters.

    `dialects` are those to which it applies (empty: all). `runner.unmet` describes the keys of `expect`.
    """

    name: str
    sentence: str
    group: str
    fate: dict[str, Any] = field(default_factory=dict)
    steps: tuple[dict[str, Any], ...] = ()
    expect: dict[str, Any] = field(default_factory=dict)
    dialects: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The display name."""
        return label_of(self.name)

    def fits(self, dialect: str) -> bool:
        """True when it applies to this dialect."""
        return not self.dialects or dialect in self.dialects

    def instructions(self) -> list[str]:
        """The steps as instructions for a person."""
        return [_sentence(step) for step in self.steps]

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": self.name,
            "sentence": self.sentence,
            "group": self.group,
            "dialects": list(self.dialects),
            "fate": self.fate,
            "steps": [dict(step) for step in self.steps],
            "expect": self.expect,
        }


def label_of(name: str) -> str:
    """The display name of a scenario; a decline's is its reason."""
    kind, _, code = name.partition("_")
    if code in REASONS and kind == "card":
        return REASONS[code]
    if code in REASONS and kind == "declined":
        return f"Declined once: {REASONS[code]}"
    return name.replace("_", " ").capitalize()


def _sentence(step: dict[str, Any]) -> str:
    words = {"card": "", "answer": "", "by": "", "amount": ""} | {name: str(value) for name, value in step.items()}
    if words["by"]:
        words["by"] = in_words(parse_duration(words["by"]))
    if step["do"] == "dispute" and "outcome" in words:
        return f"The dispute is {words['outcome']}."
    if step["do"] == "approve" and words["card"]:
        words["card"] = f" with the card {words['card']}"
    if step["do"] == "merchant_refunds":
        words["amount"] = f" {words['amount']} minor units" if words["amount"] else " the full amount"
    return STEPS[step["do"]].format(**words)


def read(text: str, group: str = "own") -> Scenario:
    """Parse a scenario file. Raises ValueError with a sentence."""
    found = tomllib.loads(text)
    try:
        sent = schemas.checked(SCENARIO, found, "A scenario")
        steps = tuple(_step(step) for step in sent.get("steps", []))
        expect = schemas.checked(Body(EXPECTS), sent.get("expect", {}), "expect")
        named = tuple(sent.get("dialects", []))
        event_names = {event for name in named or _dialects() for event in _dialects()[name].tells}
        fate = plans.parse_plan(sent.get("fate", {}), tuple(one for one in EVENTS if one in event_names))
    except Refused as wrong:
        raise ValueError(f"{found.get('name', 'A scenario')}: {wrong.message}") from wrong
    return Scenario(sent["name"], sent["sentence"], group, fate, steps, expect, named)


def _step(given: dict[str, Any]) -> dict[str, Any]:
    do = given.get("do")
    if not isinstance(do, str) or do not in STEPS:
        raise invalid("do", f"A step {not_among(do, STEPS)}.")
    words = {name: value for name, value in given.items() if name != "do"}
    body = OTHER_STEPS.get(do) or schemas.BODIES[do]
    return {"do": do} | schemas.checked(body, words, f"The step {do}")


@cache
def _dialects() -> dict[str, Dialect]:
    return discover()


def _dialect(value: Any) -> str:
    return one_of(*_dialects())(value)


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("must be a table")
    return value


SCENARIO = Body(
    {
        "name": words,
        "sentence": words,
        "dialects": list_of(_dialect),
        "fate": _table,
        "steps": list_of(_table),
        "expect": _table,
    },
    needs=("name", "sentence"),
    example='name = "lost_webhook", sentence = "Every attempt is lost."',
)


@cache
def every() -> dict[str, Scenario]:
    """All scenarios by name, in the order of their groups."""
    found = {}
    for group in GROUPS:
        for path in sorted((FOLDER / group).glob("*.toml")):
            scenario = read(path.read_text(encoding="utf-8"), group)
            found[scenario.name] = scenario
    return found
