"""The words of a document in its own language: what its page and its PDF both show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from babel import Locale
from babel.dates import format_date
from babel.numbers import format_decimal
from flask_babel import force_locale, gettext

from shop.core.money import Money
from shop.core.postal import lines as address_lines
from shop.documents.kinds import DocumentKind, DocumentLineKind
from shop.documents.models import Document, DocumentLine


@dataclass(frozen=True)
class Row:
    """A product: its name, quantity, unit price and amount."""

    name: str
    quantity: str
    unit: str
    amount: str


@dataclass(frozen=True)
class Sum:
    """A line of the sums below the products."""

    label: str
    amount: str
    is_total: bool = False


@dataclass(frozen=True)
class Words:
    """All texts of a document. `facts` are pairs of a label and a value."""

    title: str
    language: str
    locale: str
    facts: list[tuple[str, str]]
    seller_title: str
    seller: list[str]
    customer_title: str
    customer: list[str]
    heads: list[str]
    rows: list[Row]
    sums: list[Sum]
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def of(document: Document, lines: Sequence[DocumentLine], order_number: str) -> Words:
    """The words of a document about the order with this number."""
    with force_locale(document.language):
        return _words(document, lines, order_number)


def title(document: Document) -> str:
    """Title of a document with its number, in the current language."""
    number = document.number
    if document.kind == DocumentKind.RECEIPT:
        return str(gettext("Receipt %(number)s", number=number))
    if document.kind == DocumentKind.CREDIT_NOTE:
        return str(gettext("Credit note %(number)s", number=number))
    return str(gettext("Cancellation %(number)s", number=number))


def _words(document: Document, lines: Sequence[DocumentLine], order_number: str) -> Words:
    locale = Locale.parse(document.language)

    def money(amount: int) -> str:
        return Money(amount, document.currency).format(str(locale))

    items = [line for line in lines if line.kind == DocumentLineKind.ITEM]
    sums = [
        Sum(_label(line, locale), money(line.quantity * line.unit_amount))
        for line in lines
        if line.kind != DocumentLineKind.ITEM and not line.is_included
    ]
    sums.append(Sum(gettext("Total"), money(document.total_amount), is_total=True))
    sums += [Sum(_label(line, locale), money(line.unit_amount)) for line in lines if line.is_included]
    return Words(
        title=title(document),
        language=str(locale).replace("_", "-"),
        locale=str(locale),
        facts=_facts(document, order_number, locale),
        seller_title=gettext("Sold by"),
        seller=_seller(document.seller),
        customer_title=gettext("Customer"),
        customer=_customer(document.customer, locale),
        heads=[gettext("Product"), gettext("Quantity"), gettext("Unit price"), gettext("Amount")],
        rows=[
            Row(line.name, str(line.quantity), money(line.unit_amount), money(line.quantity * line.unit_amount))
            for line in items
        ],
        sums=sums,
        notes=_notes(document),
    )


def _facts(document: Document, order_number: str, locale: Locale) -> list[tuple[str, str]]:
    on: date = document.issued_on
    facts = [
        (gettext("Number"), document.number),
        (gettext("Date of issue"), format_date(on, "long", locale=locale)),
        (gettext("Order"), order_number),
    ]
    if document.refers_to is not None:
        is_note = document.kind == DocumentKind.CREDIT_NOTE
        facts.append((gettext("Receipt") if is_note else gettext("Credit note"), document.refers_to))
    return facts


def _seller(seller: dict[str, str]) -> list[str]:
    tax = gettext("Tax number: %(number)s", number=seller["tax_id"]) if seller["tax_id"] else ""
    return [line for line in (seller["name"], seller["address"], tax, seller["email"]) if line]


def _customer(customer: dict[str, str], locale: Locale) -> list[str]:
    """Name and address of the customer; nothing once they are erased."""
    if not customer:
        return []
    address = {
        name: customer.get(name, "") for name in address_lines.PARTS
    }  # documents of older versions have no region
    return [*address_lines.of(SimpleNamespace(**address), locale), customer["email"]]


def _label(line: DocumentLine, locale: Locale) -> str:
    if line.kind == DocumentLineKind.DISCOUNT:
        return str(gettext("Discount (%(code)s)", code=line.name))
    if line.kind == DocumentLineKind.DELIVERY:
        return str(gettext("Delivery (%(name)s)", name=line.name))
    if line.kind == DocumentLineKind.REFUND:
        return str(gettext("Refund"))
    if line.kind == DocumentLineKind.DIFFERENCE:
        return str(gettext("Difference to the amount paid"))
    rate = format_decimal(Decimal(line.rate or 0) / 1000, locale=locale)
    if line.is_included:
        return str(gettext("Includes %(name)s (%(rate)s%%)", name=line.name, rate=rate))
    return str(gettext("%(name)s (%(rate)s%%)", name=line.name, rate=rate))


def _notes(document: Document) -> list[str]:
    number = document.refers_to
    if document.kind == DocumentKind.CREDIT_NOTE and number:
        return [gettext("This credit note reduces the amount of receipt %(number)s.", number=number)]
    if document.kind == DocumentKind.CANCELLATION:
        return [
            gettext(
                "The refund of credit note %(number)s could not be paid out. The total of this document is no longer "
                "credited and is owed again.",
                number=number,
            )
        ]
    return []
