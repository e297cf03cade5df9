"""Calls to addresses that other people choose: checked, pinned to the checked address, the name in TLS and Host."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from flask import Flask

from shop.core import http_client, outside
from shop.core.http_client import Bounds
from tests.parts import private_ca

PUBLIC = "93.184.215.14"
BOUNDS = Bounds(10.0, 1000)
Resolver = Callable[..., Any]


class Server:
    """Answers each connection and records its request and the name that TLS was opened for."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[str] = []
        self.names: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._tls = tls
        if tls is not None:
            tls.sni_callback = lambda _socket, name, _context: self.names.append(name)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                plain, _ = self._listener.accept()
                with self._tls.wrap_socket(plain, server_side=True) if self._tls else plain as connection:
                    request = b""
                    while not request.endswith(b"{}"):
                        request += connection.recv(65536)
                    self.requests.append(request.decode())
                    connection.sendall(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


@pytest.fixture
def secure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server with a certificate for localhost, whose authority is trusted."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(private_ca.RECEIVER)
    monkeypatch.setattr(http_client, "trusted", lambda: ssl.create_default_context(cafile=str(private_ca.AUTHORITY)))
    found = Server(tls)
    yield found
    found.close()


class Names:
    """Replaces the resolver: each name has a list of answers, and the last one is repeated."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: dict[str, list[list[str]]] = {}
        self.resolved: list[str] = []
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._resolve)

    def _resolve(self, host: str, port: int, *more: Any, **named: Any) -> list[Any]:
        if host not in self.answers:
            return self._real(host, port, *more, **named)
        self.resolved.append(host)
        answers = self.answers[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


def post(app: Flask, url: str) -> httpx.Response:
    with app.app_context(), outside.client(BOUNDS) as client:
        return client.post(url, content=b"{}")


def reason(app: Flask, url: str) -> Exception:
    """The error below that of a call that fails."""
    with pytest.raises(httpx.HTTPError) as raised:
        post(app, url)
    return outside.failure(raised.value)


def test_a_name_is_resolved_once_and_kept_in_host(app: Flask, server: Server, names: Names) -> None:
    names.answers["shop.example"] = [["127.0.0.1"], ["10.0.0.1"]]
    answer = post(app, f"http://shop.example:{server.port}/hooks")
    assert answer.status_code == 204 and names.resolved == ["shop.example"]
    assert f"host: shop.example:{server.port}\r\n" in server.requests[0].lower()


def test_tls_is_opened_for_the_name_and_not_for_the_address(app: Flask, secure: Server, names: Names) -> None:
    names.answers["localhost"] = [["127.0.0.1"]]
    assert post(app, f"https://localhost:{secure.port}/").status_code == 204
    assert secure.names == ["localhost"]
    names.answers["shop.example"] = [["127.0.0.1"]]
    assert isinstance(reason(app, f"https://shop.example:{secure.port}/"), ssl.SSLError), "not its certificate"


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "192.168.0.1", "100.64.0.1", "::ffff:127.0.0.1"])
def test_a_name_with_an_address_that_is_not_public_is_not_called(app: Flask, names: Names, address: str) -> None:
    names.answers["shop.example"] = [[PUBLIC, address]]
    assert isinstance(reason(app, "https://shop.example/"), outside.NotPublic)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.1", "2130706433"])
def test_production_calls_this_machine_by_no_spelling(app: Flask, server: Server, host: str) -> None:
    app.config["SETTLED_ENV"] = "production"
    error = reason(app, f"http://{host}:{server.port}/")
    assert isinstance(error, outside.NotPublic | outside.UnknownName) and server.requests == []


def test_a_name_without_an_address_is_an_error_of_its_own(app: Flask) -> None:
    assert isinstance(reason(app, "https://no-such-name.invalid/"), outside.UnknownName)


def test_the_next_address_is_tried_when_the_first_refuses(app: Flask, server: Server, names: Names) -> None:
    names.answers["shop.example"] = [["127.0.0.2", "127.0.0.1"]]
    assert post(app, f"http://shop.example:{server.port}/").status_code == 204


def test_a_resolver_that_hangs_is_left_behind(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(20) or [])
    with app.app_context(), outside.client(Bounds(0.3, 1000)) as client, pytest.raises(httpx.ConnectTimeout):
        client.post("https://shop.example/")
    released.set()


def test_a_passive_copy_calls_nothing(app: Flask, server: Server) -> None:
    app.config["SETTLED_PASSIVE"] = True
    with pytest.raises(httpx.ConnectError):
        post(app, f"http://127.0.0.1:{server.port}/")
    assert server.requests == []
