"""HTTP client of this process: bounded responses, no redirects, kept connections. Must not be called inside a
transaction.

All calls to providers use it. A response is bounded before it is parsed: seconds from connecting to the last byte, and
bytes, both compressed and decompressed.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import time
import zlib
from collections import deque
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import cast

import httpx
from flask import current_app

from shop.core.db import db, in_transaction
from shop.core.timed_streams import Allowance, TimedTransport

LARGEST = 2 * 2**20
"""Bytes of a response, compressed and decompressed."""
LARGEST_FILE = 64 * 2**20
"""Bytes of a settlement file."""
FILE_SECONDS = 60.0
"""Seconds for a settlement file over all its calls."""
_HEADERS = 256 * 1024  # bytes around the body: headers, chunk sizes, TLS handshakes
_KEPT = 32
"""Idle connections that are kept."""
_until: ContextVar[float | None] = ContextVar("until", default=None)


class TooLarge(httpx.ReadError):
    """The response exceeds its limit of bytes."""


@dataclass(frozen=True)
class Bounds:
    """Limits of one response: `seconds` in total, and `size` in bytes, compressed and decompressed. With `is_cut` a
    larger body is not an error: its first `size` bytes are read, and the connection is closed.
    """

    seconds: float
    size: int = LARGEST
    is_cut: bool = False


FILE = {"bounds": Bounds(FILE_SECONDS, LARGEST_FILE)}
"""The `extensions` of a request for a settlement file."""


class Guard(httpx.BaseTransport):
    """Transport that reads responses of another transport within bounds; a request overrides them in
    `extensions["bounds"]`.
    """

    def __init__(self, inner: httpx.BaseTransport, bounds: Bounds, allowance: Allowance | None = None) -> None:
        self._inner, self._bounds, self._allowance = inner, bounds, allowance or Allowance()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request and read the response. Raises ReadTimeout past the deadline, TooLarge, DecodingError, and
        httpx's own errors.
        """
        bounds: Bounds = request.extensions.get("bounds") or self._bounds
        until = time.monotonic() + bounds.seconds
        self._allowance.until = min(until, _until.get() or until)
        self._allowance.left = bounds.size + _HEADERS
        answer = self._inner.handle_request(request)
        try:
            body = _body(answer, bounds, self._allowance)
        finally:
            answer.close()
        kept = [(name, value) for name, value in answer.headers.raw if name.lower() not in _READ]
        return httpx.Response(answer.status_code, headers=kept, content=body, extensions=answer.extensions)

    def close(self) -> None:
        self._inner.close()


_READ = (b"content-encoding", b"content-length", b"transfer-encoding")
"""Headers that no longer apply after the body was read and decompressed."""


class Lanes(httpx.BaseTransport):
    """A connection per concurrent call, kept for the next one.

    httpx's pool checks all idle connections at each call under one lock, and each check yields to other greenlets: a
    busy web process made its calls one after the other and waited seconds for them.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._tls = trusted()
        self._free: deque[Guard] = deque(maxlen=_KEPT)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request on a separate connection. Raises the same errors as `Guard`."""
        lane = self._lane()
        try:
            response = lane.handle_request(request)
        except BaseException:
            lane.close()
            raise
        self._release(lane)
        return response

    def close(self) -> None:
        """Close the idle connections."""
        while self._free:
            self._free.pop().close()

    def _lane(self) -> Guard:
        try:
            return self._free.pop()
        except IndexError:
            allowance = Allowance()
            return Guard(TimedTransport(self._tls, allowance), self._bounds, allowance)

    def _release(self, lane: Guard) -> None:
        if len(self._free) < _KEPT:
            self._free.append(lane)
        else:
            lane.close()


@cache
def trusted() -> ssl.SSLContext:
    """The public authorities, read once per process, which takes 30 ms."""
    return httpx.create_ssl_context()


class NoTransport(httpx.BaseTransport):
    """Transport of a passive copy: refuses every call."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("a passive copy makes no calls", request=request)


def client() -> httpx.Client:
    """The client of this process. A forked child creates its own: a connection shared with the parent would mix
    responses.
    """
    clients = current_app.extensions.setdefault("settled_http", {})
    found: httpx.Client | None = clients.get(os.getpid())
    if found is None:
        config = current_app.config
        lanes = NoTransport() if config["SETTLED_PASSIVE"] else Lanes(Bounds(config["CALL_SECONDS"]))
        found = guarded(lanes, read=config["READ_TIMEOUT"], connect=config["CONNECT_TIMEOUT"])
        clients[os.getpid()] = found
    return found


def guarded(transport: httpx.BaseTransport, *, read: float, connect: float) -> httpx.Client:
    """A client over a transport with bounded responses. It follows no redirects and reads no environment variables."""
    timeout = httpx.Timeout(read, connect=connect, pool=5.0)
    headers = {"Accept-Encoding": "gzip"}
    return httpx.Client(timeout=timeout, follow_redirects=False, trust_env=False, transport=transport, headers=headers)


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Limit all calls inside the block to `seconds` in total."""
    until = time.monotonic() + seconds
    before = _until.get()
    token = _until.set(until if before is None else min(until, before))
    try:
        yield
    finally:
        _until.reset(token)


def leave_database() -> None:
    """Return the database connection before the network is called. Raises RuntimeError inside a transaction."""
    session = db.session()
    if in_transaction():
        raise RuntimeError("the network is never called inside a transaction")
    session.rollback()


# --- the body --------------------------------------------------------------------------------------------------------


def _body(answer: httpx.Response, bounds: Bounds, allowance: Allowance) -> bytes:
    """Read and decompress the body of a response. Raises TooLarge, DecodingError, ReadTimeout."""
    size, declared = bounds.size, answer.headers.get("content-length", "")
    is_large = declared.isascii() and declared.isdigit() and (len(declared) > 15 or int(declared) > size)
    if is_large and not bounds.is_cut:
        raise TooLarge(f"an answer of more than {size} bytes")
    unpack = _unpacker(answer.headers.get("content-encoding", "").strip().lower())
    parts, had = [], 0
    for chunk in cast(httpx.SyncByteStream, answer.stream):
        allowance.seconds_left()
        part = unpack.some(chunk, size + 1 - had)
        had += len(part)
        parts.append(part)
        if had > size and bounds.is_cut:
            return b"".join(parts)[:size]
        if had > size:
            raise TooLarge(f"an answer of more than {size} bytes")
    unpack.end()
    return b"".join(parts)


class _Plain:
    """An uncompressed body."""

    def some(self, chunk: bytes, most: int) -> bytes:
        return chunk

    def end(self) -> None:
        """Nothing remains."""


class _Gzip:
    """A compressed body; the decompressed size is bounded at each step, because a kilobyte may contain a megabyte."""

    def __init__(self) -> None:
        self._unpack, self._began = zlib.decompressobj(16 + zlib.MAX_WBITS), False

    def some(self, chunk: bytes, most: int) -> bytes:
        """At most `most` bytes. Raises DecodingError."""
        self._began = self._began or bool(chunk)
        try:
            return self._unpack.decompress(chunk, most)
        except zlib.error as error:
            raise httpx.DecodingError("a body that cannot be unpacked") from error

    def end(self) -> None:
        """Raises DecodingError for a truncated body."""
        if self._began and not self._unpack.eof:
            raise httpx.DecodingError("a packed body that breaks off")


def _unpacker(encoding: str) -> _Plain | _Gzip:
    if encoding in ("", "identity"):
        return _Plain()
    if encoding in ("gzip", "x-gzip"):
        return _Gzip()
    raise httpx.DecodingError("a body packed in a way that was not asked for")
