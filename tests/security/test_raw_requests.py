"""Raw requests to the real servers: broken bodies, foreign hosts, forged headers."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator

import pytest
from flask import Flask

import mock_acquirer
from tests.chaos.conftest import Deployment, deployment  # noqa: F401 - a fixture
from tests.parts.processes import Process, Processes, free_port
from tests.parts.selection import is_full
from tests.real_acquirer_fixtures import QUIET

BROKEN = {
    "no size": b"zz\r\nhello\r\n0\r\n\r\n",
    "a negative size": b"-5\r\nhello\r\n0\r\n\r\n",
    "a wrong end of a chunk": b"5\r\nhelloXX0\r\n\r\n",
    "too large a size": b"ffffffffffffffffff\r\nhello",
    "an end in the middle": b"5\r\nhel",
    "no end": b"5\r\nhello\r\n",
    "a bad extension": b"5;\x00\r\nhello\r\n0\r\n\r\n",
    "bad trailers": b"5\r\nhello\r\n0\r\nno colon\r\n\r\n",
}
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
REFUSED = range(400, 500)


def send(port: int, head: str, body: bytes = b"") -> tuple[int, str]:
    """Status and text of the response to these bytes; 0 without a response."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as server:
        server.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        server.shutdown(socket.SHUT_WR)
        message = b"".join(iter(lambda: server.recv(65536), b"")).decode(errors="replace")
    found = re.match(r"HTTP/1\.1 (\d+)", message)
    return int(found[1]) if found else 0, message


def paths_that_take_a_post(app: Flask) -> list[str]:
    """Every route, with its placeholders filled in."""
    rules = [rule for rule in app.url_map.iter_rules() if rule.methods and rule.methods & {"POST", "PUT", "PATCH"}]
    return sorted({re.sub(r"<(?:int:)?[^>]+>", "1", str(rule)) for rule in rules} | {"/webhooks/kpay"})


@pytest.fixture
def acquirer(process: Processes) -> Iterator[Callable[..., tuple[Process, int]]]:
    """Start the acquirer's own gunicorn with these settings."""

    def start(**more: str) -> tuple[Process, int]:
        port = free_port()
        settings = {
            **QUIET,
            "SETTLED_ENV": "development",
            "ACQUIRER_PORT": str(port),
            "BIND_ADDRESS": "127.0.0.1",
            "ACQUIRER_PUBLIC_URL": f"http://localhost:{port}",
            "ACQUIRER_DATABASE_URL": f"sqlite:///{process.folder}/acquirer.db",
            "FORWARDED_ALLOW_IPS": "*",
            **more,
        }
        assert process(["flask", "--app", "mock_acquirer", "db", "upgrade"], settings).wait(60) == 0
        served = process(["gunicorn", "-c", "deploy/gunicorn_acquirer.py", "mock_acquirer:create_app()"], settings)
        served.wait_for_url(f"http://127.0.0.1:{port}/healthz", within=30)
        return served, port

    yield start


@on_sqlite
def test_a_broken_chunked_body_is_400_on_every_route_of_the_shop(deployment: Deployment) -> None:  # noqa: F811
    web = deployment.web()
    port = int(deployment.settings["PORT"])
    paths = paths_that_take_a_post(deployment.app)
    for path in paths if is_full() else [*paths[::8], "/checkout", "/webhooks/kpay"]:
        for what, body in BROKEN.items():
            head = f"POST {path} HTTP/1.1\nHost: localhost\nConnection: close\nTransfer-Encoding: chunked"
            for kind in ("", "\nContent-Type: application/x-www-form-urlencoded"):
                status, message = send(port, head + kind, body)
                assert status in REFUSED, (path, what, kind, message[:300])
                assert "Traceback" not in message
        if path in ("/checkout", "/cart/lines", "/sign-in", "/webhooks/kpay"):
            assert status == 400
    assert "Traceback" not in web.text
    assert send(port, "GET /healthz HTTP/1.1\nHost: localhost\nConnection: close")[0] == 200


@pytest.mark.full
@on_sqlite
def test_a_form_that_breaks_off_before_its_length_is_400_and_nothing_is_done(
    deployment: Deployment,  # noqa: F811
    acquirer: Callable[..., tuple[Process, int]],
) -> None:
    """A browser that is stopped while sending ends the stream: twelve kettles became one."""
    deployment.web()
    _, acquirer_port = acquirer()
    form = b"sku=KETTLE&quantity=12"
    head = "\nHost: localhost\nSec-Fetch-Site: same-origin\nContent-Type: application/x-www-form-urlencoded"
    head += f"\nContent-Length: {len(form)}"
    for port, path in ((int(deployment.settings["PORT"]), "/cart/lines"), (acquirer_port, "/keys")):
        status, message = send(port, f"POST {path} HTTP/1.1" + head, form[:-1])
        assert (status, "Set-Cookie" in message) == (400, False), message


