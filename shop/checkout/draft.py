"""Values entered in the checkout, kept in Redis for an hour while the customer signs in."""

from __future__ import annotations

import json
from collections.abc import Mapping

from shop.core import ids, redis

LASTS = 3600
"""Seconds."""
_LONGEST = 300
"""Characters of one field that are stored; the form accepts fewer."""


def keep(fields: Mapping[str, str]) -> str:
    """Store `fields` and return the token that reads them. Raises RedisAway."""
    token = ids.token()
    text = json.dumps({name: value[:_LONGEST] for name, value in fields.items() if value})
    redis.attempt(lambda client: client.set(_key(token), text, ex=LASTS))
    return token


def read(token: str) -> dict[str, str]:
    """The stored fields; none when they have expired or Redis is unavailable."""
    try:
        text = redis.attempt(lambda client: client.get(_key(token)))
    except redis.RedisAway:
        return {}
    fields: dict[str, str] = json.loads(text) if isinstance(text, bytes) else {}
    return fields


def _key(token: str) -> str:
    return f"settled:draft:{token}"
