"""Armed fault rules of a run, and disarming one of them.

A rule's id is made of its plan's version, its section and its position; disarming one keeps the counters of the others.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from mock_acquirer import plans
from mock_acquirer.db import db, seen_in_unit, unit
from mock_acquirer.models import Counter, FaultPlan, Payment

MOST_SHOWN = 500


def listed(run: str, payment: Payment | None = None) -> dict[str, Any]:
    """`armed`: the rules of the run, or those that may act on the payment; `more`: the number of plans left out."""
    wanted = select(FaultPlan).where(FaultPlan.run == run).order_by(FaultPlan.id.desc())
    if payment is not None:
        wanted = wanted.where(FaultPlan.owner.in_(("", payment.id)) | (FaultPlan.level == "endpoint"))
    found = list(db.session.scalars(wanted))
    shown = found[:MOST_SHOWN]
    names = _references([one.owner for one in shown if one.level in ("payment", "scenario")])
    armed = [rule | {"reference": names.get(one.owner)} for one in shown for rule in _rules(one)]
    return {"run": run, "armed": armed, "more": len(found) - len(shown)}


def _references(owners: list[str]) -> dict[str, str]:
    query = select(Payment.id, Payment.reference).where(Payment.id.in_(owners))
    return {row.id: row.reference for row in db.session.execute(query)}


def _rules(plan: FaultPlan) -> list[dict[str, Any]]:
    common = {"level": plan.level, "on": plan.owner or "everything", "scenario": plan.scenario}
    top = {name: plan.plan[name] for name in plans.TOP if name in plan.plan}
    return [
        {"id": f"{plan.version}.{section}.{place}", **common, "part": section, "rule": rule, **top, "left": left}
        for section, place, rule, left in _each(plan)
    ] or [{"id": f"{plan.version}.plan.0", **common, "part": "plan", "rule": {}, **top, "left": None}]


def _each(plan: FaultPlan) -> list[tuple[str, str, dict[str, Any], int | None]]:
    """Every rule as (section, position, rule, remaining uses); each fault of `pay` is a rule."""
    found: list[tuple[str, str, dict[str, Any], int | None]] = []
    for section in ("api", "hook"):
        for place, rule in enumerate(plan.plan.get(section, [])):
            if rule:
                found.append((section, str(place), rule, _left(plan, f"{section}{place}", rule)))
    pay = plan.plan.get("pay", {})
    common = {name: value for name, value in pay.items() if name in plans.COMMON}
    for name, value in pay.items():
        if name not in plans.COMMON:
            found.append(("pay", name, {name: value} | common, _left(plan, "pay0", pay, f"pay.{name}")))
    return found


def _left(plan: FaultPlan, place: str, rule: dict[str, Any], fault: str = "") -> int | None:
    if "times" not in rule:
        return None
    name = f"{plan.version}.{place}.used.{fault}"
    counted = select(Counter.used).where(Counter.run == plan.run)
    exact = Counter.name == name if fault else Counter.name.startswith(name, autoescape=True)
    return int(rule["times"]) - max(db.session.scalars(counted.where(exact)).all(), default=0)


@unit
def disarm(run: str, rule_id: str) -> bool:
    """Remove one rule. Returns False when the run has no rule with this id."""
    version, _, where = rule_id.partition(".")
    section, _, place = where.partition(".")
    query = select(FaultPlan).where(FaultPlan.run == run, FaultPlan.version == version)
    plan = db.session.scalar(query.with_for_update())
    known = plan is not None and rule_id in [one["id"] for one in _rules(plan)]
    if plan is None or not known:
        return False
    rest = _without(plan.plan, section, place)
    if section == "plan" or not _acts(rest):
        db.session.delete(plan)
    else:
        plan.plan = rest
    db.session.flush()
    seen_in_unit().clear()
    return True


def _without(plan: dict[str, Any], section: str, place: str) -> dict[str, Any]:
    """The plan without that rule. A list keeps an empty rule in its position, because counters identify rules by
    position.
    """
    rest = dict(plan)
    if section == "pay":
        rest["pay"] = {name: value for name, value in plan["pay"].items() if name != place}
    elif section in ("api", "hook"):
        rest[section] = [{} if str(at) == place else rule for at, rule in enumerate(plan[section])]
    return rest


def _acts(plan: dict[str, Any]) -> bool:
    """True when the plan contains any fault."""
    rules = [*plan.get("api", []), *plan.get("hook", []), plan.get("pay", {})]
    return any(set(rule) - set(plans.COMMON) for rule in rules)
