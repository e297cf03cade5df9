"""Digests of the terms that a checkout form showed and of the values that it sent. Pure functions.

An order contains exactly the terms that its form showed, for the customer to whom the form was shown. One form places
one order.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

GUEST = "guest"
_LINE = r"[A-Z0-9-]{1,64}:[1-9][0-9]{0,3}:[0-9]{1,15}"
_CHARGE = r"(?:delivery:[a-z0-9-]{1,40}|discount|tax)=-?[0-9]{1,15}"
_TEXT = re.compile(rf"[A-Z]{{3}}(?:;{_LINE}){{0,200}}(?:;{_CHARGE}){{0,3}}")


@dataclass(frozen=True)
class Terms:
    """Currency, lines as (SKU, quantity, unit price in minor units), and the amounts of delivery, discount and tax as
    (kind, minor units). The kind of delivery ends with the key of its method: `delivery:express`.
    """

    currency: str
    lines: tuple[tuple[str, int, int], ...]
    charges: tuple[tuple[str, int], ...] = ()

    @property
    def text(self) -> str:
        """Text form, from which the page later lists what has changed; `read` is its inverse."""
        lines = (f"{sku}:{quantity}:{amount}" for sku, quantity, amount in self.lines)
        return ";".join([self.currency, *lines, *(f"{kind}={amount}" for kind, amount in self.charges)])

    @property
    def digest(self) -> str:
        """Equal for equal terms only."""
        return _digest(self.text)


@dataclass(frozen=True)
class Shown:
    """Values of the page that a form sends back: checkout key, digest of the terms, mark of the customer."""

    key: str
    terms: str
    customer: str


@dataclass(frozen=True)
class Change:
    """A difference between two terms. `kind` is currency, added, removed, quantity, price, that of a charge, or method
    for another delivery method. Prices are minor units.
    """

    kind: str
    sku: str = ""
    before: int = 0
    now: int = 0


def terms(currency: str, lines: Iterable[tuple[str, int, int]], charges: Iterable[tuple[str, int]] = ()) -> Terms:
    """The terms of these lines and charges; their order does not matter."""
    return Terms(currency, tuple(sorted(lines)), tuple(sorted(charges)))


def read(text: str) -> Terms | None:
    """The terms that `Terms.text` wrote; None for anything else."""
    if not _TEXT.fullmatch(text):
        return None
    currency, *parts = text.split(";")
    lines = (part.split(":") for part in parts if "=" not in part)
    charges = (part.split("=") for part in parts if "=" in part)
    return terms(
        currency,
        ((sku, int(quantity), int(amount)) for sku, quantity, amount in lines),
        ((kind, int(amount)) for kind, amount in charges),
    )


def changes(before: Terms, now: Terms) -> list[Change]:
    """Differences between two terms. Prices of different currencies are not compared."""
    was, there = ({line[0]: line[1:] for line in each.lines} for each in (before, now))
    found = [Change("currency")] if before.currency != now.currency else []
    for sku in sorted(was.keys() | there.keys()):
        if sku not in was:
            found.append(Change("added", sku, 0, there[sku][0]))
        elif sku not in there:
            found.append(Change("removed", sku, was[sku][0], 0))
        else:
            if was[sku][0] != there[sku][0]:
                found.append(Change("quantity", sku, was[sku][0], there[sku][0]))
            if was[sku][1] != there[sku][1] and before.currency == now.currency:
                found.append(Change("price", sku, was[sku][1], there[sku][1]))
    return found if before.currency != now.currency else found + _changed_charges(before, now)


def _changed_charges(before: Terms, now: Terms) -> list[Change]:
    was, there = ({kind.partition(":")[0]: amount for kind, amount in each.charges} for each in (before, now))
    kinds = sorted(was.keys() | there.keys())
    found = (Change(kind, "", was.get(kind, 0), there.get(kind, 0)) for kind in kinds)
    changed = [change for change in found if change.before != change.now]
    methods = ({kind for kind, _ in each.charges if ":" in kind} for each in (before, now))
    return changed + ([Change("method")] if len({frozenset(each) for each in methods}) > 1 else [])


def customer_mark(key: str, user_id: int | None) -> str:
    """Mark of the customer to whom a form is shown. It does not reveal the user's id: the checkout key is random."""
    return GUEST if user_id is None else f"user-{_digest(f'{key}:{user_id}')}"


def stated(values: Mapping[str, object]) -> str:
    """Digest of all values that the customer entered in the form."""
    return _digest(json.dumps(values, sort_keys=True, ensure_ascii=True))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
