"""Parsing of acquirers' answers without raising, for the providers."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar

import httpx

from shop.core import http_client, logs, strict_json
from shop.core.money import Money
from shop.payments.providers.interface import RefundFact, Unavailable, Unknown
from shop.payments.providers.storable import Malformed

log = logs.get()
P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")
U = TypeVar("U", Unknown, Unavailable)
FILE = {"bounds": http_client.Bounds(http_client.FILE_SECONDS, http_client.LARGEST_FILE)}
"""The `extensions` of a request for a settlement file."""
ID_TAKEN = "id_taken"
"""Code of a refund for whose id the acquirer returns another refund."""
parse_json = strict_json.loads
_OF_ANSWERS = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, Malformed)
"""Exceptions of reading a response in an unexpected format."""


def never_raises(
    otherwise: Callable[[str], U],
) -> Callable[[Callable[Concatenate[S, P], R]], Callable[Concatenate[S, P], R | U]]:
    """Decorator that turns exceptions of reading a response into `otherwise`, and logs them. For a call with effects
    that is Unknown, for a query Unavailable.
    """

    def wrap(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R | U]:
        @functools.wraps(method)
        def total(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R | U:
            try:
                return method(self, *args, **kwargs)
            except Exception as error:  # noqa: BLE001 - no response of an acquirer may break a checkout or a sweep
                kind, name = type(error).__name__, getattr(self, "NAME", "")
                write_log = log.warning if isinstance(error, _OF_ANSWERS) else log.exception
                write_log("provider.unreadable", provider=name, operation=method.__name__, error=kind)
                return otherwise(f"an answer that cannot be read: {kind}")

        return total

    return wrap


def refunds_in(reported: Iterable[T], read: Callable[[T], RefundFact], *, provider: str) -> tuple[RefundFact, ...]:
    """Results of `read` for each refund in a response. A refund that cannot be read is left out and logged: it must not
    hide the captures, and the settlement file contains it too.
    """
    found, left_out = [], []
    for one in reported:
        try:
            found.append(read(one))
        except _OF_ANSWERS as error:
            left_out.append(type(error).__name__)
    if left_out:
        log.warning("provider.unreadable_refunds", provider=provider, number=len(left_out), error=left_out[0])
    return tuple(found)


def json_body(answer: httpx.Response) -> Any:
    """The JSON of a response with a JSON content type. Raises ValueError."""
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not re.fullmatch(r"application/[a-z0-9.+-]{1,80}\+json", kind):
        raise ValueError("an answer of another content type")
    return parse_json(answer.content)


def matches_amount(requested: Money, amount: object, currency: object) -> bool:
    """True if a response has the amount (minor units) and currency of the refund `asked`; None if it states neither."""
    return amount in (None, requested.amount) and currency in (None, requested.currency)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Retry-After of the response `headers` in seconds, an hour at most; None if absent."""
    text = headers.get("retry-after", "")
    return min(float(text), 3600.0) if re.fullmatch("[0-9]{1,9}", text) else None
