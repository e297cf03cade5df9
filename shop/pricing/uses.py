"""Use and release discount codes. Conditional UPDATEs of the code's rows decide between concurrent orders."""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy import Executable, and_, bindparam, exists, or_, select, update

from shop.core.db import changed, db, insert, table
from shop.core.money import Money
from shop.pricing.decide import used_before, used_up
from shop.pricing.models import DiscountCode, DiscountUse, DiscountValue
from shop.pricing.states import UseState

_CODES, _VALUES, _USES = table(DiscountCode), table(DiscountValue), table(DiscountUse)
_OF_CODE = _CODES.c.code == bindparam("of_code")
_OF_VALUE = (_VALUES.c.code == bindparam("of_code"), _VALUES.c.currency == bindparam("of_currency"))
_COUNT = (
    update(_CODES)
    .where(_OF_CODE, or_(_CODES.c.use_limit.is_(None), _CODES.c.uses < _CODES.c.use_limit))
    .values(uses=_CODES.c.uses + 1)
)
_SPEND = (
    update(_VALUES)
    .where(*_OF_VALUE, or_(_VALUES.c.budget.is_(None), _VALUES.c.spent + bindparam("less") <= _VALUES.c.budget))
    .values(spent=_VALUES.c.spent + bindparam("less"))
)
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
            or_(_CODES.c.use_limit.is_(None), _CODES.c.uses < _CODES.c.use_limit),
            or_(_VALUES.c.budget.is_(None), _VALUES.c.spent + _USES.c.amount <= _VALUES.c.budget),
        ).label("is_within"),
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
    """Digest of a customer's address for one code: two codes of one customer have different ones."""
    return hashlib.sha256(f"{code} {email}".encode()).hexdigest()


def use(order_id: int, code: str, discount: Money, *, once_for: str | None) -> None:
    """Use a code for an order, in the caller's transaction. `once_for` is the normal form of the address that may use
    it once.

    Raises Refusal `code_used_up` or `code_used_before`; the transaction must then be rolled back.
    """
    values = {"of_code": code, "of_currency": discount.currency, "less": discount.amount}
    if not changed(_COUNT, values) or not changed(_SPEND, values):
        raise used_up()
    row = {
        "order_id": order_id,
        "code": code,
        "currency": discount.currency,
        "amount": discount.amount,
        "state": UseState.HELD,
        "email_digest": None if once_for is None else digest(code, once_for),
    }
    statement = insert(DiscountUse, plain=True).values(row).on_conflict_do_nothing().returning(_USES.c.order_id)
    if db.session.scalar(statement) is None:
        raise used_before()


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
    if is_free and row.email_digest is not None:
        is_free = not db.session.scalar(_USED_BY_ADDRESS, {"of_code": row.code, "digest": row.email_digest})
    return row.code, row.currency, row.amount, bool(is_free)


def again(order_id: int, code: str, currency: str, amount: int) -> tuple[tuple[Executable, dict[str, Any]], ...]:
    """Statements that use a released code again, after `released` has locked it and found that it is free."""
    values = {"of_code": code, "of_currency": currency, "less": amount}
    return ((_COUNT, values), (_SPEND, values), (_USE_AGAIN, {"of_order": order_id}))
