"""Actors: the origin of changes to orders, refunds, payouts and alerts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class ActorKind(StrEnum):
    """Kind of an actor: a customer, a member of staff, or the part of the system that acted. Values are stored."""

    CUSTOMER = "customer"
    STAFF = "staff"
    WEBHOOK = "webhook"
    POLL = "poll"
    RETURN = "return"
    """A query because the customer returned from the acquirer's page."""
    VIEW = "view"
    """A query because the order page was viewed."""
    CLOSING = "closing"
    """The end of an unpaid order, and the queries before it."""
    START = "start"
    """The answer to the call that opened a payment."""
    SETTLEMENT_FILE = "settlement file"
    AUTOMATIC = "automatic"
    """The automatic refund of captures that pay for nothing, and an endpoint of webhooks that the shop disables."""
    ACQUIRER = "acquirer"
    """A refund that was made at the acquirer; `name` is the provider."""
    WATCHER = "watcher"
    """The alert watcher, which resolves alerts whose cause is over."""
    OPERATOR = "operator"
    """A person at the command line who names no account."""
    UNPROVEN = "unproven"
    """A person at a sign-in who has not proven to own the account."""


@dataclass(frozen=True)
class Actor:
    """`user_id` is the account of a customer or a member of staff; None for guests and for the system.

    `name` is the provider of an ACQUIRER, or the name of a member of staff in records from before accounts were
    required. An actor has at most one of the two, so one account has one text form, which the database compares.

    `scopes` are those of the API key by which a member of staff acts, None without one. They narrow the rights of this
    request, and are no part of who acted: a person and the keys of the same account are one actor.
    """

    kind: ActorKind
    user_id: int | None = None
    name: str = ""
    scopes: frozenset[str] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.user_id is not None and self.name:
            raise ValueError(f"an actor has an account or a name, not both: {self.name}")

    def __str__(self) -> str:
        """The text form, which is stored: `webhook`, `customer:7`, `staff:3`, `staff/ada`, `acquirer/kpay`."""
        account = "" if self.user_id is None else f":{self.user_id}"
        return f"{self.kind}{account}" + (f"/{self.name}" if self.name else "")

    @classmethod
    def parse(cls, text: str) -> Actor:
        """Read the text form. Raises ValueError."""
        front, _, name = text.partition("/")
        kind, _, account = front.partition(":")
        return cls(ActorKind(kind), int(account) if account else None, name)

    @classmethod
    def of_source(cls, source: str) -> Actor:
        """The actor of changes that an update from this source brings. Raises ValueError."""
        return cls(ActorKind(source))

    @classmethod
    def acquirer(cls, provider: str) -> Actor:
        return cls(ActorKind.ACQUIRER, name=provider)

    @classmethod
    def customer(cls, user_id: int | None = None) -> Actor:
        return cls(ActorKind.CUSTOMER, user_id)

    @classmethod
    def staff(cls, user_id: int, *, scopes: Iterable[str] | None = None) -> Actor:
        return cls(ActorKind.STAFF, user_id, scopes=None if scopes is None else frozenset(scopes))

    @classmethod
    def operator(cls) -> Actor:
        return cls(ActorKind.OPERATOR)

    def may_approve(self, requested_by: Actor) -> bool:
        """True if this actor may approve a request of `requested_by` as the second person: both have accounts, and they
        differ.
        """
        return None not in (self.user_id, requested_by.user_id) and self.user_id != requested_by.user_id
