"""Change the delivery address of an order before it is packed: one conditional UPDATE."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import select, update

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.core import audit, clock
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import db, transactional
from shop.core.errors import BadInput, Refusal
from shop.core.event_types import OrderAddressChanged
from shop.orders import events
from shop.orders.fulfilment_states import FulfilmentState
from shop.orders.states import PAYABLE, OrderState

CHANGEABLE = PAYABLE | {OrderState.PAID, OrderState.PARTIALLY_REFUNDED}
"""States in which goods may still have to be sent."""


@dataclass(frozen=True)
class Address:
    """A delivery address. The country stays that of the order, because it decides tax and delivery."""

    name: str
    line1: str
    line2: str
    city: str
    postcode: str
    country: str
    region: str = ""
    phone: str = ""


@transactional
def change(order_id: int, address: Address, *, by: Actor) -> None:
    """Replace the delivery address. Safe to repeat: the same address changes nothing.

    The link of an order, which may be passed on, is no right to send paid goods elsewhere: once the order is paid, only
    its account and staff change the address. Raises Forbidden for staff without ORDER_CANCEL, BadInput
    `country_is_fixed`, and Refusal `not_changeable`.
    """
    rights.demand_of_staff(by, Permission.ORDER_CANCEL)
    orders, values = events.ORDERS, asdict(address)
    row = db.session.execute(select(orders).where(orders.c.id == order_id).with_for_update()).one()
    if row.country != address.country:
        message = "The country decides tax and delivery, which were agreed with the order. Place a new order instead."
        raise BadInput("country_is_fixed", message, field="address/country")
    if row.state not in CHANGEABLE or row.cancel_requested_at is not None:
        raise Refusal("not_changeable", "The address of this order can no longer be changed.")
    if row.fulfilment != FulfilmentState.TO_PACK:
        raise Refusal("not_changeable", "The order is packed or shipped. Its address can no longer be changed.")
    if by.user_id is None and row.state not in PAYABLE:
        message = "The order is paid. Its account or the shop can change the address; its link cannot."
        raise Refusal("not_changeable", message)
    if all(getattr(row, name) == value for name, value in values.items()):
        return
    statement = update(orders).where(orders.c.id == order_id).values(**values, event_seq=orders.c.event_seq + 1)
    changed = db.session.execute(statement.returning(orders.c.number, orders.c.event_seq)).one()
    events.write(events.About(order_id, changed.number, changed.event_seq, by, clock.now()), OrderAddressChanged())
    before = {name: getattr(row, name) for name in values}
    subject = Subject(SubjectKind.ORDER, changed.number)
    audit.record(by, Act.ADDRESS_CHANGED, subject, personal={"before": before, "after": values})
