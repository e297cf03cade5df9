"""Export the personal data of an account as JSON: a stream of one object, whose orders are read in batches.

Money is in minor units, times are in UTC (ISO 8601). No secret is in it: no hash, token, key or link, and of a payment
only what the order page shows.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select

from shop.accounts import address_book, api_sessions, passkeys, second_factor, sessions
from shop.accounts.api_models import ApiKey
from shop.accounts.models import User
from shop.accounts.oidc import identities
from shop.checkout.models import CartLine
from shop.core import clock
from shop.core.db import db
from shop.core.errors import Away
from shop.core.money import Money
from shop.documents.models import Document
from shop.ledger import store_credit
from shop.mail.models import Mail
from shop.mail.states import MailKind
from shop.orders.models import Order, OrderLine
from shop.payments.records.models import Payment, Refund

VERSION = 1
MOST_ORDERS = 10_000
MOST_MAILS = 1_000
_BATCH = 50
_ADDRESS = ("name", "line1", "line2", "city", "region", "postcode", "country", "phone")


def stream(user_id: int) -> Iterator[str]:
    """The parts of the JSON text. It ends with `"is_complete": true`, so that a stream that was cut off shows. `orders`
    has the newest MOST_ORDERS.
    """
    head = {"version": VERSION, "exported_at": clock.now()} | _about(user_id)
    db.session.rollback()
    yield _text(head)[:-1] + ', "orders": ['
    separator = ""
    for batch in _orders(user_id):
        for order in batch:
            yield f"{separator}{_text(order)}"
            separator = ",\n"
    yield '], "is_complete": true}\n'


def _about(user_id: int) -> dict[str, Any]:
    """Everything but the orders."""
    user = db.session.get_one(User, user_id, populate_existing=True)
    return {
        "account": _picked(user, "email", "name", "language", "roles", "created_at", "last_signed_in_at")
        | {"email_verified_at": user.email_verified_at},
        "addresses": [_picked(one, *_ADDRESS, "is_default", "added_at") for one in address_book.of_user(user_id)],
        "ways_to_sign_in": _ways(user),
        "signed_in_devices": _devices(user_id),
        "signed_in_apps": [
            _picked(one, "device", "created_at", "last_used_at") for one in api_sessions.of_user(user_id)
        ],
        "cart": _cart(user),
        "store_credit": _credit(user_id),
        "mails": _mails(user),
    }


def _ways(user: User) -> dict[str, Any]:
    keys = db.session.scalars(select(ApiKey).where(ApiKey.user_id == user.id).order_by(ApiKey.id))
    return {
        "has_password": user.has_password,
        "has_authenticator_app": second_factor.has_app(user.id),
        "identities": [
            _picked(one, "issuer", "email", "added_at", "last_used_at") for one in identities.of_user(user.id)
        ],
        "passkeys": [_picked(one, "name", "created_at", "last_used_at") for one in passkeys.of_user(user.id)],
        "api_keys": [_picked(one, "name", "created_at", "last_used_at", "revoked_at") for one in keys],
    }


def _devices(user_id: int) -> list[dict[str, Any]] | None:
    """The sign-ins of browsers; None while Redis, which has them, is away."""
    try:
        return [_picked(one, "device", "started_at") for one in sessions.of_user(user_id)]
    except Away:
        return None


def _cart(user: User) -> list[dict[str, Any]]:
    lines = db.session.scalars(select(CartLine).where(CartLine.cart_id == user.cart_id).order_by(CartLine.sku))
    return [_picked(line, "sku", "quantity", "added_at") for line in lines]


def _credit(user_id: int) -> dict[str, Any]:
    movements = store_credit.movements(user_id, MOST_ORDERS)
    return {
        "balances": store_credit.balances(user_id),
        "movements": [_picked(one, "at", "kind", "money") for one in movements],
    }


def _mails(user: User) -> list[dict[str, Any]]:
    """Mails to the account and about its orders, without the texts, the newest first. Of mails to an address
    that was not verified only those about the account, because others may have had it.
    """
    of_orders = select(Mail).join(Order, Order.id == Mail.order_id).where(Order.user_id == user.id)
    to_account = select(Mail).where(
        Mail.recipient == user.email, Mail.order_id.is_(None), Mail.created_at >= user.created_at
    )
    if user.email_verified_at is None:
        to_account = to_account.where(Mail.kind != MailKind.ORDER_LINK)
    newest = (Mail.created_at.desc(), Mail.id)
    found = [
        mail
        for query in (of_orders, to_account)
        for mail in db.session.scalars(query.order_by(*newest).limit(MOST_MAILS))
    ]
    found.sort(key=lambda mail: mail.created_at, reverse=True)
    names = ("kind", "recipient", "language", "state", "created_at", "sent_at")
    return [_picked(mail, *names) | {"order": mail.subject or None} for mail in found[:MOST_MAILS]]


def _orders(user_id: int) -> Iterator[list[dict[str, Any]]]:
    """The orders in batches, the newest first; each batch is a short transaction of five statements."""
    before: int | None = None
    for _ in range(MOST_ORDERS // _BATCH):
        newest = select(Order).where(Order.user_id == user_id).order_by(Order.id.desc()).limit(_BATCH)
        orders = list(db.session.scalars(newest if before is None else newest.where(Order.id < before)))
        batch = _described(orders) if orders else []
        before = orders[-1].id if orders else None
        db.session.rollback()
        if not batch:
            return
        yield batch


def _described(orders: Sequence[Order]) -> list[dict[str, Any]]:
    ids = [order.id for order in orders]
    lines, payments, refunds, documents = (_by_order(model, ids) for model in (OrderLine, Payment, Refund, Document))
    return [
        _picked(order, "number", "state", "placed_at", "paid_at", "ended_at", "locale", "email", *_ADDRESS)
        | {"total": order.total, "store_credit": order.credit}
        | {"lines": [_line(one) for one in sorted(lines[order.id], key=lambda line: line.position)]}
        | {"payments": [_payment(one) for one in payments[order.id]]}
        | {"refunds": [_refund(one) for one in refunds[order.id]]}
        | {"documents": [_document(one) for one in documents[order.id]]}
        for order in orders
    ]


def _by_order(model: type[Any], ids: Sequence[int]) -> dict[int, list[Any]]:
    """The rows of a table that belong to these orders, by order."""
    found: defaultdict[int, list[Any]] = defaultdict(list)
    for row in db.session.scalars(select(model).where(model.order_id.in_(ids))):
        found[row.order_id].append(row)
    return found


def _line(line: OrderLine) -> dict[str, Any]:
    values = _picked(line, "kind", "sku", "name", "quantity", "is_included", "rate")
    return values | {"unit_price": line.unit_price, "total": line.total}


def _payment(payment: Payment) -> dict[str, Any]:
    values = _picked(payment, "id", "provider", "state", "money", "created_at", "ended_at")
    shown = payment.instrument or {}
    return values | {"instrument": {name: shown[name] for name in ("method", "brand", "last4") if name in shown}}


def _refund(refund: Refund) -> dict[str, Any]:
    return _picked(refund, "id", "state", "money", "destination", "created_at", "ended_at")


def _document(document: Document) -> dict[str, Any]:
    values = _picked(document, "number", "kind", "issued_on", "customer")
    return values | {"total": Money(document.total_amount, document.currency)}


def _picked(thing: object, *names: str) -> dict[str, Any]:
    return {name: getattr(thing, name) for name in names}


def _text(values: Any) -> str:
    return json.dumps(values, default=_plain, ensure_ascii=False)


def _plain(value: object) -> object:
    if isinstance(value, Money):
        return {"amount": value.amount, "currency": value.currency}
    if isinstance(value, datetime) or hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(f"the export has no {type(value).__name__}")
