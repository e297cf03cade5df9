"""Snapshots of orders with returns, without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from shop.core.actor import Actor
from shop.orders.states import OrderState
from shop.returns.amounts import Item, Price
from shop.returns.snapshot import LineRow, ReturnRow, Sent, Snapshot
from shop.returns.states import ReturnReason, ReturnState

NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
PEN, KETTLE = "pen", "kettle"


def one_return(state: ReturnState = ReturnState.REQUESTED, number: int = 1, **fields: Any) -> ReturnRow:
    """A return of one pen."""
    row = ReturnRow(
        id=number,
        reference=f"7K3M-9QXT-2F-R{number}",
        form_key=f"key-{number}",
        state=state,
        reason=ReturnReason.FAULTY,
        comment="",
        message="",
        goods_amount=0,
        delivery_amount=0,
        granted_amount=None,
        requested_at=NOW,
        requested_by=Actor.customer(),
        decided_by=None,
        received_by=None,
        closed_by=None,
        lines={PEN: LineRow(1)},
    )
    return replace(row, **fields)


def order(*returns: ReturnRow, **fields: Any) -> Snapshot:
    """A paid order of three pens and a kettle."""
    row = Snapshot(
        order_id=1,
        number="7K3M-9QXT-2F",
        state=OrderState.PAID,
        currency="TWD",
        names={PEN: "Pen", KETTLE: "Kettle"},
        price=Price(147_000, 0, 100, (Item(PEN, 3, 9000), Item(KETTLE, 1, 120_000))),
        sent=Sent({PEN: 3, KETTLE: 1}, NOW),
        returns=returns,
    )
    return replace(row, **fields)
