"""Staff views. Every view declares its access rule."""

from __future__ import annotations

from flask import Flask

from shop.ops import ledgers


def init_app(app: Flask) -> None:
    """Register the staff views."""
    app.register_blueprint(ledgers.bp)
