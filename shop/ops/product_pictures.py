"""Pictures of a product: upload, texts, order, removal."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.catalogue import pictures
from shop.core.errors import BadInput, Refusal
from shop.core.languages import OFFERED
from shop.http_kit.access import requires
from shop.http_kit.request_guard import takes_files
from shop.media import files
from shop.ops import acts, products

bp = Blueprint("product_pictures", __name__)


@bp.post("/products/<sku>/pictures")
@requires(Permission.PRODUCT_WRITE)
@takes_files(files.LARGEST_UPLOAD)
def upload(sku: str) -> ResponseReturnValue:
    """Add the chosen pictures. Each is added or refused alone."""
    product = products.existing(sku)
    chosen = [file for file in request.files.getlist("picture") if file.filename]
    wrong: dict[str, str] = {} if chosen else {"": "Choose a file."}
    added = 0
    for file in chosen:
        try:
            added += pictures.upload(product.sku, file.stream.read(), by=acts.reader())
        except rights.Forbidden:
            raise
        except Refusal as refusal:
            wrong[(file.filename or "")[:80]] = refusal.message
    if wrong:
        return products.with_pictures_refused(product.sku, wrong, added), 422
    flash("The picture is saved." if len(chosen) == 1 else "The pictures are saved.")
    return _back(sku)


@bp.post("/products/<sku>/pictures/<digest>")
@requires(Permission.PRODUCT_WRITE)
def describe(sku: str, digest: str) -> ResponseReturnValue:
    """Save the texts of a picture and its place."""
    texts = {locale: request.form.get(f"alt.{locale}", "") for locale in OFFERED}
    typed = request.form.get("place", "")
    place = int(typed) - 1 if typed.isascii() and typed.isdigit() and len(typed) < 4 else 0
    try:
        pictures.describe(products.existing(sku).sku, digest, texts, place, by=acts.reader())
    except BadInput as refusal:
        return products.with_pictures_refused(sku, {"": refusal.message}), refusal.status
    flash("Saved.")
    return _back(sku)


@bp.post("/products/<sku>/pictures/<digest>/remove")
@requires(Permission.PRODUCT_WRITE)
def remove(sku: str, digest: str) -> ResponseReturnValue:
    """Remove a picture."""
    try:
        pictures.remove(products.existing(sku).sku, digest, by=acts.reader())
    except BadInput as refusal:
        return products.with_pictures_refused(sku, {"": refusal.message}), refusal.status
    flash("The picture is removed.")
    return _back(sku)


def _back(sku: str) -> ResponseReturnValue:
    return redirect(url_for("ops.products.show", sku=sku, _anchor="pictures"), 303)
