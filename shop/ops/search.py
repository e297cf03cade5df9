"""Search: an exact id of any kind, the beginning of an e-mail address, or products by SKU, name and category."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from shop.accounts import account_search
from shop.accounts.permissions import Permission, permissions_of
from shop.core import text
from shop.core.filter_values import refuse_unknown
from shop.core.key_pages import Page
from shop.http_kit.access import requires
from shop.merchandising import product_list
from shop.merchandising.product_list import Row
from shop.order_search import lookup
from shop.order_search.lookup import Hit, HitKind
from shop.payments.providers import registry

bp = Blueprint("search", __name__)
MOST_PRODUCTS = 20


@bp.get("/search")
@requires(Permission.CONSOLE_OPEN)
def show() -> ResponseReturnValue:
    """Orders with the id or address `q`, accounts with the address, and products with the SKU or the words, as far as
    the reader may read them; the only one is opened at once.
    """
    refuse_unknown(request.args, ("q",), "parameter")
    typed = request.args.get("q", "")
    permissions = permissions_of(current_user.roles)
    hits = lookup.find(typed, registry.all_providers()) if Permission.ORDER_READ in permissions else []
    with_staff = Permission.USER_READ in permissions
    customers = account_search.by_email(typed, with_staff=with_staff) if Permission.CUSTOMER_READ in permissions else []
    is_id = any(hit.kind is not HitKind.EMAIL for hit in hits)
    products = _products(typed) if Permission.PRODUCT_READ in permissions and not is_id else Page[Row]([])
    addresses = [*dict.fromkeys(map(_address, hits))]
    addresses += [url_for("ops.customers.show", user_id=customer.id) for customer in customers]
    addresses += [url_for("ops.products.show", sku=product.sku) for product in products.rows]
    if len(addresses) == 1 and not products.next:
        return redirect(addresses[0], 303)
    return render_template(
        "ops/search.html",
        searched=typed,
        hits=[(hit, _address(hit)) for hit in hits[: lookup.MOST]],
        customers=customers[: account_search.MOST],
        products=products,
        are_more=len(hits) > lookup.MOST,
        kinds=lookup.HitKind,
    )


def _products(typed: str) -> Page[Row]:
    """The first page of the products that the list of products finds. One statement."""
    words = text.tidy(typed)[: product_list.LONGEST_SEARCH]
    if not words or text.is_unusable(words):
        return Page([])
    return product_list.find(product_list.Filters(q=words), limit=MOST_PRODUCTS)


def _address(hit: Hit) -> str:
    """The page of the order; the list of unmatched lines, or the inbox for a webhook event about no order."""
    if hit.kind is HitKind.UNMATCHED_LINE:
        return url_for("ops.reconciliation.index")
    if hit.order is None:
        return url_for("ops.webhooks.index", event=hit.found)
    return url_for("ops.order.show", number=hit.order.number)
