"""The earliest automatic step of each of many orders, by one statement; the page of an order has all of its steps."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, Text, cast, literal, null, select, union_all

from shop.core.db import db
from shop.explain.next_step import Step
from shop.mail.models import Mail
from shop.orders import states as order_states
from shop.orders.models import Order
from shop.payments.providers import registry
from shop.payments.records.models import Payment, Refund, WebhookEventRow

_TEXTS = {
    "payment": "Asks {provider} about the payment",
    "refund": "Sends or checks a refund",
    "mail": "Sends a mail",
    "order": "Ends the unpaid order",
    "webhook": "Tries the webhook again",
}


def steps(order_ids: Collection[int], webhook_ids: Collection[int]) -> dict[tuple[str, int], Step]:
    """The earliest step by ("order", id) or ("webhook", id). One statement, or none without ids."""
    if not order_ids and not webhook_ids:
        return {}
    found: dict[tuple[str, int], Step] = {}
    for row in db.session.execute(union_all(*_parts(list(order_ids), list(webhook_ids)))):
        key = ("webhook" if row.kind == "webhook" else "order", row.id)
        if key not in found or row.at < found[key].at:
            provider = registry.label(row.provider) if row.provider else ""
            found[key] = Step(row.at, _TEXTS[row.kind].format(provider=provider))
    return found


def _parts(order_ids: list[int], webhook_ids: list[int]) -> list[Select[Any]]:
    payable = (Order.state.in_(order_states.PAYABLE), Order.review_since.is_(None))
    return [
        _part("payment", Payment.order_id, Payment.next_check_at, Payment.provider).where(
            Payment.order_id.in_(order_ids)
        ),
        _part("refund", Refund.order_id, Refund.next_check_at).where(Refund.order_id.in_(order_ids)),
        _part("mail", Mail.order_id, Mail.next_attempt_at).where(Mail.order_id.in_(order_ids)),
        _part("order", Order.id, Order.pay_by).where(Order.id.in_(order_ids), *payable),
        _part("webhook", WebhookEventRow.id, WebhookEventRow.due_at).where(WebhookEventRow.id.in_(webhook_ids)),
    ]


def _part(kind: str, id: Any, at: Any, provider: Any = None) -> Select[Any]:
    name = cast(null(), Text) if provider is None else provider
    columns = (literal(kind, Text).label("kind"), id.label("id"), at.label("at"), name.label("provider"))
    return select(*columns).where(at.is_not(None))
