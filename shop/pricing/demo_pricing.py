"""Tax, delivery methods and a discount code of the demo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import exists, select, update

from shop.core.db import db, table, transactional
from shop.core.money import Money
from shop.pricing import change
from shop.pricing.models import DeliveryMethod, DiscountCode, TaxRate

CODE = "WELCOME10"
_TAX = {"zh_Hant": "營業稅", "zh_Hans": "增值税", "ja": "付加価値税"}
_STANDARD = {"zh_Hant": "標準配送", "zh_Hans": "标准配送", "ja": "通常配送"}
_EXPRESS = {"zh_Hant": "快速配送", "zh_Hans": "加急配送", "ja": "お急ぎ便"}


@transactional
def insert_if_none() -> None:
    """Insert the demo's rows if there are none at all, else the translations that its own rows lack. A merchant's rows,
    and rows that a merchant has changed, are left as they are.
    """
    if db.session.scalar(
        select(exists(select(TaxRate)) | exists(select(DeliveryMethod)) | exists(select(DiscountCode)))
    ):
        _translate(TaxRate, {"country": "TW"}, "VAT", _TAX)
        _translate(DeliveryMethod, {"key": "standard"}, "Standard", _STANDARD)
        _translate(DeliveryMethod, {"key": "express"}, "Express", _EXPRESS)
        return
    change.set_tax("TW", "VAT", 5000, is_included=True, names=_TAX)
    free = {currency: Money(0, currency) for currency in ("TWD", "JPY", "USD")}
    change.set_delivery("standard", "Standard", free, free_from={}, countries=(), position=0, names=_STANDARD)
    prices = {"TWD": Money(12000, "TWD"), "JPY": Money(600, "JPY"), "USD": Money(900, "USD")}
    from_amount = {"TWD": Money(300000, "TWD")}
    change.set_delivery("express", "Express", prices, free_from=from_amount, countries=(), position=1, names=_EXPRESS)
    change.set_code(change.NewCode(CODE, percent=10))


def _translate(
    model: type[TaxRate | DeliveryMethod], key: Mapping[str, str], name: str, names: Mapping[str, str]
) -> None:
    """Add the translations of an older release to the demo's row, unless it was changed."""
    of = table(model)
    is_untouched = (of.c.version == 1, of.c.name == name, *(of.c[column] == value for column, value in key.items()))
    row: Any = db.session.execute(select(of.c.texts).where(*is_untouched).with_for_update()).first()
    if row is not None:
        texts = {locale: {"name": text} for locale, text in names.items()} | row.texts
        if texts != row.texts:
            db.session.execute(update(of).where(*is_untouched).values(texts=texts))
