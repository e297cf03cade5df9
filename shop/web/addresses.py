"""Address book of an account: list, add, change, delete, choose the default."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from shop.accounts import address_book, sessions
from shop.core.errors import Refusal
from shop.http_kit.access import access
from shop.http_kit.request_guard import limited
from shop.http_kit.translation import translated
from shop.web.forms import AddressForm

bp = Blueprint("addresses", __name__, url_prefix="/account/addresses")
FIRST_COUNTRY = "TW"
"""Country of a new address until the customer chooses another."""


@bp.get("")
@access("signed_in")
def show() -> ResponseReturnValue:
    """The saved addresses of the customer."""
    saved = address_book.of_user(sessions.require_user().id)
    return render_template("shop/addresses.html", saved=saved, most=address_book.MOST)


@bp.route("/new", methods=["GET", "POST"])
@access("signed_in")
@limited("save_address", 30)
def add() -> ResponseReturnValue:
    """Save a new address."""
    user, form = sessions.require_user(), AddressForm()
    if request.method == "GET":
        form.name.data, form.country.data = user.name, FIRST_COUNTRY
    return _handled(form, lambda: address_book.add(user.id, form.address, as_default=form.is_default.data))


@bp.route("/<int:address_id>", methods=["GET", "POST"])
@access("signed_in")
@limited("change_address", 30)
def change(address_id: int) -> ResponseReturnValue:
    """Change a saved address."""
    user_id, form = sessions.require_user().id, AddressForm()
    saved = address_book.find(user_id, address_id)
    if saved is None:
        abort(404)
    if request.method == "GET":
        form.take(saved)
        form.is_default.data = saved.is_default

    def save() -> None:
        address_book.change(user_id, address_id, form.address, as_default=form.is_default.data)

    return _handled(form, save, is_change=True)


@bp.post("/<int:address_id>/default")
@access("signed_in")
def make_default(address_id: int) -> ResponseReturnValue:
    """Make an address the one that the checkout fills in."""
    address_book.make_default(sessions.require_user().id, address_id)
    return redirect(url_for("addresses.show"), 303)


@bp.post("/<int:address_id>/delete")
@access("signed_in")
def remove(address_id: int) -> ResponseReturnValue:
    """Delete an address."""
    address_book.remove(sessions.require_user().id, address_id)
    flash(gettext("The address is deleted."))
    return redirect(url_for("addresses.show"), 303)


def _handled(form: AddressForm, save: Callable[[], None], *, is_change: bool = False) -> ResponseReturnValue:
    """Save a valid form; show an invalid one again, and one whose country has changed with the fields of that. htmx
    gets these fields alone.
    """
    is_refitted = "refit" in request.form
    if request.method == "POST" and not is_refitted and form.validate():
        try:
            save()
        except Refusal as refusal:
            form.form_errors.append(translated(refusal.message))
        else:
            flash(gettext("The address is saved."))
            return redirect(url_for("addresses.show"), 303)
    form.fit()
    if is_refitted and "HX-Request" in request.headers:
        return render_template("shop/_address_fields.html", form=form)
    page = render_template("shop/address_form.html", form=form, is_change=is_change)
    return page, 422 if form.errors else 200
