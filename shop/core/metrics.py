"""Counters and histograms for Prometheus, shared by all processes through PROMETHEUS_MULTIPROC_DIR.

Every metric has labels: prometheus_client opens the file of a metric without labels when it is created, at import. With
labels no file is opened before the first value, and the folder is created then.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import prometheus_client
from prometheus_client import CollectorRegistry, generate_latest, multiprocess
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import REGISTRY

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
M = TypeVar("M", bound=MetricWrapperBase)


@cache
def _folder_for(_pid: int) -> None:
    """Create the shared folder, once per process. Raises OSError."""
    if folder := os.environ.get(FOLDER, ""):
        Path(folder).mkdir(parents=True, exist_ok=True)


class _Uncounted:
    """Replaces a metric whose file cannot be opened: a metric must never stop the work it counts."""

    def inc(self, amount: float = 1) -> None: ...

    def dec(self, amount: float = 1) -> None: ...

    def observe(self, amount: float) -> None: ...

    def set(self, value: float) -> None: ...


class _Labelled(MetricWrapperBase):
    def __init__(self, name: str, documentation: str, labelnames: Any = (), **more: Any) -> None:
        if not labelnames:
            raise TypeError(f"{name} needs a label: without one its file would be opened at import")
        super().__init__(name, documentation, labelnames, **more)

    def labels(self: M, *values: object, **named: object) -> M:
        try:
            _folder_for(os.getpid())
            return super().labels(*values, **named)
        except OSError:  # a full or read-only disk
            return cast(M, _Uncounted())


class Counter(_Labelled, prometheus_client.Counter):
    """A counter; see prometheus_client."""


class Gauge(_Labelled, prometheus_client.Gauge):
    """A gauge; see prometheus_client."""


class Histogram(_Labelled, prometheus_client.Histogram):
    """A histogram; see prometheus_client."""


WEBHOOKS = Counter("settled_webhooks", "Webhook events by provider and outcome", ["provider", "outcome"])
PAYMENT_UPDATES = Counter("settled_payment_updates", "Payment updates by source and outcome", ["source", "outcome"])
ORDER_TRANSITIONS = Counter("settled_order_transitions", "Order status changes", ["target", "because"])
CALLS = Counter("settled_provider_calls", "Calls to providers", ["provider", "operation", "outcome"])
CALL_SECONDS = Histogram("settled_provider_call_seconds", "Duration of calls to providers", ["provider", "operation"])
CAPTURE_TO_PAID_SECONDS = Histogram(
    "settled_capture_to_paid_seconds",
    "From the acquirer's capture until the order is PAID",
    ["source"],
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 600, 3600),
)
REQUESTS = Counter("settled_requests", "HTTP requests", ["endpoint", "status"])
TRANSACTIONS_RETRIED = Counter(
    "settled_transactions_retried", "Transactions retried, by SQLSTATE or `outdated`", ["reason"]
)
ALERTS = Counter("settled_alerts", "Alerts by rule and what became of them", ["rule", "became"])
INVARIANTS = Counter("settled_broken_invariants", "Rows that broke an invariant, each counted once", ["invariant"])
REMOVED = Counter("settled_rows_removed", "Rows removed because their time is over", ["table"])
UNPAID_REFUSED = Counter("settled_unpaid_refused", "Orders refused by the limits on unpaid orders", ["counted_by"])
LOST_LINES = Counter("settled_lost_log_lines", "Log lines that could not be written", ["stream"])
MAILS = Counter("settled_mails", "Mails by kind that were queued, sent or failed", ["kind", "became"])
MAIL_QUEUE_AGE = Gauge(
    "settled_mail_queue_age_seconds", "Age of the oldest queued mail", ["which"], multiprocess_mode="mostrecent"
)
MAILS_BY_STATE = Gauge("settled_mails_stored", "Stored mails by state", ["state"], multiprocess_mode="mostrecent")
OUTGOING_WEBHOOKS = Counter("settled_outgoing_webhooks", "Attempts at deliveries of outgoing webhooks", ["outcome"])
OUTGOING_WEBHOOK_SECONDS = Histogram(
    "settled_outgoing_webhook_seconds", "Duration of attempts at deliveries of outgoing webhooks", ["which"]
)
JOBS = Counter("settled_jobs", "Units of deferred work", ["kind", "outcome"])


def begin() -> None:
    """Remove the files of an earlier process with this pid, whose gauges would otherwise be this process's. Call it at
    the start of a process, before its first value.
    """
    if folder := os.environ.get(FOLDER, ""):
        for path in Path(folder).glob(f"*_{os.getpid()}.db"):
            path.unlink(missing_ok=True)


def page() -> bytes:
    """All metrics in Prometheus' text format."""
    if os.environ.get(FOLDER):
        _folder_for(os.getpid())
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
    return generate_latest(REGISTRY)
