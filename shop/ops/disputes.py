"""Disputes: open ones by the date until which they have to be answered, then the closed ones."""

from __future__ import annotations

from flask import Blueprint, render_template
from sqlalchemy import case, func, select

from shop.accounts.permissions import Permission
from shop.core.db import db
from shop.http_kit.access import requires
from shop.ops.navigation import Group, Link
from shop.orders.models import Order
from shop.payments.providers.types import DisputeState
from shop.payments.records.settlement_models import Dispute

bp = Blueprint("disputes", __name__)
LINKS = (Link("Disputes", "ops.disputes.index", Permission.DISPUTE_READ, Group.MONEY),)
SHOWN = 100


@bp.get("/disputes")
@requires(Permission.DISPUTE_READ)
def index() -> str:
    """The disputes, at most 100. They are answered in the acquirer's dashboard."""
    is_open = Dispute.state == DisputeState.OPEN
    query = (
        select(Dispute, Order.number)
        .join(Order, Order.id == Dispute.order_id)
        .order_by(
            case((is_open, 0), else_=1),
            case((is_open, func.coalesce(Dispute.respond_by, Dispute.opened_at))),
            Dispute.opened_at.desc(),
            Dispute.id,
        )
        .limit(SHOWN)
    )
    return render_template("ops/disputes.html", disputes=db.session.execute(query).all())
