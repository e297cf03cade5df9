"""Pages with the forms for sign-in and registration, and the answer to a sign-in."""

from __future__ import annotations

from typing import Any

from flask import make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from shop.accounts import demo_people, second_factor, sessions
from shop.accounts.models import User
from shop.accounts.oidc import issuers
from shop.core.errors import BadInput, Refusal
from shop.http_kit import device, visitor
from shop.http_kit.safe_next import safe_next
from shop.http_kit.translation import translated
from shop.web import after_sign_in, second_step
from shop.web.forms import EmailForm


def signed_in(user: User, target: str | None = None) -> ResponseReturnValue:
    """Sign in the account, whose first factor was proven, and go on to the path `target`, else to the next page; with a
    second factor it is needed first. Raises Away.
    """
    first = "ops.home.show" if user.roles else "accounts.show"
    if second_factor.is_set_up(user):
        second_step.begin(user, following(first, target))
        return redirect(url_for("second_step.show"), 303)
    visitor.sign_in(user)
    return device.remembered(redirect(following(first, target), 303), user)


def following(first: str, target: str | None = None) -> str:
    """The page after a sign-in: `target` or `next`, else the page that was left for it, else the page of the endpoint
    `first`.
    """
    left = after_sign_in.take()
    return safe_next(target or request.form.get("next") or request.args.get("next") or left, url_for(first))


def show_form(
    name: str, form: EmailForm, refusal: Refusal | None = None, *, target: str | None = None
) -> ResponseReturnValue:
    """The page `sign_in` or `register` with its form, and with a refusal under its status. It goes on to `target`,
    else to the `next` of this request.
    """
    if refusal is not None:
        field = refusal.details.get("field") if isinstance(refusal, BadInput) or refusal.code == "email_taken" else None
        if field in form:
            form[field].errors = [translated(refusal.message)]
        else:
            form.form_errors.append(translated(refusal.message))
    status = refusal.status if refusal else 422 if form.errors else 200
    following_page = safe_next(request.values.get("next") if target is None else target, "")
    shown: dict[str, Any] = {"next": following_page, "unavailable": sessions.unavailable()}
    shown |= {"code": refusal.code if refusal else "", "issuer": issuers.for_redirect()}
    demo = {"demo_people": demo_people.shown(), "demo_password": demo_people.PASSWORD}
    page = render_template(f"shop/{name}.html", form=form, **shown, **demo)
    response = make_response(page, status)
    response.headers["Cache-Control"] = "no-store"
    if retry_after := getattr(refusal, "retry_after", None):
        response.headers["Retry-After"] = str(retry_after)
    return response
