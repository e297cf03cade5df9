"""Data of the seller: what receipts, legal pages and orders name."""

from __future__ import annotations

from dataclasses import asdict

from flask import Blueprint, render_template, url_for
from flask.typing import ResponseReturnValue

from shop.accounts import staff
from shop.accounts.permissions import Permission
from shop.core import email_address
from shop.core.errors import Refusal
from shop.core.versions import NEW
from shop.http_kit.access import requires
from shop.ops import acts, setting_forms
from shop.ops.navigation import Group, Link
from shop.seller import Seller
from shop.seller_data import seller_data
from shop.seller_data.seller_data import LONGEST

bp = Blueprint("seller", __name__)
LINKS = (Link("Seller", "ops.seller.show", Permission.SELLER_READ, Group.SHOP),)
_LABELS = {"name": "Legal name", "address": "Address", "tax_id": "Tax number", "email": "E-mail address"}


@bp.get("/seller")
@requires(Permission.SELLER_READ)
def show() -> str:
    """The data of the seller, and where they come from."""
    return _form()


@bp.post("/seller")
@requires(Permission.SELLER_WRITE)
def save() -> ResponseReturnValue:
    """Save the data of the seller."""

    def act() -> None:
        form = setting_forms.typed(list(LONGEST))
        needed = {"name": "Enter the legal name.", "address": "Enter the address."}
        values = {name: form.line(name, longest, needed=needed.get(name, "")) for name, longest in LONGEST.items()}
        if values["email"] and not _is_address(values["email"]):
            form.errors["email"] = "Enter an e-mail address, such as help@example.com."
        form.checked()
        seller_data.save(Seller(**values), seen=setting_forms.seen(), by=acts.reader(), reason=acts.reason())

    message = "Saved. Receipts from now on name it; those already issued stay as they are."
    return setting_forms.done(act, message, lambda: url_for("ops.seller.show"), _form)


def label(field: str) -> str:
    """Label of a field."""
    return _LABELS[field]


def _form(refusal: Refusal | None = None) -> str:
    row = seller_data.row()
    return render_template(
        "ops/seller.html",
        row=row,
        person=staff.label(row.changed_by) if row else "",
        fields=[(name, _LABELS[name], longest) for name, longest in LONGEST.items()],
        **setting_forms.shown(asdict(seller_data.present()), row.version if row else NEW, label, refusal),
    )


def _is_address(typed: str) -> bool:
    try:
        email_address.normal(typed)
    except email_address.NotAnAddress:
        return False
    return True
