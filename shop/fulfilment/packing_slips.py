"""Packing slips as one PDF: for each package that has not left, and for what is left to pack. They have no prices.

A slip is in the language of its order, because it lies in the package. It is made when it is asked for, and not stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date
from flask import current_app
from flask_babel import force_locale, gettext, pgettext
from sqlalchemy import select

from shop import seller
from shop.core.db import db
from shop.core.postal import lines as address_lines
from shop.documents import pdf
from shop.fulfilment import find
from shop.fulfilment.find import PackedLine
from shop.fulfilment.to_ship import Row
from shop.orders.models import Order

TEMPLATE = Path(__file__).resolve().parents[2] / "templates" / "documents" / "packing-slips.typ"


@dataclass(frozen=True)
class Item:
    """A product of a slip."""

    quantity: str
    name: str
    sku: str


@dataclass(frozen=True)
class Slip:
    """All texts of a packing slip. `facts` are pairs of a label and a value."""

    title: str
    locale: str
    facts: list[tuple[str, str]]
    address_title: str
    address: list[str]
    seller_title: str
    seller: list[str]
    heads: list[str]
    rows: list[Item]


def slips(rows: Sequence[Row]) -> list[Slip]:
    """The slips of these orders: one for each package that has not left, then one for what is left. Two statements."""
    ids = [row.id for row in rows]
    packages = find.packages(ids)
    orders = {order.id: order for order in db.session.scalars(select(Order).where(Order.id.in_(ids)))}
    found = []
    for row in rows:
        order = orders[row.id]
        contents = [(one.number, one.lines) for one in packages.get(row.id, ()) if not one.is_shipped]
        left = tuple(PackedLine(line.sku, line.name, line.left) for line in row.left)
        with force_locale(order.locale):
            found += [_slip(order, lines, number) for number, lines in contents]
            found += [_slip(order, left, None)] if left else []
    return found


def as_pdf(shown: Sequence[Slip]) -> bytes:
    """The PDF of slips, each on a page of its own. No transaction is open while it is made."""
    db.session.rollback()
    return pdf.compiled(TEMPLATE, {"title": "Packing slips", "slips": list(_data(shown))} | pdf.in_language("en"))


def _data(shown: Sequence[Slip]) -> Iterator[dict[str, Any]]:
    for slip in shown:
        yield asdict(slip) | pdf.in_language(slip.locale)


def _slip(order: Order, lines: Sequence[PackedLine], package: int | None) -> Slip:
    locale, sold_by = Locale.parse(order.locale), seller.of(current_app.config)
    placed = order.placed_at.astimezone(ZoneInfo(current_app.config["SHOP_TIME_ZONE"])).date()
    facts = [
        (gettext("Order"), order.number),
        (pgettext("date", "Placed"), format_date(placed, "long", locale=locale)),
    ]
    if package is not None:
        facts.append((gettext("Package"), str(package)))
    return Slip(
        title=gettext("Packing slip"),
        locale=str(locale),
        facts=facts,
        address_title=gettext("Delivery address"),
        address=[*address_lines.of(order, locale), *([order.phone] if order.phone else [])],
        seller_title=gettext("Sold by"),
        seller=[line for line in (sold_by.name, sold_by.address, sold_by.email) if line],
        heads=[gettext("Quantity"), gettext("Product"), gettext("Article number")],
        rows=[Item(str(line.quantity), line.name, line.sku) for line in lines],
    )
