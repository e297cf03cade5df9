"""Pages for sign-in with an account at an OpenID Connect issuer, and for the identities of an account."""

from __future__ import annotations

import hmac
from dataclasses import astuple
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, Response, flash, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_login import current_user

from shop.accounts import credentials, links, recovery, sessions
from shop.accounts.decide import LinkPurpose
from shop.accounts.oidc import identities, issuers, refusals
from shop.accounts.oidc import redirect as oidc_redirect
from shop.accounts.oidc.decide import Proof
from shop.accounts.oidc.redirect import Secrets
from shop.core import clock
from shop.core.errors import Refusal
from shop.http_kit import device
from shop.http_kit.access import access
from shop.http_kit.request_guard import limited
from shop.http_kit.safe_next import safe_next
from shop.http_kit.translation import locale_name, translated
from shop.web.forms import ConfirmIdentityForm, SignInForm
from shop.web.private_page import ended, keep_private, private_page, with_form
from shop.web.sign_in_page import show_form, signed_in

bp = Blueprint("identities", __name__)
bp.after_request(keep_private)
LASTS = timedelta(minutes=10)
"""Time for the visit at the issuer, and for the confirmation after it."""
_BEGUN, _PROVEN = "oidc", "oidc_proven"


@bp.get("/sign-in/oidc")
@access("public")
@limited("oidc", 30, shown_again=lambda refusal: show_form("sign_in", SignInForm(formdata=None), refusal))
def begin() -> ResponseReturnValue:
    """Redirect to the issuer, to sign in there and return. With `add=1` its account is added to the present one."""
    target, adds_to = safe_next(request.args.get("next"), ""), None
    if request.args.get("add"):
        adds_to = sessions.require_user().id
    try:
        address, made = oidc_redirect.begin()
    except Refusal as refusal:
        return _refused(refusal, target, adds_to)
    session[_BEGUN] = [*astuple(made), clock.wall().isoformat(), target, adds_to]
    return redirect(address, 303)


@bp.get(oidc_redirect.PATH)
@access("public")
@limited("oidc return", 30, shown_again=lambda refusal: show_form("sign_in", SignInForm(formdata=None), refusal))
def returned() -> ResponseReturnValue:
    """Return from the issuer: sign in, or go on to the page that adds the identity."""
    target, adds_to = "", None
    try:
        made, target, adds_to = _take_begun()
        proof = _proof(made)
        identities.spend(proof)
        if adds_to is None:
            client = identities.Client(device.here(), request.user_agent.string, locale_name())
            return signed_in(identities.sign_in(proof, client), target)
    except Refusal as refusal:
        return _refused(refusal, target, adds_to)
    session[_PROVEN] = [identities.identity_of(proof), clock.wall().isoformat(), adds_to]
    return redirect(url_for("identities.add"), 303)


@bp.route("/account/identity", methods=["GET", "POST"])
@access("signed_in")
@limited("add identity", 10, free=(200, 303))
def add() -> ResponseReturnValue:
    """Confirm that the proven identity is added to the account, with the password."""
    user, form, identity = sessions.require_user(), ConfirmIdentityForm(), _proven()
    if identity is None:
        return _back(refusals.RedirectEnded())
    shown: dict[str, Any] = {
        "identity": identity,
        "name": issuers.name_of(identity["issuer"]),
        "has_password": user.has_password,
    }
    if form.validate_on_submit():
        try:
            origin = credentials.Origin(request.remote_addr or "", device.here(), locale_name())
            identities.add(user.id, identity, form.current.data or "", origin)
        except Refusal as refusal:
            return with_form("add_identity", form, refusal, **shown)
        session.pop(_PROVEN, None)
        flash(gettext("You can now sign in with %(name)s.", name=shown["name"]))
        return redirect(url_for("accounts.show"), 303)
    return with_form("add_identity", form, **shown)


@bp.route("/account/link-identity/<signed>", methods=["GET", "POST"])
@access("public")
def add_by_link(signed: str) -> ResponseReturnValue:
    """Page of a mailed link that adds an identity to an account: a button. Only the button uses the link."""
    try:
        link = links.read(LinkPurpose.LINK_IDENTITY, signed)
        name = issuers.name_of((link.identity or {}).get("issuer", ""))
        if request.method == "POST":
            identities.add_by_link(signed)
            flash(gettext("You can now sign in with %(name)s.", name=name))
            return redirect(url_for("accounts.sign_in"), 303)
    except links.LinkEnded as refusal:
        return ended(refusal, LinkPurpose.LINK_IDENTITY)
    return private_page("link_identity", link=link, name=name)


@bp.post("/account/identities/<int:identity_id>/remove")
@access("signed_in")
def remove(identity_id: int) -> ResponseReturnValue:
    """Remove an identity of the account, unless it is the only way to sign in."""
    try:
        identities.remove(sessions.require_user().id, identity_id)
    except refusals.OnlySignIn as refusal:
        return _back(refusal)
    flash(gettext("The connection is removed."))
    return redirect(url_for("accounts.show"), 303)


@bp.post("/account/password/link")
@access("signed_in")
@limited("account_mail", 10)
def mail_password_link() -> ResponseReturnValue:
    """Mail the account a link to set a password, for people who sign in with an identity alone."""
    try:
        recovery.request(LinkPurpose.RESET, sessions.require_user().email, locale_name())
    except Refusal as refusal:
        return _back(refusal)
    return redirect(url_for("recovery.forgot_sent"), 303)


def _proof(made: Secrets) -> Proof:
    """The person whom the return proves. Raises Denied, Away and TokenRefused."""
    name = issuers.name()
    given = request.args.get("iss", "")  # RFC 9207
    issuer = issuers.for_redirect()
    if given and (issuer is None or given != issuer.address):
        raise refusals.RedirectEnded
    if error := request.args.get("error"):
        if error == "temporarily_unavailable":
            raise refusals.away(name)
        raise refusals.Denied(name, by_person=error == "access_denied")
    return oidc_redirect.proof_of(request.args.get("code", ""), made)


def _take_begun() -> tuple[Secrets, str, int | None]:
    """Secrets, following page and account of the redirect that this browser has begun, once. Raises RedirectEnded."""
    try:
        state, nonce, verifier, at, target, adds_to = session.pop(_BEGUN)
        is_recent = clock.wall() - datetime.fromisoformat(at) < LASTS
    except (KeyError, TypeError, ValueError) as error:
        raise refusals.RedirectEnded from error
    given = request.args.get("state", "")
    if not is_recent or not hmac.compare_digest(str(state).encode(), given.encode(errors="replace")):
        raise refusals.RedirectEnded
    return Secrets(state, nonce, verifier), str(target), adds_to


def _proven() -> dict[str, str] | None:
    """The identity that was proven lately in this browser, for the account that is signed in."""
    try:
        identity, at, user_id = session[_PROVEN]
        is_recent = clock.wall() - datetime.fromisoformat(at) < LASTS
        return dict(identity) if is_recent and user_id == current_user.id else None
    except (KeyError, TypeError, ValueError):
        return None


def _refused(refusal: Refusal, target: str, adds_to: int | None) -> ResponseReturnValue:
    """The page that the person came from, with the refusal as a sentence."""
    if adds_to is not None and current_user.is_authenticated:
        return _back(refusal)
    return show_form("sign_in", SignInForm(formdata=None), refusal, target=target)


def _back(refusal: Refusal) -> Response:
    """Redirect to the account page, which shows the refusal."""
    flash(translated(refusal.message), "problem")
    response: Response = redirect(url_for("accounts.show"), 303)  # type: ignore[assignment]
    return response
