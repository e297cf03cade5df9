"""Staff actions, in their own process: review wrong amounts, make refunds, approve large ones.

`python -m bench.chaos.staff PLAN FOLDER`, in the shop's environment: PLAN is JSON. It calls the functions behind
`flask money …` in one long-running process. Acknowledged results are written to `staff.jsonl`; if the database was lost
during a call, its result is unknown. While `only-reviews` is in FOLDER, no new refunds are made.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as NoConnection

from shop import create_app
from shop.accounts import signin, staff
from shop.accounts.permissions import Role
from shop.checkout import end_order
from shop.core.actor import Actor
from shop.core.db import db
from shop.core.errors import Away, Refusal
from shop.core.money import Money
from shop.payments.records.models import Refund
from shop.payments.records.types import RefundDestination
from shop.payments.refunds import requests
from shop.payments.updates.apply import accept, approve_shortfall

ONLY_REVIEWS = "only-reviews"
GRACE, EDSGER = "grace@example.com", "edsger@example.com"
"""Grace requests; Edsger is the second person."""
EVERY = 0.7
"""Mean seconds between two rounds."""
_WRONG = text(
    """
    SELECT c.id AS capture, c.allocation, o.token, o.currency = c.currency AS may_stay, o.user_id,
           EXISTS (SELECT 1 FROM refunds r WHERE r.capture_id = c.id AND r.state = 'REJECTED') AS was_refused
    FROM orders o JOIN payments p ON p.order_id = o.id JOIN captures c ON c.payment_id = p.id
    WHERE o.review_since IS NOT NULL AND c.allocation <> 'pays_order' AND c.refunded_amount = 0
          AND NOT EXISTS (SELECT 1 FROM disputes d WHERE d.order_id = o.id)
          AND (SELECT count(*) FROM refunds r WHERE r.capture_id = c.id) < 6 ORDER BY o.review_since LIMIT 5
    """
)
_WAITS_FOR_TWO = text("SELECT id FROM refunds WHERE needs_two AND approved_by IS NULL AND state = 'REQUESTED' LIMIT 5")
_SENT_BY_HAND = text("SELECT id FROM refunds WHERE destination = 'bank' AND state = 'DONE' ORDER BY id DESC LIMIT 5")
_PAID = text(
    """
    SELECT c.id AS capture, o.id AS order_id, o.user_id, c.amount - c.refunded_amount AS remaining, c.currency,
           c.refunded_amount = 0 AS untouched
    FROM captures c JOIN payments p ON p.id = c.payment_id JOIN orders o ON o.id = p.order_id
    WHERE c.allocation = 'pays_order' AND o.state IN ('PAID', 'PARTIALLY_REFUNDED') ORDER BY c.id DESC LIMIT 60
    """
)
_OF_CUSTOMERS = text(f"{_PAID.text.partition('ORDER BY')[0]} AND o.user_id IS NOT NULL ORDER BY c.id DESC LIMIT 10")
Row = Any


class Staff:
    """The staff's actions and their log."""

    def __init__(self, plan: dict[str, Any], folder: Path) -> None:
        self.app: Flask = create_app(dict(os.environ))
        self.rng = random.Random(f"{plan['seed']}:staff:{os.getpid()}")
        self._folder = folder
        self._log = os.open(folder / "staff.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._pool = ThreadPoolExecutor(2)
        self._people: dict[str, Actor] = {}

    def write(self, kind: str, **what: object) -> None:
        """Append one line in one write call: after a kill it is there whole or not at all."""
        os.write(self._log, (json.dumps({"kind": kind, **what}) + "\n").encode())

    def run(self) -> None:
        """Repeat rounds until the process is ended."""
        while True:
            self.attempt("read the open cases", self.read_cases)
            time.sleep(EVERY * self.rng.uniform(0.5, 1.5))

    def attempt(self, what: str, do: Callable[[], str]) -> bool:
        """Call `do` and log the result. True when the shop accepted it."""
        try:
            with self.app.app_context():
                result = do()
        except Refusal as refusal:
            unknown = isinstance(refusal, Away)
            result, agreed = "result unknown" if unknown else f"refused, {refusal.code}", False
        except (DBAPIError, InvalidatePoolError, NoConnection):
            result, agreed = "result unknown", False
        except Exception as error:  # noqa: BLE001 - logged, and the run fails for it
            self.write("broken", error=f"staff, {what}: {type(error).__name__}: {error}")
            return False
        else:
            agreed = True
        if result:
            self.write("staff", what=f"{what}: {result}")
        return agreed

    # --- one round ---

    def read_cases(self) -> str:
        self._people = self._people or {email: _account(email) for email in (GRACE, EDSGER)}
        wrong, large = db.session.execute(_WRONG).all(), db.session.scalars(_WAITS_FOR_TWO).all()
        paid = [] if (self._folder / ONLY_REVIEWS).exists() else db.session.execute(_PAID).all()
        customers = db.session.execute(_OF_CUSTOMERS).all() if paid else []
        sent = db.session.scalars(_SENT_BY_HAND).all() if paid else []
        db.session.rollback()
        for row in wrong:
            self.review(row)
        for refund in large:
            self.approve(refund)
        if paid:
            self.refund(self.rng.choice(customers if customers and self.rng.random() < 0.3 else paid))
        if sent and self.rng.random() < 0.05:
            self.attempt("a transfer bounces", lambda: self._bounced(self.rng.choice(sent)))
        return ""

    def review(self, row: Row) -> None:
        """Review a wrong amount: accept half of those that may pay the order, refund the rest."""
        if row.allocation == "mismatch" and self.rng.random() < 0.5:
            agreed = self.attempt("accept a wrong amount", lambda: self._accept(row))
            if agreed or row.may_stay:
                return
        self.attempt(f"refund money that is {row.allocation}", lambda: self._send_back(row))

    def _accept(self, row: Row) -> str:
        request = accept(row.capture, by=self._people[GRACE])
        if request:
            approve_shortfall(request, by=self._people[EDSGER])
        self.write("accepted", token=row.token, capture=row.capture)
        return "done"

    def _send_back(self, row: Row) -> str:
        """Refund it. After a rejection that store credit cannot replace, half of the time by bank transfer."""
        by_hand = row.was_refused and row.user_id is None and self.rng.random() < 0.5
        to = RefundDestination.BANK if by_hand else RefundDestination.PROVIDER
        self._promise(requests.request(row.capture, None, reason="not the price", by=self._people[GRACE], to=to))
        return "done, by hand" if by_hand else "done"

    def refund(self, row: Row) -> None:
        """Refund a customer: in full, in part, in two concurrent requests, or by cancelling the order."""
        elsewhere = (RefundDestination.STORE_CREDIT, 0.8) if row.user_id else (RefundDestination.BANK, 0.2)
        to = elsewhere[0] if self.rng.random() < elsewhere[1] else RefundDestination.PROVIDER
        ways = (self._part, self._all, self._cancel, self._two_at_once)
        self.rng.choices(ways, (5, 3, 2, 2))[0](row, to)

    def _part(self, row: Row, to: str) -> None:
        part = Money(max(1, int(row.remaining * self.rng.uniform(0.1, 0.9))), row.currency)
        self.attempt(f"refund a part to {to}", lambda: self._request(row.capture, part, to))

    def _all(self, row: Row, to: str) -> None:
        left = Money(row.remaining, row.currency)
        self.attempt(f"refund all to {to}", lambda: self._request(row.capture, left, to))

    def _cancel(self, row: Row, to: str) -> None:
        def cancel() -> str:
            end_order.cancel_or_refund(row.order_id, self._people[GRACE], reason="cancelled", to=to)
            return "done"

        self.attempt("cancel a paid order", cancel)

    def _two_at_once(self, row: Row, to: str) -> None:
        """Request 60 % of an unrefunded capture twice at once: exactly one request may be accepted."""
        most, refund_ids = Money(-(-row.remaining * 6 // 10), row.currency), list[str]()

        def one(_: int) -> bool:
            return self.attempt(
                f"refund 60 % twice at once to {to}", lambda: self._request(row.capture, most, to, refund_ids)
            )

        if row.untouched and row.remaining > 1 and all(list(self._pool.map(one, range(2)))):
            self.write("one of two", refunds=refund_ids)

    def _request(self, capture: int, money: Money, to: str, refund_ids: list[str] | None = None) -> str:
        requested = requests.request(capture, money, reason="customer", by=self._people[GRACE], to=to)
        self._promise(requested)
        if refund_ids is not None:
            refund_ids.append(requested.id)
        return "waits for approval" if requested.needs_two else "done"

    def approve(self, refund: str) -> None:
        """Approve a large refund, which requires a second person."""
        if self.attempt("approve a large refund alone", lambda: self._approve(refund, GRACE)):
            self.write("broken", error=f"refund {refund} was approved by its requester")
        self.attempt("approve a large refund", lambda: self._approve(refund, EDSGER))

    def _approve(self, refund: str, who: str) -> str:
        try:
            requests.approve(refund, self._people[who])
        except Refusal as refusal:
            if refusal.code != "disputed":
                raise
            requests.decline(refund, self._people[who])
            return "declined, it is disputed"
        return "done"

    def _bounced(self, refund: str) -> str:
        requests.bounced(refund, self._people[EDSGER])
        return "done"

    def _promise(self, refund: Refund) -> None:
        self.write("refund", refund=refund.id, amount=refund.amount, currency=refund.currency)


def _account(email: str) -> Actor:
    """The account of a member of staff, created if missing."""
    with suppress(Refusal):
        signin.create(email, email, "not for signing in", [Role.FINANCE], by=Actor.operator())
    return staff.actor_of(email)


def main() -> None:
    Staff(json.loads(sys.argv[1]), Path(sys.argv[2])).run()


if __name__ == "__main__":
    main()
