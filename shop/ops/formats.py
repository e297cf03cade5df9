"""Texts of the console: times in the zone of the shop, with UTC beside them, and words of states.

The console is in English only, so its texts are not marked for translation (see `shop.http_kit.language`). What a list
shows in each row is a function here and not a macro, which takes several times as long.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from flask import Flask, current_app
from markupsafe import Markup, escape

from shop.payments.providers import registry
from shop.pricing import rates


def init_app(app: Flask) -> None:
    """Give the templates of the console these filters, and `ops/_macros.html` its functions."""
    app.jinja_env.globals.update(console_age=age, console_chip=chip, console_moment=moment)
    app.jinja_env.filters.update(
        labelled=labelled,
        provider_label=registry.label,
        dispute_page=registry.dispute_page,
        shop_time=shop_time,
        tone=tone,
        event_tone=event_tone,
        percent=rates.percent,
        utc_time=utc_time,
        utc_stamp=utc_stamp,
        words=words,
    )


def zone() -> ZoneInfo:
    """The shop's zone (SHOP_TIME_ZONE)."""
    return ZoneInfo(current_app.config["SHOP_TIME_ZONE"])


def shop_time(at: datetime) -> str:
    """Date and time to the second in the shop's zone."""
    return _to_the_second(at.astimezone(zone()))


def utc_time(at: datetime) -> str:
    """Date and time to the second in UTC, with the zone."""
    return f"{_to_the_second(at.astimezone(UTC))} UTC"


def utc_stamp(at: datetime) -> str:
    """The time for the attribute `datetime` of an element."""
    return f"{_to_the_second(at.astimezone(UTC), 'T')}Z"


def _to_the_second(at: datetime, separator: str = " ") -> str:
    return at.replace(tzinfo=None).isoformat(separator, "seconds")


_NO_TIME = Markup('<span class="soft">–</span>')


def moment(at: datetime | None) -> Markup:
    """A time in the shop's zone, with UTC as its title; a dash for none."""
    return _moment(at, zone()) if at else _NO_TIME


@lru_cache(maxsize=4096)
def _moment(at: datetime, shop: ZoneInfo) -> Markup:
    return _time(at, utc_time(at), _to_the_second(at.astimezone(shop)))


def age(at: datetime, text: str) -> Markup:
    """A time as the text of its age, with the time in the shop's zone and in UTC as its title."""
    return _time(at, f"{shop_time(at)}, {utc_time(at)}", text)


_TIME, _TITLE, _TEXT, _END = Markup('<time datetime="'), Markup('" title="'), Markup('">'), Markup("</time>")


def _time(at: datetime, title: str, text: str) -> Markup:
    return Markup("").join((_TIME, utc_stamp(at), _TITLE, title, _TEXT, text, _END))  # % takes three times as long


@lru_cache(maxsize=1024, typed=True)  # an equal Markup is another text
def chip(text: str, tone: str = "calm") -> Markup:
    """A word in a coloured box; `tone` is good, wait, busy, bad or calm."""
    return Markup('<span class="chip {}">{}</span>').format(tone, text)


def words(name: str) -> str:
    """A stored name such as WAITING_PAYMENT or `pays_order` as lower-case words."""
    return name.replace("_", " ").replace(".", " ").lower()


_CELL = re.compile(r"<(tr|td|th)\b")


def labelled(rows: Markup, columns: Sequence[tuple[str, str]]) -> Markup:
    """The rows of a table with the heading of its column in each cell (`data-label`), which a small screen shows."""
    labels = [f' data-label="{escape(heading)}"' for heading, _ in columns]
    at = 0

    def with_label(tag: re.Match[str]) -> str:
        nonlocal at
        at = 0 if tag[1] == "tr" else at + 1
        return tag[0] + labels[at - 1] if tag[1] == "td" and at <= len(labels) else tag[0]

    return Markup(_CELL.sub(with_label, str(escape(rows))))  # noqa: S704 - both parts are escaped; see test_hygiene.py


_TONES = {
    "good": {"PAID", "CAPTURED", "DONE", "applied", "SENT", "WON", "SHIPPED", "CLOSED"},
    "wait": {
        *("PENDING", "WAITING_PAYMENT", "OPEN", "CREATED", "REQUESTED", "QUEUED", "open_refund", "hint", "unpaid"),
        *("TO_PACK", "PARTLY_PACKED"),
    },
    "busy": {
        "PACKED",
        "PARTLY_SHIPPED",
        "AUTHORIZED",
        "UNKNOWN",
        "PARTIALLY_REFUNDED",
        "REFUNDED",
        "ACCEPTED",
        "RECEIVED",
    },
    "bad": {"late", "duplicate", "wrong_amount", "in_review", "disputed", "REJECTED", "LOST", "mismatch", "illegal"},
}
"""Tones of chips by the names that they show."""
_TONE_OF = {name: tone for tone, names in _TONES.items() for name in names}


def tone(name: str) -> str:
    """The tone of a chip for a state, a flag or an outcome: good, wait, busy, bad or calm."""
    return _TONE_OF.get(name, "calm")


_EVENT_TONES = {
    "good": {"payment.captured", "shipment.shipped", "refund.done", "dispute.won", "alert.resolved"},
    "wait": {
        "order.placed",
        "payment.declined",
        "payment.unknown",
        "refund.requested",
        "refund.unknown",
        "return.requested",
    },
    "bad": {"payment.failed", "refund.rejected", "refund.not_booked", "dispute.open", "dispute.lost"},
}
_EVENT_TONES["bad"] |= {"settlement.disagrees", "alert.raised"}
_TONE_OF_EVENT = {kind: tone for tone, kinds in _EVENT_TONES.items() for kind in kinds}


def event_tone(kind: str) -> str:
    """The tone of a chip for an event of this kind."""
    return _TONE_OF_EVENT.get(kind, "calm")
