"""PayPay merchant client for tests: signs by PayPay's published rule, independently of the code under test."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import time
from typing import Any

from werkzeug.test import TestResponse

from tests.acquirer.conftest import RETURN, World

JSON = "application/json;charset=UTF-8"
_numbers = itertools.count(1)


def authorization(
    method: str,
    path: str,
    body: bytes = b"",
    *,
    key: str = "pp_test_demo",
    secret: str = "pp_test_secret",
    nonce: str = "acd028",
    epoch: int | str | None = None,
    content_type: str = JSON,
) -> str:
    """Authorization header of a call to `path`, which excludes the address's prefix."""
    epoch = int(time.time()) if epoch is None else epoch
    body_hash = base64.b64encode(hashlib.md5(content_type.encode() + body).digest()).decode() if body else "empty"
    lines = [path, method, nonce, str(epoch), content_type if body else "empty", body_hash]
    mac = base64.b64encode(hmac.new(secret.encode(), "\n".join(lines).encode(), hashlib.sha256).digest()).decode()
    return f"hmac OPA-Auth:{key}:{mac}:{nonce}:{epoch}:{body_hash}"


class Merchant:
    """A merchant with PayPay. `run` selects its isolated run."""

    def __init__(self, world: World, run: str = "") -> None:
        self.world, self.run = world, run

    def call(self, method: str, path: str, body: Any = None, **signing: Any) -> TestResponse:
        """A signed call; `path` begins with /v2."""
        raw = b"" if body is None else json.dumps(body).encode()
        key = "pp_test_demo" + (f".{self.run}" if self.run else "")
        signed = {"Authorization": authorization(method, path, raw, **{"key": key, **signing}), "Content-Type": JSON}
        return self.world.app.test_client().open("/paypay" + path, method=method, data=raw, headers=signed)

    def wish(self, **changes: Any) -> dict[str, Any]:
        """Request body that creates a code."""
        wish = {
            "merchantPaymentId": f"P{next(_numbers)}",
            "amount": {"amount": 1200, "currency": "JPY"},
            "codeType": "ORDER_QR",
            "orderDescription": "Tea",
            "redirectUrl": RETURN,
            "redirectType": "WEB_LINK",
        }
        return {name: value for name, value in (wish | changes).items() if value is not None}

    def code(self, **changes: Any) -> dict[str, Any]:
        """Create a code; `id` is the acquirer's own id of the payment."""
        answer = self.call("POST", "/v2/codes", self.wish(**changes))
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json["data"]  # type: ignore[index]
        return made | {"id": made["url"].rsplit("/", 1)[1]}

    def pay(self, code: dict[str, Any], **body: Any) -> dict[str, Any]:
        """Scan and pay as the customer."""
        return self.world.approve(code, run=self.run, **body)

    def paid(self, **changes: Any) -> dict[str, Any]:
        """A paid code, with PayPay's id of the payment."""
        code = self.code(**changes)
        self.pay(code)
        return code | {"paymentId": self.shown(code)["paymentId"]}

    def ask(self, code: dict[str, Any]) -> TestResponse:
        return self.call("GET", f"/v2/codes/payments/{code['merchantPaymentId']}")

    def shown(self, code: dict[str, Any]) -> dict[str, Any]:
        """The payment as the query shows it."""
        answer = self.ask(code)
        assert answer.status_code == 200, answer.text
        return answer.json["data"]  # type: ignore[index, no-any-return]

    def cancel(self, code: dict[str, Any]) -> TestResponse:
        return self.call("DELETE", f"/v2/payments/{code['merchantPaymentId']}")

    def refund(self, code: dict[str, Any], amount: int, name: str, **changes: Any) -> TestResponse:
        money = {"amount": amount, "currency": "JPY"}
        wish = {
            "merchantRefundId": name,
            "paymentId": code["paymentId"],
            "amount": money,
            "requestedAt": 1,
            "reason": "x",
        }
        return self.call("POST", "/v2/refunds", wish | changes)


def result(answer: TestResponse) -> tuple[int, str, str]:
    """Status, code and codeId of a response; errors have nothing else."""
    body = answer.json
    assert set(body) == {"resultInfo", "data"} and set(body["resultInfo"]) == {"code", "message", "codeId"}  # type: ignore[arg-type, index]
    assert body["resultInfo"]["message"] and (answer.status_code < 400 or body["data"] is None)  # type: ignore[index]
    return answer.status_code, body["resultInfo"]["code"], body["resultInfo"]["codeId"]  # type: ignore[index]
