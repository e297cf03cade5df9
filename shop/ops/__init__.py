"""Staff console under `/ops`. Every view declares the permission that it needs; a page declares its links in the menu.

A page is a module with a blueprint `bp` and, if it is in the menu, `LINKS`; it is listed in PAGES. A view parses the
request, calls one use case or query, and renders.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Flask, g
from flask_login import current_user

from shop.accounts.permissions import permissions_of
from shop.ops import (
    alerts,
    announcements,
    api_keys,
    api_log,
    approvals,
    audit_log,
    categories,
    codes,
    confirm,
    customers,
    delivery,
    discrepancies,
    disputes,
    endpoints,
    formats,
    fulfilment,
    fulfilment_order,
    fulfilment_ship,
    home,
    integrity,
    ledgers,
    legal_texts,
    lists,
    live,
    mails,
    navigation,
    order_acts,
    order_exports,
    order_list,
    order_notes,
    order_page,
    order_views,
    payouts,
    product_files,
    product_pictures,
    products,
    queues,
    reconciliation,
    returns,
    roles,
    search,
    second_factor,
    seller,
    statistics,
    stock,
    taxes,
    users,
    webhook_altered,
    webhook_retry,
    webhooks,
)

PAGES = (
    *(home, order_list, order_page, order_acts, order_notes, order_views, order_exports, customers, search, alerts),
    returns,
    *(webhooks, webhook_retry, webhook_altered, live, mails),
    *(approvals, payouts, disputes, reconciliation, discrepancies, ledgers, statistics, taxes),
    *(fulfilment, fulfilment_ship, fulfilment_order),
    *(products, product_files, product_pictures, categories, stock),
    *(delivery, codes, announcements, legal_texts, seller),
    *(users, roles, api_keys, api_log, audit_log, queues, endpoints, integrity, second_factor, confirm),
)
"""Page modules, in the order of the menu."""
LINKS = tuple(link for page in PAGES for link in getattr(page, "LINKS", ()))

bp = Blueprint("ops", __name__, url_prefix="/ops")
for page in PAGES:
    bp.register_blueprint(page.bp)


def init_app(app: Flask) -> None:
    """Register the pages of the console."""
    formats.init_app(app)
    lists.init_app(app)
    app.register_blueprint(bp)


@bp.url_value_preprocessor
def _use_own_error_page(_endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """Choose the error page before the request guard reads the form, which it may refuse."""
    g.error_page = "ops/error.html"


@bp.context_processor
def _of_reader() -> dict[str, Any]:
    """The permissions and the menu of the reader, for every template of the console."""
    permissions = permissions_of(current_user.roles) if current_user.is_authenticated else frozenset()
    return {"permissions": permissions, "menu": navigation.menu_with_addresses(LINKS, permissions)}
