"""Products: the list with filters, and the form that creates and changes one."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from shop.accounts import staff
from shop.accounts.permissions import Permission
from shop.catalogue import browse, pictures, product_fields, products
from shop.catalogue.models import Product
from shop.catalogue.product_changes import Stale
from shop.catalogue.product_fields import InvalidFields
from shop.catalogue.products import FieldChange
from shop.core.errors import Refusal
from shop.core.key_pages import Place
from shop.core.languages import OFFERED
from shop.core.money import Money
from shop.http_kit.access import requires
from shop.http_kit.request_guard import LARGEST_BODY, takes_files
from shop.media import files
from shop.merchandising import opening_stock, product_list
from shop.merchandising.product_list import ProductState
from shop.ops import acts, lists, product_form
from shop.ops.navigation import Group, Link

bp = Blueprint("products", __name__)
LINKS = (Link("Products", "ops.products.index", Permission.PRODUCT_READ, Group.SHOP),)
HERE = "ops.products.index"


@bp.get("/products")
@requires(Permission.PRODUCT_READ)
def index() -> ResponseReturnValue:
    """Products by SKU, with filters; `after`, `before` and `page=last` are positions of pages."""
    return show_list("ops/products.html", HERE)


def show_list(template: str, here: str) -> ResponseReturnValue:
    """A list of products at the endpoint `here`, with the filters of the address."""
    given = lists.given()
    filters = product_list.parse(given)
    pairs = product_list.pairs(filters)
    if any(value == "" for values in given.values() for value in values):
        return redirect(lists.address(here, pairs), 303)  # a form sends its empty fields; addresses are without them
    page, number = product_list.find(filters, Place.parse(request.args)), product_list.count(filters)
    categories = browse.categories()
    return render_template(
        template,
        page=page,
        total=lists.total(number, product_list.COUNTED, "product"),
        filters=filters,
        categories=categories,
        states=list(ProductState),
        links=lists.links(here, pairs, page),
        dropped=[(_words(*pair), lists.address(here, [one for one in pairs if one != pair])) for pair in pairs],
    )


@bp.get("/products/new")
@requires(Permission.PRODUCT_WRITE)
def new() -> str:
    """An empty form."""
    return _form(None, {"position": "0"})


@bp.post("/products/new")
@requires(Permission.PRODUCT_WRITE)
@takes_files(4 * LARGEST_BODY)
def create() -> ResponseReturnValue:
    """Create a product, with the units in stock if there are some."""
    typed = request.form.to_dict()
    if not typed.get("slug", "").strip():
        typed["slug"] = product_fields.slug_of(typed.get("name", ""))
    try:
        fields, units = opening_stock.read(typed)
        is_archived = typed.get("state") == ProductState.ARCHIVED
        sku = opening_stock.create(typed.get("sku", ""), fields, units, by=acts.reader(), is_archived=is_archived)
    except InvalidFields as refusal:
        return _form(None, typed, refusal), refusal.status
    flash(f"The product is saved. Add pictures{'' if units else ' and stock'}.")
    return redirect(url_for("ops.products.show", sku=sku), 303)


@bp.get("/products/<sku>")
@requires(Permission.PRODUCT_READ)
def show(sku: str) -> str:
    """A product: the form, its pictures, and the history of its prices."""
    product = existing(sku)
    return _form(product, product_fields.as_typed(product))


@bp.post("/products/<sku>")
@requires(Permission.PRODUCT_WRITE)
@takes_files(4 * LARGEST_BODY)
def save(sku: str) -> ResponseReturnValue:
    """Save the form. If a colleague has changed the product meanwhile, it is shown with both changes."""
    product, typed = existing(sku), request.form.to_dict()
    seen = typed.get("version", "")
    try:
        fields = product_fields.read(typed)
        products.save(sku, fields, seen=int(seen) if seen.isdecimal() and len(seen) < 10 else -1, by=acts.reader())
    except InvalidFields as refusal:
        return _form(product, typed, refusal, version=seen), refusal.status
    except Stale as refusal:
        product = existing(sku)
        changes = products.changes_since(sku, int(seen) if seen.isdecimal() else 0)
        shown, both = product_form.merged(product_fields.as_typed(fields), product_fields.as_typed(product), changes)
        return _form(product, shown, refusal, changes=changes, both=both), refusal.status
    flash("Saved.")
    return redirect(url_for("ops.products.show", sku=sku), 303)


@bp.post("/products/<sku>/archive")
@requires(Permission.PRODUCT_WRITE)
def archive(sku: str) -> ResponseReturnValue:
    """Take a product out of the shop."""
    products.archive(existing(sku).sku, by=acts.reader())
    flash("The product is archived. The shop does not sell it any more; orders keep it.")
    return redirect(url_for("ops.products.show", sku=sku), 303)


@bp.post("/products/<sku>/restore")
@requires(Permission.PRODUCT_WRITE)
def restore(sku: str) -> ResponseReturnValue:
    """Sell an archived product again."""
    products.restore(existing(sku).sku, by=acts.reader())
    flash("The product is in the shop again.")
    return redirect(url_for("ops.products.show", sku=sku), 303)


def with_pictures_refused(sku: str, wrong: dict[str, str], added: int = 0) -> str:
    """The page of a product with the pictures that were refused, by file name, and the number of those saved."""
    product = existing(sku)
    return _form(product, product_fields.as_typed(product), wrong_pictures=wrong, added=added)


def existing(sku: str) -> Product:
    """The product with this SKU. Aborts with 404."""
    product = products.find(sku)
    if product is None:
        abort(404, f"There is no product {sku[:64]}.")
    return product


def _form(
    product: Product | None,
    typed: dict[str, str],
    refusal: Refusal | None = None,
    *,
    version: str = "",
    changes: list[FieldChange] | None = None,
    both: list[str] | None = None,
    wrong_pictures: dict[str, str] | None = None,
    added: int = 0,
) -> str:
    history = products.price_changes(product.sku) if product else []
    people = staff.labels({*(row.by for row in history), *(change.by for change in changes or [])})
    values: dict[str, Any] = {"wrong_pictures": wrong_pictures or {}, "added": added, "locales": OFFERED}
    values |= {"largest": files.LARGEST_UPLOAD // 2**20, "most_pictures": pictures.MOST}
    values |= {"history": history, "changes": changes or [], "both": both or [], "people": people}
    return render_template(
        "ops/product.html",
        product=product,
        typed=typed,
        version=version or (product.version if product else ""),
        errors=refusal.errors if isinstance(refusal, InvalidFields) else {},
        refusal=refusal,
        categories=browse.categories(),
        languages=product_form.languages(),
        currencies=product_form.currencies(),
        label=product_form.label,
        money=Money,
        longest_slug=product_fields.LONGEST_SLUG,
        tax_classes=product_form.TAX_CLASSES,
        **values,
    )


def _words(name: str, value: str) -> str:
    labels = {"q": f"Search: {value}", "low": "Low or sold out"}
    return labels.get(name, f"{name.capitalize()}: {value}")
