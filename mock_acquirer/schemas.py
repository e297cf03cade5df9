"""Schemas of the control API's bodies and query strings: their keys, and the check of each value.

A key that is not in the table is refused with 422, naming the nearest known key; the call then has no effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mock_acquirer import disputes, engine, plans
from mock_acquirer.cards import DECLINES
from mock_acquirer.errors import Refused, invalid
from mock_acquirer.money import LARGEST
from mock_acquirer.validation import (
    Check,
    duration,
    duration_up_to,
    moment,
    one_of,
    sentence,
    unknown,
    whole,
    words,
    yes_or_no,
)

LONGEST_WAIT = "PT30S"


def card(value: Any) -> str:
    """Check for a card number; whether it is a test card is checked when it is used."""
    if isinstance(value, bool) or not isinstance(value, str | int) or len(str(value)) > 40:
        raise ValueError("must be the number of a test card, such as 4242424242424242")
    return str(value)


def _hook(value: Any) -> dict[str, Any]:
    return plans.parse_resend(value)


@dataclass(frozen=True)
class Body:
    """The keys of one body. `needs` are required; of `either` exactly one; pairs of `apart` exclude each other."""

    keys: Mapping[str, Check] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    either: tuple[str, ...] = ()
    apart: tuple[tuple[str, str], ...] = ()
    example: str = "{}"


NOTHING = Body()
BODIES: dict[str, Body] = {
    "approve": Body({"card": card}, example='{"card": "4242424242424242"}'),
    "pay": Body({"card": card}, example='{"card": "4000000000003220"}'),
    "challenge": Body({"answer": one_of(*engine.CHALLENGE)}, example='{"answer": "approve"}'),
    "decline": Body(
        {"code": one_of(*DECLINES), "card": card}, apart=(("code", "card"),), example='{"code": "insufficient_funds"}'
    ),
    "fail": NOTHING,
    "cancel": NOTHING,
    "choose_store": NOTHING,
    "pay_at_counter": NOTHING,
    "simulate_paid": NOTHING,
    "dispute": Body(
        {
            "kind": one_of(*disputes.KINDS),
            "reason": one_of(*disputes.REASONS),
            "outcome": one_of("won", "lost"),
        },
        apart=(("outcome", "kind"), ("outcome", "reason")),
        example='{"kind": "inquiry", "reason": "duplicate"}',
    ),
    "refund": Body({"amount": whole(1, LARGEST)}, example='{"amount": 500}'),
    "clock/advance": Body({"by": duration, "to": moment}, either=("by", "to"), example='{"by": "PT15M"}'),
    "resend": Body({"hook": _hook}, example='{"hook": {"sign": "wrong_key"}}'),
    "expect": Body(
        {
            "payment": words,
            "delivered": words,
            "tries": whole(0, plans.MOST),
            "ack_under_ms": whole(0, 3_600_000),
            "within": duration_up_to(LONGEST_WAIT),
        },
        needs=("payment", "delivered"),
        example='{"payment": "P1", "delivered": "payment.captured", "tries": 2, "within": "PT10S"}',
    ),
    "keys/rotate": Body(
        {"dialect": words, "merchant": words, "overlap": duration}, example='{"dialect": "kpay", "overlap": "PT24H"}'
    ),
    "reset": NOTHING,
    "scenario": Body({"name": words}, example='{"name": "lost_webhook"}'),
    "payments/scenario": Body(
        {"name": words, "play": yes_or_no}, needs=("name",), example='{"name": "lost_webhook", "play": false}'
    ),
    "report_card": Body(
        {"dialect": words, "url": words, "payment": words},
        needs=("dialect", "url"),
        example='{"dialect": "kpay", "url": "http://localhost:8000/webhooks/kpay"}',
    ),
}
"""Bodies by the last part of their path. Fault plans are checked in `plans`."""
QUERIES: dict[str, tuple[str, ...]] = {
    # by endpoint: its query parameters; all other endpoints have none
    "control.get_faults": ("payment",),
    "control.list_deliveries": ("payment",),
    "control.settle": ("discrepancies", "seed", "format"),
    "lab.list_scenarios": ("dialect",),
}


def read(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """The body `name`, validated. Refuses (422) naming the key that is invalid, missing or unknown."""
    return checked(BODIES[name], given, f"The body of {name}")


def checked(body: Body, given: dict[str, Any], what: str) -> dict[str, Any]:
    """`given` with every value validated; `what` names it in messages. Refuses (422) as `read` does."""
    for key in given:
        if key not in body.keys:
            raise Refused(422, "invalid_request", "unknown_key", unknown(key, body.keys, what), param=key[:60])
    for key in body.needs:
        if key not in given:
            raise invalid(key, f"{key} is missing. Send {body.example}.")
    if body.either and len([key for key in body.either if key in given]) != 1:
        raise invalid(body.either[0], f"Send either {' or '.join(body.either)}, such as {body.example}.")
    for one, other in body.apart:
        if one in given and other in given:
            raise invalid(other, f"Send {one} or {other}, not both.")
    values = {}
    for key, value in given.items():
        try:
            values[key] = body.keys[key](value)
        except ValueError as wrong:
            raise invalid(key, sentence(key, wrong)) from wrong
    return values


def require_known_query(endpoint: str | None, names: list[str]) -> None:
    """Refuse (422) a query parameter that this endpoint does not have."""
    known = QUERIES.get(endpoint or "", ())
    for name in names:
        if name not in known:
            raise Refused(422, "invalid_request", "unknown_key", unknown(name, known, "The query"), param=name[:60])
