"""Looking around: the catalogue, the search, a product."""

from __future__ import annotations

from flask import Blueprint, abort, render_template, request
from flask_babel import ngettext

from shop.catalogue import browse
from shop.catalogue.models import Product
from shop.core.errors import Refusal
from shop.inventory import stock
from shop.web import visitor
from shop.web.access import access

bp = Blueprint("catalogue", __name__)
LONGEST_SEARCH = 80
ALSO = 5


@bp.get("/")
@access("public")
def index() -> str:
    """All goods, those of one category, or those that answer to a search; htmx gets the list alone."""
    q = " ".join(request.args.get("q", "").split())[:LONGEST_SEARCH]
    categories = browse.categories()
    chosen = request.args.get("category", "")
    category = next((c for c in categories if c.slug == chosen), None)
    if chosen and category is None:
        abort(404)
    products = browse.search(q, chosen)
    fragment = "HX-Request" in request.headers
    return render_template(
        "shop/_goods.html" if fragment else "shop/catalogue.html",
        fragment=fragment,
        q=q,
        category=category,
        categories=categories,
        products=products,
        available=stock.available([p.sku for p in products]),
        currency=visitor.currency(),
        found=ngettext("%(num)d thing", "%(num)d things", len(products)),
    )


@bp.get("/products/<slug>")
@access("public")
def product(slug: str) -> str:
    """One product."""
    found = browse.by_slug(slug)
    if found is None:
        abort(404)
    return product_page(found)


def product_page(shown: Product, problem: Refusal | None = None) -> str:
    """The page of a product, with what is wrong with a request to buy it."""
    category = next(c for c in browse.categories() if c.slug == shown.category)
    shelf = [p for p in browse.search(category=shown.category) if p.sku != shown.sku]
    return render_template(
        "shop/product.html",
        product=shown,
        category=category,
        left=stock.available([shown.sku]).get(shown.sku, 0),
        also=shelf[:ALSO],
        currency=visitor.currency(),
        problem=problem.message if problem else None,
    )
