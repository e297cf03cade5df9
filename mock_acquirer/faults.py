"""Selection of the fault that fires: levels, counters, random draws, and the log of faults used.

Every function runs inside a transaction, except that arming a plan opens one.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, delete, select, text, update

from mock_acquirer import clock, plans
from mock_acquirer.db import db, seen_in_unit, unit
from mock_acquirer.events import EVENTS
from mock_acquirer.models import Delivery, FaultPlan, FaultUse, Payment

LEVELS = ("scenario", "payment", "endpoint", "global")
ENDPOINTS = (*plans.OPS, "card", "webhook")
NEXT = "next"
"""Owner of a scenario that waits for the next payment."""
ARMED = select(FaultPlan).where(
    FaultPlan.run == bindparam("run"), FaultPlan.owner.in_(bindparam("owners", expanding=True))
)
COUNTED = text(
    """
    INSERT INTO counters (run, name, used) VALUES (:run, :name, 1)
    ON CONFLICT (run, name) DO UPDATE SET used = counters.used + 1 WHERE counters.used < :most RETURNING used
    """
)
"""Written as text: every call counts for every fault that could apply, so the statement is not built each time."""
MADE = ("delay", "duplicate", "parallel", "hold_until", "before_response", "reverse")
SENT = ("drop", "sign")


@dataclass(frozen=True)
class Subject:
    """Target of a fault; `number` is the payment's number in its run, a part of the random draw's key."""

    run: str
    number: int
    payment_id: str | None

    @classmethod
    def of(cls, payment: Payment) -> Subject:
        return cls(payment.run, payment.number, payment.id)


@dataclass(frozen=True)
class Armed:
    """A rule of a plan, with its level and position."""

    plan: FaultPlan
    place: str
    rule: dict[str, Any]
    subject: Subject

    def counter(self, *parts: object) -> str:
        return ".".join((self.plan.version, self.place, *map(str, parts)))


def arm(
    run: str,
    level: str,
    owner: str,
    given: Any,
    events: tuple[str, ...] = EVENTS,
    scenario: str | None = None,
) -> dict[str, Any]:
    """Replace the whole plan of one level; `{}` clears it. Refuses an invalid plan (422) without any change.

    `events`: event types that can occur there; `scenario`: the scenario's name.
    """
    plan = plans.parse_plan(given, events)
    if level == "endpoint":
        plans.require_endpoint(plan, owner)
    _write_plan(run, level, owner, plan, scenario)
    return plan


@unit
def _write_plan(run: str, level: str, owner: str, plan: dict[str, Any], scenario: str | None = None) -> None:
    here = (FaultPlan.run == run, FaultPlan.level == level, FaultPlan.owner == owner)
    db.session.execute(delete(FaultPlan).where(*here))
    seen_in_unit().clear()
    if plan:
        version = secrets.token_hex(6)
        db.session.add(FaultPlan(run=run, level=level, owner=owner, version=version, plan=plan, scenario=scenario))
        db.session.flush()


@unit
def add(payment: Payment, fragment: dict[str, Any]) -> None:
    """Put a fragment (of a card, of the simulation panel) before the rules armed on the payment."""
    if fragment:
        _write_plan(
            payment.run, "payment", payment.id, plans.merged(plan_at(payment.run, "payment", payment.id), fragment)
        )


@unit
def adopt(payment: Payment) -> None:
    """Assign the scenario that waited for the next payment of this run, counters included, to this payment."""
    waiting = (FaultPlan.run == payment.run, FaultPlan.level == "scenario", FaultPlan.owner == NEXT)
    done = db.session.execute(update(FaultPlan).where(*waiting).values(owner=payment.id))
    if getattr(done, "rowcount", 0):
        seen_in_unit().clear()


def plan_at(run: str, level: str, owner: str = "") -> dict[str, Any]:
    """The plan armed at that level; `{}` without one."""
    found = db.session.scalar(
        select(FaultPlan.plan).where(FaultPlan.run == run, FaultPlan.level == level, FaultPlan.owner == owner)
    )
    return _shown(found or {})


def _shown(plan: dict[str, Any]) -> dict[str, Any]:
    """The plan without the empty positions of disarmed rules."""
    return {name: [rule for rule in part if rule] if isinstance(part, list) else part for name, part in plan.items()}


def armed_for(payment: Payment) -> list[tuple[str, dict[str, Any]]]:
    """(level, plan) of everything that may act on the payment, most specific first."""
    owners = [("scenario", payment.id), ("payment", payment.id), ("global", "")]
    owners += [("endpoint", endpoint) for endpoint in ENDPOINTS]
    return [(plan.level, _shown(plan.plan)) for plan in _plans(payment.run, owners)]


def _plans(run: str, owners: list[tuple[str, str]]) -> list[FaultPlan]:
    names = frozenset(owner for _, owner in owners)
    seen = seen_in_unit()
    found = seen.get(("plans", run, names))
    if found is None:
        found = seen["plans", run, names] = list(db.session.scalars(ARMED, {"run": run, "owners": list(names)}))
    return sorted(
        (plan for plan in found if (plan.level, plan.owner) in owners), key=lambda plan: LEVELS.index(plan.level)
    )


def _rules(subject: Subject, section: str, endpoint: str) -> list[Armed]:
    owners = [("endpoint", endpoint), ("global", "")]
    if subject.payment_id:
        owners += [("scenario", subject.payment_id), ("payment", subject.payment_id)]
    else:
        owners.append(("scenario", NEXT))
    return [
        Armed(plan, f"{section}{index}", rule, subject)
        for plan in _plans(subject.run, owners)
        for index, rule in enumerate(_listed(plan.plan.get(section, [])))
        if rule
    ]


def _listed(rules: Any) -> list[dict[str, Any]]:
    return rules if isinstance(rules, list) else [rules]


def _count(armed: Armed, most: int, *parts: object) -> int | None:
    """The next number of this counter (1 for the first), or None when it is used up."""
    counted = {"run": armed.subject.run, "name": armed.counter(*parts), "most": most}
    return db.session.connection().execute(COUNTED, counted).scalar()


def draw(seed: int, number: int, fault: str, attempt: int) -> float:
    """A number in [0, 1) that depends on these four arguments alone."""
    digest = hmac.new(str(seed).encode(), f"{number}.{fault}.{attempt}".encode(), hashlib.sha256).digest()
    return int.from_bytes(digest[:8]) / 2**64


def _fires(armed: Armed, fault: str) -> bool:
    """Draw the chance and count the use."""
    chance = armed.rule.get("chance", armed.plan.plan.get("chance", 1.0))
    if chance < 1.0:
        attempt = _count(armed, plans.MOST * 10, "draw", fault, armed.subject.number) or 0
        if draw(armed.plan.plan.get("seed", 0), armed.subject.number, fault, attempt) >= chance:
            return False
    return "times" not in armed.rule or _count(armed, armed.rule["times"], "used", fault) is not None


def _log(armed: Armed, fault: str, detail: dict[str, Any]) -> None:
    subject = armed.subject
    db.session.add(
        FaultUse(
            run=subject.run,
            payment_id=subject.payment_id,
            at=clock.now(subject.run),
            level=armed.plan.level,
            fault=fault,
            detail=detail,
        )
    )
    db.session.flush()


def api(subject: Subject, op: str) -> dict[str, Any] | None:
    """The rule that applies to this API call, or None. An exact `op` wins over `*` at the same level."""
    rules = [armed for armed in _rules(subject, "api", op) if armed.rule.get("op", "*") in (op, "*")]
    if op != "query":
        rules = [armed for armed in rules if armed.rule["do"] != "stale_query"]
    rules.sort(key=lambda armed: (LEVELS.index(armed.plan.level), armed.rule.get("op", "*") == "*"))
    return _first_api(rules, op) if rules else None


@unit
def _first_api(rules: list[Armed], op: str) -> dict[str, Any] | None:
    for armed in rules:
        if _fires(armed, f"api.{armed.rule['do']}"):
            _log(armed, f"api.{armed.rule['do']}", {"op": op})
            return armed.rule
    return None


def pay(payment: Payment, fault: str) -> Any:
    """The value of a `pay` fault such as `decline`, or None. Inside a transaction."""
    for armed in _rules(Subject.of(payment), "pay", "card"):
        value = armed.rule.get(fault)
        if value and _fires(armed, f"pay.{fault}"):
            _log(armed, f"pay.{fault}", {"value": value})
            return value
    return None


def _hook_rules(payment: Payment, kind: str, names: tuple[str, ...]) -> Iterator[Armed]:
    rules = [
        armed
        for armed in _rules(Subject.of(payment), "hook", "webhook")
        if armed.rule.get("match", "*") in (kind, "*") and any(armed.rule.get(name) for name in names)
    ]
    yield from sorted(rules, key=lambda a: (LEVELS.index(a.plan.level), a.rule.get("match", "*") == "*"))


def hook_made(payment: Payment, kind: str) -> dict[str, Any]:
    """Faults of a new event's deliveries (the names in MADE). Inside a transaction."""
    script: dict[str, Any] = {}
    for armed in _hook_rules(payment, kind, MADE):
        wanted = {name: armed.rule[name] for name in MADE if armed.rule.get(name) and name not in script}
        if wanted and _fires(armed, "hook.made"):
            script |= wanted
            for name, value in wanted.items():
                _log(armed, f"hook.{name}", {"event": kind, "value": value})
    return script


