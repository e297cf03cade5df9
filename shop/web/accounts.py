"""Account pages: sign-in, sign-out, registration, order history, sessions."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext
from limits import RateLimitItemPerHour

from shop.accounts import api_sessions, preferences, sessions, signin
from shop.accounts.models import User
from shop.accounts.oidc import identities, issuers
from shop.checkout import claim_orders
from shop.core.errors import Refusal
from shop.core.sentences import sentence
from shop.http_kit import device, language, paging, visitor
from shop.http_kit.access import access
from shop.http_kit.request_guard import TooMany, limited, limited_answers
from shop.http_kit.translation import locale_name
from shop.ledger import store_credit
from shop.orders import claim as orders_claim
from shop.orders import find
from shop.web.forms import RegisterForm, SignInForm
from shop.web.private_page import mails_are_shown
from shop.web.sign_in_page import following, show_form, signed_in

bp = Blueprint("accounts", __name__)
MOST_BATCHES = 10
"""Transactions of one request that claims orders."""
TAKEN = RateLimitItemPerHour(20)
"""Registrations of one client network with addresses that have accounts; each answer shows that there is one."""


@bp.route("/sign-in", methods=["GET", "POST"])
@access("public")
def sign_in() -> ResponseReturnValue:
    """Sign in, then go on to `next`; without it, customers to their account and staff to the console."""
    form = SignInForm()
    if form.validate_on_submit():
        try:
            origin = (request.remote_addr or "", device.here(), request.user_agent.string, locale_name())
            user = signin.sign_in(form.email.data, form.password.data, *origin)
            return signed_in(user)
        except Refusal as refusal:
            return show_form("sign_in", form, refusal)
    return show_form("sign_in", form)


@bp.route("/register", methods=["GET", "POST"])
@access("public")
@limited("register", 10, shown_again=lambda refusal: show_form("register", RegisterForm(), refusal))
def register() -> ResponseReturnValue:
    """Create an account and sign in."""
    form = RegisterForm()
    if "email_meant" in request.form:
        form.email.data = request.form["email_meant"]
        return show_form("register", form)
    if form.validate_on_submit():
        try:
            user = _registered(form)
        except Refusal as refusal:
            return show_form("register", form, refusal)
        try:
            visitor.sign_in(user)
        except Refusal as refusal:  # the account exists; the customer can try to sign in again
            return show_form("sign_in", SignInForm(), refusal)
        return device.remembered(redirect(following("accounts.show"), 303), user)
    return show_form("register", form)


@bp.post("/sign-out")
@access("public")
def sign_out() -> ResponseReturnValue:
    """Sign out this browser and remove its cart."""
    visitor.sign_out()
    return redirect(url_for("catalogue.index"), 303)


@bp.get("/account")
@access("signed_in")
def show() -> ResponseReturnValue:
    """Account page: orders (fifty a page), store credit, sessions."""
    user = sessions.require_user()
    orders = paging.existing(find.of_user(user.id, paging.wanted()))
    movements = store_credit.movements(user.id)
    return render_template(
        "shop/account.html",
        user=user,
        orders=orders,
        by_id=find.of_user_by_ids(user.id, (movement.order_id for movement in movements if movement.order_id)),
        credit=store_credit.balances(user.id),
        movements=movements,
        claimable=claim_orders.claimable(user),
        sign_ins=sessions.of_user(user.id),
        api_sessions=api_sessions.of_user(user.id),
        identities=identities.of_user(user.id),
        issuer=issuers.for_redirect(),
        name_of=issuers.name_of,
        mails_are_shown=mails_are_shown(),
    )


@bp.post("/account/sign-ins/<handle>/end")
@access("signed_in")
def end_sign_in(handle: str) -> ResponseReturnValue:
    """Sign out another device."""
    user_id = sessions.require_user().id
    sessions.revoke(user_id, handle)
    visitor.renew_cart(user_id)
    return redirect(url_for("accounts.show"), 303)


@bp.post("/account/api-sessions/<session_id>/end")
@access("signed_in")
def end_api_session(session_id: str) -> ResponseReturnValue:
    """Sign out an app, which has signed in by the API."""
    if api_sessions.end_of_user(sessions.require_user().id, session_id):
        flash(gettext("The app is signed out."))
    return redirect(url_for("accounts.show"), 303)


@bp.post("/account/sign-ins/end-others")
@access("signed_in")
def end_other_sign_ins() -> ResponseReturnValue:
    """Sign out all other devices, and all apps."""
    user_id = sessions.require_user().id
    ended = sessions.revoke_all(user_id, but_here=True)
    visitor.renew_cart(user_id)
    flash(ngettext("%(num)d other device is signed out.", "%(num)d other devices are signed out.", ended))
    return redirect(url_for("accounts.show"), 303)


@bp.post("/account/orders")
@access("signed_in")
@limited("claim_orders", 10)
def claim() -> ResponseReturnValue:
    """Add orders that were placed as a guest with the verified address of the account.

    One request claims at most MOST_BATCHES; the account page offers the remaining orders again.
    """
    user_id, number = sessions.require_user().id, 0
    for _ in range(MOST_BATCHES):
        claimed = claim_orders.claim_batch(user_id)
        number += claimed
        if claimed < orders_claim.BATCH:
            break
    flash(ngettext("%(num)d order was added to your account.", "%(num)d orders were added to your account.", number))
    return redirect(url_for("accounts.show"), 303)


@bp.post("/account/language")
@access("signed_in")
def set_language() -> ResponseReturnValue:
    """Set the language of the account."""
    language.choose(preferences.set_language(sessions.require_user().id, request.form.get("lang", "")))
    flash(gettext("The language of your account is saved."))
    return redirect(url_for("accounts.show"), 303)


def _registered(form: RegisterForm) -> User:
    """Create the account of a form. Raises what `signin.register` raises, and TooMany."""
    message = sentence(
        "You have entered several addresses that already have an account. Sign in, or try again in an hour."
    )
    with limited_answers("email_taken", TAKEN, TooMany(3600, message)):
        return signin.register(form.email.data, form.name.data, form.password.data, locale_name())
