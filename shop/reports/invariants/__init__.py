"""What must always hold, as queries that return the rows that break it. Run by tests, by `flask check`, by the clock.

Numbers are those of the design's list. A rule is a function of a Scope: everything, or the orders that have changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from shop.core.db import db
from shop.reports.invariants import alerts, history, holdings, money, promptness, settlement
from shop.reports.invariants.scope import EVERYTHING, Rows, Scope


@dataclass(frozen=True)
class Finding:
    """One invariant, what it says, and the rows that break it."""

    name: str
    says: str
    rows: Rows = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.rows

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "says": self.says, "holds": self.holds, "rows": self.rows}


def check(*, ask_acquirer: bool = True, scope: Scope = EVERYTHING) -> list[Finding]:
    """Check them all. `ask_acquirer=False` leaves out the one that needs the acquirer to be there."""
    found = []
    for name, says, rule in RULES:
        if ask_acquirer or rule is not money.captured_as_there:
            found.append(Finding(name, says, rule(scope)))
            db.session.rollback()
    return found


def check_at_rest(*, patience: float = 3.0) -> list[Finding]:
    """Check, and look again after `patience` seconds where something was broken: what was just on its way is no
    finding.

    Turning the clock makes much due at once; a clock process that is well has served it by then.
    """
    first = check()
    if all(finding.holds for finding in first):
        return first
    time.sleep(patience)
    return check()


RULES: tuple[tuple[str, str, Callable[[Scope], Rows]], ...] = (
    ("1 money", "what the acquirer captured for our payments is what we have booked", money.captured_as_there),
    ("2 stock", "on hand, reserved and sold add up to what came in", holdings.stock_adds_up),
    (
        "2 reservations",
        "stock is held for orders that may be paid, sold for paid ones, free otherwise",
        holdings.reservations_follow_orders,
    ),
    ("3 paid", "a paid order was paid by exactly one capture of exactly its total", money.paid_once_and_exactly),
    (
        "3 credit",
        "store credit is held and spent as its orders stand, and the ledger says the same",
        holdings.credit_adds_up,
    ),
    (
        "3 other money",
        "money that pays nothing goes back whole, or people are looking at it",
        money.other_money_goes_back,
    ),
    ("3 funds", "what was settled and not paid out is what the ledger says", holdings.funds_add_up),
    (
        "3 settlement",
        "fees, settled money and disputes on the accounts are those of the files and of the banks",
        settlement.settlement_adds_up,
    ),
    ("4 one payment", "no order has two open payments", promptness.one_open_payment),
    ("4 time", "no order waits longer than a minute past its time without a reason", promptness.none_past_its_time),
    ("5 kept at", "everything accepted has been applied, told, or is being tried", promptness.nothing_is_left_lying),
    (
        "6 history",
        "every change has its event, in an order that the table allows, numbered without gaps",
        history.history_is_whole,
    ),
    ("6 books", "every journal sums to zero, and the acquirers' accounts say what was captured", money.books_balance),
    ("7 alerts", "money that pays nothing has its alert, and one only", alerts.each_once),
)
