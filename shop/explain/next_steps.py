"""The earliest automatic step of each of many orders; the page of an order has all of its steps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Row, Select, Text, cast, literal, null, select

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


def earliest(rows: Iterable[Row[Any]]) -> dict[tuple[str, int], Step]:
    """The earliest step by ("order", id) or ("webhook", id), from rows of `parts`."""
    found: dict[tuple[str, int], Step] = {}
    for one in rows:
        key = ("webhook" if one.kind == "webhook" else "order", one.id)
        if key not in found or one.at < found[key].at:
            provider = registry.label(one.name) if one.name else ""
            found[key] = Step(one.at, _TEXTS[one.kind].format(provider=provider))
    return found


def parts(order_ids: Any, webhook_ids: Any) -> list[Select[Any]]:
    """Select the steps, each kind along its index. The ids are expanding parameters."""
    payable = (Order.state.in_(order_states.PAYABLE), Order.review_since.is_(None))
    of_orders = [
        _due("payment", Payment.order_id, Payment.next_check_at, order_ids, Payment.provider),
        _due("refund", Refund.order_id, Refund.next_check_at, order_ids),
        _due("mail", Mail.order_id, Mail.next_attempt_at, order_ids),
        _due("order", Order.id, Order.pay_by, order_ids).where(*payable),
    ]
    return [*of_orders, _due("webhook", WebhookEventRow.id, WebhookEventRow.due_at, webhook_ids)]


def _due(kind: str, id: Any, at: Any, ids: Any, provider: Any = None) -> Select[Any]:
    name = cast(null(), Text) if provider is None else provider
    return row(kind, id, at, name).where(id.in_(ids), at.is_not(None))


def row(kind: str, id: Any, at: Any, name: Any) -> Select[Any]:
    """Select these values as a row of `parts`. The `name` of a step is that of a provider."""
    return select(literal(kind, Text).label("kind"), id.label("id"), at.label("at"), name.label("name"))
