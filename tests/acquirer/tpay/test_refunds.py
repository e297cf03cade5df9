"""Refunds of tpay: voids until eight in the evening, refunds after it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mock_acquirer.dialects import _tpay_wire as wire
from tests.acquirer.tpay.client import Merchant, Trade


def paid_at(tpay: Merchant, hour: int) -> Trade:
    """A trade that was paid at this hour of Taipei."""
    now = datetime.now(UTC).astimezone(wire.TAIPEI)
    then = (now + timedelta(days=1)).replace(hour=hour, minute=0, second=0, microsecond=0)
    tpay.world.sim("POST", "/clock/advance", {"to": then.isoformat()})
    trade = tpay.open()
    tpay.world.approve(trade)
    tpay.later(trade)
    return trade


def sent_back(tpay: Merchant, trade: Trade, number: str, amount: str, **more: str) -> Trade:
    return tpay.call("refund", MerchantTradeNo=trade["MerchantTradeNo"], RefundNo=number, RefundAmount=amount, **more)


def test_until_eight_in_the_evening_a_whole_reversal_is_a_void(tpay: Merchant) -> None:
    trade = paid_at(tpay, 12)
    fields = sent_back(tpay, trade, "R1", "1200")
    assert (fields["RtnCode"], fields["RefundType"]) == ("1", "Void")
    fields = tpay.later(trade)
    assert (fields["RefundStatus1"], fields["RefundAmount1"], fields["RefundType1"]) == ("Done", "1200", "Void")


def test_a_partial_refund_waits_for_eight_in_the_evening(tpay: Merchant) -> None:
    trade = paid_at(tpay, 12)
    fields = sent_back(tpay, trade, "R1", "500")
    assert (fields["RefundType"], fields["RefundStatus"]) == ("Refund", "Accepted")
    tpay.world.advance("PT7H")
    assert tpay.query(trade)["RefundStatus1"] == "Accepted"
    tpay.world.advance("PT1H10M")
    assert tpay.query(trade)["RefundStatus1"] == "Done"


def test_after_eight_it_is_a_refund_that_takes_a_while(tpay: Merchant) -> None:
    trade = paid_at(tpay, 12)
    tpay.world.advance("PT9H")
    assert sent_back(tpay, trade, "R1", "1200")["RefundType"] == "Refund"
    assert tpay.later(trade)["RefundStatus1"] == "Accepted"
    tpay.world.advance("PT2M")
    assert tpay.query(trade)["RefundStatus1"] == "Done"


def test_the_same_refund_number_gives_the_same_refund_and_never_more_is_refunded_than_captured(tpay: Merchant) -> None:
    trade = paid_at(tpay, 21)
    first, again = sent_back(tpay, trade, "R1", "700"), sent_back(tpay, trade, "R1", "700")
    assert first == again
    assert sent_back(tpay, trade, "R1", "600")["RtnCode"] == "10200092"
    assert sent_back(tpay, trade, "R2", "600")["RtnCode"] == "10200090"
    assert sent_back(tpay, tpay.open(), "R3", "1")["RtnCode"] == "10200091"
    assert tpay.call("refund", MerchantTradeNo="Nobody", RefundNo="R4", RefundAmount="1")["RtnCode"] == "10200047"
