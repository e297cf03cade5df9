"""Pytest plugin: an acquirer for other projects' tests, with two hundred isolated runs at once."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from werkzeug.serving import make_server

from mock_acquirer import create_app
from mock_acquirer.pytest_plugin import Acquirer
from tests.acquirer.conftest import QUIET, Receiver
from tests.parts.selection import sampled

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
OF_A_STRANGER = '''
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest


client = httpx.Client()


@pytest.fixture
def shop():
    """A shop's webhook endpoint that says yes."""

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hooks"
    server.shutdown()


def opened(acquirer, shop=None, reference="ORDER-1"):
    wish = {"reference": reference, "amount": 120000, "currency": "TWD", "return_url": "http://shop.test/back"}
    answer = client.post(
        f"{acquirer.url}/kpay/v1/payments",
        json=wish | ({"webhook_url": shop} if shop else {}),
        headers={"Authorization": f"Bearer {acquirer.key()}"},
    )
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]
'''
TESTS = """
from conftest import opened
import pytest


def test_a_webhook_is_expected_and_not_slept_for(acquirer, shop):
    payment = opened(acquirer, shop)
    acquirer.approve("ORDER-1")
    acquirer.expect(payment, "payment.captured", tries=1)


def test_a_lost_webhook_never_comes_and_expect_says_so(acquirer, shop):
    acquirer.scenario("lost_webhook")
    opened(acquirer, shop)
    acquirer.approve("ORDER-1")
    with pytest.raises(AssertionError, match="payment.captured was not accepted"):
        acquirer.expect("ORDER-1", within="PT0.2S")
    acquirer.advance("P3D")
    assert acquirer.payment("ORDER-1")["state"] == "captured"


def test_a_scenario_is_played_whole(acquirer, shop):
    assert acquirer.play("webhook_twice", opened(acquirer, shop))["met"]


def test_the_clock_ends_a_session(acquirer):
    opened(acquirer)
    acquirer.advance("PT1H")
    assert acquirer.payment("ORDER-1")["state"] == "expired"


def test_a_mistake_is_a_sentence(acquirer):
    with pytest.raises(AssertionError, match="There is no payment 'NOBODY'"):
        acquirer.approve("NOBODY")


@pytest.mark.parametrize("number", range(MANY))
def test_each_sees_its_own_payment_alone(acquirer, number):
    opened(acquirer)
    acquirer.faults({"pay": {"amount_delta": number + 1}})
    acquirer.advance(f"PT{number % 20}M")
    acquirer.approve("ORDER-1")
    taken = acquirer.totals()["payments"]
    assert [(one["reference"], one["captured"]) for one in taken] == [("ORDER-1", 120001 + number)]
"""


@pytest.fixture
def served(tmp_path: Path, _acquirer_template: Path, receiver: Receiver) -> Iterator[str]:
    """An acquirer on a port, with its loop."""
    shutil.copy(_acquirer_template, tmp_path / "acquirer.db")
    own = {"ACQUIRER_DATABASE_URL": f"sqlite:///{tmp_path / 'acquirer.db'}", "ACQUIRER_LOOP": "on"}
    limits = {"ACQUIRER_RATE_LIMIT": "", "ACQUIRER_WEBHOOK_TARGETS": "http://127.0.0.1:*"}
    app = create_app(QUIET | own | limits)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    app.extensions["acquirer.loop"].set()
    server.shutdown()
    server.server_close()


def stranger(folder: Path, many: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Tests of another project, in their own process."""
    (folder / "conftest.py").write_text(OF_A_STRANGER, encoding="utf-8")
    (folder / "test_shop.py").write_text(TESTS.replace("MANY", str(many)), encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "mock_acquirer.pytest_plugin", *arguments, str(folder)]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=280, check=False
    )


@pytest.mark.full
def test_another_project_gets_an_acquirer_without_starting_one(tmp_path: Path) -> None:
    done = stranger(tmp_path, 2)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 passed" in done.stdout


@pytest.mark.full
@pytest.mark.timeout(300)
def test_many_tests_in_two_processes_at_one_acquirer_do_not_see_each_other(served: str, tmp_path: Path) -> None:
    many = sampled(45, 195)
    done = stranger(tmp_path, many, "-p", "xdist", "-n", "2", "--acquirer-url", served)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{many + 5} passed" in done.stdout


def test_runs_at_the_same_instant_do_not_see_each_other(served: str, receiver: Receiver) -> None:
    merchant = httpx.Client(timeout=30)

    def one(number: int) -> tuple[int, str, int]:
        acquirer = Acquirer(served, f"run{number}")
        wish = {"reference": "SAME", "amount": 1000, "currency": "JPY", "return_url": "http://shop.test/"}
        bearer = {"Authorization": f"Bearer {acquirer.key()}"}
        more = {"webhook_url": receiver.url}
        merchant.post(f"{served}/kpay/v1/payments", json=wish | more, headers=bearer).raise_for_status()
        if number % 2:
            acquirer.faults({"pay": {"decline": "lost_card"}})
            acquirer.act("SAME", "approve")
            return number, acquirer.payment("SAME")["state"], len(acquirer.totals()["payments"])
        acquirer.approve("SAME")
        acquirer.expect("SAME", within="PT30S")
        return number, acquirer.payment("SAME")["state"], len(acquirer.totals()["payments"])

    with ThreadPoolExecutor(16) as pool:
        for number, state, paid in pool.map(one, range(sampled(16, 48))):
            assert (state, paid) == (("requires_payment", 0) if number % 2 else ("captured", 1)), number


def test_pip_install_gives_the_plugin_and_everything_it_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["entry-points"]["pytest11"] == {"acquirer": "mock_acquirer.pytest_plugin"}
    shared = project["tool"]["setuptools"]["data-files"]
    patterns = [pattern for listed in shared.values() for pattern in listed]
    for folder in ("templates/mock_acquirer", "static/mock_acquirer", "migrations/acquirer"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert any(path.relative_to(ROOT).match(pattern) for pattern in patterns), path
    for to, listed in shared.items():
        assert all(to == "share/settled/" + str(Path(pattern).parent) for pattern in listed)
