"""Refusals: requests that the shop understands and refuses, each with a message.

`Refusal.code` decides the answer: a page or problem details have the HTTP status of `STATUS`, a command prints the
message and exits with 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from shop.core.sentences import sentence

STATUS: Mapping[str, int] = {
    "csrf": 400,
    "not_authorized": 401,
    "unreadable_json": 400,
    "idempotency_key_required": 400,
    "expected_refundable_needed": 400,
    "malformed_notification": 400,
    "bad_signature": 401,
    "development_only": 403,
    "forbidden": 403,
    "not_own_note": 403,
    "sign_in_needed": 401,
    "unknown_account": 404,
    "unknown_alert": 404,
    "unknown_api_key": 404,
    "unknown_order": 404,
    "unknown_product": 404,
    "unknown_payment": 404,
    "unknown_shipment": 404,
    "unknown_refund": 404,
    "unknown_payout": 404,
    "unknown_view": 404,
    "not_own_view": 403,
    "unknown_note": 404,
    "unknown_discrepancy": 404,
    "unknown_webhook": 404,
    "unknown_endpoint": 404,
    "unknown_delivery": 404,
    "unknown_request": 404,
    "unknown_return": 404,
    "cart_empty": 409,
    "version_changed": 412,
    "version_needed": 428,
    "wrong_credentials": 422,
    "resent_often": 429,
    "too_many_attempts": 429,
    "too_many_mails": 429,
    "too_many_requests": 429,
    "too_many_unpaid": 429,
    "too_soon": 429,
}
"""HTTP status by code, where it is not that of the refusal's class."""


class Refusal(Exception):
    """The request is understood and refused; nothing has changed.

    `code` is machine-readable, `message` is shown to users, `details` are values that a page may show.
    """

    usual_status: ClassVar[int] = 409

    def __init__(self, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code, self.message, self.details = code, message, details

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        return STATUS.get(self.code, self.usual_status)


class BadInput(Refusal):
    """The input cannot be used."""

    usual_status = 422


class PassiveCopy(Refusal):
    """This installation is a passive copy (SETTLED_PASSIVE=on): it changes nothing and makes no calls."""

    usual_status = 503
    retry_after = 3600

    def __init__(self) -> None:
        super().__init__(
            "passive_copy",
            sentence("This is a read-only copy of the shop. Nothing was changed."),
        )


class Away(Refusal):
    """A required service is unavailable for the moment; a later attempt may succeed."""

    usual_status = 503

    def __init__(self, code: str, message: str, *, retry_after: int = 5, **details: Any) -> None:
        super().__init__(code, message, **details)
        self.retry_after = retry_after
