"""Gunicorn workers for the shop (gevent) and the acquirer (threads), with limits on connections that only receive."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from typing import Any

from gevent import GreenletExit
from gevent.server import StreamServer
from gunicorn.workers.ggevent import GeventWorker
from gunicorn.workers.gthread import ThreadWorker

from deploy.receiving import GuardedBody, Receiving

LONGEST = float(os.environ.get("REQUEST_SECONDS", "10"))
"""Limit in seconds for receiving a request, head and body; between two requests `keepalive` is shorter."""
SHARE_RECEIVING = 0.25
"""Share of the connections (for the acquirer, of the threads) that may be receiving."""
SHARE_STREAMS = 0.6
"""Share of the connections that may be event streams. The rest is for requests: webhooks, probes, pages."""


def room(connections: int, share: float) -> int:
    """The number of connections in `share`; at least one."""
    return max(1, int(connections * share))


class DrainingServer(StreamServer):  # type: ignore[misc]
    """Listening socket that accepts the connections in its backlog before it closes.

    The kernel resets unaccepted connections when their socket closes, and a proxy does not repeat a POST, so without
    this every restart would fail some requests.
    """

    def close(self) -> None:
        with suppress(OSError):  # out of descriptors: the requests that were accepted still have their time
            while not self.closed and not self.full() and (accepted := self.do_read()):
                self.do_handle(*accepted)
        super().close()


class Listener:
    """Address of a listening socket. Gunicorn reads it for each connection, also after the socket is closed."""

    def __init__(self, listener: Any) -> None:
        self.name = listener.getsockname()

    def getsockname(self) -> Any:
        return self.name


class GuardedGeventWorker(GeventWorker):  # type: ignore[misc]
    """Gevent worker whose pool is never full of connections that send nothing."""

    def server_class(self, listener: Any, *, spawn: Any, **_wsgi: Any) -> DrainingServer:
        """Server of one listening socket; gunicorn calls it in place of gevent's WSGI server."""
        server = DrainingServer(listener, handle=partial(self.handle, Listener(listener)), spawn=spawn)
        if self.cfg.workers > 1:
            server.max_accept = 1  # the other processes get their share
        return server

    def init_process(self) -> None:
        self.receiving = Receiving(room(self.cfg.worker_connections, SHARE_RECEIVING), LONGEST)
        super().init_process()

    def run(self) -> None:
        self.receiving.start()
        super().run()

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        self.receiving.begin(client)
        try:
            super().handle(listener, client, addr)
        finally:
            self.receiving.gone(client)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        body = req.body = GuardedBody(req, sock, self.receiving, GreenletExit)
        super().handle_request(listener_name, req, sock, addr)
        body.answered = True
        if self.receiving.gave_way(sock):
            raise StopIteration
        self.receiving.begin(sock)  # waiting for its next request


class GuardedThreadWorker(ThreadWorker):  # type: ignore[misc]
    """Thread worker whose threads never wait long for the rest of a request."""

    def init_process(self) -> None:
        self.receiving = Receiving(room(self.cfg.threads, 1 - SHARE_RECEIVING), LONGEST)
        super().init_process()

    def run(self) -> None:
        self.receiving.start()
        super().run()

    def handle(self, conn: Any) -> Any:
        self.receiving.begin(conn.sock)
        try:
            return super().handle(conn)
        finally:
            self.receiving.gone(conn.sock)

    def handle_request(self, req: Any, conn: Any) -> Any:
        from werkzeug.exceptions import BadRequest

        body = req.body = GuardedBody(req, conn.sock, self.receiving, BadRequest)
        keeps_alive = super().handle_request(req, conn)
        body.answered = True
        return keeps_alive
