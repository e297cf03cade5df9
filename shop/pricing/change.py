"""Change tax rates, delivery methods and discount codes. Orders that were placed keep their lines.

`by` needs the permission, else Forbidden is raised; None is the demo. `seen` is the version that a form showed: with
another one ChangedMeanwhile or AlreadyExists is raised; None replaces whatever there is. A change to the present values
has no effect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Executable, delete, func, select, update

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.core import audit, logs, versions
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind, Values
from shop.core.countries import SHIPS_TO
from shop.core.db import after_commit, changed, db, insert, table, transactional
from shop.core.errors import BadInput, Refusal
from shop.core.exclusive import alone_until_commit
from shop.core.money import CURRENCIES, Money, smallest
from shop.pricing.codes import NO_CODE, normal
from shop.pricing.decide import RATE
from shop.pricing.models import DeliveryMethod, DiscountCode, DiscountUse, DiscountValue, TaxRate
from shop.pricing.states import UseState

log = logs.get()
LONGEST_KEY = 40
"""Characters of the key of a delivery method."""
MOST_METHODS = 30
"""Delivery methods of the shop: every checkout reads them all."""


@dataclass(frozen=True)
class NewCode:
    """A discount code as staff state it: `percent`, or `amounts` by currency. A percentage is valid in all currencies.

    `budgets` are the most that its discounts may sum to, by currency.
    """

    code: str
    percent: int | None = None
    amounts: Mapping[str, Money] | None = None
    budgets: Mapping[str, Money] | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    use_limit: int | None = None
    once_per_email: bool = True
    is_active: bool = True

    @property
    def values(self) -> list[Values]:
        """The amount and the budget of each currency in which it is valid."""
        amounts, budgets = self.amounts or {}, self.budgets or {}
        return [
            {
                "currency": currency,
                "amount": amounts[currency].amount if self.percent is None else None,
                "budget": budgets[currency].amount if currency in budgets else None,
            }
            for currency in sorted(CURRENCIES if self.percent is not None else amounts)
        ]


@transactional
def set_tax(
    country: str,
    name: str,
    rate: int,
    *,
    is_included: bool,
    reduced_rate: int | None = None,
    keeps_reduced: bool = False,
    by: Actor | None = None,
    names: Mapping[str, str] | None = None,
    seen: int | None = None,
    reason: str = "",
) -> None:
    """Set the tax of a country; rates are in thousandths of a percent. Without `reduced_rate` products of the reduced
    class have the same rate, unless `keeps_reduced` leaves the reduced rate as it is. `names` are translations of
    `name` by locale, an empty one takes it away. Other translations are kept unless `name` changes. Raises BadInput
    `bad_rate`.
    """
    _demand(by, Permission.TAX_WRITE)
    if not all(0 <= one <= RATE for one in (rate, reduced_rate or 0)):
        raise BadInput("bad_rate", "A tax rate must be from 0 to 100 percent.")
    key, called = {"country": country}, f"The tax of {country}"
    before = versions.locked(TaxRate, key)
    if keeps_reduced and before is not None:
        reduced_rate = before["reduced_rate"]
    values = {"name": name, "rate": rate, "reduced_rate": reduced_rate, "is_included": is_included}
    values["texts"] = _texts(before, name, names)
    if versions.save(TaxRate, key, before, values, seen=seen, name=called):
        _record(Act.TAX_SET, by, Subject(SubjectKind.TAX, country), before, values, reason)


@transactional
def remove_tax(country: str, *, by: Actor | None = None, seen: int | None = None, reason: str = "") -> bool:
    """Remove the tax of a country; False if it has none."""
    _demand(by, Permission.TAX_WRITE)
    before = versions.locked(TaxRate, {"country": country})
    if before is not None:
        versions.remove(TaxRate, {"country": country}, before, seen=seen, name=f"The tax of {country}")
        _record(Act.TAX_REMOVED, by, Subject(SubjectKind.TAX, country), before, None, reason)
    return before is not None


@transactional
def set_delivery(
    key: str,
    name: str,
    prices: Mapping[str, Money],
    *,
    free_from: Mapping[str, Money],
    countries: Sequence[str],
    position: int,
    by: Actor | None = None,
    names: Mapping[str, str] | None = None,
    is_offered: bool = True,
    all_except: bool = False,
    seen: int | None = None,
) -> None:
    """Set a delivery method; the one with the lowest position is preselected. It delivers to `countries`, or with
    `all_except` to all others. `names` are translations of `name` by locale, an empty one takes it away; others are
    kept unless `name` changes. Raises BadInput `bad_price`, `no_country`, and Refusal `too_many_methods`.
    """
    _demand(by, Permission.DELIVERY_WRITE)
    exceptions = set(countries) if all_except else set()
    if exceptions >= SHIPS_TO:
        raise BadInput("no_country", "These exceptions leave no country. To stop offering the method, switch it off.")
    if not prices:
        raise BadInput("bad_price", "A delivery method needs a price in at least one currency; 0 is free of charge.")
    for price in (*prices.values(), *free_from.values()):
        _check_whole(price, least=0)
    of, called = {"key": key}, f"The delivery method {key}"
    before = versions.locked(DeliveryMethod, of)
    values = {
        "name": name,
        "prices": {currency: price.amount for currency, price in prices.items()},
        "free_from": {currency: price.amount for currency, price in free_from.items()},
        "countries": sorted(SHIPS_TO - exceptions if exceptions else set(countries)),
        "exceptions": sorted(exceptions),
        "position": position,
        "texts": _texts(before, name, names),
        "is_offered": is_offered,
    }
    if before is None:
        _check_number()
    if versions.save(DeliveryMethod, of, before, values, seen=seen, name=called):
        _record(Act.DELIVERY_SET, by, Subject(SubjectKind.DELIVERY, key), before, values)


@transactional
def remove_delivery(key: str, *, by: Actor | None = None, seen: int | None = None) -> bool:
    """Remove a delivery method; False if there is none."""
    _demand(by, Permission.DELIVERY_WRITE)
    before = versions.locked(DeliveryMethod, {"key": key})
    if before is not None:
        versions.remove(DeliveryMethod, {"key": key}, before, seen=seen, name=f"The delivery method {key}")
        _record(Act.DELIVERY_REMOVED, by, Subject(SubjectKind.DELIVERY, key), before, None)
    return before is not None


@transactional
def set_code(new: NewCode, *, by: Actor | None = None, seen: int | None = None) -> str:
    """Create a discount code, or change it, and return it in its normal form. Orders that have used it count toward its
    new limits.

    Raises BadInput `bad_code`, `bad_discount`, `bad_limit`, and Refusal `limit_exceeded` when more is used already.
    """
    _demand(by, Permission.DISCOUNT_CODE_WRITE)
    code = normal(new.code)
    if code in ("", NO_CODE):
        raise BadInput("bad_code", "A code has 2 to 40 letters from A to Z, digits and hyphens.")
    _check_code(new)
    values: dict[str, object] = {"percent": new.percent, "starts_at": new.starts_at, "ends_at": new.ends_at}
    values |= {"once_per_email": new.once_per_email, "is_active": new.is_active}
    before = _code_with_values(code)
    wanted = values | {"use_limit": new.use_limit, "values": new.values}
    if before is not None and all(before[name] == value for name, value in wanted.items()):
        return code
    versions.check(before, seen, f"The code {code}")
    values |= {"changed_by": by, "version": 1 if before is None else before["version"] + 1}
    if before is None and db.session.scalar(_insert_code(code, values)) is None:
        raise versions.AlreadyExists(f"The code {code}")
    within = update(DiscountCode).where(DiscountCode.code == code)
    if new.use_limit is not None:
        within = within.where(DiscountCode.uses <= new.use_limit)
    if not changed(within.values(use_limit=new.use_limit, **values)):
        raise Refusal("limit_exceeded", f"{code} has been used more often than this limit allows.")
    _set_values(code, new)
    _record(Act.CODE_SET, by, Subject(SubjectKind.CODE, code), before, _code_with_values(code))
    return code


def _insert_code(code: str, values: Mapping[str, object]) -> Executable:
    row = insert(DiscountCode, plain=True).values(code=code, uses=0, **values).on_conflict_do_nothing()
    statement: Executable = row.returning(table(DiscountCode).c.code)
    return statement


def _set_values(code: str, new: NewCode) -> None:
    """Replace the values of a locked code. What has been spent is summed from its uses."""
    spent = _spent(code)
    db.session.execute(delete(DiscountValue).where(DiscountValue.code == code))
    for value in new.values:
        currency, budget = value["currency"], value["budget"]
        given = spent.get(currency, 0)
        if budget is not None and given > budget:
            total = Money(given, currency).with_code()
            raise Refusal("limit_exceeded", f"{code} has given discounts of {total}, more than this budget.")
        db.session.execute(insert(DiscountValue).values(code=code, **value, spent=given))


@transactional
def disable_code(typed: str, *, by: Actor | None = None) -> bool:
    """Disable a code; orders keep the discount that they have. False if there is no such code."""
    _demand(by, Permission.DISCOUNT_CODE_WRITE)
    code = normal(typed)
    _lock(code)
    was_active = db.session.scalar(select(DiscountCode.is_active).where(DiscountCode.code == code))
    disabled = {"is_active": False, "changed_by": by, "version": DiscountCode.version + 1}
    is_there = bool(changed(update(DiscountCode).where(DiscountCode.code == code).values(disabled)))
    if is_there:
        before, after = {"is_active": was_active}, {"is_active": False}
        _record(Act.CODE_DISABLED, by, Subject(SubjectKind.CODE, code), before, after)
    return is_there


def _demand(by: Actor | None, permission: Permission) -> None:
    """Raise Forbidden unless the actor has the permission. The demo, which is no actor, needs none."""
    if by is not None:
        rights.demand(by, permission)


def _record(
    act: Act, by: Actor | None, subject: Subject, before: Values | None, after: Values | None, reason: str = ""
) -> None:
    """Record a change in the audit log, and log it once it is committed. The demo's changes have no actor."""
    if by is not None:
        audit.record(by, act, subject, before=before, after=after, reason=reason)
    after_commit(lambda: log.info(act.value, by=str(by) if by else "demo", subject=subject.id))


