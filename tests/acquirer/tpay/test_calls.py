"""Calls to tpay: queries with a lag, cancellation, faults, and errors with HTTP 200."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

import pytest

from mock_acquirer.dialects import _tpay_wire as wire
from tests.acquirer.conftest import Receiver, World
from tests.acquirer.tpay.client import IV, KEY, Merchant, signed


def test_a_query_lags_five_seconds(tpay: Merchant) -> None:
    trade = tpay.open()
    assert tpay.query(trade)["RtnCode"] == "10200047"
    assert tpay.later(trade)["TradeStatus"] == "0"
    tpay.world.approve(trade)
    assert tpay.query(trade)["TradeStatus"] == "0"
    assert tpay.later(trade)["TradeStatus"] == "1"


def test_a_trade_that_was_never_posted_is_not_known(tpay: Merchant) -> None:
    assert tpay.call("query", MerchantTradeNo="Nobody")["RtnCode"] == "10200047"


@pytest.mark.parametrize(
    ("act", "status"), [("cancel", "10100251"), ("fail", "10100058"), ("decline", "0"), ("approve", "1")]
)
def test_the_state_of_a_trade_is_translated(tpay: Merchant, act: str, status: str) -> None:
    trade = tpay.open()
    tpay.world.sim("POST", f"/payments/{trade['id']}/{act}")
    fields = tpay.later(trade)
    assert fields["TradeStatus"] == status
    assert fields.get("DeclineCode", "") == ("generic_decline" if act in ("fail", "decline") else "")


def test_cancelling_ends_an_open_trade_and_repeating_it_is_fine(tpay: Merchant) -> None:
    trade = tpay.open()
    for _ in range(2):
        assert tpay.call("cancel", MerchantTradeNo=trade["MerchantTradeNo"])["RtnCode"] == "1"
    assert tpay.later(trade)["TradeStatus"] == "10100252"
    assert "Payment cancelled" in tpay.world.browser.get(f"/pay/{trade['id']}", follow_redirects=True).text


def test_a_number_that_was_cancelled_unseen_is_burnt(tpay: Merchant) -> None:
    fields = tpay.trade()
    assert tpay.call("cancel", MerchantTradeNo=fields["MerchantTradeNo"])["RtnCode"] == "1"
    answer = tpay.post(fields)
    assert answer.status_code == 200 and "10200050" in answer.text
    fields = tpay.later(fields)
    assert (fields["TradeStatus"], fields["ChargeCount"]) == ("10100252", "0")


def test_a_number_is_burnt_or_opened_but_never_both(tpay: Merchant) -> None:
    fields = tpay.trade()
    sealed = fields | {"CheckMacValue": wire.check_mac(fields, KEY, IV)}

    def do(number: int) -> str:
        if number % 2:
            return tpay.call("cancel", MerchantTradeNo=fields["MerchantTradeNo"])["RtnCode"]
        tpay.world.app.test_client().post("/tpay/cashier/checkout", data=sealed)
        return ""

    tpay.world.at_once(8, do)
    assert tpay.call("cancel", MerchantTradeNo=fields["MerchantTradeNo"])["RtnCode"] == "1"
    assert tpay.later(fields)["TradeStatus"] == "10100252"


def test_what_is_paid_or_over_is_not_cancelled(tpay: Merchant) -> None:
    paid, over = tpay.open(), tpay.open()
    tpay.world.approve(paid)
    tpay.world.sim("POST", f"/payments/{over['id']}/fail")
    assert tpay.call("cancel", MerchantTradeNo=paid["MerchantTradeNo"])["RtnCode"] == "10200080"
    assert tpay.call("cancel", MerchantTradeNo=over["MerchantTradeNo"])["RtnCode"] == "10200081"


def test_runs_do_not_see_each_other(world: World) -> None:
    here, there = Merchant(world), Merchant(world, "run42")
    mine = here.open()
    assert there.later(mine)["RtnCode"] == "10200047"
    theirs = there.open(MerchantTradeNo=mine["MerchantTradeNo"])
    assert theirs["id"] != mine["id"] and there.later(theirs)["MerchantID"] == "3002607.run42"


# --- faults ---


def test_faults_of_the_api_act_on_tpay(tpay: Merchant) -> None:
    trade = tpay.open()
    tpay.later(trade)
    for plan, status in (({"do": "500"}, 500), ({"do": "timeout_before_commit"}, 504)):
        tpay.world.faults(api=[{"op": "query", "times": 1} | plan])
        number = trade["MerchantTradeNo"]
        answer = tpay.world.app.test_client().post("/tpay/query", data=signed(tpay, MerchantTradeNo=number))
        assert answer.status_code == status
    tpay.world.faults(api=[{"op": "query", "do": "429", "times": 1, "retry_after": 3}])
    assert tpay.call("query", 429, MerchantTradeNo=trade["MerchantTradeNo"])["RtnCode"] == "10200099"
    tpay.world.faults(api=[{"op": "query", "do": "stale_query", "shows": "nothing", "times": 1}])
    assert tpay.query(trade)["RtnCode"] == "10200047"
    tpay.world.faults(api=[{"op": "start", "do": "500", "times": 1}])
    fields = tpay.trade()
    assert tpay.post(fields).status_code == 500 and tpay.post(fields).status_code == 303


def test_two_charges_of_one_trade_have_numbers_of_their_own(tpay: Merchant, receiver: Receiver) -> None:
    tpay.world.faults(pay={"double": True})
    trade = tpay.open()
    tpay.world.approve(trade)
    fields = tpay.later(trade)
    assert fields["ChargeCount"] == "2" and fields["ChargeNo1"] != fields["ChargeNo2"]
    tpay.world.settle()
    assert len({dict(parse_qsl(hook.body.decode()))["ChargeNo"] for hook in receiver.hooks}) == 2


def test_a_wrong_amount_or_currency_is_sent_as_captured(tpay: Merchant) -> None:
    tpay.world.faults(pay={"amount_delta": 150, "wrong_currency": "USD"})
    trade = tpay.open()
    tpay.world.approve(trade)
    fields = tpay.later(trade)
    assert (fields["ChargeAmt1"], fields["ChargeCurrency1"], fields["TradeAmt"]) == ("1201.50", "USD", "1200")


def test_the_form_of_a_call_has_any_order_and_names_each_field_once(tpay: Merchant) -> None:
    fields = signed(tpay, MerchantTradeNo=tpay.open()["MerchantTradeNo"])
    client = tpay.world.app.test_client()
    form = {"content_type": "application/x-www-form-urlencoded"}
    body = urlencode(dict(reversed(fields.items())))
    assert "RtnCode=10200047" in client.post("/tpay/query", data=body, **form).text
    assert "RtnCode=10200052" in client.post("/tpay/query", data=body + "&MerchantTradeNo=P1", **form).text
