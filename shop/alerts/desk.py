"""The alerts themselves: raised once, taken on, resolved, found. Every change is told, each in the unit that makes it.

The unique index on (rule, subject, cause) decides who raises an alert: whoever inserts the row tells of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select, update

from shop.alerts.models import ACKNOWLEDGED, IS_OPEN, NEW, RESOLVED, Alert
from shop.alerts.rules import RULES
from shop.core import clock, logs, metrics, outbox
from shop.core.db import db, insert, retried, writing
from shop.core.errors import BadInput, Refusal
from shop.core.later import after_commit

log = logs.get()
WATCH = "watch"
"""Who resolves an alert whose cause is gone."""
LONGEST = 2000  # characters of a note


@dataclass(frozen=True)
class Cause:
    """What an alert is raised for. `subject` is the order's number where there is an order."""

    rule: str
    subject: str
    cause: str
    source: str
    observed: dict[str, Any] = field(hash=False)
    expected: dict[str, Any] = field(hash=False)
    order_id: int | None = None
    order_no: str | None = None


def say(cause: Cause) -> int | None:
    """Raise an alert in the current unit, with its one event; its id, or None when there is one already."""
    at = clock.now()
    severity, _ = RULES[cause.rule]
    alert_id: int | None = db.session.execute(
        insert(Alert)
        .values(
            rule=cause.rule,
            severity=severity,
            subject=cause.subject,
            cause=cause.cause,
            order_id=cause.order_id,
            order_no=cause.order_no,
            observed=cause.observed,
            expected=cause.expected,
            source=cause.source,
            detected_at=at,
            state=NEW,
        )
        .on_conflict_do_nothing(index_elements=["rule", "subject", "cause"])
        .returning(Alert.id)
    ).scalar()
    if alert_id is None:
        return None
    told = {
        "alertId": alert_id,
        "ruleId": cause.rule,
        "severity": severity,
        "orderNo": cause.order_no,
        "observed": cause.observed,
        "expected": cause.expected,
        "detectedAt": at.isoformat(),
        "source": cause.source,
    }
    outbox.emit(stream_of(cause.rule), "alert.raised", cause.subject, told)
    after_commit(lambda: _tell("raised", cause.rule, alert_id))
    return alert_id


def stream_of(rule: str) -> str:
    """Rules about orders have a stream of their own; what is about running the shop goes to operations."""
    return outbox.ALERTS if _about_orders(rule) else outbox.OPERATIONS


def acknowledge(alert_id: int, by: str, note: str = "") -> Alert:
    """Somebody takes an alert on. Raises BadInput for an unknown one, Refusal `not_new` when it has been taken on or
    resolved; two at once: one gets it.
    """
    _turn(alert_id, (NEW,), ACKNOWLEDGED, by, note)
    return db.session.get_one(Alert, alert_id, populate_existing=True)


def resolve(alert_id: int, by: str, note: str = "") -> Alert:
    """Somebody says that an alert is dealt with. Raises BadInput for an unknown one, Refusal `resolved` when it is."""
    _turn(alert_id, (NEW, ACKNOWLEDGED), RESOLVED, by, note)
    return db.session.get_one(Alert, alert_id, populate_existing=True)


_WORDS = {ACKNOWLEDGED: "acknowledged", RESOLVED: "resolved"}


def _turn(alert_id: int, sources: tuple[str, ...], target: str, by: str, note: str) -> None:
    by, note = by.strip(), note.strip()
    if not by or len(by) > LONGEST or len(note) > LONGEST:
        raise BadInput("bad_note", f"Please say who you are; a note has at most {LONGEST} characters.")

    def unit() -> None:
        with writing():
            if not over(alert_id, sources, target, by, note):
                state = db.session.scalar(select(Alert.state).where(Alert.id == alert_id))
                raise _refusal(state)

    retried(unit)


def _refusal(state: str | None) -> Refusal:
    if state is None:
        return BadInput("unknown_alert", "We have no such alert.", status=404)
    if state == RESOLVED:
        return Refusal("resolved", "This alert has been resolved.")
    return Refusal("not_new", "Somebody has already taken this alert on.")


def over(alert_id: int, sources: tuple[str, ...], target: str, by: str, note: str) -> bool:
    """Move an alert on in the current unit and tell of it; False when it is in none of `sources` any more."""
    at, word = clock.now(), _WORDS[target]
    values = {"state": target, f"{word}_at": at, f"{word}_by": by, f"{word}_note": note}
    row = db.session.execute(
        update(Alert)
        .where(Alert.id == alert_id, Alert.state.in_(sources))
        .values(**values)
        .returning(Alert.rule, Alert.subject, Alert.order_no)
    ).one_or_none()
    if row is None:
        return False
    told = {
        "alertId": alert_id,
        "ruleId": row.rule,
        "orderNo": row.order_no,
        "state": target,
        "by": by,
        "note": note,
        "at": at.isoformat(),
    }
    outbox.emit(outbox.ALERT_CHANGES, f"alert.{word}", row.subject, told)
    after_commit(lambda: _tell(word, row.rule, alert_id))
    return True


def is_gone(alert_id: int, why: str) -> bool:
    """The cause of an alert is no more: resolve it in the current unit. False when somebody has done so."""
    return over(alert_id, (NEW, ACKNOWLEDGED), RESOLVED, WATCH, why)


def _tell(word: str, rule: str, alert_id: int) -> None:
    metrics.ALERTS.labels(rule, word).inc()
    log.warning("alert." + word, rule=rule, alert=alert_id)


# --- finding ---------------------------------------------------------------------------------------------------------


def open_alerts(*, rule: str | None = None, limit: int = 200) -> list[Alert]:
    """Alerts that are not resolved, the most severe first, then the oldest."""
    query = select(Alert).where(IS_OPEN).order_by(Alert.severity, Alert.detected_at, Alert.id).limit(limit)
    return list(db.session.scalars(query.where(Alert.rule == rule) if rule else query))


def open_by_rule() -> dict[str, int]:
    """How many alerts of each rule are open, the most severe rules first."""
    query = select(Alert.rule, func.count()).where(IS_OPEN).group_by(Alert.rule)
    found = {row[0]: row[1] for row in db.session.execute(query)}
    return {
        rule: found[rule] for rule in sorted(found, key=lambda rule: (RULES[rule][0], not _about_orders(rule), rule))
    }


def _about_orders(rule: str) -> bool:
    return rule.startswith("RULE_")


def of_order(order_id: int) -> list[Alert]:
    """All alerts about an order, resolved ones too, oldest first."""
    return list(db.session.scalars(select(Alert).where(Alert.order_id == order_id).order_by(Alert.id)))


def counts() -> dict[str, int]:
    """How many alerts are open, by severity."""
    rows = db.session.execute(select(Alert.severity, func.count()).where(IS_OPEN).group_by(Alert.severity)).all()
    return {row[0]: row[1] for row in rows}
