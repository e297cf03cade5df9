"""Network streams with one deadline and one byte limit per exchange, below httpx and httpcore.

A read timeout bounds the wait for the next bytes, not the sum of the waits: a server that sends one byte every few
seconds blocks its caller without end. Here each wait is limited to the time left until the deadline.
"""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Iterable
from typing import Any

import gevent
import gevent.monkey
import httpcore
import httpx

_ONE = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=4.0)


class Allowance:
    """The remainder of an exchange: `until`, on the monotonic clock, and `left` in bytes to receive."""

    def __init__(self) -> None:
        self.until, self.left = float("inf"), 2**62

    def seconds_left(self) -> float:
        """Raises httpx.ReadTimeout when none are left."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise httpx.ReadTimeout("the whole call took too long")
        return left

    def cut(self, timeout: float | None, late: type[Exception]) -> float:
        """`timeout`, limited to the time left. Raises `late` when none is left."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise late("the whole call took too long")
        return left if timeout is None else min(timeout, left)


class TimedTransport(httpx.HTTPTransport):
    """httpx's transport, with one connection, over streams with an allowance, which `opener` opens."""

    def __init__(
        self, tls: ssl.SSLContext, allowance: Allowance, opener: httpcore.NetworkBackend | None = None
    ) -> None:
        super().__init__(verify=tls, trust_env=False, limits=_ONE)
        self._pool = httpcore.ConnectionPool(  # httpx has no argument for its network backend
            ssl_context=tls,
            max_connections=1,
            max_keepalive_connections=1,
            keepalive_expiry=_ONE.keepalive_expiry,
            network_backend=_Network(allowance, opener or httpcore.SyncBackend()),
        )


class _Network(httpcore.NetworkBackend):
    """Opens streams with an allowance."""

    def __init__(self, allowance: Allowance, inner: httpcore.NetworkBackend) -> None:
        self._allowance, self._inner = allowance, inner

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Raises ConnectTimeout, also when no time is left."""
        seconds = self._allowance.cut(timeout, httpcore.ConnectTimeout)
        with _stop_after(seconds, httpcore.ConnectTimeout):
            stream = self._inner.connect_tcp(host, port, seconds, local_address, socket_options)
        return _TimedStream(stream, self._allowance)


class _TimedStream(httpcore.NetworkStream):
    """A stream whose waits and bytes are limited by an allowance."""

    def __init__(self, inner: httpcore.NetworkStream, allowance: Allowance) -> None:
        self._inner, self._allowance = inner, allowance

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Raises ReadTimeout, and ReadError when more bytes have arrived than allowed."""
        seconds = self._allowance.cut(timeout, httpcore.ReadTimeout)
        with _stop_after(seconds, httpcore.ReadTimeout):
            found = self._inner.read(max_bytes, seconds)
        self._allowance.left -= len(found)
        if self._allowance.left < 0:
            raise httpcore.ReadError("an answer of too many bytes")
        return found

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Raises WriteTimeout."""
        seconds = self._allowance.cut(timeout, httpcore.WriteTimeout)
        with _stop_after(seconds, httpcore.WriteTimeout):
            self._inner.write(buffer, seconds)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Raises ConnectTimeout."""
        seconds = self._allowance.cut(timeout, httpcore.ConnectTimeout)
        with _stop_after(seconds, httpcore.ConnectTimeout):
            stream = self._inner.start_tls(ssl_context, server_hostname, seconds)
        return _TimedStream(stream, self._allowance)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _stop_after(seconds: float, late: type[Exception]) -> contextlib.AbstractContextManager[Any]:
    """Raise `late` after `seconds` where gevent waits in place of the socket.

    The standard library counts the timeout of a TLS read or handshake once for the whole of it; gevent restarts it for
    each packet, and a record that arrives byte by byte has thousands.
    """
    if gevent.monkey.is_module_patched("socket"):
        timeout: contextlib.AbstractContextManager[Any] = gevent.Timeout(seconds, late("the whole call took too long"))
        return timeout
    return contextlib.nullcontext()
