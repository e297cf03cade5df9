"""A discrepancy between a settlement file and the ledger, and its acceptance."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, abort, render_template, request, url_for
from flask.typing import ResponseReturnValue

from shop.accounts import staff
from shop.accounts.permissions import Permission
from shop.core.db import db
from shop.core.errors import BadInput, Refusal
from shop.http_kit.access import requires
from shop.integrity import settlement_days
from shop.ops import acts
from shop.payments.providers import registry
from shop.payments.settlement import acceptance

bp = Blueprint("discrepancies", __name__)


@bp.get("/reconciliation/discrepancies/<int:discrepancy_id>")
@requires(Permission.RECONCILIATION_READ)
def show(discrepancy_id: int) -> str:
    """A discrepancy, open or closed."""
    return _page(discrepancy_id)


@bp.post("/reconciliation/discrepancies/<int:discrepancy_id>/accept")
@requires(Permission.RECONCILIATION_DECIDE, fresh=True)
def accept(discrepancy_id: int) -> ResponseReturnValue:
    """Accept a discrepancy with a reason."""
    return acts.done(
        lambda: acceptance.accept(discrepancy_id, by=acts.reader(), reason=acts.reason(), seen=_seen()),
        "You have accepted the discrepancy. It is closed.",
        url_for("ops.discrepancies.show", discrepancy_id=discrepancy_id),
        lambda refusal: _page(discrepancy_id, refusal),
    )


def _seen() -> datetime:
    """The time at which the amounts that the person has read were found. Raises BadInput."""
    try:
        seen = datetime.fromisoformat(request.form.get("seen", ""))
    except ValueError as error:
        raise BadInput("bad_form", "The form is not complete. Reload the page and try again.") from error
    return seen if seen.tzinfo else seen.replace(tzinfo=UTC)


def _page(discrepancy_id: int, refusal: Refusal | None = None) -> str:
    db.session.rollback()
    found = settlement_days.discrepancy(discrepancy_id) if discrepancy_id < 2**63 else None
    if found is None:
        abort(404, "There is no such discrepancy.")
    by = found.row.accepted_by
    return render_template(
        "ops/discrepancy.html",
        one=found,
        label=registry.label(found.row.provider),
        accepted_by=staff.label(by) if by else "",
        refusal=refusal,
        reason=request.form.get("reason", ""),
    )
