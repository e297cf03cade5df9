"""Receipts, credit notes and cancellations of an order, as pages and as PDF."""

from __future__ import annotations

from flask import Blueprint, Response, abort, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from shop.documents import attached, decide, find, pdf, words
from shop.documents.kinds import DocumentKind
from shop.documents.models import Document
from shop.http_kit.access import access
from shop.http_kit.request_guard import limited
from shop.orders.models import Order

bp = Blueprint("documents", __name__, url_prefix="/orders")


@bp.get("/<token>/receipt")
@access("order_token")
def receipt(order: Order) -> ResponseReturnValue:
    """Redirect to the receipt of a paid order, which is issued now if it was not yet; 404 for an unpaid one."""
    return redirect(url_for("documents.show", token=order.token, number=_receipt(order).number), 303)


@bp.get("/<token>/receipt.pdf")
@access("order_token")
def receipt_pdf(order: Order) -> ResponseReturnValue:
    """Redirect to the PDF of the receipt."""
    return redirect(url_for("documents.as_pdf", token=order.token, number=_receipt(order).number), 303)


@bp.get("/<token>/credit-notes/<number>")
@access("order_token")
def credit_note(order: Order, number: str) -> ResponseReturnValue:
    """Redirect to a credit note; 404 for a number that is not that of a credit note of this order."""
    return redirect(url_for("documents.show", token=order.token, number=_credit_note(order, number).number), 303)


@bp.get("/<token>/credit-notes/<number>.pdf")
@access("order_token")
def credit_note_pdf(order: Order, number: str) -> ResponseReturnValue:
    """Redirect to the PDF of a credit note."""
    return redirect(url_for("documents.as_pdf", token=order.token, number=_credit_note(order, number).number), 303)


@bp.get("/<token>/documents/<number>")
@access("order_token")
def show(order: Order, number: str) -> ResponseReturnValue:
    """A document as a page; 404 for a number that is not of this order."""
    document = find.by_number(order.id, number) or abort(404)
    shown = words.of(document, find.lines(number), order.number)
    others = [(one, words.title(one)) for one in find.of_order(order.id) if one.number != number]
    return render_template("shop/document.html", order=order, document=document, shown=shown, others=others)


@bp.get("/<token>/documents/<number>.pdf")
@access("order_token")
@limited("document_pdf", 60)
def as_pdf(order: Order, number: str) -> ResponseReturnValue:
    """A document as PDF; 404 for a number that is not of this order."""
    document = find.by_number(order.id, number) or abort(404)
    name = pdf.file_name(document)
    response = Response(pdf.of(document), mimetype="application/pdf")
    response.headers.set("Content-Disposition", "inline", filename=name)
    return response


def _receipt(order: Order) -> Document:
    if order.paid_at is None:
        abort(404)
    return attached.issued(order.id, decide.PAID) or abort(404)


def _credit_note(order: Order, number: str) -> Document:
    found = find.by_number(order.id, number)
    return found if found is not None and found.kind == DocumentKind.CREDIT_NOTE else abort(404)
