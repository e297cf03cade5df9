"""Rights are read in the transaction that decides."""

from __future__ import annotations

import pytest

from shop.accounts import rights
from shop.accounts.models import User
from shop.accounts.permissions import Permission, Role
from shop.core.actor import Actor, ActorKind
from shop.core.db import db, transaction
from shop.core.errors import Refusal
from shop.core.money import Money
from shop.payments.refunds import requests
from tests.shop_fixtures import Shop


def is_allowed(actor: Actor, permission: Permission) -> bool:
    try:
        with transaction():
            rights.demand(actor, permission)
    except rights.Forbidden:
        return False
    return True


def test_an_account_may_do_what_its_roles_allow_at_that_moment(shop: Shop) -> None:
    [sam] = shop.staff("sam", role=Role.FINANCE)
    assert is_allowed(sam, Permission.REFUND_APPROVE) and not is_allowed(sam, Permission.USER_WRITE)
    with transaction():
        db.session.get_one(User, sam.user_id).roles = [Role.SUPPORT]
    assert not is_allowed(sam, Permission.REFUND_APPROVE) and is_allowed(sam, Permission.REFUND_REQUEST)


def test_operators_may_do_everything_and_the_system_nothing(shop: Shop) -> None:
    assert is_allowed(Actor.operator(), Permission.REFUND_APPROVE)
    others = (Actor.customer(shop.customer()), Actor.staff(10**6), Actor(ActorKind.STAFF, name="ada"))
    assert not any(is_allowed(actor, Permission.CONSOLE_OPEN) for actor in (*others, Actor(ActorKind.WEBHOOK)))


def test_the_refusal_names_the_roles_that_have_the_permission(shop: Shop) -> None:
    [sam] = shop.staff("sam", role=Role.SUPPORT)
    expected = r"permission audit\.read\. It needs one of the roles finance, admin"
    with pytest.raises(Refusal, match=expected) as refused, transaction():
        rights.demand(sam, Permission.AUDIT_READ)
    assert (refused.value.status, refused.value.code) == (403, "forbidden")


def test_rights_are_not_read_outside_of_a_transaction(shop: Shop) -> None:
    with pytest.raises(RuntimeError):
        rights.demand(shop.sam, Permission.ORDER_READ)


def test_a_wrong_amount_is_refunded_by_people_who_could_accept_it(shop: Shop) -> None:
    [sue] = shop.staff("sue", role=Role.SUPPORT)
    order = shop.order()
    shop.acquirer.capture(shop.payment(order).id, money=Money(100, "TWD"))
    shop.deliver_webhook(shop.payment(order))
    with pytest.raises(rights.Forbidden, match=r"payment\.accept_amount"):
        requests.request_all(order.id, reason="wrong", by=sue)
    assert requests.request_all(order.id, reason="wrong", by=shop.sam)
    [refund] = requests.request_all(shop.paid_order().id, reason="broken", by=sue)
    assert refund.amount, "support refunds what paid an order"
