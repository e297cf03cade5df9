"""Sending of webhook deliveries: claim, sign, post, record. No transaction is open during a network call."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from flask import Flask, current_app

from mock_acquirer import deliveries, dialect_interface, faults, outgoing, signing, targets, trust
from mock_acquirer.db import db, release
from mock_acquirer.deliveries import Answer
from mock_acquirer.models import Delivery, Payment
from mock_acquirer.times import wall_now

AGENT = "settled-acquirer/1"


def deliver(ids: Iterable[str], run: str | None = None, threads: int = 1) -> list[str]:
    """Send those of `ids` that are due and unclaimed. Returns the outcomes.

    One payment's deliveries are sent one after the other, copies marked `parallel` at the same time; different payments
    use
    `threads` threads. `run`: the caller holds this run's drain lease and may claim in it.
    """
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    claimed = deliveries.claim(ids, run)
    release()
    if threads <= 1:
        return _send_lane(app, claimed)
    lanes: dict[str, list[Delivery]] = {}
    for delivery in claimed:
        lanes.setdefault(delivery.payment_id, []).append(delivery)
    if not lanes:
        return []
    with ThreadPoolExecutor(min(threads, len(lanes))) as pool:
        return [
            outcome for outcomes in pool.map(lambda lane: _send_lane(app, lane), lanes.values()) for outcome in outcomes
        ]


def _send_lane(app: Flask, lane: list[Delivery]) -> list[str]:
    return [outcome for group in _in_order(lane) for outcome in _send_group(app, group)]


def _in_order(claimed: list[Delivery]) -> list[list[str]]:
    """Ids in order; copies to be sent in parallel are in one group."""
    keyed = itertools.groupby(claimed, key=lambda one: one.event_id if one.parallel else one.id)
    return [[delivery.id for delivery in group] for _, group in keyed]


def _send_group(app: Flask, ids: list[str]) -> list[str]:
    if len(ids) == 1:
        return [_send(app, ids[0], None)]
    barrier = threading.Barrier(len(ids))
    with ThreadPoolExecutor(len(ids)) as pool:
        return list(pool.map(lambda one: _send(app, one, barrier), ids))


def _send(app: Flask, delivery_id: str, barrier: threading.Barrier | None) -> str:
    with app.app_context():
        delivery = db.session.query(Delivery).filter_by(id=delivery_id).one_or_none()
        if delivery is None:
            return "gone"
        payment = db.session.get_one(Payment, delivery.payment_id)
        fired = faults.hook_sent(delivery, payment)
        sent, headers, body = _envelope(delivery, payment, fired.get("sign"))
        release()
        if barrier is not None:
            barrier.wait(timeout=10)
        answer = _post(app, delivery, payment, headers, body, fired)
        used = [f"hook.{name}" + (f": {value}" if name == "sign" else "") for name, value in fired.items()]
        deliveries.record(delivery, sent, answer, used)
        app.logger.info(
            "webhook attempt",
            extra={"delivery": delivery.id, "payment": payment.id, "outcome": answer.outcome, "status": answer.status},
        )
        return answer.outcome


def _envelope(delivery: Delivery, payment: Payment, bend: str | None) -> tuple[dict[str, Any], dict[str, str], bytes]:
    """(logged data, headers, body) of one attempt, signed at the current wall time."""
    dialect = dialect_interface.named(payment.dialect)
    merchant = dialect.merchant(payment.merchant)
    keys = signing.valid_keys(payment.run, payment.dialect, payment.merchant, merchant.secret)
    wall = wall_now()
    event = delivery.event
    signed = signing.sign(dialect.sign, dialect.signature_header, keys, event.id, wall, event.body.encode(), bend)
    headers = {"content-type": event.content_type, "user-agent": AGENT} | signed.headers
    kept = {
        "wall_at": wall,
        "request_headers": headers,
        "request_body": signed.body.decode("utf-8", "replace"),
        "signed_string": signed.signed_string,
    }
    return kept, headers, signed.body


def _post(
    app: Flask, delivery: Delivery, payment: Payment, headers: dict[str, str], body: bytes, fired: dict[str, Any]
) -> Answer:
    if fired.get("drop"):
        return Answer("dropped", None, {}, "A fault dropped this attempt.", 0)
    try:
        way = targets.way_to(delivery.url)
    except ValueError as wrong:
        return Answer("not_allowed", None, {}, f"Webhooks may not be sent to this address: {wrong}.", 0)
    began = time.monotonic()
    try:
        answered = outgoing.post(app.extensions["acquirer.http"], way, headers, body)
    except httpx.HTTPError as failed:
        return Answer("no_answer", None, {}, trust.failure(failed), outgoing.since(began))
    dialect = dialect_interface.named(payment.dialect)
    in_time = not answered.cut_off and answered.milliseconds <= dialect.ack_within * 1000
    taken = in_time and dialect.acknowledged(answered.status, answered.text)
    return Answer(
        "delivered" if taken else "refused",
        answered.status,
        {name[:200]: value[:1000] for name, value in list(answered.headers.items())[:50] if name != "set-cookie"},
        answered.text,
        answered.milliseconds,
        _retry_after(answered.headers.get("retry-after", "")),
    )


def _retry_after(header: str) -> float:
    """Seconds to wait; the HTTP-date form is not supported, since no known webhook receiver sends it."""
    return float(header) if header.isascii() and header.isdigit() and len(header) < 9 else 0.0
