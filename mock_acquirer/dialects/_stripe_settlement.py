"""Stripe's settlement: a list of balance transactions; days are UTC."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC

from mock_acquirer.dialects._stripe_objects import Object, charge, charge_id, digits, listed, seconds
from mock_acquirer.dialects._stripe_refunds import dispute_object, refund_object
from mock_acquirer.settlement import File, Line, Settlement

TYPES = {
    # our kind: (type, reporting_category)
    "capture": ("charge", "charge"),
    "refund": ("refund", "refund"),
    "refund_failed": ("refund_failure", "refund_failure"),
    "dispute": ("adjustment", "dispute"),
    "dispute_won": ("adjustment", "dispute_reversal"),
}
TWICE = {"refund_failed": "txn_f", "dispute_won": "txn_r"}
"""The second balance transaction of a refund or dispute has its own id."""


def balance_transaction(line: Line, expanded: bool = False) -> Object:
    """A balance transaction; `source` is the charge, refund or dispute, as id or `expanded`."""
    kind, category = TYPES[line.kind]
    fees = [{"amount": line.fee, "currency": line.currency.lower(), "type": "stripe_fee", "application": None}]
    return {
        "id": TWICE.get(line.kind, "txn_") + digits(line.source),
        "object": "balance_transaction",
        "amount": line.amount,
        "available_on": seconds(line.at),
        "created": seconds(line.at),
        "currency": line.currency.lower(),
        "description": line.payment.wire.get("description"),
        "exchange_rate": None,
        "fee": line.fee,
        "fee_details": [one | {"description": "Stripe processing fees"} for one in fees if line.fee],
        "net": line.net,
        "reporting_category": category,
        "source": _source(line) if expanded else charge_id(line.capture) if line.kind == "capture" else line.source,
        "status": "available",
        "type": kind,
    }


def _source(line: Line) -> Object:
    if line.refund:
        return refund_object(line.payment, line.refund)
    return dispute_object(line.payment, line.dispute) if line.dispute else charge(line.payment, line.capture)


def as_list(lines: Sequence[Line]) -> File:
    """The list as `GET /v1/balance_transactions` returns it, but oldest first."""
    shown = listed([balance_transaction(line) for line in lines], "/v1/balance_transactions")
    return File("application/json", json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode())


def as_expanded_list(lines: Sequence[Line]) -> File:
    """The same with `expand[]=data.source`."""
    shown = listed([balance_transaction(line, expanded=True) for line in lines], "/v1/balance_transactions")
    return File("application/json", json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode())


SETTLEMENT = Settlement(day=UTC, fee_bps=290, currency="USD", files={"json": as_list, "expanded": as_expanded_list})
