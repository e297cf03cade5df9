"""Challenges for passkeys: random bytes that a passkey signs. Each is used once, by the browser that asked for it.

The signed cookie names the challenge, and Redis holds it with its account and its purpose until it expires. Redis is
needed for every sign-in anyway.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from datetime import timedelta
from enum import StrEnum
from typing import Any

from flask import session

from shop.accounts import sessions
from shop.core.errors import Refusal
from shop.core.sentences import sentence

LASTS = timedelta(minutes=5)


class Purpose(StrEnum):
    """Purpose of a challenge. The answer to one of another purpose is refused."""

    ADD = "add"
    SIGN_IN = "sign_in"
    CONFIRM = "confirm"


class ChallengeEnded(Refusal):
    """The challenge has expired, was used, or is not of this browser (409)."""

    def __init__(self) -> None:
        super().__init__(
            "passkey_expired", sentence("This took too long, or was sent twice. Try again with your passkey.")
        )


def issue(user_id: int, purpose: Purpose) -> bytes:
    """A new challenge for this browser, in place of an earlier one of this purpose. Raises Away."""
    name, challenge = secrets.token_urlsafe(24), secrets.token_bytes(32)
    value = json.dumps([user_id, purpose, challenge.hex()])
    sessions.needed(lambda client: client.set(_key(name), value, px=int(LASTS.total_seconds() * 1000)))
    session[_slot(purpose)] = name
    return challenge


def take(user_id: int, purpose: Purpose) -> bytes:
    """The challenge of this browser, which ends. Raises ChallengeEnded and Away."""
    name = session.pop(_slot(purpose), None)
    stored = sessions.needed(lambda client: _read_once(client, _key(name))) if isinstance(name, str) else None
    found = json.loads(stored) if stored else None
    if found is None or found[:2] != [user_id, purpose]:
        raise ChallengeEnded
    return bytes.fromhex(found[2])


def _read_once(client: Any, key: str) -> bytes | None:
    with client.pipeline() as unit:
        unit.get(key)
        unit.delete(key)
        value: bytes | None = unit.execute()[0]
    return value


def _slot(purpose: Purpose) -> str:
    return f"passkey_{purpose}"


def _key(name: str) -> str:
    return f"settled:passkey:{hashlib.sha256(name.encode()).hexdigest()}"
