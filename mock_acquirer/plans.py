"""Fault plans: parse, validate and normalise. An invalid plan is refused as a whole, with a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mock_acquirer.cards import DECLINES
from mock_acquirer.errors import Refused
from mock_acquirer.events import EVENTS, one_of_events
from mock_acquirer.money import EXPONENTS
from mock_acquirer.validation import Check, duration, nearest, one_of, sentence, share, whole, yes_or_no

OPS = ("start", "query", "cancel", "capture", "refund", "query_refund")
API_FAULTS = ("timeout_after_commit", "timeout_before_commit", "500", "429", "lag", "stale_query")
SIGN_FAULTS = ("missing", "wrong_key", "old_key", "malformed", "stale_time", "future_time", "tampered")
MOST_COPIES = 50
MOST = 1_000_000


def bad_plan(sentence: str) -> Refused:
    return Refused(422, "invalid_request", "invalid_fault_plan", sentence)


def currency(value: Any) -> str | bool:
    """Check for a currency; True means: any other currency."""
    if value is True or (isinstance(value, str) and value in EXPONENTS):
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
ONLY_WITH = {"for": "lag", "retry_after": "429", "when": "500", "shows": "stale_query"}
"""Keys of an `api` rule that belong to one fault alone."""
PAY: dict[str, Check] = COMMON | {
    "decline": one_of(*DECLINES),
    "late_after_expiry": duration,
    "double": yes_or_no,
    "amount_delta": delta,
    "wrong_currency": currency,
}
HOOK: dict[str, Check] = COMMON | {
    "match": one_of_events(EVENTS, "*"),
    "drop": whole(1, MOST),
    "delay": duration,
    "duplicate": whole(1, MOST_COPIES),
    "parallel": yes_or_no,
    "hold_until": one_of_events(EVENTS, "resend"),
    "before_response": yes_or_no,
    "reverse": yes_or_no,
    "sign": one_of(*SIGN_FAULTS),
}
RESENT = {name: HOOK[name] for name in ("drop", "sign")}
"""Faults that a resend can apply to its one attempt."""
TOP: dict[str, Check] = {"seed": whole(0, 2**31 - 1), "chance": share}
SECTIONS = ("api", "pay", "hook")


def parse_plan(given: Any, events: tuple[str, ...] = EVENTS) -> dict[str, Any]:
    """The plan with `api` and `hook` as lists of rules and `pay` as an object. `events`: event types that can be
    matched.

    Raises Refused (422) with a sentence.
    """
    if not isinstance(given, dict):
        raise bad_plan("A fault plan is a JSON object with the keys api, pay, hook, seed and chance.")
    plan: dict[str, Any] = {}
    event_fields = {"match": one_of_events(events, "*"), "hold_until": one_of_events(events, "resend")}
    for key, value in given.items():
        if key == "api":
            plan[key] = [_api_rule(rule) for rule in _as_list("api", value)]
        elif key == "hook":
            plan[key] = [
                _rule("hook", rule, HOOK | event_fields, beside=("match",)) for rule in _as_list("hook", value)
            ]
        elif key == "pay":
            plan[key] = _rule("pay", value, PAY) if value else _object("pay", value)
        elif key in TOP:
            plan |= _rule("plan", {key: value}, TOP, beside=tuple(TOP))
        else:
            parts = (*SECTIONS, *TOP)
            near = nearest(key, parts)
            raise bad_plan(f"The plan has no part {key!r:.60}.{near} Its parts are api, pay, hook, seed and chance.")
    return plan


def parse_resend(given: Any) -> dict[str, Any]:
    """The rule for one resent attempt. Raises Refused (422) with a sentence."""
    rules = _as_list("hook", given)
    if len(rules) > 1:
        raise bad_plan("A resend takes one rule.")
    return _rule("hook of a resend", rules[0], RESENT) if rules and rules[0] else {}


def _as_list(section: str, value: Any) -> list[Any]:
    rules = value if isinstance(value, list) else [value]
    if len(rules) > 50:
        raise bad_plan(f"{section} has more than 50 rules.")
    return rules


def _object(section: str, given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise bad_plan(f"Each rule of {section} is a JSON object.")
    return given


def _rule(section: str, given: Any, fields: Mapping[str, Check], beside: tuple[str, ...] = ()) -> dict[str, Any]:
    """The validated rule; it needs a fault besides `times`, `chance` and the keys in `beside`."""
    rule = {}
    for key, value in _object(section, given).items():
        if key not in fields:
            near = nearest(key, fields)
            raise bad_plan(f"{section} has no fault {key!r:.60}.{near} Known faults: {', '.join(fields)}.")
        try:
            rule[key] = fields[key](value)
        except ValueError as wrong:
            raise bad_plan(sentence(f"{section}.{key}", wrong)) from wrong
    if beside != tuple(TOP) and not set(rule) - {*COMMON, *beside}:
        faults = ", ".join(name for name in fields if name not in (*COMMON, *beside))
        raise bad_plan(f"A rule of {section} needs a fault, one of {faults}.")
    return rule


def _api_rule(given: Any) -> dict[str, Any]:
    rule = _rule("api", given, API, beside=("op", *ONLY_WITH))
    for key, do in ONLY_WITH.items():
        if key in rule and rule["do"] != do:
            raise bad_plan(f"api.{key} belongs to the fault {do}, not to {rule['do']}.")
    if rule["do"] == "stale_query" and rule.get("op", "*") not in ("query", "*"):
        raise bad_plan("stale_query acts on the op query alone.")
    return rule


def require_endpoint(plan: dict[str, Any], endpoint: str) -> None:
    """Refuse (422) a plan with a rule that can never apply at this endpoint."""
    section = {"card": "pay", "webhook": "hook"}.get(endpoint, "api")
    for other in set(plan) & set(SECTIONS) - {section}:
        raise bad_plan(f"At the endpoint {endpoint} only {section} applies; {other} would have no effect.")
    for rule in plan.get("api", []):
        if rule.get("op", "*") not in (endpoint, "*"):
            raise bad_plan(f"At the endpoint {endpoint} a rule about {rule['op']} would have no effect.")


def merged(plan: dict[str, Any], fragment: dict[str, Any]) -> dict[str, Any]:
    """`plan` with the fragment's rules before its own."""
    both = dict(plan)
    for section in ("api", "hook"):
        if section in fragment:
            both[section] = fragment[section] + plan.get(section, [])
    if "pay" in fragment:
        both["pay"] = plan.get("pay", {}) | fragment["pay"]
    return both