def reversed_for(payment: Payment) -> bool:
    """True when this payment's events are sent in reverse order."""
    return any(armed.rule.get("reverse") for armed in _hook_rules(payment, "*", ("reverse",)))


def hook_sent(delivery: Delivery, payment: Payment) -> dict[str, Any]:
    """Faults of this attempt: `drop` (True) and `sign`. A resend's own fault wins."""
    if delivery.faults:
        return {name: delivery.faults[name] for name in SENT if delivery.faults.get(name)}
    rules = list(_hook_rules(payment, delivery.event.type, SENT))
    return _first_sent(rules, delivery) if rules else {}


@unit
def _first_sent(rules: list[Armed], delivery: Delivery) -> dict[str, Any]:
    acts: dict[str, Callable[[Armed], Any]] = {
        "drop": lambda armed: _count(armed, armed.rule["drop"], "drop", delivery.payment_id) is not None,
        "sign": lambda armed: armed.rule["sign"],
    }
    fired: dict[str, Any] = {}
    for armed in rules:
        for name in SENT:
            if armed.rule.get(name) and name not in fired and _fires(armed, f"hook.{name}"):
                value = acts[name](armed)
                if value:
                    fired[name] = value
                    _log(armed, f"hook.{name}", {"event": delivery.event.type, "delivery": delivery.id, "value": value})
    return fired


def used(payment: Payment) -> list[FaultUse]:
    """The log of faults used for this payment, oldest first."""
    return list(db.session.scalars(select(FaultUse).where(FaultUse.payment_id == payment.id).order_by(FaultUse.id)))
