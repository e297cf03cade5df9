"""Fates that a person can pick: rows of slug, part (outcome, delivery, api), label, sentence and plan fragment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mock_acquirer.plans import merged


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
PARTS = {"outcome": "What the bank does", "delivery": "What happens to the webhook", "api": "What the API does"}
PRESETS: tuple[Preset, ...] = (
    Preset(
        "declined",
        "outcome",
        "Declined",
        "Any card is declined: not enough money.",
        {"pay": {"decline": "insufficient_funds"}},
    ),
    Preset("charged_twice", "outcome", "Charged twice", "The money is taken a second time.", {"pay": {"double": True}}),
    Preset(
        "wrong_amount",
        "outcome",
        "Wrong amount",
        "100 units more than asked are taken.",
        {"pay": {"amount_delta": 100}},
    ),
    Preset(
        "wrong_currency",
        "outcome",
        "Wrong currency",
        "The same number is taken in another currency.",
        {"pay": {"wrong_currency": True}},
    ),
    Preset(
        "pays_after_expiry",
        "outcome",
        "Pays after expiry",
        "The money arrives ten minutes after the session has ended.",
        {"pay": {"late_after_expiry": "PT10M"}},
    ),
    Preset("lost_webhook", "delivery", "Lost webhook", "Every attempt is lost.", _hook(drop=LOST)),
    Preset(
        "first_attempt_lost", "delivery", "First attempt lost", "The retry after five seconds arrives.", _hook(drop=1)
    ),
    Preset("late_30s", "delivery", "Late by 30 s", "The webhook waits 30 seconds.", _hook(delay="PT30S")),
    Preset("doubled", "delivery", "Doubled", "The webhook comes twice, one after the other.", _hook(duplicate=2)),
    Preset(
        "doubled_in_parallel",
        "delivery",
        "Doubled in parallel",
        "Two copies come at the same instant.",
        _hook(duplicate=2, parallel=True),
    ),
    Preset("reversed", "delivery", "Reversed", "The last event comes first.", _hook(reverse=True)),
    Preset(
        "before_response",
        "delivery",
        "Before the answer",
        "The webhook is sent before your browser gets its answer.",
        _hook(before_response=True),
    ),
    Preset("held", "delivery", "Held", "The webhook waits until somebody resends it.", _hook(hold_until="resend")),
    Preset(
        "bad_signature", "delivery", "Bad signature", "Signed with another merchant's key.", _hook(sign="wrong_key")
    ),
    Preset("no_signature", "delivery", "No signature", "The signature header is missing.", _hook(sign="missing")),
    Preset("old_key", "delivery", "Old key", "Signed with a key that is no longer valid.", _hook(sign="old_key")),
    Preset(
        "malformed_signature",
        "delivery",
        "Malformed signature",
        "The signature header is garbage.",
        _hook(sign="malformed"),
    ),
    Preset("stale_time", "delivery", "Stale time", "Signed rightly, ten minutes ago.", _hook(sign="stale_time")),
    Preset("future_time", "delivery", "Future time", "Signed rightly, ten minutes ahead.", _hook(sign="future_time")),
    Preset("tampered", "delivery", "Tampered body", "The amount was changed after signing.", _hook(sign="tampered")),
    Preset(
        "api_timeout_after_commit",
        "api",
        "API times out after commit",
        "The next call takes effect; the shop gets no answer.",
        _api("timeout_after_commit"),
    ),
    Preset(
        "api_timeout_before_commit",
        "api",
        "API times out before commit",
        "The next call has no effect; the shop gets no answer.",
        _api("timeout_before_commit"),
    ),
    Preset("api_500", "api", "API fails with 500", "The next call fails.", _api("500")),
    Preset(
        "api_429", "api", "API says too many calls", "The next call is refused with 429.", _api("429", retry_after=2)
    ),
    Preset("api_slow", "api", "API is slow", "The next call takes three seconds.", _api("lag", **{"for": "PT3S"})),
    Preset(
        "stale_query",
        "api",
        "Stale query",
        "The next three queries show an old state.",
        _api("stale_query", "query", times=3),
    ),
)
BY_SLUG = {preset.slug: preset for preset in PRESETS}


def of_part(part: str) -> list[Preset]:
    return [preset for preset in PRESETS if preset.part == part]


def chosen(slugs: list[str]) -> list[Preset]:
    """The known ones among the slugs, each once, in the order of the table."""
    return [preset for preset in PRESETS if preset.slug in slugs]


def plan_of(picked: list[Preset]) -> dict[str, Any]:
    """One plan of all that was picked."""
    plan: dict[str, Any] = {}
    for preset in reversed(picked):
        plan = merged(plan, preset.plan)
    return plan
