"""Calls to the outside: short timeouts, no redirects, connections kept. Never called with a transaction open."""

from __future__ import annotations

import os
from collections import deque

import httpx
from flask import current_app

from shop.core.db import db

_KEPT = 32
"""Connections that wait for their next use."""
_LIMITS = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=4.0)


class Lanes(httpx.BaseTransport):
    """One connection for each call under way, kept for the next one.

    A pool of httpx's own looks after all its idle connections, at each call, under one lock; each look gives the turn
    to every other greenlet first. A busy web process made its calls one after the other, and waited seconds for them.
    """

    def __init__(self) -> None:
        self._tls = httpx.create_ssl_context()
        self._free: deque[httpx.HTTPTransport] = deque(maxlen=_KEPT)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it on a lane of its own. Raises what httpx raises."""
        lane = self._lane()
        try:
            response = lane.handle_request(request)
            response.read()
        except BaseException:
            lane.close()
            raise
        self._give_back(lane)
        return response

    def close(self) -> None:
        """Close the connections that wait."""
        while self._free:
            self._free.pop().close()

    def _lane(self) -> httpx.HTTPTransport:
        try:
            return self._free.pop()
        except IndexError:
            return httpx.HTTPTransport(verify=self._tls, trust_env=False, limits=_LIMITS)

    def _give_back(self, lane: httpx.HTTPTransport) -> None:
        if len(self._free) < _KEPT:
            self._free.append(lane)
        else:
            lane.close()


def client() -> httpx.Client:
    """This process's client. A forked child makes its own: a connection shared with the parent would mix answers."""
    clients = current_app.extensions.setdefault("settled_http", {})
    found: httpx.Client | None = clients.get(os.getpid())
    if found is None:
        timeout = httpx.Timeout(
            current_app.config["READ_TIMEOUT"], connect=current_app.config["CONNECT_TIMEOUT"], pool=5.0
        )
        found = httpx.Client(timeout=timeout, follow_redirects=False, trust_env=False, transport=Lanes())
        clients[os.getpid()] = found
    return found


def leave_database() -> None:
    """Give the connection back before the network is called. Raises RuntimeError inside a writing unit."""
    session = db.session()
    if session.info.get("writing"):
        raise RuntimeError("the network is never called inside a transaction")
    session.rollback()
