"""Read the rules that apply to an order: the tax of its country, the delivery methods, its discount code."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, and_, bindparam, literal, select, true

from shop.core.db import db, table
from shop.core.languages import text_in
from shop.pricing.decide import Choices, Code, Method, Rules, Tax
from shop.pricing.models import DeliveryMethod, DiscountCode, DiscountValue, TaxRate

_TAXES, _METHODS, _CODES, _VALUES = table(TaxRate), table(DeliveryMethod), table(DiscountCode), table(DiscountValue)
_ONE = select(literal(1).label("one")).subquery()


def _named(prefix: str, *columns: Any) -> list[Any]:
    return [column.label(f"{prefix}_{column.key}") for column in columns]


_RULES = (
    select(
        *_named("tax", *_TAXES.c),
        *_named("method", *_METHODS.c),
        *_named("code", *_CODES.c),
        *_named("value", *_VALUES.c),
    )
    .select_from(
        _ONE.outerjoin(_TAXES, _TAXES.c.country == bindparam("country"))
        .outerjoin(_METHODS, true())
        .outerjoin(_CODES, _CODES.c.code == bindparam("code"))
        .outerjoin(_VALUES, and_(_VALUES.c.code == _CODES.c.code, _VALUES.c.currency == bindparam("currency")))
    )
    .order_by(_METHODS.c.position, _METHODS.c.key)
)


def rules(choices: Choices, currency: str) -> Rules:
    """The rules for these choices, with one statement. They may change until the order's transaction uses the code."""
    values = {"country": choices.country, "code": choices.code, "currency": currency}
    rows = db.session.execute(_RULES, values).all()
    first = rows[0]
    return Rules(
        tax=None
        if first.tax_country is None
        else Tax(
            first.tax_country,
            text_in(first.tax_texts, choices.language, "name", first.tax_name),
            first.tax_rate,
            first.tax_is_included,
            first.tax_reduced_rate,
        ),
        methods=tuple(_method(row, choices.language) for row in rows if row.method_key is not None),
        code=None if first.code_code is None else _code(first),
    )


def _method(row: Row[Any], language: str) -> Method:
    name = text_in(row.method_texts, language, "name", row.method_name)
    return Method(
        row.method_key,
        name,
        row.method_prices,
        row.method_free_from,
        row.method_countries,
        row.method_is_offered,
        row.method_exceptions,
    )


def _code(row: Row[Any]) -> Code:
    return Code(
        row.code_code,
        row.code_percent,
        row.value_amount,
        row.value_code is not None,
        row.code_is_active,
        row.code_starts_at,
        row.code_ends_at,
        row.code_use_limit,
        row.code_uses,
        row.value_budget,
        row.value_spent or 0,
        row.code_once_per_email,
    )
