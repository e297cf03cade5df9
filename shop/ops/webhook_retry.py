"""Retries from the webhook inbox: of one webhook, and of those that match filters."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from shop.accounts.permissions import Permission
from shop.core.actor import Actor
from shop.core.errors import BadInput, Refusal
from shop.http_kit.access import requires
from shop.ops.formats import zone
from shop.ops.webhooks import address, existing, filters_of_request, page_of
from shop.payments.webhooks import filters as inbox_filters
from shop.payments.webhooks import retry
from shop.payments.webhooks.filters import Filters

bp = Blueprint("webhook_retry", __name__)
_MOST_DIGITS = 9


@bp.post("/webhooks/<key>/retry")
@requires(Permission.WEBHOOK_RETRY)
def one(key: str) -> Response | tuple[str, int]:
    """Make a webhook due now."""
    existing(key)
    reason = request.form.get("reason", "")
    try:
        retry.retry(key, by=Actor.staff(current_user.id), reason=reason)
    except Refusal as refusal:
        return page_of(existing(key), refused=refusal, reason=reason), refusal.status
    flash("The webhook is due now. It is applied within seconds.")
    return redirect(url_for("ops.webhooks.show", key=key), 303)


@bp.get("/webhooks/retry")
@requires(Permission.WEBHOOK_RETRY)
def confirm_many() -> str:
    """The number of webhooks that match, and a form to retry them."""
    filters = filters_of_request()
    return _form(filters, retry.count_matching(filters, zone()))


@bp.post("/webhooks/retry")
@requires(Permission.WEBHOOK_RETRY)
def many() -> Response | tuple[str, int]:
    """Make the webhooks that match due now, if as many match as the person has confirmed."""
    filters, reason = filters_of_request(), request.form.get("reason", "")
    try:
        seen, by = _confirmed(), Actor.staff(current_user.id)
        done = retry.retry_matching(filters, zone(), seen=seen, by=by, reason=reason)
    except Refusal as refusal:
        count = retry.count_matching(filters, zone())
        return _form(filters, count, refused=refusal, reason=reason), refusal.status
    left = f" {done.left} more match and can be retried next." if done.left else ""
    flash(f"{done.count} webhook{' is' if done.count == 1 else 's are'} due now.{left}")
    return redirect(address("ops.webhooks.index", filters), 303)


def _confirmed() -> int:
    text = request.form.get("count", "")
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise BadInput("bad_count", "The form has no valid count. Check the number below and confirm again.")
    return int(text)


def _form(filters: Filters, count: int, **form: Any) -> str:
    return render_template(
        "ops/webhook_retry.html",
        count=count,
        at_once=retry.AT_ONCE,
        pairs=inbox_filters.pairs(filters),
        list_address=address("ops.webhooks.index", filters),
        action=address("ops.webhook_retry.many", filters),
        **form,
    )
