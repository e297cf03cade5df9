"""Figures of today for the tiles of the page Live, each with the filters of the list that it counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from flask import current_app
from sqlalchemy import func, select

from shop.core import clock, days
from shop.core.db import db
from shop.core.money import Money
from shop.order_search import conditions, pages
from shop.order_search import filters as of_orders
from shop.order_search.filters import Flag
from shop.orders.models import Order
from shop.orders.states import OrderState
from shop.payments.providers import registry
from shop.payments.records.models import Capture, Payment
from shop.payments.records.types import Allocation
from shop.payments.webhooks import filters as of_webhooks
from shop.payments.webhooks import pages as webhook_pages

PAID = (OrderState.PAID, OrderState.PARTIALLY_REFUNDED, OrderState.REFUNDED)
SAMPLE = 1000
"""Captures of today, the newest, from which times are computed."""
PROMPT = 60.0
"""Seconds from capture to paid that the shop aims at."""


@dataclass(frozen=True)
class Tile:
    """A figure. `page` is the list that it counts, orders or webhooks, and `filters` are the parameters of its address.
    `needs_attention` is true for a figure that should be zero.
    """

    key: str
    title: str
    value: str
    note: str
    page: str
    filters: tuple[tuple[str, str], ...]
    needs_attention: bool = False


def tiles() -> tuple[Tile, ...]:
    """The figures now. Days begin at midnight in the shop's zone. Four statements."""
    zone = ZoneInfo(current_app.config["SHOP_TIME_ZONE"])
    today = clock.now().astimezone(zone).date()
    times = _times(today, zone)
    return (
        _paid(today, zone),
        _waiting(zone),
        _refused(today, zone),
        _percentiles(today, times),
        _share(today, times),
    )


def _paid_today(today: date) -> of_orders.Filters:
    return of_orders.Filters(states=PAID, placed_from=today)


def _paid(today: date, zone: ZoneInfo) -> Tile:
    filters = _paid_today(today)
    amount = func.sum(func.coalesce(Order.accepted_amount, Order.total_amount))
    sums = select(Order.currency, func.count(), amount).where(*conditions.of(filters, zone)).group_by(Order.currency)
    found = sorted(db.session.execute(sums).all())
    amounts = " · ".join(Money(int(total), currency).with_code() for currency, _, total in found)
    number = sum(count for _, count, _ in found)
    return Tile("paid", "Placed today and paid", f"{number:,}", amounts or "no orders yet", "orders", _pairs(filters))


def _waiting(zone: ZoneInfo) -> Tile:
    filters = of_orders.Filters(flags=(Flag.UNPAID,))
    total = pages.count(filters, zone)
    number = f"{total.number:,}{'' if total.is_exact else '+'}"
    return Tile("waiting", "Waiting over 2 min", number, "orders without a payment", "orders", _pairs(filters))


def _refused(today: date, zone: ZoneInfo) -> Tile:
    filters = of_webhooks.Filters(states=(of_webhooks.State.REFUSED,), first_day=today)
    number = webhook_pages.count(filters, zone)
    pairs = tuple(of_webhooks.pairs(filters))
    text = _counted(number, webhook_pages.COUNTED)
    return Tile("refused", "Webhooks refused", text, "today", "webhooks", pairs, needs_attention=number > 0)


def _times(today: date, zone: ZoneInfo) -> list[float]:
    """Seconds from capture to paid of the newest captures of today that paid their order, sorted."""
    query = (
        select(Capture.captured_at, Order.paid_at)
        .join(Payment, Payment.id == Capture.payment_id)
        .join(Order, Order.id == Payment.order_id)
        .where(Capture.provider.in_(sorted(registry.all_providers())))
        .where(Capture.received_at >= days.midnight(today, zone), Capture.allocation == Allocation.PAYS_ORDER)
        .order_by(Capture.received_at.desc())
        .limit(SAMPLE)
    )
    pairs = [(captured, paid) for captured, paid in db.session.execute(query) if paid is not None]
    return sorted(max(0.0, (paid - captured).total_seconds()) for captured, paid in pairs)


def _percentiles(today: date, times: Sequence[float]) -> Tile:
    value = f"{percentile(times, 50):.1f} s / {percentile(times, 99):.1f} s" if times else "–"
    filters = _pairs(_paid_today(today))
    return Tile("times", "Capture to paid, p50 / p99", value, _sample(times), "orders", filters)


def _share(today: date, times: Sequence[float]) -> Tile:
    prompt = sum(seconds <= PROMPT for seconds in times)
    value = f"{int(1000 * prompt / len(times)) / 10:g} %" if times else "–"
    late = len(times) - prompt
    note = _sample(times) if not late else f"{late:,} of {len(times):,} took longer"
    filters = _pairs(_paid_today(today))
    return Tile("prompt", "Paid within 60 s", value, note, "orders", filters, needs_attention=late > 0)


def percentile(ordered: Sequence[float], percent: int) -> float:
    """The nearest-rank percentile of sorted values."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def _sample(times: Sequence[float]) -> str:
    if not times:
        return "no captures today"
    return f"the newest {SAMPLE:,} captures of today" if len(times) == SAMPLE else f"{len(times):,} captures of today"


def _counted(number: int, most: int) -> str:
    return f"{most:,}+" if number > most else f"{number:,}"


def _pairs(filters: of_orders.Filters) -> tuple[tuple[str, str], ...]:
    return tuple(of_orders.pairs(filters))
