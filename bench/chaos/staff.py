"""The shop's people, in a process of their own: they decide about wrong money, give money back, change their minds.

`python -m bench.chaos.staff PLAN FOLDER`, in the shop's environment: PLAN is JSON. Like a console that somebody keeps
open, it calls the rooms that `flask money …` calls. What the rooms agreed to is a promise in `staff.jsonl`; when the
database went away meanwhile, nobody knows. While `only-reviews` is in FOLDER, nothing new is begun.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as NoConnection

from shop import create_app
from shop.checkout import closing
from shop.core.db import db
from shop.core.errors import Away, Refusal
from shop.core.money import Money
from shop.payments import refunds, settle
from shop.payments.models import TO_BANK, TO_PROVIDER, TO_STORE_CREDIT, Refund

ONLY_REVIEWS = "only-reviews"
EVERY = 0.7
"""Seconds between two looks at the desk."""
_WRONG = text(
    """
    SELECT c.id AS capture, c.standing, o.token, o.currency = c.currency AS may_stay, o.user_id,
           EXISTS (SELECT 1 FROM refunds r WHERE r.capture_id = c.id AND r.state = 'REJECTED') AS was_refused
    FROM orders o JOIN payments p ON p.order_id = o.id JOIN captures c ON c.payment_id = p.id
    WHERE o.review_since IS NOT NULL AND c.standing <> 'paid' AND c.refunded_amount = 0
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
    WHERE c.standing = 'paid' AND o.state IN ('PAID', 'PARTIALLY_REFUNDED') ORDER BY c.id DESC LIMIT 60
    """
)
_OF_CUSTOMERS = text(f"{_PAID.text.partition('ORDER BY')[0]} AND o.user_id IS NOT NULL ORDER BY c.id DESC LIMIT 10")
Row = Any


class Desk:
    """Where the shop's people sit."""

    def __init__(self, plan: dict[str, Any], folder: Path) -> None:
        self.app: Flask = create_app(dict(os.environ))
        self.dice = random.Random(f"{plan['seed']}:staff:{os.getpid()}")
        self._folder = folder
        self._log = os.open(folder / "staff.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._colleagues = ThreadPoolExecutor(2)

    def write(self, kind: str, **what: object) -> None:
        """One line, written whole: whoever is killed has written it or has not."""
        os.write(self._log, (json.dumps({"kind": kind, **what}) + "\n").encode())

    def run(self) -> None:
        """Until it is ended."""
        while True:
            self.attempt("look at the desk", self.look)
            time.sleep(EVERY * self.dice.uniform(0.5, 1.5))

    def attempt(self, what: str, do: Callable[[], str]) -> bool:
        """Do something, and write down what became of it. True when the shop agreed to it."""
        try:
            with self.app.app_context():
                said = do()
        except Refusal as refusal:
            unknown = isinstance(refusal, Away)
            said, agreed = "nobody knows" if unknown else f"refused, {refusal.code}", False
        except (DBAPIError, InvalidatePoolError, NoConnection):
            said, agreed = "nobody knows", False
        except Exception as error:  # noqa: BLE001 - told, and the run fails for it
            self.write("broken", error=f"staff, {what}: {type(error).__name__}: {error}")
            return False
        else:
            agreed = True
        if said:
            self.write("staff", what=f"{what}: {said}")
        return agreed

    # --- one look at the desk ---

    def look(self) -> str:
        wrong, large = db.session.execute(_WRONG).all(), db.session.scalars(_WAITS_FOR_TWO).all()
        paid = [] if (self._folder / ONLY_REVIEWS).exists() else db.session.execute(_PAID).all()
        customers = db.session.execute(_OF_CUSTOMERS).all() if paid else []
        sent = db.session.scalars(_SENT_BY_HAND).all() if paid else []
        db.session.rollback()
        for row in wrong:
            self.decide(row)
        for refund in large:
            self.agree(refund)
        if paid:
            self.give_back(self.dice.choice(customers if customers and self.dice.random() < 0.3 else paid))
        if sent and self.dice.random() < 0.05:
            self.attempt("a transfer bounces", lambda: self._bounced(self.dice.choice(sent)))
        return ""

    def decide(self, row: Row) -> None:
        """Wrong money: half of it is accepted where that may be, the rest goes back."""
        if row.standing == "mismatch" and self.dice.random() < 0.5:
            agreed = self.attempt("accept a wrong amount", lambda: self._accept(row))
            if agreed or row.may_stay:
                return
        self.attempt(f"send back money that is {row.standing}", lambda: self._send_back(row))

    def _accept(self, row: Row) -> str:
        settle.accept(row.capture, by="Grace")
        self.write("accepted", token=row.token, capture=row.capture)
        return "done"

    def _send_back(self, row: Row) -> str:
        """What was refused, and cannot be store credit either, goes by bank transfer half of the time."""
        by_hand = row.was_refused and row.user_id is None and self.dice.random() < 0.5
        to = TO_BANK if by_hand else TO_PROVIDER
        self._promise(refunds.request(row.capture, None, reason="not the price", by="Grace", to=to))
        return "done, by hand" if by_hand else "done"

    def give_back(self, row: Row) -> None:
        """A customer wants something back: all, a part, by two colleagues at once, or the order is called off."""
        elsewhere = (TO_STORE_CREDIT, 0.8) if row.user_id else (TO_BANK, 0.2)
        to = elsewhere[0] if self.dice.random() < elsewhere[1] else TO_PROVIDER
        ways = (self._part, self._all, self._call_off, self._two_at_once)
        self.dice.choices(ways, (5, 3, 2, 2))[0](row, to)

    def _part(self, row: Row, to: str) -> None:
        part = Money(max(1, int(row.remaining * self.dice.uniform(0.1, 0.9))), row.currency)
        self.attempt(f"refund a part to {to}", lambda: self._asked(row.capture, part, to))

    def _all(self, row: Row, to: str) -> None:
        left = Money(row.remaining, row.currency)
        self.attempt(f"refund all to {to}", lambda: self._asked(row.capture, left, to))

    def _call_off(self, row: Row, to: str) -> None:
        def call_off() -> str:
            closing.call_off(row.order_id, "Grace", reason="called off", to=to)
            return "done"

        self.attempt("call a paid order off", call_off)

    def _two_at_once(self, row: Row, to: str) -> None:
        """Both want 60 % of a capture of which nothing has gone back: exactly one gets it."""
        most, taken = Money(-(-row.remaining * 6 // 10), row.currency), list[str]()

        def one(_: int) -> bool:
            return self.attempt(f"refund 60 % twice at once to {to}", lambda: self._asked(row.capture, most, to, taken))

        if row.untouched and row.remaining > 1 and all(list(self._colleagues.map(one, range(2)))):
            self.write("one of two", refunds=taken)

    def _asked(self, capture: int, money: Money, to: str, taken: list[str] | None = None) -> str:
        asked = refunds.request(capture, money, reason="customer", by="Grace", to=to)
        self._promise(asked)
        if taken is not None:
            taken.append(asked.id)
        return "waits for a second person" if asked.needs_two else "done"

    def agree(self, refund: str) -> None:
        """A large refund needs somebody else than who asked for it."""
        if self.attempt("agree to a large refund alone", lambda: self._agree(refund, "Grace")):
            self.write("broken", error=f"refund {refund} was approved by the one who asked for it")
        self.attempt("agree to a large refund", lambda: self._agree(refund, "Edsger"))

    def _agree(self, refund: str, who: str) -> str:
        try:
            refunds.approve(refund, who)
        except Refusal as refusal:
            if refusal.code != "disputed":
                raise
            refunds.decline(refund, who)
            return "declined, a bank has the money"
        return "done"

    def _bounced(self, refund: str) -> str:
        refunds.bounced(refund, "Barbara")
        return "done"

    def _promise(self, asked: Refund) -> None:
        self.write("refund", refund=asked.id, amount=asked.amount, currency=asked.currency)


def main() -> None:
    Desk(json.loads(sys.argv[1]), Path(sys.argv[2])).run()


if __name__ == "__main__":
    main()
