"""Finding one's orders again."""

from __future__ import annotations

from flask import Blueprint, abort, current_app, make_response, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from shop.orders import find, links
from shop.web.access import access
from shop.web.forms import EmailForm
from shop.web.guard import limited

bp = Blueprint("history", __name__, url_prefix="/orders")


@bp.route("", methods=["GET", "POST"])
@access("public")
@limited("history_link", 10)
def show() -> ResponseReturnValue:
    """Own orders when signed in; else a signed link for an e-mail address.

    The link belongs into an inbox. While the shop sends no mail, only the demonstration shows it on the page: elsewhere
    that would open anyone's orders to whoever knows their address. The answer is the same for addresses without orders.
    """
    form = EmailForm() if current_app.config["SETTLED_ENV"] == "development" else None
    link = None
    if form and form.validate_on_submit():
        link = url_for("history.linked", signed=links.history_link(form.email.data))
    orders = find.of_user(current_user.id) if current_user.is_authenticated else None
    page = render_template("shop/orders.html", orders=orders, form=form, link=link)
    return _private(page, 422 if form and form.errors else 200)


@bp.get("/of/<signed>")
@access("public")
def linked(signed: str) -> ResponseReturnValue:
    """The orders that a signed link opens; 404 when it is forged or too old."""
    email = links.read_history_link(signed)
    if email is None:
        abort(404)
    return _private(render_template("shop/orders.html", orders=find.of_email(email), form=None, link=None), 200)


def _private(page: str, status: int) -> ResponseReturnValue:
    response = make_response(page, status)
    response.headers["Cache-Control"] = "no-store"
    return response
