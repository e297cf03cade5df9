"""The shape of a fault plan: read, checked and normalised. A bad plan is refused whole, with a sentence."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from mock_acquirer.cards import DECLINES
from mock_acquirer.errors import Refused
from mock_acquirer.money import EXPONENTS
from mock_acquirer.times import parse_duration

OPS = ("start", "query", "cancel", "capture", "refund", "query_refund")
API_FAULTS = ("timeout_after_commit", "timeout_before_commit", "500", "429", "lag", "stale_query")
SIGN_FAULTS = ("missing", "wrong_key", "old_key", "malformed", "stale_time", "future_time", "tampered")
MOST_COPIES = 50
MOST = 1_000_000
Check = Callable[[Any], Any]


def bad_plan(sentence: str) -> Refused:
    return Refused(422, "invalid_request", "invalid_fault_plan", sentence)


def one_of(*choices: str) -> Check:
    def check(value: Any) -> str:
        word = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
        if word not in choices:
            raise ValueError("must be one of " + ", ".join(choices))
        return word

    return check


def whole(least: int, most: int) -> Check:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return value

    return check


def share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and 0 <= value <= 1):
        raise ValueError("must be a number from 0 to 1")
    return float(value)


def yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def duration(value: Any) -> str:
    try:
        parse_duration(value)
    except ValueError as wrong:
        raise ValueError("must be an ISO 8601 duration such as PT30S") from wrong
    return str(value)


def event_type(value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= 60 or not value.isprintable():
        raise ValueError("must be an event type such as payment.captured")
    return value


def currency(value: Any) -> str | bool:
    """True means: some other currency."""
    if value is True or value in EXPONENTS:
        return value
    raise ValueError("must be true, or one of " + ", ".join(EXPONENTS))


def delta(value: Any) -> int:
    if value == 0:
        raise ValueError("must not be 0")
    return int(whole(-MOST * 100, MOST * 100)(value))


COMMON: dict[str, Check] = {"times": whole(1, MOST), "chance": share}
API: dict[str, Check] = COMMON | {
    "op": one_of("*", *OPS),
    "do": one_of(*API_FAULTS),
    "for": duration,
    "retry_after": whole(0, 3600),
    "when": one_of("before_commit", "after_commit"),
    "shows": one_of("created", "nothing"),
}
PAY: dict[str, Check] = COMMON | {
    "decline": one_of(*DECLINES),
    "late_after_expiry": duration,
    "double": yes_or_no,
    "amount_delta": delta,
    "wrong_currency": currency,
}
HOOK: dict[str, Check] = COMMON | {
    "match": event_type,
    "drop": whole(1, MOST),
    "delay": duration,
    "duplicate": whole(1, MOST_COPIES),
    "parallel": yes_or_no,
    "hold_until": event_type,
    "before_response": yes_or_no,
    "reverse": yes_or_no,
    "sign": one_of(*SIGN_FAULTS),
}
TOP: dict[str, Check] = {"seed": whole(0, 2**31 - 1), "chance": share}
SECTIONS = ("api", "pay", "hook")


def parse_plan(given: Any) -> dict[str, Any]:
    """The plan with `api` and `hook` as lists of rules and `pay` as an object. Raises Refused (422) with a sentence."""
    if not isinstance(given, dict):
        raise bad_plan("A fault plan is a JSON object with the keys api, pay, hook, seed and chance.")
    plan: dict[str, Any] = {}
    for key, value in given.items():
        if key == "api":
            plan[key] = [_rule("api", rule, API, need="do") for rule in _as_list("api", value)]
        elif key == "hook":
            plan[key] = [_rule("hook", rule, HOOK) for rule in _as_list("hook", value)]
        elif key == "pay":
            plan[key] = _rule("pay", value, PAY)
        elif key in TOP:
            plan |= _rule("plan", {key: value}, TOP)
        else:
            raise bad_plan(f"The plan has no part {key!r:.60}. Its parts are api, pay, hook, seed and chance.")
    return plan


def _as_list(section: str, value: Any) -> list[Any]:
    rules = value if isinstance(value, list) else [value]
    if len(rules) > 50:
        raise bad_plan(f"{section} has more than 50 rules.")
    return rules


def _rule(section: str, given: Any, fields: dict[str, Check], need: str = "") -> dict[str, Any]:
    if not isinstance(given, dict):
        raise bad_plan(f"Each rule of {section} is a JSON object.")
    rule = {}
    for key, value in given.items():
        if key not in fields:
            raise bad_plan(f"{section} has no fault {key!r:.60}. It knows {', '.join(fields)}.")
        try:
            rule[key] = fields[key](value)
        except ValueError as wrong:
            raise bad_plan(f"{section}.{key} {wrong}.") from wrong
    if need and need not in rule:
        raise bad_plan(f"A rule of {section} needs {need!r}.")
    return rule


def merged(plan: dict[str, Any], fragment: dict[str, Any]) -> dict[str, Any]:
    """`plan` with the fragment's rules before its own."""
    both = dict(plan)
    for section in ("api", "hook"):
        if section in fragment:
            both[section] = fragment[section] + plan.get(section, [])
    if "pay" in fragment:
        both["pay"] = plan.get("pay", {}) | fragment["pay"]
    return both
