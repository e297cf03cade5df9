"""Order history: own orders when signed in, or by a signed link."""

from __future__ import annotations

from flask import Blueprint, abort, make_response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from shop.core.errors import Refusal
from shop.http_kit import paging
from shop.http_kit.access import access
from shop.http_kit.request_guard import limited
from shop.http_kit.translation import locale_name, translated
from shop.mail import order_links
from shop.orders import find, links
from shop.web.forms import EmailForm
from shop.web.private_page import mails_are_shown, private_page

bp = Blueprint("history", __name__, url_prefix="/orders")


@bp.route("", methods=["GET", "POST"])
@access("public")
@limited("history_link", 10, shown_again=lambda refusal: _page(EmailForm(), refusal))
def show() -> ResponseReturnValue:
    """Own orders when signed in; and a form that mails a link to the orders of an address to that address.

    The response is the same for addresses without orders.
    """
    form = EmailForm()
    if form.validate_on_submit():
        order_links.send(form.email.data, locale_name())
        return redirect(url_for("history.sent"), 303)
    return _page(form)


@bp.get("/sent")
@access("public")
def sent() -> ResponseReturnValue:
    """Page after the form was sent."""
    return private_page("link_sent", purpose="orders", mails_are_shown=mails_are_shown())


@bp.get("/of/<signed>")
@access("public")
def linked(signed: str) -> ResponseReturnValue:
    """Orders of the e-mail address in a signed link; 404 when the signature is invalid or expired."""
    email = links.read_history_link(signed)
    if email is None:
        abort(404)
    orders = paging.existing(find.of_email(email, paging.wanted()))
    return _private(render_template("shop/orders.html", orders=orders, form=None), 200)


def _page(form: EmailForm, refusal: Refusal | None = None) -> ResponseReturnValue:
    if refusal:
        form.form_errors.append(translated(refusal.message))
    orders = None
    if current_user.is_authenticated:
        orders = paging.existing(find.of_user(current_user.id, paging.wanted()))
    page = render_template("shop/orders.html", orders=orders, form=form)
    return _private(page, 422 if form.errors else 200)


def _private(page: str, status: int) -> ResponseReturnValue:
    response = make_response(page, status)
    response.headers["Cache-Control"] = "no-store"
    return response
