"""Tax, delivery methods and a discount code of the demo."""

from __future__ import annotations

from sqlalchemy import exists, select

from shop.core.db import db, transactional
from shop.core.money import Money
from shop.pricing import change
from shop.pricing.models import DeliveryMethod, DiscountCode, TaxRate

CODE = "WELCOME10"


@transactional
def insert_if_none() -> None:
    """Insert the demo's rows if there are none at all: a merchant's own are never changed."""
    if db.session.scalar(
        select(exists(select(TaxRate)) | exists(select(DeliveryMethod)) | exists(select(DiscountCode)))
    ):
        return
    change.set_tax("TW", "VAT", 5000, is_included=True, names={"zh_Hant": "營業稅"})
    free = {currency: Money(0, currency) for currency in ("TWD", "JPY", "USD")}
    names = {"zh_Hant": "標準配送"}
    change.set_delivery("standard", "Standard", free, free_from={}, countries=(), position=0, names=names)
    prices = {"TWD": Money(12000, "TWD"), "JPY": Money(600, "JPY"), "USD": Money(900, "USD")}
    from_amount = {"TWD": Money(300000, "TWD")}
    names = {"zh_Hant": "快速配送"}
    change.set_delivery("express", "Express", prices, free_from=from_amount, countries=(), position=1, names=names)
    change.set_code(change.NewCode(CODE, percent=10))
