"""Dry runs of an edited webhook, and its application in a shop for development."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from shop.accounts.permissions import Permission
from shop.core.actor import Actor
from shop.core.errors import Refusal
from shop.http_kit.access import requires
from shop.ops.webhooks import existing
from shop.payments.webhooks import altered, words

bp = Blueprint("webhook_altered", __name__)


@bp.get("/webhooks/<key>/altered")
@requires(Permission.WEBHOOK_READ)
def edit(key: str) -> str:
    """A form with the body of a webhook."""
    return _form(key, existing(key).body)


@bp.post("/webhooks/<key>/altered")
@requires(Permission.WEBHOOK_READ)
def dry_run(key: str) -> str | tuple[str, int]:
    """Outcome, reasons and changes of the edited body. Writes nothing."""
    existing(key)
    body = request.form.get("body", "")
    try:
        results = altered.try_altered(key, body)
    except Refusal as refusal:
        return _form(key, body, refused=refusal), refusal.status
    return _form(key, body, results=results)


@bp.post("/webhooks/<key>/altered/apply")
@requires(Permission.WEBHOOK_APPLY_EDITED)
def apply(key: str) -> Response | tuple[str, int]:
    """Apply the edited body with the source `staff`; only a shop for development does."""
    existing(key)
    body, reason = request.form.get("body", ""), request.form.get("reason", "")
    try:
        outcome = altered.apply_altered(key, body, by=Actor.staff(current_user.id), reason=reason)
    except Refusal as refusal:
        return _form(key, body, refused=refusal, reason=reason), refusal.status
    flash(f"The edited event was applied. Outcome: {words.OUTCOMES[outcome]}.")
    return redirect(url_for("ops.webhooks.show", key=key), 303)


def _form(key: str, body: str, **more: Any) -> str:
    return render_template(
        "ops/webhook_altered.html",
        webhook=existing(key),
        body=body,
        can_apply=altered.can_apply(),
        words=words,
        **more,
    )
