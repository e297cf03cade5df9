"""What webhooks tell of besides payments: forgers, strangers, clocks that differ, and what we cannot apply."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from flask import current_app
from sqlalchemy import Text, case, cast, exists, func, literal, select

from shop.alerts import watch
from shop.alerts.desk import Cause
from shop.alerts.episodes import AT_ONCE, TEN_MINUTES, Sight, one_of, over, report
from shop.alerts.models import Alert
from shop.alerts.rules import Claim
from shop.core.db import db
from shop.orders.models import Order
from shop.payments import registry, states
from shop.payments.models import InboxRow, Payment, RefusedNotice, Report
from shop.payments.provider import Malformed, Notice

WEBHOOK = "webhook"
APPEARS_WITHIN = timedelta(seconds=60)
"""A notice may be quicker than our own row; after this long the payment is not just about to appear."""
SKEWED = "signed at another time%"
SKEWED_AFTER = 3
"""Notices signed at another time, in ten minutes: one alone is somebody who sends an old one again."""
_REMEMBERED = timedelta(days=30)


# --- turned away -----------------------------------------------------------------------------------------------------


def signatures(sight: Sight) -> None:
    """At most one alert for each provider and ten minutes; it is over when ten minutes were quiet."""
    forged = (*_turned_away("bad_signature"), RefusedNotice.received_at > sight.at - TEN_MINUTES)
    _floods(sight, "OPS_BAD_SIGNATURE", forged, 1)
    _floods(sight, "OPS_CLOCK_SKEW", (*forged, RefusedNotice.reason.like(SKEWED)), SKEWED_AFTER)


def _turned_away(verdict: str) -> tuple[Any, Any]:
    return RefusedNotice.provider.in_(registry.all_providers()), RefusedNotice.verdict == verdict


def _floods(sight: Sight, rule: str, which: Sequence[Any], least: int) -> None:
    came = select(RefusedNotice.provider, func.count().label("notices")).where(*which).group_by(RefusedNotice.provider)
    loud = {row.provider: row.notices for row in db.session.execute(came)}
    over([alert for alert in sight.open(rule) if alert.subject not in loud], "Ten minutes were quiet.")
    for provider, notices in loud.items():
        if notices >= least:
            _flood(rule, provider, which, least)


def _flood(rule: str, provider: str, which: Sequence[Any], least: int) -> None:
    """One more episode, with what came after the last one was ten minutes old."""
    before = select(Alert.observed).where(Alert.rule == rule, Alert.subject == provider).order_by(Alert.id)
    told = list(db.session.scalars(before))
    came = select(func.count(), func.min(RefusedNotice.received_at), func.max(RefusedNotice.received_at))
    came = came.where(*which, RefusedNotice.provider == provider)
    if told:
        came = came.where(RefusedNotice.received_at >= datetime.fromisoformat(told[-1]["from"]) + TEN_MINUTES)
    notices, first, last = db.session.execute(came).one()
    if notices >= least:
        observed = {"from": first.isoformat(), "to": last.isoformat(), "notices": notices}
        report([Cause(rule, provider, f"episode {len(told) + 1}", WEBHOOK, observed, {"notices": 0})])


def keys(sight: Sight) -> None:
    """An event id that we have, with other content: a mistake of theirs, or somebody who has their secret."""
    known = _known("OPS_KEY_REUSED", RefusedNotice)
    new = select(RefusedNotice.id, RefusedNotice.provider, RefusedNotice.reason, RefusedNotice.received_at).where(
        *_turned_away("key_reused"), RefusedNotice.received_at > sight.at - _REMEMBERED, ~known
    )
    report(
        [
            Cause(
                rule="OPS_KEY_REUSED",
                subject=row.provider,
                cause=f"notice {row.id}",
                source=WEBHOOK,
                observed={"receivedAt": row.received_at.isoformat(), "reason": row.reason},
                expected={"content": "the same under the same id"},
            )
            for row in db.session.execute(new.limit(AT_ONCE))
        ]
    )


def _known(rule: Any, notice: type[InboxRow] | type[RefusedNotice]) -> Any:
    """Whether a notice has been told of."""
    cause = literal("notice ") + cast(notice.id, Text)
    return exists().where(Alert.rule == rule, Alert.subject == notice.provider, Alert.cause == cause)


# --- about nothing of ours -------------------------------------------------------------------------------------------

_STRANGE = {"orphan": "OPS_ORPHAN", "foreign": "OPS_FOREIGN"}
_EXPECTED = {"orphan": {"payment": "one of ours"}, "foreign": {"merchant": "ours"}}


def strangers(sight: Sight) -> None:
    """Notices that we believe, about payments that we do not have or that are another merchant's."""
    known = _known(case(_STRANGE, value=InboxRow.verdict), InboxRow)
    new = (
        select(InboxRow)
        .where(
            one_of(InboxRow.verdict, ["orphan", "foreign"]),
            InboxRow.trust != "unsigned",
            InboxRow.received_at > sight.at - _REMEMBERED,
            (InboxRow.verdict == "foreign") | (InboxRow.received_at <= sight.at - APPEARS_WITHIN),
            ~known,
        )
        .order_by(InboxRow.received_at)
        .limit(AT_ONCE)
    )
    report(
        [
            Cause(
                rule=_STRANGE[row.verdict],
                subject=row.provider,
                cause=f"notice {row.id}",
                source=WEBHOOK,
                observed={"receivedAt": row.received_at.isoformat(), **_said(row)},
                expected=_EXPECTED[row.verdict],
            )
            for row in db.session.scalars(new)
            if row.verdict
        ]
    )
    _found_after_all(sight)


