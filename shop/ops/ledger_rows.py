"""Rows of both ledgers side by side, from the comparison of `shop.integrity.compare`. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shop.core.money import Money
from shop.ops.formats import words
from shop.payments.records.types import RefundDestination

_ANSWERS = {"unavailable": "not reachable", "not_found": "not found"}


@dataclass(frozen=True)
class LedgerRow:
    """A field of a payment on both sides, as text. `differs` is None where there is nothing to compare."""

    field: str
    ours: str
    theirs: str = ""
    differs: bool | None = None


@dataclass(frozen=True)
class LedgerPayment:
    """A payment on both sides. `answer` says how the acquirer answered; it is empty before it was asked."""

    id: str
    provider: str
    rows: list[LedgerRow]
    answer: str = ""
    reason: str = ""


def payments(comparison: Mapping[str, Any]) -> list[LedgerPayment]:
    """The payments of a comparison, or of our side alone."""
    return [_payment(one) for one in comparison["payments"]]


def difference(comparison: Mapping[str, Any]) -> str:
    """The difference in total (ours minus theirs) as a sentence."""
    found = comparison["difference"]
    if found is None:
        return "An acquirer could not be asked, so the difference is not known."
    if not found:
        return "Both ledgers agree."
    amounts = ", ".join(Money(amount, currency).with_code() for currency, amount in found.items())
    return f"The ledgers differ by {amounts} (ours minus theirs)."


def _payment(one: Mapping[str, Any]) -> LedgerPayment:
    theirs = one.get("theirs") or {}
    answer = theirs.get("answer", "")
    there = theirs if answer == "found" else None
    rows = [_state(one["ours"], there), *_captures(one["ours"], there), *_refunds(one["ours"], there)]
    rows += [
        LedgerRow(f"Dispute {each['id']}", f"{words(each['state'])} {_money(each)}") for each in one["ours"]["disputes"]
    ]
    return LedgerPayment(
        one["payment"], one["provider"], rows, _ANSWERS.get(answer, answer), str(theirs.get("reason", ""))
    )


def _state(ours: Mapping[str, Any], theirs: Mapping[str, Any] | None) -> LedgerRow:
    there = str((theirs or {}).get("state") or "")
    return LedgerRow("State", words(ours["state"]), words(there), there != ours["state"] if there else None)


def _captures(ours: Mapping[str, Any], theirs: Mapping[str, Any] | None) -> Iterator[LedgerRow]:
    here = {each["id"]: f"{_money(each)} {words(each['allocation'])}" for each in ours["captures"]}
    there = {each["id"]: _money(each) for each in (theirs or {}).get("captures", ())}
    same = {each["id"]: _money(each) for each in ours["captures"]}
    for name in dict.fromkeys([*here, *there]):
        differs = None if theirs is None else same.get(name) != there.get(name)
        yield LedgerRow(f"Capture {name}", here.get(name, "none"), there.get(name, "none") if theirs else "", differs)


def _refunds(ours: Mapping[str, Any], theirs: Mapping[str, Any] | None) -> Iterator[LedgerRow]:
    here = {each["id"]: each for each in ours["refunds"]}
    there = {each["id"]: f"{_money(each)} {words(each['state'] or '')}" for each in (theirs or {}).get("refunds", ())}
    for name in dict.fromkeys([*here, *there]):
        each = here.get(name)
        text = f"{_money(each)} {words(each['state'])}" if each else "none"
        is_theirs = theirs is not None and (each is None or each["to"] == RefundDestination.PROVIDER)
        seen = there.get(name, "none") if is_theirs else ""
        suffix = "" if each is None or each["to"] == RefundDestination.PROVIDER else f" to {each['to']}"
        yield LedgerRow(f"Refund {name}", text + suffix.replace("_", " "), seen, seen != text if is_theirs else None)


def _money(each: Mapping[str, Any]) -> str:
    return Money(each["amount"], each["currency"]).with_code() if each["currency"] else "unknown amount"
