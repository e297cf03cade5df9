"""Hint at a typing error in an e-mail address, while a form is filled in."""

from __future__ import annotations

from flask import Blueprint, render_template, request

from shop.core import email_address
from shop.http_kit.access import access
from shop.http_kit.request_guard import limited

bp = Blueprint("email_hint", __name__)


@bp.post("/email-hint")
@access("public")
@limited("email_hint", 60)
def show() -> str:
    """The hint for the submitted address, for htmx; empty for most. The pages with a form show the same without it."""
    typed = request.form.get("email", "")[: email_address.LONGEST]
    page = request.form.get("page", "")
    return render_template("shop/_email_hint.html", typed=email_address.typed(typed), page=page)
