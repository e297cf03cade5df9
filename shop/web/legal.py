"""Legal pages and the contact page, with the seller of the settings."""

from __future__ import annotations

from flask import Blueprint, current_app, render_template

from shop.http_kit.access import access

bp = Blueprint("legal", __name__)
PAGES = ("imprint", "privacy", "terms", "returns", "contact")


@bp.get("/imprint")
@access("public")
def imprint() -> str:
    """Name and address of the seller."""
    return render_template("shop/legal/imprint.html")


@bp.get("/privacy")
@access("public")
def privacy() -> str:
    """Personal data that the shop stores, why, and for how long."""
    return render_template("shop/legal/privacy.html", days=current_app.config["GUEST_DATA_DAYS"])


@bp.get("/terms")
@access("public")
def terms() -> str:
    """Terms of sale."""
    return render_template("shop/legal/terms.html")


@bp.get("/returns")
@access("public")
def returns() -> str:
    """Returns of items, and refunds."""
    return render_template("shop/legal/returns.html", days=current_app.config["RETURN_DAYS"])


@bp.get("/contact")
@access("public")
def contact() -> str:
    """Contact of the seller."""
    return render_template("shop/legal/contact.html")
