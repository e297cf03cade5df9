"""paypay called over HTTP by PayPay's own library."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from tests.acquirer.conftest import World

HERE = Path(__file__).parent
NEEDED = HERE / "sdk_requirements.txt"
CLIENT = HERE / "sdk_client.py"


@pytest.fixture(scope="session")
def sdk() -> Path:
    """Folder of PayPay's library, installed once for each virtual environment and version."""
    folder = Path(sys.prefix) / "paypay-sdk" / hashlib.sha256(NEEDED.read_bytes()).hexdigest()[:12]
    if not folder.exists():
        folder.parent.mkdir(exist_ok=True)
        made = folder.with_name(f"{folder.name}-{os.getpid()}")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(made), "-r", str(NEEDED)]
        subprocess.run(pip, check=True, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
        try:
            made.rename(folder)  # two workers may install it at once; the first one's copy is kept
        except OSError:
            assert folder.exists()
    return folder


@pytest.fixture
def acquirer(make_world: Callable[..., World]) -> World:
    return make_world(ACQUIRER_PAYPAY_WEBHOOK_URL="", ACQUIRER_PAYPAY_QUERIES_PER_SECOND="0")


class Library:
    """PayPay's library in its own process."""

    def __init__(self, sdk: Path, address: str, key: str, secret: str) -> None:
        environ = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(sdk), "NO_PROXY": "*"}
        command = [sys.executable, str(CLIENT), address, key, secret]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen(command, text=True, env=environ, **pipes)

    def __call__(self, resource: str, method: str, argument: Any) -> dict[str, Any]:
        """Call a method of the library."""
        stdin, stdout, stderr = self.process.stdin, self.process.stdout, self.process.stderr
        assert stdin and stdout and stderr
        stdin.write(json.dumps([resource, method, argument]) + "\n")
        stdin.flush()
        line = stdout.readline()
        assert line, stderr.read()
        return json.loads(line)  # type: ignore[no-any-return]

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


Open = Callable[..., Library]


