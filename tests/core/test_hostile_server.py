"""Cost of a hostile or broken server to its caller: bounded seconds, bounded memory, no second request."""

from __future__ import annotations

import gzip
import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest

from shop.core import http_client
from shop.core.http_client import Bounds, Lanes, TooLarge
from tests.parts import private_ca

SECONDS, SIZE = 1.0, 2**20
MEGABYTES = 12 * 2**20
"""More than this no call may hold at once, whatever is sent."""
_NEVER = threading.Event()
"""The pace of slow servers, which no test changes."""
Serve = Callable[[socket.socket], None]


class Server:
    """Sends raw bytes to each connection after its request was read; counts the requests."""

    def __init__(self, serve: Serve) -> None:
        self._respond, self.requests = serve, 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._answer, args=(self._listener.accept()[0],), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while received := connection.recv(65536):
                if b"\r\n\r\n" not in received:  # a body that came after its head
                    continue
                self.requests += 1
                self._respond(connection)

    def close(self) -> None:
        self._listener.close()


@contextmanager
def serving(serve: Serve) -> Iterator[Server]:
    server = Server(serve)
    yield server
    server.close()


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """As the process's own client, with less patience."""
    with http_client.guarded(Lanes(Bounds(SECONDS, SIZE)), read=0.5, connect=0.5) as made:
        yield made


@pytest.fixture
def patient() -> Iterator[httpx.Client]:
    """For what has to arrive, however busy the machine is."""
    with http_client.guarded(Lanes(Bounds(60, SIZE)), read=30, connect=30) as made:
        yield made


