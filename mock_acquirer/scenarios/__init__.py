"""Scenarios as files: a name, a sentence, a fate, the steps of customer and clock, and what must have happened then.

Each is a TOML file in a folder here, which is its group. `runner` arms and plays them.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
GROUPS = {
    "journeys": "Journeys of a customer",
    "declines": "The bank says no",
    "three_d_secure": "3-D Secure",
    "money": "Money that is not as agreed",
    "webhooks": "Webhooks",
    "api": "The API",
    "afterwards": "Refunds and disputes",
}
STEPS: dict[str, str] = {
    # what the customer, the bank or the clock does: how a person is told to do it
    "approve": "Pay{card}.",
    "pay": "Enter the card {card} and press Pay.",
    "challenge": "Answer the 3-D Secure page with {answer}.",
    "decline": "The bank says no.",
    "fail": "The payment fails.",
    "cancel": "Press Cancel and return.",
    "choose_store": "Choose the convenience store.",
    "pay_at_counter": "Pay the code at the counter.",
    "dispute": "The customer's bank disputes the payment.",
    "advance": "Let {by} pass (turn the clock).",
    "resend": "Resend what is held.",
    "merchant_cancels": "The shop closes the session.",
    "merchant_refunds": "The shop refunds{amount}.",
}
EXPECTS = ("state", "captures", "money", "declined", "fired", "made", "delivered", "refunds", "disputes")


@dataclass(frozen=True)
class Scenario:
    """One scenario. `fate` is a fault plan, `steps` are rows of STEPS with their words.

    `dialects` are those in which it can happen (empty: all). What `expect` may hold is described at `runner.unmet`.
    """

    name: str
    sentence: str
    group: str
    fate: dict[str, Any] = field(default_factory=dict)
    steps: tuple[dict[str, Any], ...] = ()
    expect: dict[str, Any] = field(default_factory=dict)
    dialects: tuple[str, ...] = ()

    def fits(self, dialect: str) -> bool:
        """Whether it can happen in this dialect."""
        return not self.dialects or dialect in self.dialects

    def told(self) -> list[str]:
        """The steps as sentences for a person."""
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


def _sentence(step: dict[str, Any]) -> str:
    words = {"card": "", "answer": "", "by": "", "amount": ""} | {name: str(value) for name, value in step.items()}
    if step["do"] == "approve" and words["card"]:
        words["card"] = f" with the card {words['card']}"
    if step["do"] == "merchant_refunds":
        words["amount"] = f" {words['amount']} minor units" if words["amount"] else " all of it"
    return STEPS[step["do"]].format(**words)


def read(text: str, group: str = "own") -> Scenario:
    """A scenario from the text of its file. Raises ValueError with a sentence when it is none."""
    found = tomllib.loads(text)
    unknown = set(found) - {"name", "sentence", "dialects", "fate", "steps", "expect"}
    if unknown or not isinstance(found.get("name"), str) or not isinstance(found.get("sentence"), str):
        raise ValueError("A scenario has name, sentence, and may have dialects, fate, steps and expect.")
    steps = tuple(found.get("steps", []))
    for step in steps:
        if step.get("do") not in STEPS:
            raise ValueError(f"{found['name']}: a step does one of {', '.join(STEPS)}.")
    expect = found.get("expect", {})
    if set(expect) - set(EXPECTS):
        raise ValueError(f"{found['name']}: one can expect {', '.join(EXPECTS)}.")
    dialects = tuple(found.get("dialects", []))
    return Scenario(found["name"], found["sentence"], group, found.get("fate", {}), steps, expect, dialects)


@cache
def every() -> dict[str, Scenario]:
    """All scenarios by name, in the order of their groups."""
    found = {}
    for group in GROUPS:
        for path in sorted((FOLDER / group).glob("*.toml")):
            scenario = read(path.read_text(encoding="utf-8"), group)
            found[scenario.name] = scenario
    return found
