"""Statistics: parameters and answer."""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from shop.api.schemas.fields import OneOf, Strict, Time
from shop.api.schemas.times import stamp
from shop.core.money import CURRENCIES
from shop.statistics import times
from shop.statistics.periods import PERIODS
from shop.statistics.report import Report
from shop.statistics.sums import Sums

EXAMPLE: dict[str, Any] = {
    "from": "2026-11-02",
    "to": "2026-12-01",
    "before": {"from": "2026-10-03", "to": "2026-11-01"},
    "time_zone": "Asia/Taipei",
    "complete_until": "2026-12-01T09:30:00Z",
    "is_current": True,
    "figures": [
        {
            **{"subject": "order", "state": "paid", "currency": "TWD", "provider": "kpay", "method": ""},
            **{"number": 12, "amount": 1416000, "number_before": 10, "amount_before": 1180000},
        }
    ],
    "times": [{"provider": "kpay", "captures": 12, "p50": 1.0, "p95": 3.0, "p99": 10.0}],
}


class StatsQuery(Strict):
    """The period and filters. A period ends today; other periods have a first day, and at most 366 days."""

    period = OneOf(*PERIODS, metadata={"description": "30 days unless `from` is given."})
    from_ = fields.Date(data_key="from", metadata={"description": "First day, in the time zone of the shop."})
    to = fields.Date(metadata={"description": "Last day; today by default."})
    currency = OneOf(*CURRENCIES, metadata={"description": "Figures of this currency."})
    provider = fields.String(metadata={"description": "Name of a provider, such as kpay."})


class DaysSchema(Strict):
    """First and last day."""

    from_ = fields.Date(data_key="from", required=True)
    to = fields.Date(required=True)


class FigureSchema(Strict):
    """Number and amount of facts that are alike, in the period and in the one before. Amounts are minor units.

    `currency`, `provider` and `method` are empty where a fact has none, `amount` is then zero.
    """

    subject = fields.String(required=True)
    state = fields.String(required=True)
    currency = fields.String(required=True)
    provider = fields.String(required=True)
    method = fields.String(required=True)
    number = fields.Integer(required=True)
    amount = fields.Integer(required=True)
    number_before = fields.Integer(required=True)
    amount_before = fields.Integer(required=True)


class TimesSchema(Strict):
    """Seconds from the capture at the acquirer until the order was paid, as upper limits of classes. Null means over a
    day. `provider` is empty for all together.
    """

    provider = fields.String(required=True)
    captures = fields.Integer(required=True)
    p50 = fields.Float(required=True, allow_none=True)
    p95 = fields.Float(required=True, allow_none=True)
    p99 = fields.Float(required=True, allow_none=True)


class StatsSchema(Strict):
    """Figures of a period beside those of the one before. What happened after `complete_until` is not in them; it is
    null before the first figures were computed.
    """

    from_ = fields.Date(data_key="from", required=True)
    to = fields.Date(required=True)
    before = fields.Nested(DaysSchema, required=True)
    time_zone = fields.String(required=True)
    complete_until = Time(required=True, allow_none=True)
    is_current = fields.Boolean(required=True)
    figures = fields.List(fields.Nested(FigureSchema), required=True)
    times = fields.List(fields.Nested(TimesSchema), required=True)


def stats(found: Report, time_zone: str) -> dict[str, Any]:
    """The body of a report."""
    question, sums = found.question, Sums(found.rows)
    first, last = question.before
    return {
        "from": question.first.isoformat(),
        "to": question.last.isoformat(),
        "before": {"from": first.isoformat(), "to": last.isoformat()},
        "time_zone": time_zone,
        "complete_until": stamp(found.complete_until),
        "is_current": found.is_current,
        "figures": [
            {
                **figure._asdict(),
                **{"number": now.number, "amount": now.amount},
                **{"number_before": before.number, "amount_before": before.amount},
            }
            for figure, now, before in sums.figures()
        ],
        "times": [
            {
                "provider": provider,
                "captures": sum(classes.values()),
                **{f"p{percent}": _finite(times.percentile(classes, percent)) for percent in (50, 95, 99)},
            }
            for provider, classes in sorted(times.by_provider(sums)[0].items())
        ],
    }


def _finite(seconds: float | None) -> float | None:
    return None if seconds == float("inf") else seconds