def answer(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def bomb(times: int) -> bytes:
    """`times` megabytes of nothing, packed to about a thousandth; only the first two are really compressed."""
    packer, nothing = zlib.compressobj(9, zlib.DEFLATED, 31), bytes(2**20)
    first, again = (packer.compress(nothing) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    checksum = 0
    for _ in range(times):
        checksum = zlib.crc32(nothing, checksum)
    return first + again * (times - 1) + b"\x03\0" + struct.pack("<II", checksum, times << 20)


def sends(sent: bytes) -> Serve:
    return lambda connection: connection.sendall(sent)


def without_end(first: bytes, again: bytes, pause: float = 0) -> Serve:
    def serve(connection: socket.socket) -> None:
        connection.sendall(first)
        while True:
            connection.sendall(again)
            if pause:
                _NEVER.wait(pause)

    return serve


BOMB = bomb(200)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
A_MEGABYTE = b"100000\r\n" + bytes(2**20) + b"\r\n"
HOSTILE: dict[str, tuple[Serve, type[httpx.HTTPError]]] = {
    "gzip bomb": (sends(answer(BOMB, "Content-Encoding: gzip")), TooLarge),
    "gzip bomb without length": (
        sends(
            CHUNKED[:-2] + b"Content-Encoding: gzip\r\n\r\n" + f"{len(BOMB):x}\r\n".encode() + BOMB + b"\r\n0\r\n\r\n"
        ),
        TooLarge,
    ),
    "a bomb in a bomb": (sends(answer(gzip.compress(BOMB), "Content-Encoding: gzip, gzip")), httpx.DecodingError),
    "a packing nobody asked for": (sends(answer(b"x", "Content-Encoding: br")), httpx.DecodingError),
    "a packed body that breaks off": (
        sends(answer(gzip.compress(b"x" * 999)[:-9], "Content-Encoding: gzip")),
        httpx.DecodingError,
    ),
    "a packed body that is none": (sends(answer(b"not packed", "Content-Encoding: gzip")), httpx.DecodingError),
    "a stated gigabyte": (sends(answer(b"", length=2**30)), TooLarge),
    "a gigabyte in chunks": (without_end(CHUNKED, A_MEGABYTE), TooLarge),
    "a gigabyte until the end": (without_end(b"HTTP/1.1 200 OK\r\n\r\n", bytes(2**20)), TooLarge),
    "a length of a thousand digits": (
        sends(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 1000 + b"\r\n\r\n"),
        httpx.HTTPError,
    ),
    "headers without end": (
        without_end(b"HTTP/1.1 200 OK\r\n", b"X-Header: " + b"x" * 1000 + b"\r\n"),
        httpx.HTTPError,
    ),
    "go on for ever": (without_end(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100), httpx.HTTPError),
    "a body byte by byte": (
        without_end(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b"x", pause=0.1),
        httpx.ReadTimeout,
    ),
    "headers byte by byte": (without_end(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x", pause=0.1), httpx.ReadTimeout),
    "chunks byte by byte": (without_end(CHUNKED, b"1\r\nx\r\n", pause=0.1), httpx.ReadTimeout),
    "silence": (lambda connection: _NEVER.wait(5), httpx.ReadTimeout),
    "no HTTP": (sends(b"\x00\xff" * 500 + b"\r\n\r\n"), httpx.RemoteProtocolError),
    "nothing": (lambda connection: connection.shutdown(socket.SHUT_RDWR), httpx.HTTPError),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_no_answer_costs_more_than_its_bounds(client: httpx.Client, how: str) -> None:
    serve, error = HOSTILE[how]
    with serving(serve) as server:
        tracemalloc.start()
        began = time.monotonic()
        try:
            with pytest.raises(error):
                client.get(server.url)
            took, peak = time.monotonic() - began, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert took < SECONDS + 2, f"{took:.1f} s"
    assert peak < MEGABYTES, f"{peak / 2**20:.1f} MB"


def test_an_answer_within_its_bounds_is_read_packed_or_not_and_its_connection_is_kept(patient: httpx.Client) -> None:
    body = b'{"a": "' + b"b" * 1000 + b'"}'
    turns = iter([answer(body), answer(gzip.compress(body), "Content-Encoding: gzip"), answer(b"")])
    with serving(lambda connection: connection.sendall(next(turns))) as server:
        answers = [patient.get(server.url) for _ in range(3)]
    assert [a.content for a in answers] == [body, body, b""]
    ports = {a.extensions["network_stream"].get_extra_info("client_addr") for a in answers}
    assert len(ports) == 1, "one connection for all three"


def test_after_a_hostile_answer_the_next_call_has_a_connection_of_its_own(patient: httpx.Client) -> None:
    turns = iter([answer(BOMB, "Content-Encoding: gzip"), answer(b"well")])
    with serving(lambda connection: connection.sendall(next(turns))) as server:
        with pytest.raises(TooLarge):
            patient.get(server.url)
        assert patient.get(server.url).content == b"well"


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_redirects_are_never_followed(patient: httpx.Client, status: str) -> None:
    with serving(sends(answer(b"", "Location: /elsewhere", status=status))) as server:
        found = patient.post(server.url, content=b"money")
        assert (found.status_code, server.requests) == (int(status[:3]), 1)


def test_several_calls_of_one_operation_share_its_time(client: httpx.Client) -> None:
    """Each drip ends within what one call may take; ten of them together may not take ten times that."""
    with serving(without_end(CHUNKED, b"1\r\nx\r\n", pause=0.1)) as server:
        began = time.monotonic()
        with http_client.within(1.5):
            for _ in range(10):
                with pytest.raises(httpx.TimeoutException):
                    client.get(server.url)
        assert time.monotonic() - began < 4


def test_a_call_without_time_left_is_not_sent(client: httpx.Client) -> None:
    with serving(sends(answer(b"{}"))) as server, http_client.within(0), pytest.raises(httpx.ConnectTimeout):
        client.get(server.url)
    assert server.requests == 0


def test_an_environment_with_a_proxy_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with serving(sends(answer(b"well"))) as server, http_client.guarded(Lanes(Bounds(60)), read=30, connect=30) as made:
        assert made.get(server.url).content == b"well"


# --- TLS -------------------------------------------------------------------------------------------------------------


def _drip_tls(connection: socket.socket) -> None:
    """A good handshake, and then a record of an answer byte by byte."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(private_ca.RECEIVER)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)

    def until_done(do: Callable[[], object]) -> None:
        while True:
            try:
                do()
                break
            except ssl.SSLWantReadError:
                connection.sendall(outgoing.read())
                incoming.write(connection.recv(65536))
        connection.sendall(outgoing.read())

    until_done(tls.do_handshake)
    until_done(lambda: tls.read(65536))
    tls.write(answer(b"x" * 5000))
    for byte in outgoing.read():
        connection.sendall(bytes([byte]))
        _NEVER.wait(0.1)


_CALL = """
import sys, time
if {gevent}:
    from gevent import monkey; monkey.patch_all()
import httpx
from shop.core.http_client import Bounds, Lanes, guarded
with guarded(Lanes(Bounds(1.0)), read=0.5, connect=0.5) as client:
    began = time.monotonic()
    try:
        client.get(sys.argv[1])
    except httpx.HTTPError as error:
        print(type(error).__name__, time.monotonic() - began < 4)
"""


@pytest.mark.full
@pytest.mark.parametrize("gevent", [True, False], ids=["gevent", "threads"])
def test_a_tls_record_that_comes_byte_by_byte_ends_in_time_too(gevent: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError, ssl.SSLError):
                connection = listener.accept()[0]
                with connection:
                    _drip_tls(connection)

        threading.Thread(target=serve, daemon=True).start()
        called = subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", _CALL.format(gevent=gevent), f"https://localhost:{listener.getsockname()[1]}/"],
            env={**os.environ, "SSL_CERT_FILE": str(private_ca.AUTHORITY)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert called.stdout.split() == ["ReadTimeout", "True"], called.stderr
