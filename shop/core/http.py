"""Calls to the outside: short timeouts, no redirects, connections kept. Never called with a transaction open."""

from __future__ import annotations

import os

import httpx
from flask import current_app

from shop.core.db import db


def client() -> httpx.Client:
    """This process's client. A forked child makes its own: a connection shared with the parent would mix answers."""
    clients = current_app.extensions.setdefault("settled_http", {})
    found: httpx.Client | None = clients.get(os.getpid())
    if found is None:
        timeout = httpx.Timeout(
            current_app.config["READ_TIMEOUT"], connect=current_app.config["CONNECT_TIMEOUT"], pool=5.0
        )
        found = httpx.Client(
            timeout=timeout,
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=32, keepalive_expiry=4.0),
        )
        clients[os.getpid()] = found
    return found


def leave_database() -> None:
    """Give the connection back before the network is called. Raises RuntimeError inside a writing unit."""
    session = db.session()
    if session.info.get("writing"):
        raise RuntimeError("the network is never called inside a transaction")
    session.rollback()
