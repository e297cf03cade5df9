"""Invariants as queries that return violating rows; run by tests, `flask check` and the clock. The numbers refer to
the list in the documentation.

A rule is a function of a Scope: everything, or changed orders.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flask import current_app

from shop.core.db import db
from shop.integrity.invariants import (
    acquirer,
    alerts,
    audit,
    documents,
    fulfilment,
    history,
    holdings,
    mail,
    money,
    promptness,
    returns,
    search,
    settlement,
    totals,
)
from shop.integrity.invariants.scope import EVERYTHING, Rows, Scope


@dataclass(frozen=True)
class Finding:
    """An invariant, its statement, and the rows that violate it."""

    name: str
    statement: str
    rows: Rows = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.rows

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "statement": self.statement, "holds": self.holds, "rows": self.rows}


_LONGEST = 1.0
"""Seconds after which the next rule gets a transaction of its own: an old one keeps PostgreSQL from removing rows."""


def check(*, with_acquirers: bool = True, scope: Scope = EVERYTHING) -> list[Finding]:
    """Check all invariants of `names`."""
    found, began = [], time.monotonic()
    for name in names(with_acquirers=with_acquirers):
        if time.monotonic() - began > _LONGEST:
            db.session.rollback()
            began = time.monotonic()
        found.append(_check(name, scope))
    db.session.rollback()
    return found


def names(*, with_acquirers: bool = True) -> list[str]:
    """Names of the invariants to check. `with_acquirers=False` leaves out the one that calls the acquirer.

    A passive copy makes no calls and does no work: there the rules about work that is done in time are left out too.
    """
    is_passive = current_app.config["SETTLED_PASSIVE"]
    left_out = _NEEDS_WORK if is_passive else () if with_acquirers else (acquirer.captured_as_there,)
    return [name for name, _, rule in RULES if rule not in left_out]


def check_one(name: str, scope: Scope = EVERYTHING) -> Finding:
    """Check the invariant of this name. Raises KeyError."""
    finding = _check(name, scope)
    db.session.rollback()
    return finding


def _check(name: str, scope: Scope) -> Finding:
    """Check an invariant in the current transaction, which its rule may end."""
    stated, rule = _BY_NAME[name]
    scope.prepare()
    return Finding(name, stated, rule(scope))


def statement(name: str) -> str:
    """The statement of an invariant; its name for one that another version of the shop knew."""
    return _BY_NAME[name][0] if name in _BY_NAME else name


def check_at_rest(*, patience: float = 3.0) -> list[Finding]:
    """Check all invariants; after a violation check again after `patience` seconds, because work in progress is not a
    violation.

    Advancing the clock makes much work due at once, which a healthy clock process does in that time.
    """
    first = check()
    if all(finding.holds for finding in first):
        return first
    time.sleep(patience)
    return check()


RULES: tuple[tuple[str, str, Callable[[Scope], Rows]], ...] = (
    ("1 money", "the captures at the acquirer equal the captures that are booked", acquirer.captured_as_there),
    ("2 stock", "units on hand, reserved and sold add up to the units received", holdings.stock_adds_up),
    (
        "2 reservations",
        "stock is reserved for payable orders, sold for paid orders and released otherwise",
        holdings.reservations_follow_orders,
    ),
    (
        "2 shipments",
        "no more units are packed and shipped than were bought, and the state of the fulfilment is that of the units",
        fulfilment.units_are_bought,
    ),
    (
        "3 returns",
        "no more units are returned than were bought, restocked ones are in stock, and refunds are what was granted",
        returns.returns_add_up,
    ),
    ("3 paid", "a paid order was paid by exactly one capture of exactly its total", money.paid_once_and_exactly),
    ("3 totals", "the lines of every order sum to its total", totals.lines_sum_to_totals),
    (
        "3 codes",
        "discount codes are used by orders that are not ended unpaid, within their limits",
        totals.codes_follow_orders,
    ),
    (
        "3 shares",
        "tax, delivery and discount in the ledger are those of the orders, less the shares of refunds",
        totals.shares_are_booked,
    ),
    (
        "3 credit",
        "store credit is held and spent according to the states of its orders, and equals the ledger",
        holdings.credit_adds_up,
    ),
    (
        "3 other money",
        "captures that do not pay for an order are refunded in full or under review",
        money.other_money_is_refunded,
    ),
    ("3 funds", "settled funds that are not paid out equal the ledger", holdings.funds_add_up),
    (
        "3 settlement",
        "fees, settled funds and disputes in the ledger equal the settlement files",
        settlement.settlement_adds_up,
    ),
    (
        "3 documents",
        "documents are numbered without gaps, their lines sum to totals, and credit notes stay within the receipt",
        documents.documents_add_up,
    ),
    (
        "3 credit notes",
        "the tax of credit notes less cancellations equals that of the refunds in the ledger",
        documents.credit_notes_equal_the_ledger,
    ),
    ("4 one payment", "no order has two open payments", promptness.one_open_payment),
    (
        "4 time",
        "no order is open for more than a minute past its deadline without a reason",
        promptness.none_past_its_time,
    ),
    (
        "5 accepted work",
        "every accepted webhook, event and task is done or is being retried",
        promptness.accepted_work_is_done,
    ),
    (
        "5 documents",
        "every paid order has its receipt, and every refund its credit note",
        documents.every_document_exists,
    ),
    ("5 mail", "every mail that an event of an order demands is queued or was sent", mail.every_mail_exists),
    (
        "6 history",
        "every transition has an event, is allowed by the state table and is numbered without gaps",
        history.history_is_whole,
    ),
    (
        "6 ledger",
        "every journal sums to zero, credit refunds have one, and the acquirers' receivables equal the captures",
        money.ledger_balances,
    ),
    (
        "7 alerts",
        "every capture that does not pay for an order, and every outside refund, has exactly one alert",
        alerts.each_once,
    ),
    (
        "8 audit log",
        f"the newest {audit.LAST} seals of the audit log hold, and every entry is sealed within minutes",
        audit.newest_seals_hold,
    ),
    (
        "9 search",
        "product search finds every product that is sold, as it is now, and no other",
        search.index_is_current,
    ),
)
_BY_NAME = {name: (stated, rule) for name, stated, rule in RULES}
_NEEDS_WORK = (
    acquirer.captured_as_there,
    promptness.none_past_its_time,
    promptness.accepted_work_is_done,
    mail.every_mail_exists,
    documents.every_document_exists,
)
