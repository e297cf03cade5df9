"""Events after a payment: disputes, settlement, payouts, and staff who work on alerts."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from shop.alerts import store
from shop.core.actor import Actor
from shop.core.money import Money
from shop.payments.providers.interface import DisputeFact
from shop.payments.providers.types import DisputeKind, DisputeState
from shop.payments.settlement import reconcile
from shop.payouts import payouts
from tests.chaos.external_events import Beyond, SignedWebhook, delivery, places, providers, some_orders, which

INQUIRY = "inquiry"
_FEE = 50
SAM, KIM = Actor.staff(11), Actor.staff(12)
"""One in so many lines of the acquirers' files is left out."""


class Afterwards(Beyond):
    """Rules about captured money. `disputes` are those at the acquirers, by their ids."""

    def __init__(self) -> None:
        super().__init__()
        self.disputes: dict[str, DisputeFact] = {}

    # --- disputes ---

    @some_orders
    @rule(order=which, kind=st.sampled_from([INQUIRY, DisputeKind.CHARGEBACK]), delivery=delivery, places=places)
    def dispute(self, order: int, kind: str, delivery: str, places: int) -> None:
        """A customer's bank opens a chargeback or an inquiry."""
        for remote in self._there(order):
            for capture in remote.captures:
                name = f"dp-{capture.id}"
                if name not in self.disputes:
                    at = self.world.now
                    self.disputes[name] = DisputeFact(name, capture.id, kind, DisputeState.OPEN, capture.money, at)
                    self._send(self._about_dispute(name), delivery, places)

    @precondition(lambda history: history.disputes)
    @rule(
        dispute=which,
        end=st.sampled_from([DisputeKind.CHARGEBACK, DisputeState.WON, DisputeState.LOST]),
        delivery=delivery,
        places=places,
    )
    def decide_about_a_dispute(self, dispute: int, end: str, delivery: str, places: int) -> None:
        """The bank escalates an inquiry, returns the money, or keeps it."""
        name = sorted(self.disputes)[dispute % len(self.disputes)]
        now = self.disputes[name]
        if now.state == DisputeState.OPEN:
            self.disputes[name] = replace(now, **({"kind": end} if end == DisputeKind.CHARGEBACK else {"state": end}))
            self._send(self._about_dispute(name), delivery, places)

    def _about_dispute(self, name: str) -> SignedWebhook:
        fact = self.disputes[name]
        (owner,) = (p for p in self.acquirer.payments.values() if fact.capture_id in {c.id for c in p.captures})
        facts_listed = [fact.id, fact.capture_id, fact.kind, fact.state, fact.money.amount, fact.money.currency]
        facts = {"state": None, "captures": [], "decline": None, "show": None}
        return self._about(owner, **facts, dispute=[*facts_listed, fact.at.isoformat()])

    def charged_back_money(self) -> list[tuple[str, Money]]:
        """Amounts withdrawn by banks and not returned, by capture."""
        gone = (
            fact
            for fact in self.disputes.values()
            if fact.kind == DisputeKind.CHARGEBACK and fact.state != DisputeState.WON
        )
        return [(fact.capture_id, fact.money) for fact in gone]

    # --- refunds at the acquirer ---

    @some_orders
    @rule(
        order=which,
        percent=st.sampled_from([30, 60, 100]),
        state=st.sampled_from(["DONE", "DONE", "PENDING"]),
        delivery=delivery,
        places=places,
    )
    def refund_outside(self, order: int, percent: int, state: str, delivery: str, places: int) -> None:
        """A refund in the acquirer's dashboard."""
        for remote in self._there(order):
            for capture in remote.captures:
                money = Money(max(1, capture.money.amount * percent // 100), capture.money.currency)
                if self.acquirer.has_left(capture.id, money):
                    name = self.acquirer.refund_outside(capture.id, money, state=state)
                    self._send(self._about_refund(name), delivery, places)

    # --- settlement and payouts ---

    @some_orders
    @rule(provider=providers, places=places)
    def send_a_settlement_file(self, provider: str, places: int) -> None:
        """The acquirer's file of the day so far; staff reconcile it."""
        day, raw = self.world.now.astimezone(UTC).date(), json.dumps(self._lines(provider)).encode()
        self._do(lambda: reconcile.reconcile(provider, day, raw, by=Actor.operator(), fetched=True), places)

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
        return lines + self._refund_lines(ours)

    def _refund_lines(self, ours: set[str]) -> list[list[Any]]:
        """Refunds made at the acquirer today."""
        owners = {c.id: r.reference for r in self.acquirer.payments.values() for c in r.captures}
        return [
            [f"l-{name}", "refund", name, owners[capture], capture, -money.amount, 0, money.currency, at.isoformat()]
            for name, (capture, money, state) in self.acquirer.refunds.items()
            if state == "DONE" and owners[capture] in ours and (at := self.acquirer.done_at.get(name))
            if at.date() == self.world.now.date()
        ]

    @rule(by=st.sampled_from([SAM, KIM]), percent=st.sampled_from([50, 100]), places=places)
    def request_a_payout(self, by: Actor, percent: int, places: int) -> None:
        funds = self.world.rows("SELECT settled - promised AS free FROM funds WHERE currency = 'TWD'")
        if funds and funds[0]["free"] > 0:
            part = Money(max(1, funds[0]["free"] * percent // 100), "TWD")
            self._do(lambda: payouts.request(part, by=by), places)

    @precondition(lambda history: history.world.rows("SELECT 1 FROM payouts WHERE state = 'REQUESTED'"))
    @rule(by=st.sampled_from([SAM, KIM]), agrees=st.booleans(), places=places)
    def decide_about_a_payout(self, by: Actor, agrees: bool, places: int) -> None:
        """The requester may only cancel the payout."""
        (first, *_) = self.world.rows("SELECT id FROM payouts WHERE state = 'REQUESTED' ORDER BY requested_at, id")
        decide = payouts.approve if agrees else payouts.reject
        self._do(lambda: decide(first["id"], by=by), places)

    # --- staff resolve alerts ---

    @precondition(lambda history: history.world.rows("SELECT 1 FROM alerts WHERE state <> 'RESOLVED'"))
    @rule(which=which, resolves=st.booleans(), places=places)
    def handle_an_alert(self, which: int, resolves: bool, places: int) -> None:
        still = self.world.rows("SELECT id FROM alerts WHERE state <> 'RESOLVED' ORDER BY id")
        turn = store.resolve if resolves else store.acknowledge
        self._do(lambda: turn(still[which % len(still)]["id"], KIM, "seen"), places)
