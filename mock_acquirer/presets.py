"""Fault presets: rows of slug, part (outcome, delivery, api), label, sentence and plan fragment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mock_acquirer.errors import invalid
from mock_acquirer.plans import merged
from mock_acquirer.validation import nearest


@dataclass(frozen=True)
class Preset:
    slug: str
    part: str
    label: str
    says: str
    plan: dict[str, Any]


def _hook(**rule: Any) -> dict[str, Any]:
    return {"hook": [rule]}


def _api(do: str, op: str = "*", **more: Any) -> dict[str, Any]:
    return {"api": [{"op": op, "do": do, "times": 1} | more]}


LOST = 1_000_000
PARTS = {"outcome": "Bank", "delivery": "Webhook", "api": "API"}
PRESETS: tuple[Preset, ...] = (
    Preset(
        "declined",
        "outcome",
        "Declined",
        "Every card is declined with insufficient funds.",
        {"pay": {"decline": "insufficient_funds"}},
    ),
    Preset(
        "charged_twice", "outcome", "Charged twice", "The customer is charged a second time.", {"pay": {"double": True}}
    ),
    Preset(
        "wrong_amount",
        "outcome",
        "Wrong amount",
        "The charge is 100 minor units too high.",
        {"pay": {"amount_delta": 100}},
    ),
    Preset(
        "wrong_currency",
        "outcome",
        "Wrong currency",
        "The same number is charged in another currency.",
        {"pay": {"wrong_currency": True}},
    ),
    Preset(
        "pays_after_expiry",
        "outcome",
        "Pays after expiry",
        "The payment succeeds ten minutes after the session has expired. Advance the clock to see it.",
        {"pay": {"late_after_expiry": "PT10M"}},
    ),
    Preset("lost_webhook", "delivery", "Lost webhook", "No attempt reaches the shop.", _hook(drop=LOST)),
    Preset(
        "first_attempt_lost",
        "delivery",
        "First attempt lost",
        "The retry after five seconds reaches the shop.",
        _hook(drop=1),
    ),
    Preset("late_30s", "delivery", "Delayed by 30 s", "The webhook is sent after 30 seconds.", _hook(delay="PT30S")),
    Preset("doubled", "delivery", "Duplicate", "The webhook is sent twice, one after the other.", _hook(duplicate=2)),
    Preset(
        "doubled_in_parallel",
        "delivery",
        "Duplicate in parallel",
        "The webhook is sent twice at the same time.",
        _hook(duplicate=2, parallel=True),
    ),
    Preset("reversed", "delivery", "Reverse order", "The last event is sent first.", _hook(reverse=True)),
    Preset(
        "before_response",
        "delivery",
        "Before the redirect",
        "The webhook is sent before your browser is redirected.",
        _hook(before_response=True),
    ),
    Preset("held", "delivery", "Held", "The webhook is sent only when you resend it.", _hook(hold_until="resend")),
    Preset(
        "bad_signature", "delivery", "Bad signature", "Signed with another merchant's key.", _hook(sign="wrong_key")
    ),
    Preset("no_signature", "delivery", "No signature", "The signature header is missing.", _hook(sign="missing")),
    Preset("old_key", "delivery", "Old key", "Signed with a key that is no longer valid.", _hook(sign="old_key")),
    Preset(
        "malformed_signature",
        "delivery",
        "Malformed signature",
        "The signature header is malformed.",
        _hook(sign="malformed"),
    ),
    Preset("stale_time", "delivery", "Stale time", "Signed correctly, ten minutes ago.", _hook(sign="stale_time")),
    Preset(
        "future_time",
        "delivery",
        "Future time",
        "Signed correctly, ten minutes in the future.",
        _hook(sign="future_time"),
    ),
    Preset("tampered", "delivery", "Tampered body", "The amount was changed after signing.", _hook(sign="tampered")),
    Preset(
        "api_timeout_after_commit",
        "api",
        "API times out after commit",
        "The next call takes effect, but the shop gets no response.",
        _api("timeout_after_commit"),
    ),
    Preset(
        "api_timeout_before_commit",
        "api",
        "API times out before commit",
        "The next call has no effect, and the shop gets no response.",
        _api("timeout_before_commit"),
    ),
    Preset("api_500", "api", "API returns 500", "The next call returns 500.", _api("500")),
    Preset("api_429", "api", "API returns 429", "The next call returns 429.", _api("429", retry_after=2)),
    Preset("api_slow", "api", "API is slow", "The next call takes three seconds.", _api("lag", **{"for": "PT3S"})),
    Preset(
        "stale_query",
        "api",
        "Stale query",
        "The next three queries return an outdated state.",
        _api("stale_query", "query", times=3),
    ),
)
BY_SLUG = {preset.slug: preset for preset in PRESETS}


def of_part(part: str) -> list[Preset]:
    return [preset for preset in PRESETS if preset.part == part]


def chosen(slugs: list[str]) -> list[Preset]:
    """The presets with these slugs, each once, in table order; empty slugs are ignored. Refuses unknown ones (422)."""
    for slug in slugs:
        if slug and slug not in BY_SLUG:
            raise invalid("fate", f"There is no preset {slug[:60]!r}.{nearest(slug, BY_SLUG)}")
    return [preset for preset in PRESETS if preset.slug in slugs]


def plan_of(picked: list[Preset]) -> dict[str, Any]:
    """One plan of all chosen presets."""
    plan: dict[str, Any] = {}
    for preset in reversed(picked):
        plan = merged(plan, preset.plan)
    return plan
