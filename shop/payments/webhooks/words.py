"""Outcomes of webhooks as sentences for staff. Pure."""

from __future__ import annotations

from shop.payments.providers.types import Outcome, Trust
from shop.payments.webhooks.filters import State

OUTCOMES = {
    Outcome.APPLIED: "Applied",
    Outcome.DUPLICATE: "Repeated: it reports what was known already",
    Outcome.STALE: "Too late: a newer update has been applied",
    Outcome.ILLEGAL: "Not applied: the payment cannot change in this way any more",
    Outcome.HINT: "Not trusted: it only made the payment due for a poll",
    Outcome.MISMATCH: "Applied: the amount or currency is wrong",
    Outcome.ORPHAN: "Unknown payment",
    Outcome.FOREIGN: "Not ours: it is about a payment of another merchant or system",
    Outcome.KEY_REUSED: "Refused: another body came under a known event id",
    Outcome.BAD_SIGNATURE: "Not trusted: the signature is not valid",
    Outcome.MALFORMED: "Refused: the content cannot be read",
}
"""Short text of each outcome."""
_WHY_NOT_TRUSTED = {
    Trust.UNSIGNED: "Not trusted because it has no signature. It only made the payment due for a poll",
    Trust.REPLAYABLE: (
        "Not trusted because its signature does not cover event id and time. It only made the payment due for a poll"
    ),
    Trust.HINT: "Says too little to be applied. It only made the payment due for a poll",
    Trust.SIGNED: "Nothing to apply: it reports no change of a payment, refund or dispute",
}
TONES = {
    Outcome.APPLIED: "good",
    Outcome.MISMATCH: "bad",
    Outcome.ORPHAN: "wait",
    Outcome.BAD_SIGNATURE: "bad",
    Outcome.MALFORMED: "bad",
    Outcome.KEY_REUSED: "bad",
}
"""Colour of an outcome; all others are calm."""
STATES = {
    State.DONE: "Done",
    State.WAITING: "Waiting for the next attempt",
    State.FAILING: "Failing, tried again later",
    State.REFUSED: "Refused on receipt",
}


def name(outcome: Outcome) -> str:
    """The outcome in a word or two. A duplicate report is no duplicate payment, so it has another word."""
    return "repeated" if outcome is Outcome.DUPLICATE else outcome.replace("_", " ")


def more_than_outcome(outcome: Outcome | None, text: str) -> str:
    """The sentence about a webhook, for use beside the name of its outcome; empty if it says the same."""
    return "" if outcome is not None and text.lower() == name(outcome) else text


def sentence(
    outcome: Outcome | None,
    *,
    trust: Trust | None = None,
    state: State = State.DONE,
    error: str | None = None,
    reason: str = "",
    not_ours: str | None = None,
) -> str:
    """Say what became of a webhook, and why."""
    if state is State.FAILING:
        return f"Not applied yet because of an error: {error}"
    if outcome is None:
        return "Not applied yet"
    if outcome == Outcome.BAD_SIGNATURE and reason:
        return f"Not trusted because the signature is not valid: {reason}"
    if outcome == Outcome.HINT and trust is not None:
        return _WHY_NOT_TRUSTED[trust]
    because = reason or not_ours
    return OUTCOMES[outcome] + (f" ({because})" if because else "")