def _found_after_all(sight: Sight) -> None:
    """Orphans whose payment has appeared."""
    waiting = {int(alert.cause.removeprefix("notice ")): alert for alert in sight.open("OPS_ORPHAN")}
    if waiting:
        done = select(InboxRow.id).where(InboxRow.id.in_(waiting), InboxRow.verdict != "orphan")
        over([waiting[row_id] for row_id in db.session.scalars(done)], "The payment has appeared.")


def _said(row: InboxRow) -> dict[str, Any]:
    """What such a notice says, as far as it can be read."""
    notice = next(iter(_read(row)), None)
    if notice is None:
        return {}
    captures = [{"id": c.id, "amount": c.money.amount, "currency": c.money.currency} for c in notice.facts.captures]
    return {"reference": notice.reference, "merchant": notice.merchant, "captures": captures}


def _read(row: InboxRow) -> list[Notice]:
    provider = registry.get(row.provider)
    try:
        return provider.read_stored(row.headers, row.body) if provider else []
    except Malformed:
        return []


# --- trusted, and not applied ----------------------------------------------------------------------------------------


def captured_but_stuck(sight: Sight) -> None:
    """Rule A for what no event tells of: signed notices that we could not apply, and reports without a capture id."""
    heard_until = sight.at - timedelta(seconds=current_app.config["ALERT_CONFIRM_SECONDS"])
    stuck = select(InboxRow).where(
        InboxRow.due_at.is_not(None),
        InboxRow.error.is_not(None),
        InboxRow.trust == "signed",
        InboxRow.received_at <= heard_until,
    )
    for row in db.session.scalars(stuck.order_by(InboxRow.due_at).limit(AT_ONCE)).all():
        for payment_id in {n.reference for n in _read(row) if _says_captured(n)}:
            _look_at_claim(payment_id, row.provider, row.received_at)
    for order_id in _hinted(heard_until):
        watch.look_at(order_id)


def _says_captured(notice: Notice) -> bool:
    return notice.kind == "payment" and bool(notice.facts.captures or notice.facts.state == states.CAPTURED)


def _look_at_claim(payment_id: str, provider: str, heard_at: datetime) -> None:
    order_id = db.session.scalar(
        select(Payment.order_id)
        .join(Order, Order.id == Payment.order_id)
        .where(Payment.id == payment_id, Payment.provider == provider, Order.paid_by.is_(None), ~_told(payment_id))
    )
    if order_id is not None:
        watch.look_at(order_id, [Claim(payment_id, heard_at, WEBHOOK)])


def _hinted(heard_until: datetime) -> list[int]:
    """Orders, not paid, of which somebody said captured without saying what."""
    hints = (
        select(Payment.order_id)
        .join(Report, Report.payment_id == Payment.id)
        .join(Order, Order.id == Payment.order_id)
        .where(
            Report.verdict == literal("hint", literal_execute=True),
            Report.heard_at.between(heard_until - timedelta(days=1), heard_until),
            Report.state == states.CAPTURED,
            Order.paid_by.is_(None),
            ~_told(Payment.id),
        )
    )
    return list(db.session.scalars(hints.distinct().limit(AT_ONCE)))


def _told(payment_id: Any) -> Any:
    """Whether Rule A has told of this payment."""
    return exists().where(Alert.rule == "RULE_A", Alert.cause == literal("payment ") + payment_id)
