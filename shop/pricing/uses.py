"""Use and release discount codes. Conditional UPDATEs of the code's rows decide between concurrent orders."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from typing import Any

from flask import current_app
from sqlalchemy import Executable, and_, bindparam, exists, literal, or_, select, true, update

from shop.core.db import OutdatedSnapshot, changed, db, insert, table
from shop.core.money import Money
from shop.pricing.decide import Code, used_before, used_up, without_order
from shop.pricing.models import DiscountCode, DiscountUse, DiscountValue
from shop.pricing.states import UseState

_CODES, _VALUES, _USES = table(DiscountCode), table(DiscountValue), table(DiscountUse)
_OF_CODE = _CODES.c.code == bindparam("of_code")
_OF_VALUE = (_VALUES.c.code == bindparam("of_code"), _VALUES.c.currency == bindparam("of_currency"))
_HAS_USE_LEFT = or_(_CODES.c.use_limit.is_(None), _CODES.c.uses < _CODES.c.use_limit)
_SAME_CODE = (
    _OF_CODE,
    _CODES.c.is_active,
    or_(_CODES.c.starts_at.is_(None), _CODES.c.starts_at <= bindparam("at")),
    or_(_CODES.c.ends_at.is_(None), _CODES.c.ends_at > bindparam("at")),
    _CODES.c.percent.is_not_distinct_from(bindparam("seen_percent")),
    _CODES.c.once_per_email == bindparam("seen_once"),
)
_SAME_VALUE = (*_OF_VALUE, _VALUES.c.amount.is_not_distinct_from(bindparam("seen_amount")))
_IS_SAME = select(exists().where(*_SAME_CODE, *_SAME_VALUE, _VALUES.c.code == _CODES.c.code))
_COUNT = update(_CODES).where(*_SAME_CODE, _HAS_USE_LEFT).values(uses=_CODES.c.uses + 1)
_COUNT_AGAIN = update(_CODES).where(_OF_CODE, _HAS_USE_LEFT).values(uses=_CODES.c.uses + 1)
_HAS_BUDGET_LEFT = or_(_VALUES.c.budget.is_(None), _VALUES.c.spent + bindparam("less") <= _VALUES.c.budget)
_SPEND = update(_VALUES).where(*_SAME_VALUE, _HAS_BUDGET_LEFT).values(spent=_VALUES.c.spent + bindparam("less"))
_SPEND_AGAIN = update(_VALUES).where(*_OF_VALUE, _HAS_BUDGET_LEFT).values(spent=_VALUES.c.spent + bindparam("less"))
_UNCOUNT = update(_CODES).where(_OF_CODE).values(uses=_CODES.c.uses - 1)
_UNSPEND = update(_VALUES).where(*_OF_VALUE).values(spent=_VALUES.c.spent - bindparam("less"))
_LOCK = (
    select(_CODES.c.code)
    .where(_CODES.c.code == select(_USES.c.code).where(_USES.c.order_id == bindparam("of_order")).scalar_subquery())
    .with_for_update()
)
_RELEASE = (
    update(_USES)
    .where(_USES.c.order_id == bindparam("of_order"), _USES.c.state == UseState.HELD)
    .values(state=UseState.RELEASED)
    .returning(_USES.c.code, _USES.c.currency, _USES.c.amount)
)
_USE_AGAIN = update(_USES).where(_USES.c.order_id == bindparam("of_order")).values(state=UseState.HELD)
_RELEASED = (
    select(
        _USES.c.code,
        _USES.c.currency,
        _USES.c.amount,
        and_(
            _HAS_USE_LEFT,
            or_(_VALUES.c.budget.is_(None), _VALUES.c.spent + _USES.c.amount <= _VALUES.c.budget),
        ).label("is_within"),
        _USES.c.once_per_email,
        _USES.c.email_digest,
    )
    .select_from(
        _USES.join(_CODES, _CODES.c.code == _USES.c.code).outerjoin(
            _VALUES, and_(_VALUES.c.code == _USES.c.code, _VALUES.c.currency == _USES.c.currency)
        )
    )
    .where(_USES.c.order_id == bindparam("of_order"), _USES.c.state == UseState.RELEASED)
)
_USED_BY_ADDRESS = select(
    exists().where(
        _USES.c.code == bindparam("of_code"),
        _USES.c.email_digest == bindparam("digest"),
        _USES.c.state == UseState.HELD,
    )
)


def digest(code: str, email: str) -> str:
    """Keyed hash of a customer's address for one code. Two codes of one customer have different ones, and without
    SECRET_KEY no address can be tried.
    """
    secret = current_app.config["SECRET_KEY"].encode()
    return hmac.new(secret, f"discount code\0{code}\0{email}".encode(errors="replace"), hashlib.sha256).hexdigest()


def use(order_id: int, code: Code, discount: Money, *, email: str, at: datetime) -> None:
    """Use a code for an order, in the caller's transaction. `email` is the customer's address in its normal form.

    Raises Refusal `code_used_up` or `code_used_before`, and OutdatedSnapshot when the code is not what `code` says. The
    transaction must then be rolled back.
    """
    values = {"of_code": code.code, "of_currency": discount.currency, "less": discount.amount, "at": at} | {
        "seen_percent": code.percent,
        "seen_once": code.once_per_email,
        "seen_amount": code.amount,
    }
    if not changed(_COUNT, values) or not changed(_SPEND, values):
        if not db.session.scalar(_IS_SAME, values):
            raise OutdatedSnapshot(f"discount code {code.code} has changed")
        raise without_order(used_up())
    if db.session.scalar(_insert(order_id, code, discount, digest(code.code, email))) is None:
        raise without_order(used_before())


def _insert(order_id: int, code: Code, discount: Money, of_address: str) -> Executable:
    """INSERT of the use, unless the address may use the code once and has a use, of whatever kind the code was then.

    The code's row is locked, so that the use of another order is either there or not to come.
    """
    row = {
        "order_id": order_id,
        "code": code.code,
        "currency": discount.currency,
        "amount": discount.amount,
        "state": UseState.HELD,
        "once_per_email": code.once_per_email,
        "email_digest": of_address,
    }
    other = (_USES.c.code == code.code, _USES.c.email_digest == of_address, _USES.c.state == UseState.HELD)
    is_free = ~exists().where(*other) if code.once_per_email else true()
    values = select(*(literal(value, _USES.c[name].type) for name, value in row.items())).where(is_free)
    statement: Executable = (
        insert(DiscountUse, plain=True)
        .from_select(list(row), values)
        .on_conflict_do_nothing()
        .returning(_USES.c.order_id)
    )
    return statement


def release(order_id: int) -> None:
    """Release the code that an order used, when the order ends unpaid. No effect if there is none.

    The code's row is locked first, as `use` does.
    """
    if db.session.scalar(_LOCK, {"of_order": order_id}) is None:
        return
    for row in db.session.execute(_RELEASE, {"of_order": order_id}).all():
        values = {"of_code": row.code, "of_currency": row.currency, "less": row.amount}
        db.session.execute(_UNCOUNT, values)
        db.session.execute(_UNSPEND, values)


def released(order_id: int, *, lock: bool) -> tuple[str, str, int, bool] | None:
    """The code that an ended order has released: code, currency, discount, and whether the order can use it again.

    With `lock` the row of the code is locked until the transaction ends, so that the answer stays true.
    """
    values = {"of_order": order_id}
    if lock:
        db.session.execute(_LOCK, values)
    row = db.session.execute(_RELEASED, values).one_or_none()
    if row is None:
        return None
    is_free = row.is_within
    if is_free and row.once_per_email and row.email_digest is not None:
        is_free = not db.session.scalar(_USED_BY_ADDRESS, {"of_code": row.code, "digest": row.email_digest})
    return row.code, row.currency, row.amount, bool(is_free)


def again(order_id: int, code: str, currency: str, amount: int) -> tuple[tuple[Executable, dict[str, Any]], ...]:
    """Statements that use a released code again, after `released` has locked it and found that it is free."""
    values = {"of_code": code, "of_currency": currency, "less": amount}
    return ((_COUNT_AGAIN, values), (_SPEND_AGAIN, values), (_USE_AGAIN, {"of_order": order_id}))
