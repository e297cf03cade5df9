"""The doors of staff: they translate and decide nothing. Every view declares who may use it."""

from __future__ import annotations

from flask import Flask

from shop.ops import books


def init_app(app: Flask) -> None:
    """Open these doors of `app`."""
    app.register_blueprint(books.bp)
