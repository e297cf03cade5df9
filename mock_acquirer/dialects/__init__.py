"""Dialects: thin faces of the one engine. A new one is one file here with a `DIALECT`; nothing else is edited."""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask import Blueprint, Flask, Response, current_app

from mock_acquirer.errors import Refused
from mock_acquirer.models import Dispute, Payment, Refund
from mock_acquirer.settings import Row
from mock_acquirer.settlement import Settlement
from mock_acquirer.signing import Signer


@dataclass(frozen=True)
class Merchant:
    """A merchant as one dialect knows it."""

    id: str
    name: str
    webhook_url: str
    secret: str


def tells_nothing(payment: Payment, about: Refund | Dispute, kind: str, event_id: str, moment: datetime) -> None:
    """For a dialect that sends no webhooks about refunds and disputes."""


@dataclass(frozen=True)
class Dialect:
    """One wire format.

    `event_body(payment, event type, event id, moment)` renders what the merchant is told as (content type, body), or
    None when this dialect does not tell about it; `event_about(payment, refund or dispute, …)` does so for the events
    `refund.*` and `dispute.*`. `settlement` says how a day is settled, `sign` and `signature_header` how it is signed,
    `acknowledged(status, answer)` whether the merchant took it, `retries` the seconds to wait before each attempt (the
    first is 0) and `jitter` the share by which a wait may differ. `refuse` shapes an error on the paths under `prefix`.
    `announced` names events of the dialect's own that are told just before one of the engine's. `ack_within` is the
    longest an acknowledgement may take, in seconds; with `wallet` customers pay by scanning a code, not with a card.
    `methods(payment)` names the ways to pay on the hosted page (card, store); a dialect that `rehearses` can tell of a
    payment that never was (the event `payment.simulated`).
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
    ack_within: float = math.inf
    wallet: bool = False
    methods: Callable[[Payment], tuple[str, ...]] = lambda payment: ("card",)
    rehearses: bool = False


def discover() -> dict[str, Dialect]:
    """Every dialect in this folder, by name."""
    found: dict[str, Dialect] = {}
    for module in pkgutil.iter_modules(__path__):
        dialect = getattr(importlib.import_module(f"{__name__}.{module.name}"), "DIALECT", None)
        if isinstance(dialect, Dialect):
            found[dialect.name] = dialect
    return found


def install(app: Flask, found: dict[str, Dialect]) -> None:
    """Give the app its dialects and their routes."""
    app.extensions["acquirer.dialects"] = found
    for dialect in found.values():
        app.register_blueprint(dialect.blueprint)


def every() -> dict[str, Dialect]:
    """The dialects of the current app."""
    dialects: dict[str, Dialect] = current_app.extensions["acquirer.dialects"]
    return dialects


def named(name: str) -> Dialect:
    return every()[name]


def merchant_of(payment: Payment) -> Merchant:
    return named(payment.dialect).merchant(payment.merchant)


def setting(name: str) -> Any:
    """A setting of the current app, already read."""
    return current_app.config[name]
