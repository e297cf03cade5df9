"""What happens to money after it has paid: banks want it back, acquirers hand it over, people take it out and look
after what was alarming.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from shop.alerts import desk
from shop.core.money import Money
from shop.ledger import payouts
from shop.payments import reconcile
from shop.payments.disputes import CHARGEBACK, LOST, OPEN, WON
from shop.payments.provider import DisputeFact
from tests.chaos.beyond import Beyond, Letter, places, providers, some_orders, tells, which

INQUIRY = "inquiry"
_FEE = 50
"""The acquirers keep one part in so many."""


class Afterwards(Beyond):
    """Rules about money that has come. `disputes` are those at the acquirers, by their ids."""

    def __init__(self) -> None:
        super().__init__()
        self.disputes: dict[str, DisputeFact] = {}

    # --- disputes ---

    @some_orders
    @rule(order=which, kind=st.sampled_from([INQUIRY, CHARGEBACK]), tells=tells, places=places)
    def dispute(self, order: int, kind: str, tells: str, places: int) -> None:
        """The bank of a customer takes back what was captured, or asks first."""
        for remote in self._there(order):
            for capture in remote.captures:
                name = f"dp-{capture.id}"
                if name not in self.disputes:
                    at = self.world.now
                    self.disputes[name] = DisputeFact(name, capture.id, kind, OPEN, capture.money, at)
                    self._send(self._about_dispute(name), tells, places)

    @precondition(lambda life: life.disputes)
    @rule(dispute=which, end=st.sampled_from([CHARGEBACK, WON, LOST]), tells=tells, places=places)
    def decide_about_a_dispute(self, dispute: int, end: str, tells: str, places: int) -> None:
        """The bank goes on from asking, gives the money back, or keeps it."""
        name = sorted(self.disputes)[dispute % len(self.disputes)]
        now = self.disputes[name]
        if now.state == OPEN:
            self.disputes[name] = replace(now, **({"kind": end} if end == CHARGEBACK else {"state": end}))
            self._send(self._about_dispute(name), tells, places)

    def _about_dispute(self, name: str) -> Letter:
        fact = self.disputes[name]
        (owner,) = (p for p in self.acquirer.payments.values() if fact.capture_id in {c.id for c in p.captures})
        said = [fact.id, fact.capture_id, fact.kind, fact.state, fact.money.amount, fact.money.currency]
        told = {"state": None, "captures": [], "decline": None, "show": None}
        return self._about(owner, **told, dispute=[*said, fact.at.isoformat()])

    def taken_back(self) -> list[tuple[str, Money]]:
        """What banks have taken and not given back: of which captures, how much."""
        gone = (fact for fact in self.disputes.values() if fact.kind == CHARGEBACK and fact.state != WON)
        return [(fact.capture_id, fact.money) for fact in gone]

    # --- money that is handed over and taken out ---

    @some_orders
    @rule(provider=providers, places=places)
    def send_a_settlement_file(self, provider: str, places: int) -> None:
        """The acquirer's file of the day, as far as it has got; staff bring it in."""
        day, raw = self.world.now.astimezone(UTC).date(), json.dumps(self._lines(provider)).encode()
        self._do(lambda: reconcile.reconcile(provider, day, raw), places)

    def _lines(self, provider: str) -> list[list[Any]]:
        rows = self.world.rows("SELECT id FROM payments WHERE provider = :provider", provider=provider)
        ours, today, lines = {row["id"] for row in rows}, self.world.now.date(), list[list[Any]]()
        for remote in self.acquirer.payments.values():
            for capture in remote.captures if remote.reference in ours else ():
                amount, currency, at = capture.money.amount, capture.money.currency, capture.at
                if at.date() == today:
                    fee = amount // _FEE
                    about = [capture.id, remote.reference, capture.id]
                    lines.append([f"l-{capture.id}", "capture", *about, amount, fee, currency, at.isoformat()])
        return lines

    @rule(by=st.sampled_from(["sam", "kim"]), percent=st.sampled_from([50, 100]), places=places)
    def ask_for_a_payout(self, by: str, percent: int, places: int) -> None:
        funds = self.world.rows("SELECT settled - promised AS free FROM funds WHERE currency = 'TWD'")
        if funds and funds[0]["free"] > 0:
            part = Money(max(1, funds[0]["free"] * percent // 100), "TWD")
            self._do(lambda: payouts.request(part, by=by), places)

    @precondition(lambda life: life.world.rows("SELECT 1 FROM payouts WHERE state = 'REQUESTED'"))
    @rule(by=st.sampled_from(["sam", "kim"]), agrees=st.booleans(), places=places)
    def decide_about_a_payout(self, by: str, agrees: bool, places: int) -> None:
        """Who asked for it may only call it off."""
        (first, *_) = self.world.rows("SELECT id FROM payouts WHERE state = 'REQUESTED' ORDER BY asked_at, id")
        decide = payouts.approve if agrees else payouts.reject
        self._do(lambda: decide(first["id"], by=by), places)

    # --- people look after what was alarming ---

    @precondition(lambda life: life.world.rows("SELECT 1 FROM alerts WHERE state <> 'RESOLVED'"))
    @rule(which=which, resolves=st.booleans(), places=places)
    def look_after_an_alert(self, which: int, resolves: bool, places: int) -> None:
        still = self.world.rows("SELECT id FROM alerts WHERE state <> 'RESOLVED' ORDER BY id")
        turn = desk.resolve if resolves else desk.acknowledge
        self._do(lambda: turn(still[which % len(still)]["id"], "kim", "seen"), places)
