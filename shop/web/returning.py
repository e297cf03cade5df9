"""Return from an acquirer's payment page. The result is queried at the acquirer, never read from the return request."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint, Response, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from shop.http_kit.access import access
from shop.orders import links
from shop.orders.models import Order
from shop.payments.polling import poll
from shop.payments.records.types import Source

COOKIE = "opened"
"""A cookie for each order, limited to its return URL by its path, so that two tabs do not overwrite each other's."""
REMEMBERED = timedelta(days=30)

bp = Blueprint("returning", __name__)


@bp.get("/return/<return_token>")
@access("return_token")
def show(order: Order) -> ResponseReturnValue:
    """Make the payment due for a poll, and redirect the order's owner or the browser that opened it to the order page.

    Acquirers, and readers of their logs, know this URL; they and other browsers get a page without order data.
    """
    poll.make_due(order.id, Source.RETURN)
    if _has_opened(order) or _owns(order):
        return redirect(url_for("orders.show", token=order.token), 303)
    return render_template("shop/returned.html")


def remember(order: Order, page: Response) -> None:
    """Set the cookie that lets this browser return to the order from the acquirer's pages."""
    page.set_cookie(
        COOKIE,
        links.opened_mark(order.token),
        max_age=REMEMBERED,
        path=url_for("returning.show", return_token=links.return_token(order.number, order.token)),
        secure=current_app.config["SESSION_COOKIE_SECURE"],
        httponly=True,
        samesite="Lax",
    )


def _has_opened(order: Order) -> bool:
    return links.same(request.cookies.get(COOKIE, ""), links.opened_mark(order.token))


def _owns(order: Order) -> bool:
    return bool(current_user.is_authenticated and order.user_id == current_user.id)
