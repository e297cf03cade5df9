"""tpay's daily file: CSV with a fee column, whole dollars, days of Taipei. A void returns the fee."""

from __future__ import annotations

from collections.abc import Sequence

from mock_acquirer.dialects._tpay_shapes import charge_no, trade_no
from mock_acquirer.dialects._tpay_wire import CURRENCY, TAIPEI, dollars, taipei
from mock_acquirer.models import Refund
from mock_acquirer.settlement import File, Line, Settlement, sheet

COLUMNS = (
    "TradeTime",
    "Type",
    "MerchantTradeNo",
    "TradeNo",
    "ChargeNo",
    "RefundNo",
    "TradeAmt",
    "Fee",
    "NetAmt",
    "Currency",
)
KINDS = {"capture": "Sale", "refund": "Refund", "refund_failed": "RefundFailed", "dispute": "Chargeback"}


def _is_void(refund: Refund) -> bool:
    return refund.wire.get("RefundType") == "Void"


def _kind(line: Line) -> str:
    voided = line.kind == "refund" and line.refund is not None and _is_void(line.refund)
    return "Void" if voided else KINDS.get(line.kind, "ChargebackReversed")


def _signed(amount: int, currency: str) -> str:
    return ("-" if amount < 0 else "") + dollars(abs(amount), currency)


def as_csv(lines: Sequence[Line]) -> File:
    """One row per movement; refunds, voids and chargebacks are negative."""
    rows = [
        (
            taipei(line.at),
            _kind(line),
            line.payment.reference,
            trade_no(line.payment),
            charge_no(line.capture),
            line.refund.reference if line.refund else "",
            _signed(line.amount, line.currency),
            _signed(line.fee, line.currency),
            _signed(line.net, line.currency),
            line.currency,
        )
        for line in lines
    ]
    return sheet(COLUMNS, rows)


SETTLEMENT = Settlement(
    day=TAIPEI, fee_bps=275, currency=CURRENCY, files={"csv": as_csv}, unit=100, gives_fee_back=_is_void
)
