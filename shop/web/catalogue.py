"""Catalogue pages: product list, search, product page."""

from __future__ import annotations

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import ngettext

from shop.catalogue import browse
from shop.core import text
from shop.core.errors import Refusal
from shop.http_kit import visitor
from shop.http_kit.access import access
from shop.http_kit.translation import locale_name, translated
from shop.inventory import stock
from shop.web import search_engines

bp = Blueprint("catalogue", __name__)
LONGEST_SEARCH = 80
ALSO = 5


@bp.get("/")
@access("public")
def index() -> str:
    """All products, one category, or search results; htmx receives the list alone."""
    q = text.tidy(request.args.get("q", ""))[:LONGEST_SEARCH]
    language = locale_name()
    categories = [kind.in_language(language) for kind in browse.categories()]
    chosen = request.args.get("category", "")
    category = next((c for c in categories if c.slug == chosen), None)
    if chosen and category is None:
        abort(404)
    products = [found.in_language(language) for found in browse.search(q, chosen, language)]
    fragment = "HX-Request" in request.headers
    return render_template(
        "shop/_products.html" if fragment else "shop/catalogue.html",
        fragment=fragment,
        q=q,
        category=category,
        categories=categories,
        products=products,
        available=stock.available([p.sku for p in products]),
        currency=visitor.currency(),
        found=ngettext("%(num)d product", "%(num)d products", len(products)),
    )


@bp.get("/products/<slug>")
@access("public")
def product(slug: str) -> ResponseReturnValue:
    """A product. A former address leads to the present one."""
    found = browse.by_slug(slug)
    if found is None:
        present = browse.by_former_slug(slug)
        if present is None:
            abort(404)
        return redirect(url_for("catalogue.product", slug=present), 301)
    return product_page(found)


def product_page(shown: browse.ProductView, problem: Refusal | None = None) -> str:
    """Render a product page, with the refusal of a request to add it to the cart if there is one."""
    language = locale_name()
    category = next(c for c in browse.categories() if c.slug == shown.category)
    shelf = [p for p in browse.search(category=shown.category) if p.sku != shown.sku]
    product, currency = shown.in_language(language), visitor.currency()
    left = stock.available([shown.sku]).get(shown.sku, 0)
    return render_template(
        "shop/product.html",
        product=product,
        category=category.in_language(language),
        left=left,
        also=[p.in_language(language) for p in shelf[:ALSO]],
        page_locale=language,
        currency=currency,
        structured=search_engines.product(product, currency, left),
        problem=translated(problem.message) if problem else None,
    )