def _answers_to_unread(port: int) -> None:
    """The app does not read the body of a request for an unknown page; the server does, to find the next request."""
    ends = {**BROKEN, "a length that is not reached": b""}
    for what, body in ends.items():
        framing = "Transfer-Encoding: chunked" if body else "Content-Length: 100"
        status, message = send(port, f"POST /nowhere HTTP/1.1\nHost: localhost\n{framing}", body)
        assert (status, message.count("HTTP/1.1 "), "Internal Server Error" in message) == (404, 1, False), (
            what,
            message,
        )


@pytest.mark.full
@on_sqlite
def test_an_unread_broken_body_ends_the_connection_without_a_second_response(
    deployment: Deployment,  # noqa: F811
    acquirer: Callable[..., tuple[Process, int]],
) -> None:
    web = deployment.web()
    served, port = acquirer()
    for process, number in ((web, int(deployment.settings["PORT"])), (served, port)):
        _answers_to_unread(number)
        assert "Traceback" not in process.text


@pytest.mark.full
def test_a_broken_chunked_body_is_400_on_every_route_of_the_acquirer(
    acquirer: Callable[..., tuple[Process, int]],
) -> None:
    served, port = acquirer()
    app = mock_acquirer.create_app({**QUIET, "SETTLED_ENV": "development", "ACQUIRER_DATABASE_URL": "sqlite://"})
    signed = "\nAuthorization: Bearer sim_demo\nContent-Type: application/json"
    for path in paths_that_take_a_post(app):
        for what, body in BROKEN.items():
            head = f"POST {path} HTTP/1.1\nHost: localhost\nConnection: close\nTransfer-Encoding: chunked"
            for kind in (signed, "\nContent-Type: application/x-www-form-urlencoded"):
                status, message = send(port, head + kind, body)
                assert status in REFUSED, (path, what, kind, message[:300])
                assert "Traceback" not in message
    assert "Traceback" not in served.text
    assert send(port, "GET /healthz HTTP/1.1\nHost: localhost\nConnection: close")[0] == 200


@pytest.mark.full
def test_a_foreign_host_name_reaches_nothing_of_the_acquirer(acquirer: Callable[..., tuple[Process, int]]) -> None:
    """DNS rebinding: a foreign page's name resolves to this machine; its browser sends matching Origin and Host."""
    _, port = acquirer()
    for path in ("/keys", "/payments", "/", "/static/acquirer.css", "/_sim/faults", "/kpay/v1/payments"):
        for method in ("GET", "POST"):
            head = f"{method} {path} HTTP/1.1\nHost: evil.example:{port}\nConnection: close\nContent-Length: 0"
            rebound = f"{head}\nOrigin: http://evil.example:{port}\nSec-Fetch-Site: same-origin"
            assert send(port, rebound)[0] == 400, (method, path)
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", "LOCALHOST"):
        assert send(port, f"GET /payments HTTP/1.1\nHost: {host}\nConnection: close")[0] == 200
    assert send(port, f"GET /healthz HTTP/1.1\nHost: 10.1.2.3:{port}\nConnection: close")[0] == 200, "a probe"


@pytest.mark.full
def test_named_hosts_of_the_acquirer_are_the_only_ones(acquirer: Callable[..., tuple[Process, int]]) -> None:
    _, port = acquirer(ACQUIRER_TRUSTED_HOSTS="pay.example.com")
    assert send(port, "GET /payments HTTP/1.1\nHost: pay.example.com\nConnection: close")[0] == 200
    assert send(port, "GET /payments HTTP/1.1\nHost: localhost\nConnection: close")[0] == 400


FORGED = "\nSCRIPT_NAME: /evil\nScript-Name: /evil\nX-Forwarded-Proto: https\nX-Forwarded-Host: evil.example"
FORGED += "\nX-Forwarded-Prefix: /evil\nX-Forwarded-Ssl: on\nX-Forwarded-Protocol: ssl\nForwarded: host=evil.example"


@pytest.mark.full
@on_sqlite
def test_without_a_proxy_forwarded_headers_do_not_set_prefix_scheme_host_or_address(
    deployment: Deployment,  # noqa: F811
    acquirer: Callable[..., tuple[Process, int]],
) -> None:
    deployment.settings |= {"PROXY_HOPS": "0", "FORWARDED_ALLOW_IPS": "*"}
    deployment.web()
    _, acquirer_port = acquirer()
    for port in (int(deployment.settings["PORT"]), acquirer_port):
        plain = send(port, "GET /evil/payments HTTP/1.1\nHost: localhost\nConnection: close")
        forged = send(port, "GET /evil/payments HTTP/1.1\nHost: localhost\nConnection: close" + FORGED)
        assert (plain[0], forged[0]) == (404, 404)
        status, message = send(port, "GET / HTTP/1.1\nHost: localhost\nConnection: close" + FORGED)
        assert status < 400
        assert "evil" not in message
