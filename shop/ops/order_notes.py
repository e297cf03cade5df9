"""Notes on an order: write, withdraw, mark as done."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.core.errors import Refusal
from shop.http_kit.access import requires
from shop.ops import acts, order_page, requested
from shop.order_notes import notes

bp = Blueprint("order_notes", __name__)


@bp.post("/orders/<number>/notes")
@requires(Permission.ORDER_NOTE)
def write(number: str) -> ResponseReturnValue:
    """Write a note. A refused one shows the order with the form and the reason."""
    order = requested.order(number)
    text, key = request.form.get("note", ""), request.form.get("key", "")
    try:
        note_id = notes.write(order.id, text, by=acts.reader(), form_key=key)
    except rights.Forbidden:
        raise
    except Refusal as refusal:
        return order_page.page(order, refusal=refusal), refusal.status
    return redirect(url_for("ops.order.show", number=order.number, _anchor=f"note-{note_id}"), 303)


@bp.post("/orders/<number>/notes/<int:note_id>/withdraw")
@requires(Permission.ORDER_NOTE)
def withdraw(number: str, note_id: int) -> ResponseReturnValue:
    """Withdraw one's own note; its text stays in the audit log."""
    order = requested.order(number)
    notes.withdraw(note_id, by=acts.reader(), order_id=order.id)
    flash("The note is withdrawn.")
    return redirect(url_for("ops.order.show", number=order.number), 303)


@bp.post("/orders/<number>/notes/<int:note_id>/done")
@requires(Permission.ORDER_READ)
def mark_done(number: str, note_id: int) -> ResponseReturnValue:
    """Take a note that mentions the reader from the reader's list of what is to do, to which a form on it returns."""
    order = requested.order(number)
    notes.mark_done(note_id, by=acts.reader(), order_id=order.id)
    flash("The note is done, and no longer under To do.")
    is_on_list = request.form.get("to") == "to_do"
    return redirect(url_for("ops.home.show") if is_on_list else url_for("ops.order.show", number=order.number), 303)
