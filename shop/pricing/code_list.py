"""Discount codes for staff: a list by code with filters, in pages, and what each code has given away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select

from shop.core import filter_values
from shop.core.db import db, table
from shop.core.money import CURRENCIES, Money
from shop.pricing.codes import LONGEST, NO_CODE, normal
from shop.pricing.models import DiscountCode, DiscountValue

PAGE = 50
FILTERS = ("q", "state")
_CODES, _VALUES = table(DiscountCode), table(DiscountValue)
_IS_USED_UP = and_(_CODES.c.use_limit.is_not(None), _CODES.c.uses >= _CODES.c.use_limit)


class CodeState(StrEnum):
    """State of a discount code at a time, as staff see it."""

    VALID = "valid"
    SCHEDULED = "scheduled"
    ENDED = "ended"
    USED_UP = "used_up"
    OFF = "off"


@dataclass(frozen=True)
class Value:
    """A code in one currency: what it takes off (None for a percentage), its budget, and what it has given."""

    currency: str
    amount: int | None
    budget: int | None
    spent: int


@dataclass(frozen=True)
class Listed:
    """A discount code with its values, in the order of CURRENCIES."""

    code: str
    percent: int | None
    starts_at: datetime | None
    ends_at: datetime | None
    use_limit: int | None
    uses: int
    once_per_email: bool
    is_active: bool
    version: int
    values: Sequence[Value] = ()

    def state(self, now: datetime) -> CodeState:
        if not self.is_active:
            return CodeState.OFF
        if self.ends_at is not None and self.ends_at <= now:
            return CodeState.ENDED
        if self.use_limit is not None and self.uses >= self.use_limit:
            return CodeState.USED_UP
        is_ahead = self.starts_at is not None and self.starts_at > now
        return CodeState.SCHEDULED if is_ahead else CodeState.VALID

    @property
    def takes_off(self) -> str:
        """Its discount in words."""
        if self.percent is not None:
            return f"{self.percent} %"
        return ", ".join(Money(one.amount or 0, one.currency).with_code() for one in self.values)

    @property
    def given(self) -> list[str]:
        """Discounts that it has given, in each currency in which it has a budget or was used, in words."""
        found = []
        for one in self.values:
            spent = Money(one.spent, one.currency).with_code()
            if one.budget is not None:
                found.append(f"{spent} of {Money(one.budget, one.currency).with_code()}")
            elif one.spent:
                found.append(spent)
        return found


@dataclass(frozen=True)
class Filters:
    """Filters of the list: the beginning of a code, and a state."""

    q: str = ""
    state: CodeState | None = None


def parse(parameters: Mapping[str, Sequence[str]]) -> Filters:
    """The filters of an address. Raises BadInput with the known ones."""
    given = filter_values.given(parameters, FILTERS)
    states = filter_values.members("state", given["state"], CodeState)
    q = normal((filter_values.single("q", given["q"]) or "")[:LONGEST])
    return Filters(q, states[0] if states else None)


def find(filters: Filters, now: datetime, after: str = "") -> tuple[list[Listed], str]:
    """A page of the codes behind `after`, and the code after which the next page begins, empty on the last one.
    Two statements.
    """
    query = select(_CODES).where(_CODES.c.code > after).order_by(_CODES.c.code).limit(PAGE + 1)
    if filters.q:
        begins = filters.q if filters.q != NO_CODE else ""
        query = query.where(_CODES.c.code.startswith(begins, autoescape=True) if begins else _CODES.c.code == NO_CODE)
    if filters.state:
        query = query.where(_in_state(filters.state, now))
    rows = [dict(row) for row in db.session.execute(query).mappings()]
    found = _with_values(rows[:PAGE])
    return found, found[-1].code if len(rows) > PAGE else ""


def one(code: str) -> Listed | None:
    """The code as it is now. Two statements."""
    row = db.session.execute(select(_CODES).where(_CODES.c.code == code)).mappings().first()
    return None if row is None else _with_values([dict(row)])[0]


def _in_state(state: CodeState, now: datetime) -> ColumnElement[bool]:
    has_ended = and_(_CODES.c.ends_at.is_not(None), _CODES.c.ends_at <= now)
    is_ahead = and_(_CODES.c.starts_at.is_not(None), _CODES.c.starts_at > now)
    lives = and_(_CODES.c.is_active, ~has_ended)
    return {
        CodeState.OFF: ~_CODES.c.is_active,
        CodeState.ENDED: and_(_CODES.c.is_active, has_ended),
        CodeState.USED_UP: and_(lives, _IS_USED_UP),
        CodeState.SCHEDULED: and_(lives, ~_IS_USED_UP, is_ahead),
        CodeState.VALID: and_(lives, ~_IS_USED_UP, or_(_CODES.c.starts_at.is_(None), _CODES.c.starts_at <= now)),
    }[state]


def _with_values(rows: Sequence[dict[str, Any]]) -> list[Listed]:
    values: dict[str, list[Value]] = {row["code"]: [] for row in rows}
    if rows:
        for value in db.session.execute(select(_VALUES).where(_VALUES.c.code.in_(values))):
            values[value.code].append(Value(value.currency, value.amount, value.budget, value.spent))
    order = CURRENCIES.index
    return [
        Listed(
            **{name: row[name] for name in Listed.__dataclass_fields__ if name != "values"},
            values=sorted(values[row["code"]], key=lambda one: order(one.currency)),
        )
        for row in rows
    ]
