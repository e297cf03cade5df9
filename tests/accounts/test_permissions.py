"""Permissions of the roles, as the design of the console lists them."""

from __future__ import annotations

import pytest

from shop.accounts.permissions import MONEY, PERMISSIONS, Permission, Role, permissions_of, roles_with

S, F, M, A = Role.SUPPORT, Role.FINANCE, Role.MERCHANDISER, Role.ADMIN
TABLE: dict[str, tuple[Role, ...]] = {
    "console.open": (S, F, M, A),
    "order.read": (S, F, A),
    "order.note": (S, F),
    "order.cancel": (S, F),
    "order.export": (F,),
    "saved_view.manage": (A,),
    "customer.read": (S, F, A),
    "customer.unlock": (S, F),
    "customer.sign_out": (S, F, A),
    "customer.disable": (A,),
    "mail.read": (S, F, A),
    "mail.resend": (S, F),
    "payment.sync": (S, F),
    "payment.accept_amount": (F,),
    "webhook.read": (S, F, A),
    "webhook.retry": (S, F),
    "webhook.apply_edited": (A,),
    "refund.request": (S, F),
    "refund.approve": (F,),
    "return.read": (S, F, M, A),
    "return.request": (S, F),
    "return.decide": (S, F, M),
    "return.receive": (M,),
    "store_credit.request": (F,),
    "store_credit.approve": (F,),
    "dispute.read": (S, F, A),
    "dispute.answer": (F,),
    "payout.read": (F, A),
    "payout.request": (F,),
    "payout.approve": (F,),
    "reconciliation.read": (F, A),
    "reconciliation.decide": (F,),
    "statistics.read": (F, A),
    "alert.read": (S, F, A),
    "alert.acknowledge": (S, F),
    "alert.resolve": (S, F),
    "chat.test": (A,),
    "queue.read": (S, F, A),
    "queue.run": (A,),
    "integrity.read": (A,),
    "integrity.run": (A,),
    "product.read": (M, A),
    "product.write": (M,),
    "stock.read": (M, A),
    "stock.write": (M,),
    "delivery.read": (M, A),
    "delivery.write": (M,),
    "discount_code.read": (M, A),
    "discount_code.write": (M,),
    "tax.read": (F, A),
    "tax.write": (F,),
    "fulfilment.read": (M, A),
    "fulfilment.write": (M,),
    "legal_text.read": (M, A),
    "legal_text.write": (M,),
    "announcement.read": (M, A),
    "announcement.write": (M,),
    "seller.read": (F, A),
    "seller.write": (F, A),
    "webhook_endpoint.read": (A,),
    "webhook_endpoint.write": (A,),
    "user.read": (A,),
    "user.write": (A,),
    "audit.read": (F, A),
    "api_key.read": (F, A),
    "api_key.own": (F,),
    "api_key.revoke": (A,),
}


def test_the_table_lists_every_permission() -> None:
    assert list(TABLE) == [str(permission) for permission in Permission]


@pytest.mark.parametrize("permission", Permission)
def test_a_permission_belongs_to_these_roles(permission: Permission) -> None:
    assert tuple(roles_with(permission)) == TABLE[permission]


def test_finance_may_do_all_that_support_may() -> None:
    assert PERMISSIONS[Role.SUPPORT] < PERMISSIONS[Role.FINANCE]


def test_an_admin_reads_every_page_and_decides_no_money() -> None:
    admin = PERMISSIONS[Role.ADMIN]
    assert {one for one in Permission if one.endswith(".read")} <= admin
    assert not admin & (MONEY | {Permission.REFUND_REQUEST})


def test_permissions_of_several_roles_add_up_and_unknown_roles_have_none() -> None:
    both = permissions_of(["support", "merchandiser"])
    assert both == PERMISSIONS[Role.SUPPORT] | PERMISSIONS[Role.MERCHANDISER]
    assert permissions_of([]) == permissions_of(["owner"]) == frozenset()
