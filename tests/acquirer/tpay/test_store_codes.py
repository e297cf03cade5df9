"""Store codes of tpay: paid at the counter, or cancelled."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from tests.acquirer.conftest import RETURN, Receiver
from tests.acquirer.tpay.client import Merchant


def test_a_code_is_shown_and_paid_at_the_counter_two_days_later(tpay: Merchant, receiver: Receiver) -> None:
    trade = tpay.open()
    shown = tpay.world.submit(trade, "store")
    assert shown.headers["Location"].endswith(f"/pay/{trade['id']}/store")
    page = tpay.world.browser.get(f"/pay/{trade['id']}", follow_redirects=True).text
    fields = tpay.later(trade)
    code = fields["PaymentNo"]
    assert re.fullmatch(r"\d{14}", code) and fields["Barcode1"] == code and code in page and "<svg" in page
    assert (fields["TradeStatus"], fields["PaymentType"]) == ("0", "CVS_CVS")
    tpay.world.advance("PT48H")
    assert tpay.world.submit(trade, "pay_at_counter").status_code == 303
    assert "You paid at the counter" in tpay.world.browser.get(f"/pay/{trade['id']}", follow_redirects=True).text
    assert tpay.later(trade)["TradeStatus"] == "1"
    tpay.world.settle()
    assert dict(parse_qsl(receiver.hooks[0].body.decode()))["PaymentType"] == "CVS_CVS"


def test_after_its_deadline_a_code_takes_no_money(tpay: Merchant) -> None:
    trade = tpay.open()
    tpay.world.sim("POST", f"/payments/{trade['id']}/choose_store")
    tpay.world.advance("PT73H")
    tpay.world.sim("POST", f"/payments/{trade['id']}/pay_at_counter", status=409)
    assert tpay.query(trade)["TradeStatus"] == "10200141"


def test_a_code_can_be_cancelled_by_either_side(tpay: Merchant) -> None:
    by_customer, by_merchant = tpay.open(), tpay.open()
    for trade in (by_customer, by_merchant):
        tpay.world.sim("POST", f"/payments/{trade['id']}/choose_store")
    assert tpay.world.submit(by_customer, "cancel").headers["Location"] == RETURN
    assert tpay.call("cancel", MerchantTradeNo=by_merchant["MerchantTradeNo"])["RtnCode"] == "1"
    tpay.world.sim("POST", f"/payments/{by_merchant['id']}/pay_at_counter", status=409)


def test_without_a_code_there_is_no_payment_at_the_counter(tpay: Merchant) -> None:
    trade = tpay.open()
    tpay.world.sim("POST", f"/payments/{trade['id']}/pay_at_counter", status=409)
    assert tpay.world.submit(trade, "pay_at_counter").headers["Location"].endswith(f"/pay/{trade['id']}")