@pytest.fixture
def open_library(acquirer: World, sdk: Path) -> Iterator[Open]:
    """Factory of library clients of the acquirer, which listens on its own port."""
    server = make_server("127.0.0.1", 0, acquirer.app, threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    made: list[Library] = []

    def make(key: str = "pp_test_demo", secret: str = "pp_test_secret") -> Library:
        made.append(Library(sdk, f"http://127.0.0.1:{server.server_port}/paypay", key, secret))
        return made[-1]

    yield make
    for library in made:
        library.close()
    server.shutdown()
    server.server_close()


@pytest.fixture
def paypay(open_library: Open) -> Library:
    return open_library()


WISH = {
    "merchantPaymentId": "P1",
    "amount": {"amount": 1200, "currency": "JPY"},
    "orderDescription": "お茶",
    "orderItems": [{"name": "Tea", "quantity": 1, "unitPrice": {"amount": 1200, "currency": "JPY"}}],
    "codeType": "ORDER_QR",
    "redirectUrl": "http://shop.test/back",
    "redirectType": "WEB_LINK",
}


def code_of(answer: dict[str, Any]) -> str:
    return str(answer["resultInfo"]["code"])


def test_a_code_is_made_paid_and_shown(acquirer: World, paypay: Library) -> None:
    made = paypay("Code", "create_qr_code", WISH)
    assert code_of(made) == "SUCCESS" and made["data"]["url"] and made["data"]["expiryDate"] > 0
    assert made["data"]["orderItems"] == WISH["orderItems"]
    before = paypay("Code", "get_payment_details", "P1")
    assert (code_of(before), before["data"]["status"]) == ("SUCCESS", "CREATED")
    acquirer.sim("POST", "/payments/P1/approve")
    after = paypay("Code", "get_payment_details", "P1")["data"]
    assert (after["status"], after["amount"], after["orderDescription"]) == ("COMPLETED", WISH["amount"], "お茶")
    assert paypay("Payment", "get_payment_details", "P1")["data"] == after


def test_a_code_is_deleted(acquirer: World, paypay: Library) -> None:
    code_id = paypay("Code", "create_qr_code", WISH)["data"]["codeId"]
    assert code_of(paypay("Code", "delete_qr_code", code_id)) == "SUCCESS"
    assert paypay("Code", "get_payment_details", "P1")["data"]["status"] == "CANCELED"


def test_a_payment_is_cancelled(acquirer: World, paypay: Library) -> None:
    paypay("Code", "create_qr_code", WISH)
    acquirer.sim("POST", "/payments/P1/approve")
    assert code_of(paypay("Payment", "cancel_payment", "P1")) == "REQUEST_ACCEPTED"
    acquirer.advance("PT3S")
    assert paypay("Code", "get_payment_details", "P1")["data"]["status"] == "CANCELED"


def test_a_payment_is_refunded(acquirer: World, paypay: Library) -> None:
    paypay("Code", "create_qr_code", WISH)
    acquirer.sim("POST", "/payments/P1/approve")
    payment_id = paypay("Code", "get_payment_details", "P1")["data"]["paymentId"]
    wish = {"merchantRefundId": "R1", "paymentId": payment_id, "amount": WISH["amount"], "reason": "returned"}
    made = paypay("Payment", "refund_payment", wish)
    assert (code_of(made), made["data"]["status"]) == ("SUCCESS", "CREATED")
    assert paypay("Payment", "refund_payment", wish)["data"]["merchantRefundId"] == "R1"
    acquirer.advance("PT31S")
    details = paypay("Payment", "refund_details", "R1")["data"]
    assert (details["status"], details["reason"]) == ("REFUNDED", "returned")
    assert paypay("Code", "get_payment_details", "P1")["data"]["status"] == "REFUNDED"


def test_an_authorised_payment_is_captured(acquirer: World, paypay: Library) -> None:
    paypay("Code", "create_qr_code", {**WISH, "isAuthorization": True})
    acquirer.sim("POST", "/payments/P1/approve")
    assert paypay("Code", "get_payment_details", "P1")["data"]["status"] == "AUTHORIZED"
    wish = {"merchantPaymentId": "P1", "merchantCaptureId": "C1", "orderDescription": "Tea", "amount": WISH["amount"]}
    taken = paypay("Payment", "capture_payment", wish)
    assert (code_of(taken), taken["data"]["status"]) == ("SUCCESS", "COMPLETED")


def test_an_authorised_payment_is_voided(acquirer: World, paypay: Library) -> None:
    paypay("Code", "create_qr_code", {**WISH, "isAuthorization": True})
    acquirer.sim("POST", "/payments/P1/approve")
    payment_id = paypay("Code", "get_payment_details", "P1")["data"]["paymentId"]
    let_go = paypay("Payment", "revert_payment", {"merchantRevertId": "V1", "paymentId": payment_id})
    assert (code_of(let_go), let_go["data"]["status"]) == ("SUCCESS", "CANCELED")


def test_mistakes_are_answered_in_the_librarys_words(acquirer: World, paypay: Library, open_library: Open) -> None:
    paypay("Code", "create_qr_code", WISH)
    assert code_of(paypay("Code", "create_qr_code", WISH)) == "DUPLICATE_DYNAMIC_QR_REQUEST"
    assert code_of(paypay("Code", "get_payment_details", "P2")) == "DYNAMIC_QR_PAYMENT_NOT_FOUND"
    assert code_of(paypay("Code", "delete_qr_code", "04-unknown")) == "DYNAMIC_QR_NOT_FOUND"
    assert code_of(paypay("Payment", "refund_details", "R0")) == "NO_SUCH_REFUND_ORDER"
    dollars = {**WISH, "amount": {"amount": 1, "currency": "USD"}}
    assert code_of(paypay("Code", "create_qr_code", dollars)) == "INVALID_REQUEST_PARAMS"
    assert code_of(open_library(secret="wrong")("Code", "get_payment_details", "P1")) == "UNAUTHORIZED"
    acquirer.faults(api=[{"op": "query", "do": "429"}])
    assert code_of(paypay("Code", "get_payment_details", "P1")) == "RATE_LIMIT"


def test_a_run_is_a_world_of_its_own(acquirer: World, paypay: Library, open_library: Open) -> None:
    paypay("Code", "create_qr_code", WISH)
    elsewhere = open_library(key="pp_test_demo.run42")
    assert code_of(elsewhere("Code", "get_payment_details", "P1")) == "DYNAMIC_QR_PAYMENT_NOT_FOUND"
    assert code_of(elsewhere("Code", "create_qr_code", WISH)) == "SUCCESS"
