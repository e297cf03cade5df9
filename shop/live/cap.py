"""Limit on open streams per visitor, counted in Redis for all processes.

A browser opens six connections to a host and no more: with six streams a seventh page would never load. Entries left by
a crash are the oldest and are dropped first. While Redis is unavailable each process counts its own streams.
"""

from __future__ import annotations

import hashlib
import json
import time

from flask import Flask, request
from flask import session as cookie
from redis import Redis

from shop.core import redis
from shop.core.client_address import client_network
from shop.core.outbox import LIVE

STREAMS_PER_SESSION = 4
_REMEMBERED = 3600  # seconds without a new stream after which a visitor's entry expires


def visitor(token: str) -> str:
    """Key of the visitor of this request: its cookie, else its client address and the order of `token`."""
    known = cookie.get("csrf_token") or cookie.get("cart")
    return f"visitor {known}" if known else f"address {client_network(request.remote_addr)} {token}"


def claim(app: Flask, session: str, stream: str) -> None:
    """Count one more stream; publish the streams above the limit on the channel `settled:live:evict`."""
    name = _name(session)
    try:
        with app.app_context():
            streams = redis.attempt(lambda client: _count(client, name, stream))
            if surplus := streams[:-STREAMS_PER_SESSION]:
                redis.attempt(lambda client: client.zrem(name, *surplus))
                redis.attempt(lambda client: client.publish(f"{LIVE}:evict", json.dumps({"evict": surplus})))
    except redis.RedisAway:
        return


def release(app: Flask, session: str, stream: str) -> None:
    """Remove a stream that has ended."""
    try:
        with app.app_context():
            redis.attempt(lambda client: client.zrem(_name(session), stream))
    except redis.RedisAway:
        return


def _count(client: Redis, name: str, stream: str) -> list[str]:
    with client.pipeline() as unit:
        unit.zadd(name, {stream: time.time()})
        unit.expire(name, _REMEMBERED)
        unit.zrange(name, 0, -1)
        *_, streams = unit.execute()
    return [s.decode() for s in streams]


def _name(session: str) -> str:
    return f"settled:streams:{hashlib.sha256(session.encode()).hexdigest()[:32]}"
