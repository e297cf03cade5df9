"""Execution of an API call in any dialect: faults before it, the effect once per idempotency key, faults after it, a
timeline entry.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mock_acquirer import dialect_interface, engine, faults, idempotency, timeline
from mock_acquirer.db import release, unit
from mock_acquirer.errors import Refused
from mock_acquirer.idempotency import Key
from mock_acquirer.models import Payment
from mock_acquirer.times import parse_duration

LONGEST_LAG = 30.0
READS = ("query", "query_refund")


@dataclass(frozen=True)
class Answer:
    """Response of a call; body None is a response without a usable body."""

    status: int
    body: str | None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """`op` is start, query, cancel, capture, refund or query_refund; `payment` is None while none exists."""

    dialect: str
    op: str
    run: str
    payment: Payment | None = None
    key: Key | None = None


@dataclass
class Effect:
    """Result of a call's effect, as status and body."""

    status: int
    body: str


Doing = Callable[[str], Effect]  # called with the query's view: current, as created, or not found
GATEWAY_TIMEOUT = Answer(504, None)
SERVER_ERROR = Refused(500, "api_error", "internal_error", "Internal error.")


def perform(call: Call, doing: Doing) -> Answer:
    """Execute the call. Raises Refused for a refused call, which has no effect and is not stored."""
    if call.payment is not None:
        engine.expire_if_due(call.payment)
    rule = faults.api(_subject(call), call.op) or {}
    if call.payment is not None:
        timeline.note(call.payment, "call", call.op + (f", with the fault {rule['do']}" if rule else ""))
    early = _before(rule)
    if early is not None:
        return early
    shows = rule.get("shows", "created") if rule.get("do") == "stale_query" else "now"
    answer = _execute(call, doing, shows, fails=_is(rule, "500", "after_commit"))
    if rule.get("do") == "timeout_after_commit":
        return _hold()
    return answer


def _subject(call: Call) -> faults.Subject:
    if call.payment is not None:
        return faults.Subject.of(call.payment)
    return faults.Subject(call.run, engine.next_number(call.run), None)


def _is(rule: dict[str, Any], do: str, when: str) -> bool:
    return rule.get("do") == do and rule.get("when", "before_commit") == when


def _before(rule: dict[str, Any]) -> Answer | None:
    """Faults that answer before any effect; `lag` only delays."""
    if rule.get("do") == "timeout_before_commit":
        return _hold()
    if rule.get("do") == "429":
        wait = str(rule.get("retry_after", 1))
        raise Refused(
            429, "rate_limit", "too_many_requests", "Too many calls. Try again later.", headers={"Retry-After": wait}
        )
    if _is(rule, "500", "before_commit"):
        raise SERVER_ERROR
    if rule.get("do") == "lag":
        _sleep(min(parse_duration(rule.get("for", "PT3S")).total_seconds(), LONGEST_LAG))
    return None


def _hold() -> Answer:
    """Keep the caller waiting, then close without a usable response."""
    _sleep(dialect_interface.setting("ACQUIRER_TIMEOUT_HOLD"))
    return GATEWAY_TIMEOUT


def _sleep(seconds: float) -> None:
    release()
    time.sleep(seconds)


def _execute(call: Call, doing: Doing, shows: str, fails: bool) -> Answer:
    if call.op in READS:
        effect = doing(shows)
        return Answer(effect.status, effect.body)
    if call.key is None:
        effect = _effect(call, doing, "", fails)
        return Answer(effect.status, effect.body)
    token, stored = idempotency.begin(call.key)
    if stored is not None:
        return Answer(stored.status or 200, stored.body, {"Idempotent-Replayed": "true"})
    try:
        effect = _effect(call, doing, token, fails)
    except BaseException:
        idempotency.forget(call.key, token)
        raise
    return Answer(effect.status, effect.body)


@unit
def _effect(call: Call, doing: Doing, token: str, fails: bool) -> Effect:
    """Commit the effect and its stored response in one transaction: a key without a response means that nothing
    happened.
    """
    effect = doing("now")
    if fails:
        effect = Effect(
            SERVER_ERROR.status, dialect_interface.named(call.dialect).refuse(SERVER_ERROR).get_data(as_text=True)
        )
    if call.key is not None:
        idempotency.finish(call.key, token, effect.status, effect.body)
    return effect
