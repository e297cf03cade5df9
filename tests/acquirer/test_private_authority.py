"""Webhooks to a receiver whose certificate was signed by a private authority."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mock_acquirer.settings import BadSetting
from tests.acquirer.conftest import World
from tests.parts import private_ca

Maker = Callable[..., World]


@pytest.fixture
def secure_receiver() -> Iterator[str]:
    """Address of a TLS receiver with a certificate of the private authority."""

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(private_ca.RECEIVER)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"https://localhost:{server.server_port}/hooks"
    server.shutdown()
    server.server_close()


def _delivered(world: World) -> list[tuple[str, str]]:
    """(outcome, recorded answer) of every attempt for a payment that was just paid."""
    payment = world.open()
    world.approve(payment)
    world.settle()
    return [(one["outcome"], one["answer"]) for each in world.record(payment)["deliveries"] for one in each["attempts"]]


def test_webhooks_reach_a_receiver_of_a_private_authority_when_ssl_cert_file_names_it(
    make_world: Maker, secure_receiver: str
) -> None:
    world = make_world(ACQUIRER_KPAY_WEBHOOK_URL=secure_receiver, SSL_CERT_FILE=str(private_ca.AUTHORITY))
    assert _delivered(world) == [("delivered", "")]


def test_a_folder_of_authorities_will_do(make_world: Maker, secure_receiver: str, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("the name of a file in such a folder is a hash that openssl makes")
    command = ["openssl", "x509", "-hash", "-noout", "-in", str(private_ca.AUTHORITY)]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603
    shutil.copy(private_ca.AUTHORITY, tmp_path / f"{name}.0")
    world = make_world(ACQUIRER_KPAY_WEBHOOK_URL=secure_receiver, SSL_CERT_DIR=str(tmp_path))
    assert _delivered(world) == [("delivered", "")]


def test_the_delivery_log_says_that_a_certificate_is_not_trusted_and_what_to_do(
    make_world: Maker, secure_receiver: str
) -> None:
    world = make_world(ACQUIRER_KPAY_WEBHOOK_URL=secure_receiver)
    ((outcome, said),) = _delivered(world)
    assert outcome == "no_answer"
    assert said.startswith("ConnectError: the certificate is not trusted (")
    assert said.endswith("); add its authority to SSL_CERT_FILE or SSL_CERT_DIR")


def test_the_delivery_log_says_that_a_receiver_does_not_speak_tls(make_world: Maker, receiver: object) -> None:
    address = str(getattr(receiver, "url", "")).replace("http://", "https://")
    ((outcome, said),) = _delivered(make_world(ACQUIRER_KPAY_WEBHOOK_URL=address))
    assert outcome == "no_answer"
    assert said.startswith("ConnectError: TLS failed (")


def test_the_report_card_says_the_same(make_world: Maker, secure_receiver: str) -> None:
    world = make_world(ACQUIRER_KPAY_WEBHOOK_URL=secure_receiver)
    card = world.sim("POST", "/report_card", {"dialect": "kpay", "url": secure_receiver})
    assert "the certificate is not trusted" in card["findings"][0]


def test_the_pytest_plugin_trusts_the_same_authorities(secure_receiver: str) -> None:
    code = "import httpx, sys\nfrom mock_acquirer.pytest_plugin import _trust\n"
    code += "print(httpx.post(sys.argv[1], content=b'{}', verify=_trust(), trust_env=False).status_code)"
    environment = {"SSL_CERT_FILE": str(private_ca.AUTHORITY), "PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-c", code, secure_receiver]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)  # noqa: S603
    assert done.stdout.strip() == "204"


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_authorities_that_cannot_be_read_end_the_start_with_a_sentence(
    make_world: Maker, tmp_path: Path, name: str
) -> None:
    with pytest.raises(BadSetting, match=f"{name} cannot be .*authorities cannot be read"):
        make_world(**{name: str(tmp_path / "nowhere")})


def test_a_file_without_a_certificate_ends_the_start_with_a_sentence(make_world: Maker, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    with pytest.raises(BadSetting, match="SSL_CERT_FILE cannot be"):
        make_world(SSL_CERT_FILE=str(empty))
