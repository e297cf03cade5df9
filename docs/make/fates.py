"""docs/fates.md: test cards, decline codes, fates and fault plans of the mock acquirer, from its tables."""

from __future__ import annotations

import json

from docs.make.text import GENERATED, table
from mock_acquirer import cards, plans, presets

_PLAN = """
A plan says how the acquirer misbehaves. It is armed for everything that follows (`PUT /_sim/faults`), for one endpoint
(`PUT /_sim/endpoints/<endpoint>/faults`), or for one payment (`PUT /_sim/payments/<ref>/faults`, the fate panel, or
`?fate=<slug>` on the address of a payment page). The most specific one wins; `{}` clears. Each use is logged.

`api` and `hook` are rules or lists of rules, `pay` is one rule. Every rule takes `times` (how often it fires) and
`chance` (0 to 1); draws depend on the plan's `seed`, the payment's number, the fault and the attempt, and on nothing
else.
"""


def page() -> str:
    """The text of docs/fates.md."""
    card_rows = [(f"`{card.spaced}`", card.brand, card.note) for card in cards.CARDS]
    declines = [(f"`{code}`", family, sentence) for code, (family, sentence) in cards.DECLINES.items()]
    fates = [
        (presets.PARTS[p.part], p.label, f"`{p.slug}`", p.says, f"`{json.dumps(p.plan)}`") for p in presets.PRESETS
    ]
    fields = [
        (f"`{section}`", ", ".join(f"`{name}`" for name in known if name not in plans.COMMON))
        for section, known in (("api", plans.API), ("pay", plans.PAY), ("hook", plans.HOOK))
    ]
    parts = [
        GENERATED,
        "# Cards and fates",
        "## Test cards",
        "Any date in the future, any security code. Other numbers are refused; no number is ever stored.",
        table(("Number", "Brand", "What happens: the payment"), card_rows),
        "## Decline codes",
        table(("Code", "Class", "What the shopper reads"), declines),
        f"A decline leaves the session open for another card; after {cards.MOST_DECLINES} it has failed.",
        "## Fates that can be picked",
        table(("Part", "Name on the panel", "Slug", "What happens", "Plan"), fates),
        "## Fault plans",
        _PLAN.strip(),
        table(("Part", "Knows"), fields),
        f"`do` of an `api` rule is one of {_list(plans.API_FAULTS)}; `op` is `*` or one of {_list(plans.OPS)}.\n"
        f"`sign` of a `hook` rule is one of {_list(plans.SIGN_FAULTS)}. `match` is an event type or `*`.\n"
        "Durations are ISO 8601, as in `PT30S`.",
    ]
    return "\n\n".join(parts) + "\n"


def _list(words: tuple[str, ...]) -> str:
    return ", ".join(f"`{word}`" for word in words)
