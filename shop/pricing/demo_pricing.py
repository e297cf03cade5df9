"""Tax, delivery methods and a discount code of the demo."""

from __future__ import annotations

from sqlalchemy import exists, select

from shop.core.db import db, transactional
from shop.core.money import Money
from shop.pricing import change
from shop.pricing.models import DeliveryMethod, DiscountCode, TaxRate

CODE = "WELCOME10"
_TAX = {"zh_Hant": "營業稅", "zh_Hans": "增值税", "ja": "付加価値税"}
_STANDARD = {"zh_Hant": "標準配送", "zh_Hans": "标准配送", "ja": "通常配送"}
_EXPRESS = {"zh_Hant": "快速配送", "zh_Hans": "加急配送", "ja": "お急ぎ便"}


@transactional
def insert_if_none() -> None:
    """Insert the demo's rows if there are none at all: a merchant's own are never changed."""
    if db.session.scalar(
        select(exists(select(TaxRate)) | exists(select(DeliveryMethod)) | exists(select(DiscountCode)))
    ):
        return
    change.set_tax("TW", "VAT", 5000, is_included=True, names=_TAX)
    free = {currency: Money(0, currency) for currency in ("TWD", "JPY", "USD")}
    change.set_delivery("standard", "Standard", free, free_from={}, countries=(), position=0, names=_STANDARD)
    prices = {"TWD": Money(12000, "TWD"), "JPY": Money(600, "JPY"), "USD": Money(900, "USD")}
    from_amount = {"TWD": Money(300000, "TWD")}
    change.set_delivery("express", "Express", prices, free_from=from_amount, countries=(), position=1, names=_EXPRESS)
    change.set_code(change.NewCode(CODE, percent=10))
