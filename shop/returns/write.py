"""Write returns, their lines and events, while their order is locked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import update

from shop.core import clock
from shop.core.actor import Actor
from shop.core.db import OutdatedSnapshot, changed, db, table
from shop.core.event_types import ReturnRequested
from shop.orders import events
from shop.returns.decide import Wanted
from shop.returns.models import Return, ReturnLine
from shop.returns.snapshot import LineRow, ReturnRow, Snapshot
from shop.returns.states import ReturnState

_RETURNS, _LINES = table(Return), table(ReturnLine)
_WHEN: Mapping[ReturnState, tuple[str, str]] = {
    ReturnState.ACCEPTED: ("decided_by", "decided_at"),
    ReturnState.DECLINED: ("decided_by", "decided_at"),
    ReturnState.WITHDRAWN: ("closed_by", "closed_at"),
    ReturnState.RECEIVED: ("received_by", "received_at"),
    ReturnState.CLOSED: ("closed_by", "closed_at"),
}
"""Columns of who brought a return into a state, and when."""


def add(seen: Snapshot, wanted: Wanted, form_key: str, by: Actor) -> str:
    """Insert a requested return with its lines and its event, and return its reference."""
    reference = f"{seen.number}-R{len(seen.returns) + 1}"
    values = {
        "reference": reference,
        "order_id": seen.order_id,
        "form_key": form_key,
        "state": ReturnState.REQUESTED,
        "reason": wanted.reason,
        "comment": wanted.comment,
        "message": "",
        "currency": seen.currency,
        "goods_amount": 0,
        "delivery_amount": 0,
        "requested_by": by,
        "requested_at": clock.now(),
    }
    return_id = db.session.execute(_RETURNS.insert().values(values).returning(_RETURNS.c.id)).scalar_one()
    lines = [
        {"return_id": return_id, "sku": sku, "quantity": number, "restocked": 0, "not_restocked": 0, "amount": 0}
        for sku, number in wanted.units.items()
    ]
    db.session.execute(_LINES.insert(), lines)
    events.record(seen.order_id, ReturnRequested(reference, str(wanted.reason)), actor=by)
    return reference


def move(one: ReturnRow, target: ReturnState, by: Actor, **values: Any) -> None:
    """Bring a return into a state, if it still is in the state that was seen. Raises OutdatedSnapshot."""
    who, when = _WHEN[target]
    same = (_RETURNS.c.id == one.id, _RETURNS.c.state == one.state)
    new = {"state": target, who: by, when: clock.now()} | values
    if not changed(update(_RETURNS).where(*same).values(new)):
        raise OutdatedSnapshot(f"return {one.reference} is not {one.state}")


def arrive(one: ReturnRow, lines: Mapping[str, LineRow], amounts: Mapping[str, int]) -> None:
    """Write the units of each line that arrived, and what they cost."""
    for sku, line in lines.items():
        of_line = update(_LINES).where(_LINES.c.return_id == one.id, _LINES.c.sku == sku)
        arrived = {"restocked": line.restocked, "not_restocked": line.not_restocked}
        db.session.execute(of_line.values(**arrived, amount=amounts.get(sku, 0)))
