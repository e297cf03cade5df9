"""Order history: own orders when signed in, or by a signed link."""

from __future__ import annotations

from flask import Blueprint, abort, current_app, make_response, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from shop.core.errors import Refusal
from shop.http_kit import paging
from shop.http_kit.access import access
from shop.http_kit.request_guard import limited
from shop.http_kit.translation import translated
from shop.orders import find, links
from shop.web.forms import EmailForm

bp = Blueprint("history", __name__, url_prefix="/orders")


@bp.route("", methods=["GET", "POST"])
@access("public")
@limited("history_link", 10, shown_again=lambda refusal: _page(_email_form(), refusal=refusal))
def show() -> ResponseReturnValue:
    """Own orders when signed in; otherwise a form that gives a signed link for an e-mail address.

    The link should be sent by e-mail. As the shop sends no mail yet, the page shows the link in development only:
    elsewhere it would give access to the orders of any known address. The response is the same for addresses without
    orders.
    """
    form = _email_form()
    link = None
    if form and form.validate_on_submit():
        link = url_for("history.linked", signed=links.history_link(form.email.data))
    return _page(form, link)


@bp.get("/of/<signed>")
@access("public")
def linked(signed: str) -> ResponseReturnValue:
    """Orders of the e-mail address in a signed link; 404 when the signature is invalid or expired."""
    email = links.read_history_link(signed)
    if email is None:
        abort(404)
    orders = paging.existing(find.of_email(email, paging.wanted()))
    return _private(render_template("shop/orders.html", orders=orders, form=None, link=None), 200)


def _email_form() -> EmailForm | None:
    return EmailForm() if current_app.config["SETTLED_ENV"] == "development" else None


def _page(form: EmailForm | None, link: str | None = None, refusal: Refusal | None = None) -> ResponseReturnValue:
    if form and refusal:
        form.form_errors.append(translated(refusal.message))
    orders = None
    if current_user.is_authenticated:
        orders = paging.existing(find.of_user(current_user.id, paging.wanted()))
    page = render_template("shop/orders.html", orders=orders, form=form, link=link)
    return _private(page, 422 if form and form.errors else 200)


def _private(page: str, status: int) -> ResponseReturnValue:
    response = make_response(page, status)
    response.headers["Cache-Control"] = "no-store"
    return response
