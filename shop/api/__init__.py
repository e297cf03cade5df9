"""JSON API under `/api/v1`: a module for each resource, its schemas in `schemas/`. docs/api.md says how to add a call.

A view declares its callers (`access`), parses strictly (`resource`), calls one use case and returns a dict.
"""

from __future__ import annotations

from flask import Flask, Response, request

from shop.api import (
    alerts,
    aliases,
    auth,
    cors,
    docs,
    document,
    events,
    integrity,
    log,
    orders,
    payments,
    payouts,
    products,
    rate_limits,
    refunds,
    returns,
    root,
    statistics,
    webhook_endpoints,
)
from shop.api.resource import ROOT

RESOURCES = (
    *(auth.bp, products.bp, orders.bp, payments.bp, refunds.of_payments, refunds.bp),
    *(returns.of_orders, returns.bp),
    *(alerts.bp, payouts.bp),
    *(integrity.bp, statistics.bp, webhook_endpoints.bp, events.bp, document.bp),
)
"""Resources, in the order of the documentation."""


def init_app(app: Flask) -> None:
    """Register the API and its pages with `app`."""
    if root.init_app(app):
        document.init_app(app, (*RESOURCES, aliases.bp), more=root.describe)
    else:
        document.init_app(app, RESOURCES)
    app.register_blueprint(docs.bp)
    app.after_request(_leave)


def _leave(response: Response) -> Response:
    """Complete the answers of the API, and log its calls."""
    if request.path.startswith(f"{ROOT}/"):
        rate_limits.add_headers(response)
        cors.add_headers(response)
        root.add_headers(response)
        log.add(response)
    return response
