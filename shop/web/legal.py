"""Legal pages, with the merchant's text or the one that comes with the shop, and the contact page."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, current_app, render_template

from shop.core.languages import tag
from shop.http_kit.access import access
from shop.http_kit.translation import locale_name
from shop.legal_texts import legal_texts, markup

bp = Blueprint("legal", __name__)
PAGES = ("imprint", "privacy", "terms", "returns", "contact")


@bp.get("/imprint")
@access("public")
def imprint() -> str:
    """Name and address of the seller, and what the merchant adds."""
    return _page("imprint")


@bp.get("/privacy")
@access("public")
def privacy() -> str:
    """Personal data that the shop stores, why, and for how long."""
    return _page("privacy", days=current_app.config["GUEST_DATA_DAYS"])


@bp.get("/terms")
@access("public")
def terms() -> str:
    """Terms of sale."""
    return _page("terms")


@bp.get("/returns")
@access("public")
def returns() -> str:
    """Returns of items, and refunds."""
    return _page("returns", days=current_app.config["RETURN_DAYS"])


@bp.get("/contact")
@access("public")
def contact() -> str:
    """Contact of the seller."""
    return render_template("shop/legal/contact.html")


def _page(name: str, **values: Any) -> str:
    """The page with the merchant's text in the visitor's language, else in English, else with its own text."""
    text = legal_texts.shown(name, locale_name())
    if text is not None:
        values |= {"merchant_text": markup.blocks(text.content), "text_language": tag(text.locale)}
    return render_template(f"shop/legal/{name}.html", **values)
