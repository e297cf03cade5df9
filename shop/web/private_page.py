"""Pages of accounts: never stored, and without a Referer header, because their address may contain a token."""

from __future__ import annotations

from typing import Any

from flask import Response, current_app, make_response, render_template
from flask_wtf import FlaskForm

from shop.accounts.decide import LinkPurpose
from shop.accounts.links import LinkEnded, OtherAccount
from shop.accounts.models import AccountLink
from shop.core.errors import Refusal
from shop.http_kit.translation import translated
from shop.web import after_sign_in


def private_page(template: str, status: int = 200, *, refusal: Refusal | None = None, **values: Any) -> Response:
    """Render a page of an account; with `refusal` under its status, and with its Retry-After."""
    response = make_response(render_template(f"shop/{template}.html", **values), refusal.status if refusal else status)
    if retry_after := getattr(refusal, "retry_after", None):
        response.headers["Retry-After"] = str(retry_after)
    return response


def keep_private(response: Response) -> Response:
    """Forbid caches, search engines and the Referer header; for `after_request`, so that errors count too."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Robots-Tag"] = "noindex"
    return response


def with_form(template: str, form: FlaskForm, refusal: Refusal | None = None, **values: Any) -> Response:
    """A page with a form: 422 with its errors, or with a refusal at its field or in its summary."""
    if refusal is not None:
        field = refusal.details.get("field")
        if field in form:
            form[field].errors = [translated(refusal.message)]
        else:
            form.form_errors.append(translated(refusal.message))
    status = 422 if form.errors else 200
    return private_page(template, status, refusal=refusal, form=form, **values)


def confirm_email(link: AccountLink, purpose: LinkPurpose, *, is_owner: bool) -> Response:
    """The page of a link that confirms an address: a button for the owner. Guests sign in first and then return."""
    if not is_owner:
        after_sign_in.return_here()
    return private_page("confirm_email", link=link, is_owner=is_owner, purpose=purpose)


def ended(refusal: LinkEnded | OtherAccount, purpose: LinkPurpose) -> Response:
    """The page of a link that cannot be used, with the next step."""
    return private_page("link_ended", refusal=refusal, code=refusal.code, purpose=purpose)


def mails_are_shown() -> bool:
    """True if this shop sends no mail and shows it at /dev/mail."""
    return current_app.config["SETTLED_ENV"] == "development" and not current_app.config["MAIL_URL"]
