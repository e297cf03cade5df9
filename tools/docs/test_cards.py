"""docs/test-cards.md: test cards, decline codes, presets and fault plans of the mock acquirer, from its tables."""

from __future__ import annotations

import json

from mock_acquirer import cards, plans, presets
from mock_acquirer.acts import ACTS
from mock_acquirer.dialects import discover
from mock_acquirer.events import EVENTS
from mock_acquirer.schemas import BODIES
from tools.docs.text import GENERATED, table

_PLAN = """
A plan lists faults of the acquirer. It is armed for everything that follows (`PUT /_sim/faults`), for one endpoint
(`PUT /_sim/endpoints/<endpoint>/faults`), or for one payment (`PUT /_sim/payments/<ref>/faults`, the panel for testers
on its page, or `?fate=<slug>` in the address of that page). The most specific plan applies; `{}` clears it. Each use is
logged.

`api` and `hook` are rules or lists of rules, `pay` is one rule. Every rule takes `times` (how often it applies) and
`chance` (0 to 1). Whether a fault with a `chance` happens depends only on the plan's `seed`, the payment's number, the
fault and the attempt.
"""


_EVENTS = """
`match`, `hold_until` and `delivered` take the names of this table, for every dialect. A name that the payment's dialect
never sends is refused.
"""


def page() -> str:
    """Return the text of docs/test-cards.md."""
    card_rows = [(f"`{card.spaced}`", card.brand, card.note) for card in cards.CARDS]
    declines = [(f"`{code}`", family, sentence) for code, (family, sentence) in cards.DECLINES.items()]
    fault_presets = [
        (presets.PARTS[p.part], p.label, f"`{p.slug}`", p.says, f"`{json.dumps(p.plan)}`") for p in presets.PRESETS
    ]
    fields = [
        (f"`{section}`", ", ".join(f"`{name}`" for name in known if name not in plans.COMMON))
        for section, known in (("api", plans.API), ("pay", plans.PAY), ("hook", plans.HOOK))
    ]
    parts = [
        GENERATED,
        "# Test cards and faults",
        "## Test cards",
        "Use any future date, any security code and any name. Other numbers are refused; no number is ever stored.",
        table(("Number", "Brand", "Result"), card_rows),
        "## Decline codes",
        table(("Code", "Class", "Message to the customer"), declines),
        f"After a decline the customer may try another card; after {cards.MOST_DECLINES} declines the session fails.",
        "## Presets",
        table(("Part", "Name on the panel", "Slug", "Effect", "Plan"), fault_presets),
        "## Fault plans",
        _PLAN.strip(),
        table(("Part", "Keys"), fields),
        f"`do` of an `api` rule is one of {_list(plans.API_FAULTS)}; `op` is `*` or one of {_list(plans.OPS)}.\n"
        f"`sign` of a `hook` rule is one of {_list(plans.SIGN_FAULTS)}. `match` is an event type or `*`.\n"
        "Durations are ISO 8601, as in `PT30S`.",
        "## Events",
        _EVENTS.strip(),
        table(("Event", "Sent by"), _senders()),
        "## Bodies of the control API",
        "An unknown key or an invalid value is 422, names the nearest known one, and has no effect.",
        table(("Call", "Keys", "Example"), _bodies()),
    ]
    return "\n\n".join(parts) + "\n"


def _senders() -> list[tuple[str, str]]:
    known = discover()
    return [(f"`{event}`", ", ".join(one.name for one in known.values() if event in one.tells)) for event in EVENTS]


def _bodies() -> list[tuple[str, str, str]]:
    paths = {
        "resend": "POST /_sim/deliveries/<id>/resend",
        "payments/scenario": "POST /_sim/payments/<ref>/scenario",
    } | {act: f"POST /_sim/payments/<ref>/{act}" for act in ACTS}
    return [
        (
            f"`{paths.get(name, f'POST /_sim/{name}')}`",
            ", ".join(f"`{key}`" + (" (required)" if key in body.needs else "") for key in body.keys) or "none",
            f"`{body.example}`",
        )
        for name, body in BODIES.items()
    ]


def _list(words: tuple[str, ...]) -> str:
    return ", ".join(f"`{word}`" for word in words)
