"""Links with fewer rights than an order token: order history by e-mail, return from an acquirer."""

from __future__ import annotations

import hashlib
import hmac

from itsdangerous import BadSignature

from shop.core import email_address, keys

HISTORY_LINK_LASTS = 24 * 3600  # seconds, on wall time
_HISTORY = "order history"


def history_link(email: str) -> str:
    """A token that gives access to the orders of `email` for a day."""
    return keys.signer(_HISTORY).dumps(email_address.for_lookup(email))


def read_history_link(token: str) -> str | None:
    """The address in the token; None when it is forged or older than a day."""
    try:
        return str(keys.signer(_HISTORY).loads(token, max_age=HISTORY_LINK_LASTS))
    except BadSignature:
        return None


def return_token(number: str, token: str) -> str:
    """The return token of an order: its number and a proof.

    It grants no access. It is derived, so that a repeated initiation sends identical bytes even if SECRET_KEY changes
    in between.
    """
    return f"{number}.{_derived(token, 'return')}"


def opened_mark(token: str) -> str:
    """The cookie value of a browser that has opened the order page. Only a holder of `token` can make it."""
    return _derived(token, "opened")


def same(mark: str, other: str) -> bool:
    """Compare two marks in constant time."""
    return hmac.compare_digest(mark.encode(), other.encode())


def _derived(token: str, purpose: str) -> str:
    """128 bits in hexadecimal from which `token` cannot be derived."""
    return hmac.new(token.encode(), purpose.encode(), hashlib.sha256).hexdigest()[:32]
