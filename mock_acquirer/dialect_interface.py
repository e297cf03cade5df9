"""Interface between the engine and the dialects: the declaration of a dialect, and the dialects of the current app."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, current_app

from mock_acquirer.errors import Refused
from mock_acquirer.models import Dispute, Payment, Refund
from mock_acquirer.settings import Row
from mock_acquirer.settlement import Settlement
from mock_acquirer.signing import Signer

ACK_WITHIN = 5.0
"""Default limit in seconds for a merchant to acknowledge a webhook."""


@dataclass(frozen=True)
class Merchant:
    """Merchant account in one dialect."""

    id: str
    name: str
    webhook_url: str
    secret: str


def tells_nothing(payment: Payment, about: Refund | Dispute, kind: str, event_id: str, moment: datetime) -> None:
    """Body for dialects that send no webhooks about refunds and disputes."""


@dataclass(frozen=True)
class Dialect:
    """A wire format.

    `event_body(payment, event type, event id, moment)` renders the webhook as (content type, body), or None when this
    dialect sends none for the event; `event_about(payment, refund or dispute, …)` does so for the events `refund.*` and
    `dispute.*`. `settlement` says how a day is settled, `sign` and `signature_header` how a webhook is signed,
    `acknowledged(status, answer)` whether the merchant accepted it, `retries` the seconds to wait before each attempt
    (the
    first is 0) and `jitter` the share by which a wait may differ. `refuse` shapes an error on the paths under `prefix`.
    `announced` names events of the dialect's own that are sent just before one of the engine's. `ack_within` is the
    limit
    for an acknowledgement, in seconds; with `wallet` customers pay by scanning a code, not with a card.
    `methods(payment)`
    names the payment methods on the hosted page (card, store); a dialect that `rehearses` can send a webhook about a
    simulated payment without money (the event `payment.simulated`). `tells` are the engine's events that it sends.
    """

    name: str
    title: str
    prefix: str
    settings: tuple[Row, ...]
    blueprint: Blueprint
    merchant: Callable[[str], Merchant]
    event_body: Callable[[Payment, str, str, datetime], tuple[str, str] | None]
    sign: Signer
    signature_header: str
    acknowledged: Callable[[int, str], bool]
    retries: tuple[float, ...]
    jitter: float
    refuse: Callable[[Refused], Response]
    event_about: Callable[[Payment, Refund | Dispute, str, str, datetime], tuple[str, str] | None] = tells_nothing
    settlement: Settlement | None = None
    announced: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ack_within: float = ACK_WITHIN
    wallet: bool = False
    methods: Callable[[Payment], tuple[str, ...]] = lambda payment: ("card",)
    rehearses: bool = False
    tells: tuple[str, ...] = ()


def every() -> dict[str, Dialect]:
    """The dialects of the current app."""
    dialects: dict[str, Dialect] = current_app.extensions["acquirer.dialects"]
    return dialects


def named(name: str) -> Dialect:
    return every()[name]


def merchant_of(payment: Payment) -> Merchant:
    return named(payment.dialect).merchant(payment.merchant)


def setting(name: str) -> Any:
    """A setting of the current app, already parsed."""
    return current_app.config[name]
