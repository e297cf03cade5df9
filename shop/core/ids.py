"""Names for things: unguessable where a name is a right, short where people read it aloud."""

from __future__ import annotations

import secrets
import time

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def _digits(value: int, length: int) -> str:
    out = ""
    for _ in range(length):
        value, rest = divmod(value, 32)
        out = _CROCKFORD[rest] + out
    return out


def token() -> str:
    """192 random bits, safe in a URL: holding it is the right to what it names."""
    return secrets.token_urlsafe(24)


def order_number() -> str:
    """Ten characters that people can read aloud, as in `7K3M-9QXT-2F`; unique by a database constraint, not secret."""
    digits = _digits(secrets.randbits(50), 10)
    return f"{digits[:4]}-{digits[4:8]}-{digits[8:]}"


def refund_id() -> str:
    """As a payment's id, and never the same as one."""
    return "R" + payment_id()[1:]


def payout_id() -> str:
    """As a payment's id, and never the same as one."""
    return "O" + payment_id()[1:]


def payment_id() -> str:
    """Twenty letters and digits, sorted by time: short enough for the strictest acquirer's reference, unique for
    ever.
    """
    return "P" + _digits(int(time.time() * 1000), 9) + _digits(secrets.randbits(50), 10)
