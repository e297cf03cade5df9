"""Identifiers: unguessable where they grant access, short where people read them aloud."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from base64 import urlsafe_b64encode

from shop.core import text

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_NAMED = "[0-9A-HJKMNP-TV-Z]{19}"


def _digits(value: int, length: int) -> str:
    out = ""
    for _ in range(length):
        value, rest = divmod(value, 32)
        out = _CROCKFORD[rest] + out
    return out


def token() -> str:
    """A URL-safe token of 192 random bits that grants access."""
    return secrets.token_urlsafe(24)


def named_by(kind: str, secret: str) -> str:
    """A token derived from `secret`: always the same, and it does not reveal `secret`."""
    return urlsafe_b64encode(hashlib.sha256(f"{kind} {secret}".encode()).digest()[:24]).decode()


def order_number() -> str:
    """Ten characters that people can read aloud, as in `7K3M-9QXT-2F`; unique by a database constraint, not secret."""
    digits = _digits(secrets.randbits(50), 10)
    return f"{digits[:4]}-{digits[4:8]}-{digits[8:]}"


def read_order_number(typed: str) -> str:
    """Normalise a typed order number: either case, full-width characters, other dashes or none."""
    digits = "".join(letter for letter in text.plain(typed).upper() if letter.isalnum())
    return f"{digits[:4]}-{digits[4:8]}-{digits[8:]}"


def refund_id() -> str:
    """An id like a payment's, and never equal to one."""
    return "R" + payment_id()[1:]


def payout_id() -> str:
    """An id like a payment's, and never equal to one."""
    return "O" + payment_id()[1:]


def shortfall_id() -> str:
    """An id like a payment's, and never equal to one."""
    return "S" + payment_id()[1:]


def gift_id() -> str:
    """An id like a payment's, and never equal to one."""
    return "G" + payment_id()[1:]


def export_id() -> str:
    """An id like a payment's, and never equal to one. It grants nothing."""
    return "E" + payment_id()[1:]


def import_id() -> str:
    """An id like a payment's, and never equal to one; ordered by time. It grants nothing."""
    return "I" + payment_id()[1:]


def mail_id() -> str:
    """An id like a payment's, and never equal to one; ordered by time. It grants nothing."""
    return "M" + payment_id()[1:]


def endpoint_id() -> str:
    """An id of a webhook endpoint, like a payment's, and never equal to one. It grants nothing."""
    return "W" + payment_id()[1:]


def outgoing_event_id() -> str:
    """An id of an outgoing event, ordered by time, as `evt_01J…`. It grants nothing."""
    return "evt_" + payment_id()[1:]


def payment_id() -> str:
    """Unique id of twenty letters and digits, ordered by time: short enough for every acquirer's reference."""
    return "P" + _digits(int(time.time() * 1000), 9) + _digits(secrets.randbits(50), 10)


def is_payment_id(text: str) -> bool:
    """True if `text` has the shape of a payment id. Other systems under the same acquirer account use other shapes."""
    return re.fullmatch("P" + _NAMED, text) is not None


def is_refund_id(text: str) -> bool:
    """True if `text` has the shape of a refund id."""
    return re.fullmatch("R" + _NAMED, text) is not None


def is_export_id(text: str) -> bool:
    """True if `text` has the shape of an export id."""
    return re.fullmatch("E" + _NAMED, text) is not None
