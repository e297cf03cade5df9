"""Alert store: raise, acknowledge, resolve and find alerts. Each change writes its event in the same transaction.

The unique index on (rule, subject, cause) decides races: one transaction inserts the row and raises the alert.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Select, Text, func, literal, select, tuple_, update

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.alerts import events
from shop.alerts.models import IS_OPEN, Alert
from shop.alerts.rules import RULES
from shop.alerts.states import AlertState
from shop.core import audit, clock, keyset, logs, metrics, outbox
from shop.core.actor import Actor, ActorKind
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import after_commit, db, insert, transactional
from shop.core.errors import BadInput, Refusal
from shop.core.keyset import ON_A_PAGE, Page, Place

log = logs.get()
WATCH = "watch"
"""Source of findings of the watcher itself."""
WATCHER = Actor(ActorKind.WATCHER)
"""The actor that resolves alerts whose cause is over."""
LONGEST = 2000  # characters of a note


@dataclass(frozen=True)
class Cause:
    """The reason for an alert. `subject` is the order's number where there is an order."""

    rule: str
    subject: str
    cause: str
    source: str
    observed: dict[str, Any] = field(hash=False)
    expected: dict[str, Any] = field(hash=False)
    order_id: int | None = None
    order_no: str | None = None


def raise_alert(cause: Cause) -> int | None:
    """Raise an alert in the current transaction, with its event; returns its id, or None when it exists already."""
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
            state=AlertState.NEW,
        )
        .on_conflict_do_nothing(index_elements=["rule", "subject", "cause"])
        .returning(Alert.id)
    ).scalar()
    if alert_id is None:
        return None
    of_stream = events.InconsistencyRaised if _about_orders(cause.rule) else events.AlertRaised
    raised = of_stream(
        alert_id=alert_id,
        rule_id=cause.rule,
        severity=severity,
        order_no=cause.order_no,
        observed=cause.observed,
        expected=cause.expected,
        detected_at=at.isoformat(),
        source=cause.source,
    )
    outbox.emit(raised, cause.subject)
    after_commit(lambda: _log("raised", cause.rule, alert_id))
    return alert_id


def acknowledge(alert_id: int, by: Actor, note: str = "") -> Alert:
    """Acknowledge an alert. Raises BadInput for an unknown alert, Refusal `not_new` when it is acknowledged or resolved
    already; of two concurrent calls one succeeds.
    """
    _change(alert_id, (AlertState.NEW,), AlertState.ACKNOWLEDGED, by, note)
    return db.session.get_one(Alert, alert_id, populate_existing=True)


def resolve(alert_id: int, by: Actor, note: str = "") -> Alert:
    """Resolve an alert by staff. Raises BadInput for an unknown alert, Refusal `resolved` when it is resolved
    already.
    """
    _change(alert_id, (AlertState.NEW, AlertState.ACKNOWLEDGED), AlertState.RESOLVED, by, note)
    return db.session.get_one(Alert, alert_id, populate_existing=True)


_ACTS = {AlertState.ACKNOWLEDGED: Act.ALERT_ACKNOWLEDGED, AlertState.RESOLVED: Act.ALERT_RESOLVED}
_PERMISSIONS = {
    AlertState.ACKNOWLEDGED: Permission.ALERT_ACKNOWLEDGE,
    AlertState.RESOLVED: Permission.ALERT_RESOLVE,
}
_WORDS = {AlertState.ACKNOWLEDGED: "acknowledged", AlertState.RESOLVED: "resolved"}
_EVENTS: dict[AlertState, type[events.AlertChanged]] = {
    AlertState.ACKNOWLEDGED: events.AlertAcknowledged,
    AlertState.RESOLVED: events.AlertResolved,
}


@transactional
def _change(alert_id: int, sources: tuple[AlertState, ...], target: AlertState, by: Actor, note: str) -> None:
    rights.demand(by, _PERMISSIONS[target])
    note = note.strip()
    if len(note) > LONGEST:
        raise BadInput("bad_note", f"A note has at most {LONGEST} characters.")
    if not change_state(alert_id, sources, target, by, note):
        state = db.session.scalar(select(Alert.state).where(Alert.id == alert_id))
        raise _refusal(state)
    audit.record(by, _ACTS[target], Subject(SubjectKind.ALERT, str(alert_id)), after={"state": target}, reason=note)


