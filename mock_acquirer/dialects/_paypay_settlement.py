"""paypay's transaction file: CSV in Shift_JIS with Japanese headings; refunds are negative, days are Tokyo's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta, timezone

from mock_acquirer.dialects._paypay_shapes import REVERSALS, payment_id
from mock_acquirer.settlement import File, Line, Settlement, sheet

TOKYO = timezone(timedelta(hours=9), "Asia/Tokyo")  # no daylight saving time
COLUMNS = (
    "決済番号",
    "加盟店ID",
    "屋号",
    "店舗ID",
    "取引ステータス",
    "取引日時",
    "取引金額",
    "手数料",
    "入金額",
    "通貨",
    "支払い方法",
    "マーチャント決済ID",
    "マーチャント返金ID",
)
KINDS = {"capture": "取引完了", "refund": "返金完了", "refund_failed": "返金取消", "dispute": "異議申立"}


def as_csv(lines: Sequence[Line]) -> File:
    """One row per movement."""
    rows = [
        (
            payment_id(line.payment) + (f"-{line.capture.position}" if line.capture.position > 1 else ""),
            line.payment.merchant,
            "デモショップ",
            line.payment.wire.get("storeId", ""),
            KINDS.get(line.kind, "異議申立取消"),
            line.at.astimezone(TOKYO).strftime("%Y/%m/%d %H:%M:%S"),
            line.amount,
            line.fee,
            line.net,
            line.currency,
            "PayPay残高",
            line.payment.reference,
            line.refund.reference if line.refund and line.refund.reference not in REVERSALS else "",
        )
        for line in lines
    ]
    return sheet(COLUMNS, rows, "shift_jis")


SETTLEMENT = Settlement(day=TOKYO, fee_bps=198, currency="JPY", files={"csv": as_csv})
