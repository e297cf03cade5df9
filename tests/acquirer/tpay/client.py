"""Merchant with tpay: forms with CheckMacValue for the cashier, and signed calls."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import parse_qsl

from werkzeug.test import TestResponse

from mock_acquirer.dialects import _tpay_wire as wire
from tests.acquirer.conftest import RETURN, World

KEY, IV, SECRET = "pwFHCqoQZGmho4w6", "EkRm7iFT261dpevs", "tpay_demo_secret"
Trade = dict[str, str]


class Merchant:
    """A merchant with tpay. `run` is appended to the MerchantID."""

    def __init__(self, world: World, run: str = "") -> None:
        self.world, self.run = world, run
        self.id = "3002607" + (f".{run}" if run else "")
        self.numbers = iter(range(1, 1000))

    def trade(self, **changes: str) -> Trade:
        """Fields of a checkout form; None leaves one out."""
        fields: dict[str, Any] = {
            "MerchantID": self.id,
            "MerchantTradeNo": f"P{next(self.numbers)}",
            "MerchantTradeDate": "2026/01/31 12:00:00",
            "PaymentType": "aio",
            "TotalAmount": "1200",
            "TradeDesc": "Blue Kettle",
            "ReturnURL": self.world.app.config["ACQUIRER_TPAY_WEBHOOK_URL"],
            "ClientBackURL": RETURN,
            "ChoosePayment": "ALL",
            "EncryptType": "1",
        }
        return {name: value for name, value in (fields | changes).items() if value is not None}

    def post(self, fields: Trade, **mac: str) -> TestResponse:
        """Post the form as the customer's browser does."""
        sealed = fields | {"CheckMacValue": wire.check_mac(fields, KEY, IV)} | mac
        return self.world.browser.post("/tpay/cashier/checkout", data=sealed)

    def open(self, **changes: str) -> dict[str, str]:
        """Open a trade at the cashier, with the acquirer's `id`."""
        fields = self.trade(**changes)
        answer = self.post(fields)
        assert answer.status_code == 303, answer.text
        return fields | {"id": answer.headers["Location"].rpartition("/")[2]}

    def call(self, op: str, status: int = 200, **fields: Any) -> Trade:
        """Make a server-to-server call. Every response is signed, except to an unauthenticated caller."""
        sent = {"MerchantID": self.id, "TimeStamp": str(int(time.time()))} | fields
        sent = {name: value for name, value in sent.items() if value is not None}
        sent = {"CheckMacValue": wire.check_mac(sent, KEY, IV)} | sent
        answer = self.world.app.test_client().post(f"/tpay/{op}", data=sent)
        assert answer.status_code == status, answer.text
        fields = dict(parse_qsl(answer.text, keep_blank_values=True))
        if fields["RtnCode"] == "10200001":
            assert "CheckMacValue" not in fields
        else:
            assert fields["CheckMacValue"] == wire.check_mac(fields, KEY, IV)
            assert fields.get("MerchantTradeNo") in (None, sent.get("MerchantTradeNo"))
        return fields

    def query(self, trade: Trade, **more: Any) -> Trade:
        return self.call("query", MerchantTradeNo=trade["MerchantTradeNo"], **more)

    def later(self, trade: Trade) -> Trade:
        """Query after the lag."""
        self.world.advance("PT6S", run=self.run)
        return self.query(trade)


def signed(tpay: Merchant, **fields: str) -> Trade:
    sent = {"MerchantID": tpay.id, "TimeStamp": str(int(time.time()))} | fields
    return sent | {"CheckMacValue": wire.check_mac(sent, KEY, IV)}