def _refusal(state: AlertState | None) -> Refusal:
    if state is None:
        return BadInput("unknown_alert", "There is no such alert.")
    if state == AlertState.RESOLVED:
        return Refusal("resolved", "This alert has already been resolved.")
    return Refusal("not_new", "This alert has already been acknowledged.")


def change_state(alert_id: int, sources: tuple[AlertState, ...], target: AlertState, by: Actor, note: str) -> bool:
    """Change the state of an alert in the current transaction and record the event; False when its state is not in
    `sources`.
    """
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
    event = _EVENTS[target](
        alert_id=alert_id,
        rule_id=row.rule,
        order_no=row.order_no,
        state=target,
        actor=str(by),
        note=note,
        at=at.isoformat(),
    )
    outbox.emit(event, row.subject)
    after_commit(lambda: _log(word, row.rule, alert_id))
    return True


def resolve_over(alert_id: int, why: str) -> bool:
    """Resolve an alert whose cause is over, in the current transaction. False when it is resolved already."""
    return change_state(alert_id, (AlertState.NEW, AlertState.ACKNOWLEDGED), AlertState.RESOLVED, WATCHER, why)


def _log(word: str, rule: str, alert_id: int) -> None:
    metrics.ALERTS.labels(rule, word).inc()
    log.warning("alert." + word, rule=rule, alert=alert_id)


# --- finding ---------------------------------------------------------------------------------------------------------


def open_alerts(*, rule: str | None = None, limit: int = 200) -> list[Alert]:
    """Unresolved alerts, the most severe first, then the oldest; of one rule if named."""
    return list(db.session.scalars(most_severe(rule=rule, limit=limit)))


def page(place: Place = keyset.FIRST, *, rule: str | None = None, limit: int = ON_A_PAGE) -> Page[Alert]:
    """A page of the unresolved alerts, in the order of `open_alerts`; of one rule if named. One statement."""
    key = (Alert.severity, Alert.detected_at, Alert.id)
    query = select(Alert).where(IS_OPEN, *([Alert.rule == rule] if rule else []))
    if place.beyond is not None:
        severity = literal(f"P{place.beyond.kind}", Text)
        beyond = tuple_(severity, literal(place.beyond.at, Alert.detected_at.type), place.beyond.id)
        query = query.where(tuple_(*key) < beyond if place.is_backwards else tuple_(*key) > beyond)
    sorting = [column.desc() for column in key] if place.is_backwards else key
    return keyset.page(db.session.scalars(query.order_by(*sorting).limit(limit + 1)).all(), place, limit)


def most_severe(*, rule: str | None = None, without: Collection[str] = (), limit: int) -> Select[Alert]:
    """Select unresolved alerts as `open_alerts`; of one rule, or not of the rules `without`."""
    which = [IS_OPEN, *([Alert.rule == rule] if rule else []), *([Alert.rule.not_in(without)] if without else [])]
    return select(Alert).where(*which).order_by(Alert.severity, Alert.detected_at, Alert.id).limit(limit)


def open_by_rule() -> dict[str, int]:
    """The number of open alerts by rule, the most severe rules first."""
    found = {row[0]: row[1] for row in db.session.execute(counted_by_rule())}
    return {
        rule: found[rule] for rule in sorted(found, key=lambda rule: (RULES[rule][0], not _about_orders(rule), rule))
    }


def counted_by_rule() -> Select[str, int]:
    """Select the number of open alerts by rule."""
    return select(Alert.rule, func.count().label("number")).where(IS_OPEN).group_by(Alert.rule)


def _about_orders(rule: str) -> bool:
    return rule.startswith("RULE_")


def of_order(order_id: int) -> list[Alert]:
    """All alerts about an order, resolved ones included, oldest first."""
    return list(db.session.scalars(select(Alert).where(Alert.order_id == order_id).order_by(Alert.id)))


def counts() -> dict[str, int]:
    """The number of open alerts by severity."""
    rows = db.session.execute(select(Alert.severity, func.count()).where(IS_OPEN).group_by(Alert.severity)).all()
    return {row[0]: row[1] for row in rows}
