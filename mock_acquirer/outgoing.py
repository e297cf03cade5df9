"""HTTP client for calls to merchants: no redirects, and bounded seconds and bytes for each response.

A read timeout bounds the wait for the next bytes, not the sum of the waits. Here every network wait is cut to
the time left until the deadline of the whole call. Bodies are never decompressed: a kilobyte of gzip may hold a
megabyte.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from mock_acquirer import dialect_interface
from mock_acquirer.targets import Way

SECONDS = 10.0
"""From connecting to the last byte of a response."""
LARGEST = 16 * 1024
"""Bytes of a response that are read."""
_LIMITS = httpx.Limits(max_connections=64, max_keepalive_connections=20, keepalive_expiry=2)
_until: ContextVar[float | None] = ContextVar("until", default=None)


@dataclass(frozen=True)
class Answered:
    """Status and headers of a response, the beginning of its body as text, and its duration. `cut_off`: the deadline
    passed
    before the body ended.
    """

    status: int
    headers: httpx.Headers
    text: str
    milliseconds: int
    cut_off: bool


def new_client(tls: ssl.SSLContext) -> httpx.Client:
    """An HTTP client with short keep-alive, so that no connection is reused just as a receiver closes it."""
    timeout = httpx.Timeout(dialect_interface.ACK_WITHIN, connect=1)
    headers = {"accept-encoding": "identity"}
    return httpx.Client(
        transport=_Transport(tls), timeout=timeout, follow_redirects=False, trust_env=False, headers=headers
    )


def post(client: httpx.Client, way: Way, headers: dict[str, str], body: bytes) -> Answered:
    """Send `body` and read at most LARGEST bytes of the response, for at most SECONDS; of a slow body, the part
    received until then is returned. Raises httpx.HTTPError.
    """
    began = time.monotonic()
    token = _until.set(began + SECONDS)
    try:
        sent = headers | way.headers
        with client.stream("POST", way.url, content=body, headers=sent, extensions=way.extensions) as response:
            text, cut_off = _text(response)
        return Answered(response.status_code, response.headers, text, since(began), cut_off)
    finally:
        _until.reset(token)


def since(began: float) -> int:
    """Milliseconds since a moment of the monotonic clock."""
    return round((time.monotonic() - began) * 1000)


def _text(response: httpx.Response) -> tuple[str, bool]:
    """(the beginning of the body, whether the deadline passed before its end)."""
    packed = response.headers.get("content-encoding", "identity").strip().lower()
    if packed not in ("", "identity"):
        return f"(packed with {packed[:40]}, which was not asked for)", False
    kept, cut_off = b"", False
    try:
        for chunk in response.iter_raw():
            kept += chunk
            if len(kept) >= LARGEST:
                break
    except httpx.TimeoutException:
        cut_off = True
    return kept[:LARGEST].decode("utf-8", "replace").replace("\x00", "\ufffd"), cut_off


class _Transport(httpx.HTTPTransport):
    """httpx's transport over streams that respect the deadline of the call."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        super().__init__(verify=tls, trust_env=False, limits=_LIMITS)
        self._pool = httpcore.ConnectionPool(  # httpx has no argument for the network backend
            ssl_context=tls,
            max_connections=_LIMITS.max_connections,
            max_keepalive_connections=_LIMITS.max_keepalive_connections,
            keepalive_expiry=_LIMITS.keepalive_expiry,
            network_backend=_Network(),
        )


def _cut(timeout: float | None, late: type[Exception]) -> float | None:
    """`timeout`, cut to the time left. Raises `late` when none is left."""
    until = _until.get()
    if until is None:
        return timeout
    left = until - time.monotonic()
    if left <= 0:
        raise late("the whole call took too long")
    return left if timeout is None else min(timeout, left)


class _Network(httpcore.NetworkBackend):
    """Opens streams that respect the deadline of their call."""

    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Raises ConnectTimeout, also when no time is left."""
        seconds = _cut(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.connect_tcp(host, port, seconds, local_address, socket_options))


class _Stream(httpcore.NetworkStream):
    """A stream with cut timeouts."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Raises ReadTimeout."""
        return self._inner.read(max_bytes, _cut(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Raises WriteTimeout."""
        self._inner.write(buffer, _cut(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Raises ConnectTimeout."""
        seconds = _cut(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, seconds))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
