"""Stripe's library over the shop's HTTP client, and what its errors mean for a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httpx
import stripe

from shop.payments.providers.answers import json_body, retry_after
from shop.payments.providers.interface import Rejected, Unavailable, Unknown
from shop.payments.providers.storable import short_code


def connection_error(why: str) -> stripe.APIConnectionError:
    return stripe.APIConnectionError(why)  # type: ignore[no-untyped-call]


class OverOurClient(stripe.HTTPClient):
    """Stripe's library over this process's client: its timeouts, its connections, no redirects."""

    name = "httpx"

    def __init__(self, http: Callable[[], httpx.Client]) -> None:
        super().__init__()
        self._http = http

    def request(  # type: ignore[override]
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, **_: Any
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Send a request. Raises stripe.APIConnectionError from the cause of the failure."""
        try:
            answer = self._http().request(method, url, headers=dict(headers or {}), content=post_data)
            if answer.is_success:
                json_body(answer)  # the library reads only these
        except httpx.HTTPError as error:
            raise connection_error(type(error).__name__) from error
        except ValueError as error:
            raise connection_error("an answer that cannot be read") from error
        if answer.is_redirect:
            raise connection_error("a redirect")
        return answer.content, answer.status_code, answer.headers


def is_refusal(error: stripe.StripeError) -> bool:
    """The call was refused without effect. A conflict of idempotency keys does not prove that."""
    return (error.http_status or 0) in range(400, 500) and not isinstance(
        error, stripe.IdempotencyError | stripe.RateLimitError | stripe.APIError
    )


def not_started(error: stripe.StripeError) -> Rejected | Unknown | Unavailable:
    if isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout):
        return Unavailable(reason(error))
    if isinstance(error, stripe.RateLimitError):
        return unavailable(error)
    return Rejected(code(error)) if is_refusal(error) else Unknown(reason(error))


def unavailable(error: stripe.StripeError) -> Unavailable:
    return Unavailable(reason(error), retry_after(error.headers or {}))


def reason(error: stripe.StripeError) -> str:
    """Leave out Stripe's message, which may quote the request."""
    return f"HTTP {error.http_status}" if error.http_status else str(error.user_message or type(error).__name__)[:60]


def code(error: stripe.StripeError) -> str:
    return short_code(error.code) if error.code else f"http_{error.http_status}"
