"""Pytest plugin for any project that takes payments: a mock acquirer for its tests, each test in its own run.

The fixtures are `acquirer` (an `Acquirer` in a new run), `acquirer_run` (that run's name) and `acquirer_url` (its
address). `--acquirer-url` names a running acquirer; otherwise one is started on a free port with its own database, and
ends with the tests.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import ssl
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

import httpx
import pytest

TOKEN = "sim_demo"  # noqa: S105 - the public token of the demo
KEYS = {"kpay": "kp_test_demo", "stripe": "sk_test_demo", "paypay": "pp_test_demo", "tpay": "3002607"}
"""The demo merchant's key by dialect; a run's name after a dot selects that run."""


@cache
def _trust() -> ssl.SSLContext:
    """The TLS context, cached: reading the certificate authorities takes longer than many tests."""
    return httpx.create_ssl_context()  # SSL_CERT_FILE and SSL_CERT_DIR apply, proxies do not


class Acquirer:
    """Client of the acquirer in one test's run: its payments, faults and clock. `payment` is either side's id of a
    payment.
    """

    def __init__(self, url: str, run: str, token: str = TOKEN) -> None:
        self.url, self.run = url.rstrip("/"), run
        headers = {"Authorization": f"Bearer {token}", "X-Sim-Run": run}
        where = f"{self.url}/_sim"
        self._http = httpx.Client(base_url=where, headers=headers, timeout=60, trust_env=False, verify=_trust())

    def close(self) -> None:
        self._http.close()

    def key(self, dialect: str = "kpay") -> str:
        """The API key (tpay: the MerchantID) that opens payments in this run."""
        return f"{KEYS[dialect]}.{self.run}"

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call a path under `/_sim` and return its JSON. Raises AssertionError with the message of a refusal."""
        answer = self._http.request(method, path, json=body)
        result = answer.json()
        if answer.is_error:
            sentences = result.get("unmet") or [result.get("error", {}).get("message", answer.text)]
            raise AssertionError(f"{method} /_sim{path}: {' '.join(sentences)}")
        return result

    def scenario(self, name: str, payment: str = "") -> dict[str, Any]:
        """Arm the scenario on this payment, or on the next payment of this run."""
        if payment:
            found = self.call("POST", f"/payments/{payment}/scenario", {"name": name, "play": False})
        else:
            found = self.call("POST", "/scenario", {"name": name})
        return dict(found)

    def play(self, name: str, payment: str) -> dict[str, Any]:
        """Arm the scenario on this payment, perform its steps, and fail unless its expectations are met."""
        return dict(self.call("POST", f"/payments/{payment}/scenario", {"name": name}))

    def expect(self, payment: str, delivered: str = "payment.captured", within: str = "PT10S", **more: int) -> Any:
        """Wait until the receiver accepted the event, or fail with what happened instead.

        `more` may be `tries` (total attempts) and `ack_under_ms`.
        """
        return self.call("POST", "/expect", {"payment": payment, "delivered": delivered, "within": within} | more)

    def payment(self, payment: str) -> dict[str, Any]:
        """State, captures, refunds, timeline, deliveries, faults used."""
        return dict(self.call("GET", f"/payments/{payment}"))

    def act(self, payment: str, what: str, **words: Any) -> dict[str, Any]:
        """Perform a customer action: decline, fail, cancel, choose_store, pay_at_counter, dispute."""
        return dict(self.call("POST", f"/payments/{payment}/{what}", words))

    def approve(self, payment: str, card: str = "") -> dict[str, Any]:
        """Pay with this test card."""
        return self.act(payment, "approve", **({"card": card} if card else {}))

    def faults(self, plan: dict[str, Any], payment: str = "") -> dict[str, Any]:
        """Arm a fault plan for the whole run, or for one payment; `{}` clears it."""
        return dict(self.call("PUT", f"/payments/{payment}/faults" if payment else "/faults", plan))

    def advance(self, by: str) -> dict[str, Any]:
        """Advance the run's clock by an ISO 8601 duration such as `PT15M`, performing everything that falls due."""
        return dict(self.call("POST", "/clock/advance", {"by": by}))

    def deliveries(self, payment: str) -> list[dict[str, Any]]:
        """The payment's webhooks with their attempts."""
        return list(self.call("GET", f"/deliveries?payment={payment}")["deliveries"])

    def resend(self, delivery: str, **hook: Any) -> dict[str, Any]:
        """Resend a webhook, with a fault if given, such as `sign="wrong_key"`."""
        return dict(self.call("POST", f"/deliveries/{delivery}/resend", {"hook": hook} if hook else {}))

    def rotate_keys(self, dialect: str = "kpay", overlap: str = "PT24H") -> dict[str, Any]:
        """Create a webhook secret for this run; the old one keeps signing too until the overlap ends."""
        return dict(self.call("POST", "/keys/rotate", {"dialect": dialect, "overlap": overlap}))

    def totals(self) -> dict[str, Any]:
        """Captured and refunded amounts of this run."""
        return dict(self.call("GET", "/totals"))

    def report_card(self, dialect: str, url: str, payment: str = "") -> dict[str, Any]:
        """Send valid and invalid webhooks to the address; the receiver's mistakes are under `findings`."""
        return dict(self.call("POST", "/report_card", {"dialect": dialect, "url": url} | _given(payment=payment)))


def _given(**words: str) -> dict[str, str]:
    return {name: value for name, value in words.items() if value}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("acquirer", "mock acquirer")
    group.addoption("--acquirer-url", default="", help="address of a running acquirer; by default one is started")
    group.addoption("--acquirer-token", default=TOKEN, help="token of its control API (default: the demo's)")
    parser.addini("acquirer_targets", "origins that webhooks may go to, by commas (default: this machine)", default="")


@pytest.fixture(scope="session")
def acquirer_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The acquirer's address; it is started when `--acquirer-url` names none."""
    given = str(request.config.getoption("--acquirer-url")).rstrip("/")
    if given:
        yield given
        return
    database = tmp_path_factory.mktemp("acquirer") / "acquirer.db"
    command = [sys.executable, "-m", "mock_acquirer", "--port", "0", "--database", f"sqlite:///{database}"]
    targets = request.config.getini("acquirer_targets")
    command += ["--until-eof", *(["--targets", targets] if targets else [])]
    environment = os.environ | {
        "SETTLED_ENV": "development",
        "ACQUIRER_CONTROL_TOKEN": request.config.getoption("--acquirer-token"),
        "ACQUIRER_RATE_LIMIT": "",
        "PYTHONPATH": os.pathsep.join(part for part in sys.path if part),
    }
    # The acquirer ends when this pipe closes, however the tests end.
    started = subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True
    )
    with started:
        url = started.stdout.readline().strip() if started.stdout else ""
        if not url:
            raise pytest.UsageError("The mock acquirer did not start; `python -m mock_acquirer --port 0` says why.")
        yield url
        started.terminate()


@pytest.fixture
def acquirer_run(request: pytest.FixtureRequest) -> str:
    """The name of this test's run; no other test uses it."""
    test = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:8]
    return f"t{test}_{secrets.token_hex(6)}"


@pytest.fixture
def acquirer(request: pytest.FixtureRequest, acquirer_url: str, acquirer_run: str) -> Iterator[Acquirer]:
    """The acquirer's client for this test's run."""
    found = Acquirer(acquirer_url, acquirer_run, str(request.config.getoption("--acquirer-token")))
    yield found
    found.close()
