"""Limits on connections that are still sending a request: few at a time, and none for long.

Half-sent headers and bodies, and idle connections, occupy a connection each. This keeps their number below a share of
the server's connections, so that webhooks and probes always find one: the oldest receiving connection is closed. It
imports none of our modules, because gunicorn reads it before gevent has patched the standard library.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Any

from gunicorn.http.errors import ParseException
from gunicorn.http.message import Request

EVERY = 0.5
"""Seconds between two checks for timed-out connections."""


class Receiving:
    """The receiving connections, oldest first: at most `most`, each for at most `seconds`.

    A connection that is cut is no longer read: its reader sees the end of the stream and can still respond.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self.most, self.seconds = most, seconds
        self._since: dict[Any, float] = {}
        self._cut: dict[int, bool] = {}
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start checking for timed-out connections in a thread (under gevent, a greenlet)."""
        threading.Thread(target=self._watch, name="receiving", daemon=True).start()

    def begin(self, connection: Any) -> None:
        """Count `connection` as receiving."""
        with self._lock:
            self._cut.pop(id(connection), None)
            self._since.pop(connection, None)
            self._since[connection] = time.monotonic()
            surplus = list(self._since)[: max(0, len(self._since) - self.most)]
        self._end_all(surplus, late=False)

    def whole(self, connection: Any) -> None:
        """The request on `connection` is complete, or the connection is closed."""
        with self._lock:
            self._since.pop(connection, None)

    def gone(self, connection: Any) -> None:
        """The connection is closed."""
        self.whole(connection)
        self._cut.pop(id(connection), None)

    def timed_out(self, connection: Any) -> bool:
        """True when `connection` was cut because it timed out."""
        return self._cut.get(id(connection)) is True

    def gave_way(self, connection: Any) -> bool:
        """True when `connection` was cut because newer ones needed its place."""
        return self._cut.get(id(connection)) is False

    def _watch(self) -> None:
        while True:
            time.sleep(EVERY)
            over = time.monotonic() - self.seconds
            with self._lock:
                late = [connection for connection, since in self._since.items() if since < over]
            self._end_all(late, late=True)

    def _end_all(self, connections: list[Any], *, late: bool) -> None:
        for connection in connections:
            with self._lock:
                if self._since.pop(connection, None) is None:
                    continue
                self._cut[id(connection)] = late
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RD)


class GuardedBody:
    """A request's body. An unreadable body is a 400 (408 after a timeout) and ends the connection.

    `give_way` is raised when newer connections need the place: no page is rendered then.
    """

    answered = False
    """True when the response has been sent. The server then reads the rest only to find the next request: an unreadable
    rest ends the connection without a second response.
    """

    def __init__(self, request: Request, connection: Any, receiving: Receiving, give_way: type[BaseException]) -> None:
        self._request, self._connection, self._receiving = request, connection, receiving
        self._give_way = give_way
        self._body = request.body
        self._announced = getattr(self._body.reader, "length", None)
        self._given, self._failed = 0, False
        self._note()

    def read(self, size: int | None = None) -> bytes:
        return self._guarded(self._body.read, size)

    def readline(self, size: int | None = None) -> bytes:
        return self._guarded(self._body.readline, size)

    def readlines(self, size: int | None = None) -> list[bytes]:
        return self.read().splitlines(keepends=True)

    def __iter__(self) -> GuardedBody:
        return self

    def __next__(self) -> bytes:
        if line := self.readline():
            return line
        raise StopIteration

    def _guarded(self, read: Any, size: int | None) -> bytes:
        if self._failed:
            return b""
        try:
            found: bytes = read(size)
        except (ParseException, OSError) as error:
            raise self._unreadable() from error
        self._given += len(found)
        if self._is_cut() or (not found and not self._whole() and size != 0):
            raise self._unreadable()
        self._note()
        return found

    def _unreadable(self) -> BaseException:
        """The exception to raise when the body ended too early or cannot be parsed; the connection ends with it."""
        from werkzeug.exceptions import BadRequest, RequestTimeout

        self._failed = True
        self._request.force_close()
        if self.answered:
            return TimeoutError()  # gunicorn's parser ends the connection for it
        if self._receiving.gave_way(self._connection):
            return self._give_way()
        if self._receiving.timed_out(self._connection):
            return RequestTimeout("The request took too long to arrive.")
        return BadRequest("The body of the request cannot be read.")

    def _is_cut(self) -> bool:
        """True when the stream ended before the announced length: gunicorn's reader counts the requested bytes, not the
        received ones.
        """
        if self._announced is None:
            return False
        asked_for: int = self._announced - self._body.reader.length
        return self._given + self._body.buf.tell() < asked_for

    def _note(self) -> None:
        if self._whole():
            self._receiving.whole(self._connection)

    def _whole(self) -> bool:
        reader = self._body.reader
        length = getattr(reader, "length", None)
        return length == 0 if length is not None else getattr(reader, "parser", self) is None
