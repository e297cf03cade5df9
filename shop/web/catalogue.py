"""Catalogue pages: product list, search, product page."""

from __future__ import annotations

from flask import Blueprint, Response, abort, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext

from shop.catalogue import browse, listing
from shop.core.errors import Refusal
from shop.http_kit import visitor
from shop.http_kit.access import access
from shop.http_kit.request_guard import limited
from shop.http_kit.translation import locale_name, translated
from shop.inventory import stock
from shop.product_search import highlight
from shop.product_search.find import MOST, PAGE, Sort
from shop.web import product_filters, search_engines
from shop.web.product_filters import Filters

bp = Blueprint("catalogue", __name__)
SEARCHES_PER_MINUTE = 240
"""Of one network. A search while typing is one for each pause."""
ALSO = 5


@bp.get("/")
@access("public")
def index() -> ResponseReturnValue:
    """All products, one category, or search results, by page; htmx receives the list alone."""
    try:
        filters = product_filters.read(request.args, visitor.currency())
    except product_filters.NoSuchPage:
        abort(404)
    found: ResponseReturnValue = _results(filters) if filters.is_narrowed else _listed(filters)
    return found


@limited("product_search", SEARCHES_PER_MINUTE)
def _results(filters: Filters) -> Response:
    """Results of a search; search engines keep the catalogue and its categories instead."""
    response = _listed(filters)
    response.headers["X-Robots-Tag"] = "noindex"
    return response


def _listed(filters: Filters) -> Response:
    language, wanted = locale_name(), filters.wanted
    categories = [kind.in_language(language) for kind in browse.categories()]
    category = next((c for c in categories if c.slug == wanted.category), None)
    if wanted.category and category is None:
        abort(404)
    page = listing.Page() if filters.errors else listing.page(wanted)
    if filters.page > 1 and not page.products and not filters.errors:
        abort(404)
    fragment = "HX-Request" in request.headers
    shown = render_template(
        "shop/_products.html" if fragment else "shop/catalogue.html",
        fragment=fragment,
        filters=filters,
        q=wanted.q,
        category=category,
        categories=categories,
        products=[product.in_language(language) for product in page.products],
        available=page.available,
        currency=wanted.currency,
        corrections=page.corrections,
        marked=lambda text: highlight.marked(text, page.parts),
        sorts=_sorts(wanted.q),
        pages=min(-(-page.number // PAGE), product_filters.LAST),
        is_cut=page.number > MOST,
        found=_number(page.number),
    )
    return make_response(shown, 422 if filters.errors else 200)


def _number(number: int) -> str:
    counted = ngettext("%(num)d product", "%(num)d products", number)
    return str(gettext("More than 1,000 products") if number > MOST else counted)


def _sorts(q: str) -> list[tuple[str, str]]:
    """Orders with their names; the first one needs no parameter."""
    return [
        ("", gettext("Best match") if q else gettext("Featured")),
        (Sort.CHEAPEST, gettext("Price: low to high")),
        (Sort.DEAREST, gettext("Price: high to low")),
        (Sort.NEWEST, gettext("Newest first")),
        (Sort.NAME, gettext("Product name")),
    ]


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
    shelf = [p for p in browse.in_order(shown.category, ALSO + 1) if p.sku != shown.sku]
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
