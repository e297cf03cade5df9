"""Links to orders: the mailed one to the orders of an address, and the order of a page."""

from __future__ import annotations

import re

from shop.core.db import db
from shop.mail import compose
from shop.mail.models import Mail
from shop.mail.states import MailKind
from shop.orders import find
from shop.orders.models import Order


def mailed() -> list[Mail]:
    """The mails with links to orders, oldest first."""
    db.session.rollback()
    return list(db.session.scalars(db.select(Mail).where(Mail.kind == MailKind.ORDER_LINK).order_by(Mail.id)))


def newest_link() -> str:
    """The path of the link in the newest of these mails."""
    found = re.search(r"/orders/of/\S+", compose.content(mailed()[-1]).text)
    assert found
    return found[0]


def order_of(path: str) -> Order:
    """The order whose page has this path."""
    order = find.by_token(path.split("/")[2])
    assert order
    return order
