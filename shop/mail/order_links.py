"""Mail a link to the orders of an address to that address."""

from __future__ import annotations

import hashlib

from shop.core import clock, email_address
from shop.mail import outgoing
from shop.mail.states import MailKind
from shop.orders import find


def send(email: str, language: str) -> None:
    """Queue a mail with a link to the orders of this address, at most one in an hour; none if there are no orders."""
    address = email_address.for_lookup(email)
    orders = find.of_email(address)
    if orders is None or not orders.orders:
        return
    name = hashlib.sha256(address.encode()).hexdigest()[:32]
    key = f"{name} {clock.now():%Y-%m-%dT%H}"
    outgoing.queue(MailKind.ORDER_LINK, to=address, language=language, data={}, key=key)
