"""Pages for search engines: `/robots.txt`, `/sitemap.xml`, and the structured data of a product (schema.org)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode, urljoin
from xml.sax.saxutils import escape

from flask import Blueprint, Response, current_app, request, url_for

from shop.catalogue import browse
from shop.core import languages
from shop.http_kit import pictures
from shop.http_kit.access import access
from shop.web import legal

bp = Blueprint("search_engines", __name__)
MOST = 50_000
"""Addresses of a sitemap, by its protocol."""
_NOT_CRAWLED = ("/api/", "/cart", "/checkout", "/email-hint", "/ops", "/register", "/sign-in")
"""Pages without content for search engines. Orders and accounts have a header instead, which a crawler must see."""
_PARAMETERS = ("category", "page", "lang")
"""Parameters that make another page; all others show the same one."""


@bp.get("/robots.txt")
@access("public")
def robots() -> Response:
    """Pages that search engines may read: none of a read-only copy."""
    closed = ("/",) if current_app.config["SETTLED_PASSIVE"] else _NOT_CRAWLED
    lines = ["User-agent: *", *(f"Disallow: {path}" for path in closed), "", f"Sitemap: {_shop()}/sitemap.xml"]
    return _kept("\n".join(lines) + "\n", "text/plain")


@bp.get("/sitemap.xml")
@access("public")
def sitemap() -> Response:
    """Addresses of the catalogue, its categories and products, and the legal pages."""
    pages = [url_for("catalogue.index"), *(url_for(f"legal.{page}") for page in legal.PAGES)]
    pages += [url_for("catalogue.index", category=one.slug) for one in browse.categories()]
    pages += [url_for("catalogue.product", slug=one.slug) for one in browse.in_order(limit=MOST)]
    found = "".join(f"<url><loc>{escape(_shop() + page)}</loc></url>\n" for page in pages[:MOST])
    start = '<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
    return _kept(f"{start}{found}</urlset>\n", "application/xml")


def canonical() -> str:
    """The one address of this page, without parameters that change nothing."""
    kept = [(name, request.args[name]) for name in _PARAMETERS if name in request.args]
    kept = [(name, value) for name, value in kept if name != "lang" or languages.offered(value)]
    kept = [pair for pair in kept if pair not in (("category", ""), ("page", ""), ("page", "1"))]
    return f"{_shop()}{request.path}{'?' if kept else ''}{urlencode(kept)}"


def product(shown: browse.ProductView, currency: str, available: int) -> dict[str, Any]:
    """The structured data of a product, with an offer if it has a price in the currency of the page."""
    address = f"{_shop()}{url_for('catalogue.product', slug=shown.slug)}"
    found: dict[str, Any] = {
        "@context": "https://schema.org",
        "@type": "Product",
        "name": shown.name,
        "description": shown.summary,
        "sku": shown.sku,
        "image": urljoin(_shop(), pictures.thumb(shown.image)),
        "url": address,
    }
    if shown.has_price(currency):
        found["offers"] = {
            "@type": "Offer",
            "price": shown.price(currency).decimal(),
            "priceCurrency": currency,
            "availability": f"https://schema.org/{'InStock' if available > 0 else 'OutOfStock'}",
            "url": address,
        }
    return found


def _shop() -> str:
    return str(current_app.config["SHOP_URL"]).rstrip("/")


def _kept(text: str, kind: str) -> Response:
    """An answer that search engines may keep for an hour."""
    headers = {"Cache-Control": "public, max-age=3600"}
    return Response(text, content_type=f"{kind}; charset=utf-8", headers=headers)
