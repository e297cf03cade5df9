"""kpay's settlement file: a JSON list, or CSV in UTF-8; days are UTC, each line carries its fee."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC
from typing import Any

from mock_acquirer.settlement import File, Line, Settlement, sheet
from mock_acquirer.times import rfc3339


def _line(line: Line) -> dict[str, Any]:
    return {
        "id": f"{line.kind}_{line.source}",
        "type": line.kind,
        "payment": line.payment.id,
        "reference": line.payment.reference,
        "capture": line.capture.id,
        "refund": line.refund.id if line.refund else None,
        "refund_reference": line.refund.reference if line.refund else None,
        "dispute": line.dispute.id if line.dispute else None,
        "amount": line.amount,
        "fee": line.fee,
        "net": line.net,
        "currency": line.currency,
        "at": rfc3339(line.at),
    }


COLUMNS = (
    "id",
    "type",
    "payment",
    "reference",
    "capture",
    "refund",
    "refund_reference",
    "dispute",
    "amount",
    "fee",
    "net",
    "currency",
    "at",
)


def as_json(lines: Sequence[Line]) -> File:
    """A list of lines, amounts in minor units."""
    body = json.dumps([_line(line) for line in lines], ensure_ascii=False, separators=(",", ":"))
    return File("application/json", body.encode())


def as_csv(lines: Sequence[Line]) -> File:
    """The same as CSV, one column per field; missing values are empty."""
    return sheet(COLUMNS, [[_line(line)[name] for name in COLUMNS] for line in lines])


SETTLEMENT = Settlement(day=UTC, fee_bps=280, currency="TWD", files={"json": as_json, "csv": as_csv})
