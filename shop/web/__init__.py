"""The doors that people use: one file per page family. They parse, ask, render, and decide nothing."""

from __future__ import annotations

from shop.web import accounts, cart, catalogue, checkout, dev, furniture, health, history, orders, webhooks

BLUEPRINTS = (
    furniture.bp,
    catalogue.bp,
    cart.bp,
    checkout.bp,
    history.bp,
    orders.bp,
    accounts.bp,
    webhooks.blueprint,
    health.blueprint,
    dev.blueprint,
)
"""What `create_app` registers."""