def _code_with_values(code: str) -> Values | None:
    """The columns of a discount code and of its values, None if it does not exist. Locks its row: orders update it
    before they spend its budget.
    """
    row = versions.locked(DiscountCode, {"code": code})
    values = select(DiscountValue.currency, DiscountValue.amount, DiscountValue.budget).order_by(DiscountValue.currency)
    found = db.session.execute(values.where(DiscountValue.code == code)).mappings()
    return None if row is None else {**row, "values": [dict(each) for each in found]}


def _lock(code: str) -> None:
    """Lock the row of a code, if there is one: orders update it before they spend its budget."""
    db.session.execute(select(DiscountCode.code).where(DiscountCode.code == code).with_for_update())


def _spent(code: str) -> dict[str, int]:
    query = (
        select(DiscountUse.currency, func.sum(DiscountUse.amount))
        .where(DiscountUse.code == code, DiscountUse.state == UseState.HELD)
        .group_by(DiscountUse.currency)
    )
    return {row[0]: int(row[1]) for row in db.session.execute(query)}


def _check_code(new: NewCode) -> None:
    amounts, budgets = new.amounts or {}, new.budgets or {}
    if (new.percent is None) == (not amounts):
        raise BadInput("bad_discount", "A code takes off either a percentage or an amount.")
    if new.percent is not None and not 1 <= new.percent <= 100:
        raise BadInput("bad_discount", "A percentage must be a whole number from 1 to 100.")
    if new.percent == 100 and new.use_limit is None and set(CURRENCIES) - set(budgets):
        raise BadInput("bad_limit", "A code of 100 % needs a limit of uses, or a budget in every currency.")
    for money in (*amounts.values(), *budgets.values()):
        _check_whole(money, least=1)
    if new.percent is None and set(budgets) - set(amounts):
        raise BadInput("bad_discount", "A budget needs an amount in the same currency.")
    if new.use_limit is not None and not 1 <= new.use_limit <= 1_000_000_000:
        raise BadInput("bad_limit", "The limit of uses must be a whole number of at least 1.")
    if new.starts_at and new.ends_at and new.starts_at >= new.ends_at:
        raise BadInput("bad_limit", "The end of a code must be after its start.")


def _texts(before: Values | None, name: str, names: Mapping[str, str] | None) -> dict[str, dict[str, str]]:
    """The translations of a row with this English name: those given, and those it has of the same name."""
    kept = before["texts"] if before is not None and before["name"] == name else {}
    found = {**kept, **{locale: {"name": text} for locale, text in (names or {}).items()}}
    return {locale: text for locale, text in found.items() if text["name"]}


def _check_number() -> None:
    alone_until_commit(db.session, "delivery methods")
    if (db.session.scalar(select(func.count()).select_from(DeliveryMethod)) or 0) >= MOST_METHODS:
        raise Refusal("too_many_methods", f"A shop has at most {MOST_METHODS} delivery methods.")


def _check_whole(money: Money, *, least: int) -> None:
    if money.amount < least or money.amount % smallest(money.currency):
        whole = Money(smallest(money.currency), money.currency).with_code()
        raise BadInput("bad_price", f"Amounts in {money.currency} are multiples of {whole}.")
