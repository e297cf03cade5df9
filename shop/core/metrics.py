"""Counters and histograms for Prometheus, shared by all processes through PROMETHEUS_MULTIPROC_DIR."""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess
from prometheus_client.registry import REGISTRY

NOTICES = Counter("settled_webhooks", "Webhook notices by provider and verdict", ["provider", "verdict"])
AT_ONCE = Counter("settled_webhooks_at_once", "Webhook notices that were applied in one unit with others")
REPORTS = Counter("settled_reports", "Reports about payments by source and verdict", ["heard_from", "verdict"])
MOVES = Counter("settled_order_moves", "Order status changes", ["target", "because"])
CALLS = Counter("settled_provider_calls", "Calls to providers", ["provider", "operation", "outcome"])
CALL_SECONDS = Histogram("settled_provider_call_seconds", "Duration of calls to providers", ["provider", "operation"])
SETTLE_SECONDS = Histogram(
    "settled_capture_to_paid_seconds",
    "From the acquirer's capture until the order is PAID",
    ["heard_from"],
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 600, 3600),
)
REQUESTS = Counter("settled_requests", "HTTP requests", ["endpoint", "status"])
UNITS_AGAIN = Counter("settled_units_again", "Writing units done again after the database gave them up", ["sqlstate"])
ALERTS = Counter("settled_alerts", "Alerts by rule and what became of them", ["rule", "became"])
INVARIANTS = Counter("settled_broken_invariants", "Rows that broke an invariant, each counted once", ["invariant"])
JOBS = Counter("settled_jobs", "Units of later work", ["kind", "outcome"])


def init_app(app: Flask) -> None:
    """Make the shared folder before the first value is written to it."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)


def page() -> bytes:
    """All metrics in Prometheus' text format."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        return generate_latest(registry)
    return generate_latest(REGISTRY)
