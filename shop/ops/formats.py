"""Texts of the console: times in the zone of the shop, with UTC beside them, and words of states.

The console is in English only, so its texts are not marked for translation (see `shop.http_kit.language`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from flask import Flask, current_app
from markupsafe import Markup

from shop.payments.providers import registry


def init_app(app: Flask) -> None:
    """Give the templates of the console these filters."""
    app.jinja_env.filters.update(
        labelled=labelled,
        provider_label=registry.label,
        dispute_page=registry.dispute_page,
        shop_time=shop_time,
        tone=tone,
        event_tone=event_tone,
        utc_time=utc_time,
        utc_stamp=utc_stamp,
        words=words,
    )


def zone() -> ZoneInfo:
    """The shop's zone (SHOP_TIME_ZONE)."""
    return ZoneInfo(current_app.config["SHOP_TIME_ZONE"])


def shop_time(at: datetime) -> str:
    """Date and time to the second in the shop's zone."""
    return f"{at.astimezone(zone()):%Y-%m-%d %H:%M:%S}"


def utc_time(at: datetime) -> str:
    """Date and time to the second in UTC, with the zone."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def utc_stamp(at: datetime) -> str:
    """The time for the attribute `datetime` of an element."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def words(name: str) -> str:
    """A stored name such as WAITING_PAYMENT or `pays_order` as lower-case words."""
    return name.replace("_", " ").replace(".", " ").lower()


_CELL = re.compile(r"<(tr|td|th)\b")


def labelled(rows: Markup, columns: Sequence[tuple[str, str]]) -> Markup:
    """The rows of a table with the heading of its column in each cell (`data-label`), which a small screen shows."""
    labels = [Markup(' data-label="{}"').format(heading) for heading, _ in columns]
    at, done, parts = 0, 0, list[Markup]()
    for tag in _CELL.finditer(str(rows)):
        at = 0 if tag[1] == "tr" else at + 1
        if tag[1] == "td" and at <= len(labels):
            parts += (rows[done : tag.end()], labels[at - 1])
            done = tag.end()
    return Markup("").join([*parts, rows[done:]])


_TONES = {
    "good": {"PAID", "CAPTURED", "DONE", "applied", "SENT", "WON", "CLOSED"},
    "wait": {"PENDING", "WAITING_PAYMENT", "OPEN", "CREATED", "REQUESTED", "QUEUED", "open_refund", "hint", "unpaid"},
    "busy": {"AUTHORIZED", "UNKNOWN", "PARTIALLY_REFUNDED", "REFUNDED", "ACCEPTED", "RECEIVED"},
    "bad": {"late", "duplicate", "wrong_amount", "in_review", "disputed", "REJECTED", "LOST", "mismatch", "illegal"},
}
"""Tones of chips by the names that they show."""


def tone(name: str) -> str:
    """The tone of a chip for a state, a flag or an outcome: good, wait, busy, bad or calm."""
    return next((found for found, names in _TONES.items() if name in names), "calm")


_EVENT_TONES = {
    "good": {"payment.captured", "refund.done", "dispute.won", "alert.resolved"},
    "wait": {"order.placed", "payment.declined", "payment.unknown", "refund.requested", "refund.unknown"},
    "bad": {"payment.failed", "refund.rejected", "refund.not_booked", "dispute.open", "dispute.lost"},
}
_EVENT_TONES["bad"] |= {"settlement.disagrees", "alert.raised"}
_EVENT_TONES["wait"] |= {"return.requested"}


def event_tone(kind: str) -> str:
    """The tone of a chip for an event of this kind."""
    return next((found for found, kinds in _EVENT_TONES.items() if kind in kinds), "calm")
