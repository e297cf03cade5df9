"""Permissions of staff: the roles, the permissions, and the one table that says which role has which. Pure.

Views declare the permission that they need (`shop.http_kit.access.requires`); use cases read the roles of the actor
again in the transaction that decides (`shop.accounts.rights.demand`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache


class Role(StrEnum):
    """Role of a staff account. A customer has none. The values are stored."""

    SUPPORT = "support"
    FINANCE = "finance"
    MERCHANDISER = "merchandiser"
    ADMIN = "admin"


class Permission(StrEnum):
    """A permission: a subject and an act. `read` opens the pages of the subject."""

    CONSOLE_OPEN = "console.open"

    ORDER_READ = "order.read"
    ORDER_NOTE = "order.note"
    ORDER_CANCEL = "order.cancel"
    ORDER_EXPORT = "order.export"
    SAVED_VIEW_MANAGE = "saved_view.manage"
    CUSTOMER_READ = "customer.read"
    CUSTOMER_UNLOCK = "customer.unlock"
    CUSTOMER_SIGN_OUT = "customer.sign_out"
    CUSTOMER_DISABLE = "customer.disable"
    MAIL_READ = "mail.read"
    MAIL_RESEND = "mail.resend"

    PAYMENT_SYNC = "payment.sync"
    PAYMENT_ACCEPT_AMOUNT = "payment.accept_amount"
    WEBHOOK_READ = "webhook.read"
    WEBHOOK_RETRY = "webhook.retry"
    WEBHOOK_APPLY_EDITED = "webhook.apply_edited"

    REFUND_REQUEST = "refund.request"
    REFUND_APPROVE = "refund.approve"
    RETURN_READ = "return.read"
    RETURN_REQUEST = "return.request"
    RETURN_DECIDE = "return.decide"
    RETURN_RECEIVE = "return.receive"
    STORE_CREDIT_REQUEST = "store_credit.request"
    STORE_CREDIT_APPROVE = "store_credit.approve"
    DISPUTE_READ = "dispute.read"
    DISPUTE_ANSWER = "dispute.answer"
    PAYOUT_READ = "payout.read"
    PAYOUT_REQUEST = "payout.request"
    PAYOUT_APPROVE = "payout.approve"
    RECONCILIATION_READ = "reconciliation.read"
    RECONCILIATION_DECIDE = "reconciliation.decide"
    STATISTICS_READ = "statistics.read"

    ALERT_READ = "alert.read"
    ALERT_ACKNOWLEDGE = "alert.acknowledge"
    ALERT_RESOLVE = "alert.resolve"
    CHAT_TEST = "chat.test"
    QUEUE_READ = "queue.read"
    QUEUE_RUN = "queue.run"
    INTEGRITY_READ = "integrity.read"
    INTEGRITY_RUN = "integrity.run"

    PRODUCT_READ = "product.read"
    PRODUCT_WRITE = "product.write"
    STOCK_READ = "stock.read"
    STOCK_WRITE = "stock.write"
    DELIVERY_READ = "delivery.read"
    DELIVERY_WRITE = "delivery.write"
    DISCOUNT_CODE_READ = "discount_code.read"
    DISCOUNT_CODE_WRITE = "discount_code.write"
    TAX_READ = "tax.read"
    TAX_WRITE = "tax.write"
    FULFILMENT_READ = "fulfilment.read"
    FULFILMENT_WRITE = "fulfilment.write"
    LEGAL_TEXT_READ = "legal_text.read"
    LEGAL_TEXT_WRITE = "legal_text.write"
    ANNOUNCEMENT_READ = "announcement.read"
    ANNOUNCEMENT_WRITE = "announcement.write"
    SELLER_READ = "seller.read"
    SELLER_WRITE = "seller.write"

    WEBHOOK_ENDPOINT_READ = "webhook_endpoint.read"
    WEBHOOK_ENDPOINT_WRITE = "webhook_endpoint.write"

    USER_READ = "user.read"
    USER_WRITE = "user.write"
    AUDIT_READ = "audit.read"
    API_KEY_READ = "api_key.read"
    API_KEY_OWN = "api_key.own"
    API_KEY_REVOKE = "api_key.revoke"


_P = Permission
_SUPPORT = frozenset(
    {
        *(_P.CONSOLE_OPEN, _P.ORDER_READ, _P.ORDER_NOTE, _P.ORDER_CANCEL, _P.CUSTOMER_READ),
        *(_P.CUSTOMER_UNLOCK, _P.CUSTOMER_SIGN_OUT),
        *(_P.MAIL_READ, _P.MAIL_RESEND, _P.PAYMENT_SYNC, _P.WEBHOOK_READ, _P.WEBHOOK_RETRY, _P.REFUND_REQUEST),
        *(_P.DISPUTE_READ, _P.ALERT_READ, _P.ALERT_ACKNOWLEDGE, _P.ALERT_RESOLVE, _P.QUEUE_READ),
        *(_P.RETURN_READ, _P.RETURN_REQUEST, _P.RETURN_DECIDE),
    }
)
MONEY = frozenset(
    {
        *(_P.PAYMENT_ACCEPT_AMOUNT, _P.REFUND_APPROVE, _P.STORE_CREDIT_REQUEST, _P.STORE_CREDIT_APPROVE),
        *(_P.DISPUTE_ANSWER, _P.PAYOUT_REQUEST, _P.PAYOUT_APPROVE, _P.RECONCILIATION_DECIDE),
    }
)
"""Permissions to decide about money. No admin has one by being an admin."""
NEED_TWO_ADMINS = MONEY | {_P.USER_WRITE}
"""To grant one of these takes two admins. An admin who makes admins alone would be both."""
_FINANCE = _SUPPORT | MONEY
_FINANCE |= {_P.ORDER_EXPORT, _P.PAYOUT_READ, _P.RECONCILIATION_READ, _P.STATISTICS_READ, _P.AUDIT_READ}
_FINANCE |= {_P.TAX_READ, _P.TAX_WRITE, _P.API_KEY_READ, _P.API_KEY_OWN, _P.SELLER_READ, _P.SELLER_WRITE}
_MERCHANDISER = frozenset(
    {
        *(_P.CONSOLE_OPEN, _P.PRODUCT_READ, _P.PRODUCT_WRITE, _P.STOCK_READ, _P.STOCK_WRITE),
        *(_P.DELIVERY_READ, _P.DELIVERY_WRITE, _P.DISCOUNT_CODE_READ, _P.DISCOUNT_CODE_WRITE),
        *(_P.FULFILMENT_READ, _P.FULFILMENT_WRITE, _P.LEGAL_TEXT_READ, _P.LEGAL_TEXT_WRITE),
        *(_P.RETURN_READ, _P.RETURN_DECIDE, _P.RETURN_RECEIVE),
        *(_P.ANNOUNCEMENT_READ, _P.ANNOUNCEMENT_WRITE),
    }
)
_ADMIN = frozenset(one for one in Permission if one.endswith(".read"))
_ADMIN |= {_P.CONSOLE_OPEN, _P.SAVED_VIEW_MANAGE, _P.USER_WRITE, _P.CUSTOMER_SIGN_OUT, _P.CUSTOMER_DISABLE}
_ADMIN |= {_P.API_KEY_REVOKE, _P.WEBHOOK_APPLY_EDITED, _P.INTEGRITY_RUN, _P.QUEUE_RUN, _P.CHAT_TEST}
_ADMIN |= {_P.WEBHOOK_ENDPOINT_WRITE, _P.SELLER_WRITE}

PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.SUPPORT: _SUPPORT,
    Role.FINANCE: _FINANCE,
    Role.MERCHANDISER: _MERCHANDISER,
    Role.ADMIN: _ADMIN,
}
"""The permissions of each role."""


def permissions_of(roles: Iterable[str]) -> frozenset[Permission]:
    """The permissions of an account with these roles. Names that are no role have none."""
    return _permissions_of(tuple(roles))


@lru_cache(maxsize=256)
def _permissions_of(roles: tuple[str, ...]) -> frozenset[Permission]:
    return frozenset().union(*(PERMISSIONS[Role(role)] for role in roles if role in tuple(Role)))


def effective(roles: Iterable[str], scopes: Iterable[str] | None) -> frozenset[Permission]:
    """The permissions by which a request acts: those of the roles of its account, and of an API key only those among
    its scopes. `scopes` is None without a key. Names that are no permission grant nothing.
    """
    granted = permissions_of(roles)
    wanted = granted if scopes is None else frozenset(scopes)
    return frozenset(one for one in granted if one in wanted)


def roles_with(permission: Permission) -> list[Role]:
    """The roles that have a permission, in the order of `Role`."""
    return [role for role, granted in PERMISSIONS.items() if permission in granted]
