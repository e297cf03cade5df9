"""The interface to an acquirer, written as a manual. One file in `providers/` implements it; nothing else is edited.

A provider translates. It decides nothing about orders, knows no database, no session and no HTML, and keeps nothing
between calls: what it must remember goes into `provider_data`, which the shop stores and hands back. All its methods
may be called twice with the same arguments. Amounts are whole minor units in ISO 4217's sense; a provider that counts
differently converts inside its own file and refuses what does not convert exactly. Times are aware UTC datetimes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import httpx

from shop.core import web_address
from shop.core.money import Money
from shop.payments.providers import types
from shop.payments.providers.capabilities import Capabilities
from shop.payments.providers.settlement_line import LineKind
from shop.payments.providers.settlement_line import SettlementLine as SettlementLine
from shop.payments.providers.storable import Malformed as Malformed
from shop.payments.providers.storable import (
    is_our_payment,
    is_our_refund,
    keepable,
    keepable_money,
    keepable_texts,
    keepable_time,
    known,
    printable,
    their_id,
)
from shop.settings import Setting


@dataclass(frozen=True)
class PaymentRequest:
    """Request to initiate a payment. `id` is our reference and the idempotency key. `created_at` is when the shop
    decided to open it: no payment at the provider with our reference is older.
    """

    id: str
    money: Money
    description: str
    locale: str
    pay_by: datetime
    provider_data: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime | None = None


@dataclass(frozen=True)
class NextAction:
    """Next action of the customer: `redirect` (open url), `form_post` (post fields to url), `qr` (scan url),
    `store_code`.
    """

    kind: types.ActionKind
    url: str
    fields: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        keepable_texts(self.fields, "a field")


class BadSignature(Exception):
    """The webhook does not prove where it comes from."""


@dataclass(frozen=True)
class CaptureFact:
    """A capture; `id` is the acquirer's id and `at` the acquirer's time. Raises Malformed."""

    id: str
    money: Money
    at: datetime

    def __post_init__(self) -> None:
        their_id(self.id, "the id of a capture")
        keepable_time(self.at, "when it was captured")
        keepable_money(self.money)


@dataclass(frozen=True)
class Decline:
    """Reason of a decline by the customer's bank. `klass` is one of fix_input, other_method, authenticate, retry_later,
    never_retry. Raises Malformed.
    """

    code: str
    klass: str
    id: str = ""

    def __post_init__(self) -> None:
        for text in (self.code, self.klass, self.id):
            keepable(text, "why it was declined", or_empty=True)


@dataclass(frozen=True)
class Show:
    """A store payment code: `code` is the text to show, `barcode` the content of the barcode, `deadline` the time when
    it expires. Raises Malformed.
    """

    kind: types.ActionKind
    code: str
    barcode: str
    deadline: datetime

    def __post_init__(self) -> None:
        if self.kind != types.ActionKind.STORE_CODE:
            raise Malformed("a code of a kind that we do not know")
        keepable(self.code, "the code")
        keepable(self.barcode, "the barcode", or_empty=True)
        keepable_time(self.deadline, "the deadline of the code")


@dataclass(frozen=True)
class RefundFact:
    """State of a refund: `reference` is our id of it, `state` PENDING, DONE or REJECTED. Raises Malformed.

    A refund made at the acquirer has no id of ours: `id` is the acquirer's id and identifies it. `capture_id` is theirs
    of the capture that it is of, `payment` our payment id as they have it; each is empty where they do not say.
    """

    reference: str
    state: types.RefundState
    id: str = ""
    money: Money | None = None
    capture_id: str = ""
    payment: str = ""

    def __post_init__(self) -> None:
        if not is_our_refund(self.reference):
            object.__setattr__(self, "reference", printable(self.reference))
        if not (self.reference or self.id):
            raise Malformed("a refund without a name")
        keepable(self.id, "the id of a refund", or_empty=True)
        keepable(self.capture_id, "the capture of a refund", or_empty=True)
        if self.money is not None:
            keepable_money(self.money)
        if self.state not in (types.RefundState.PENDING, types.RefundState.DONE, types.RefundState.REJECTED):
            raise Malformed("a refund in no state that we know")
        object.__setattr__(self, "state", types.RefundState(self.state))


@dataclass(frozen=True)
class Facts:
    """Content of one answer or event about a payment. Empty fields mean unknown, not none. `refunds` are all refunds of
    the payment at the acquirer, including those that the shop did not request. `end_reason` is an `EndReason`, or the
    acquirer's own word. Raises Malformed for values that cannot be stored.
    """

    state: types.PaymentState | None = None
    captures: tuple[CaptureFact, ...] = ()
    decline: Decline | None = None
    instrument: Mapping[str, str] | None = None
    show: Show | None = None
    action: NextAction | None = None
    expires_at: datetime | None = None
    occurred_at: datetime | None = None
    end_reason: str | None = None
    provider_data: Mapping[str, Any] = field(default_factory=dict)
    refunds: tuple[RefundFact, ...] = ()

    def __post_init__(self) -> None:
        if self.state is not None:
            state = known(types.PaymentState, self.state, "a payment in no state that we know")
            object.__setattr__(self, "state", state)
        if self.end_reason is not None:
            keepable(self.end_reason, "why it ended")
        keepable_texts(self.instrument or {}, "what was paid with")
        keepable_texts(self.provider_data, "what is to be remembered")
        keepable_time(self.expires_at, "when it expires")
        keepable_time(self.occurred_at, "when it happened")

    def as_json(self) -> dict[str, Any]:
        """The fields that decide, for the stored payment update."""
        captures = [
            {"id": c.id, "amount": c.money.amount, "currency": c.money.currency, "at": c.at.isoformat()}
            for c in self.captures
        ]
        decline = {"code": self.decline.code, "class": self.decline.klass} if self.decline else None
        fields = {"state": self.state, "captures": captures, "decline": decline, "end_reason": self.end_reason}
        refunds = [{"id": one.id, "reference": one.reference, "state": one.state} for one in self.refunds]
        return fields | ({"refunds": refunds} if refunds else {})


@dataclass(frozen=True)
class RefundRequest:
    """Request to refund money of one capture. `id` is our reference and the idempotency key; `capture_id` is the
    acquirer's.
    """

    id: str
    money: Money
    capture_id: str
    reason: str = ""


@dataclass(frozen=True)
class DisputeFact:
    """State of a dispute of a capture by the customer's bank. `id` and `capture_id` are theirs.

    `kind` is chargeback (the money is withdrawn until the dispute is won) or inquiry (no money is withdrawn), `state`
    OPEN, WON or LOST. Raises Malformed.
    """

    id: str
    capture_id: str
    kind: types.DisputeKind
    state: types.DisputeState
    money: Money
    at: datetime
    reason: str = ""
    respond_by: datetime | None = None

    def __post_init__(self) -> None:
        their_id(self.id, "the id of a dispute")
        keepable(self.capture_id, "the capture of a dispute", or_empty=True)
        keepable(self.reason, "the reason of a dispute", or_empty=True)
        keepable_time(self.at, "when it was disputed")
        keepable_time(self.respond_by, "until when it can be answered")
        unknown = "a dispute of a kind or in a state that we do not know"
        object.__setattr__(self, "kind", known(types.DisputeKind, self.kind, unknown))
        object.__setattr__(self, "state", known(types.DisputeState, self.state, unknown))
        keepable_money(self.money)


@dataclass(frozen=True)
class WebhookEvent:
    """An event of a webhook. `dedupe_key` identifies it; `reference` is our payment id, as the acquirer has it; one
    that is none (another system uses the same account) is kept as far as it can be shown.

    `trust` decides what it may do: the update in a `signed` one (id and time under the signature) is applied;
    `replayable`, `unsigned` and `hint` (proven, but incomplete) ones only make the payment due for a poll.
    """

    kind: types.WebhookKind
    dedupe_key: str
    reference: str
    facts: Facts
    trust: types.Trust
    merchant: str = ""
    refund: RefundFact | None = None
    dispute: DisputeFact | None = None

    def __post_init__(self) -> None:
        keepable(self.dedupe_key, "the name of the event")
        if not self.is_ours:
            object.__setattr__(self, "reference", printable(self.reference))
        keepable(self.merchant, "the merchant", or_empty=True)

    @property
    def is_ours(self) -> bool:
        """True if the reference has the format of our payment ids."""
        return is_our_payment(self.reference)


@dataclass(frozen=True)
class Started:
    """The payment is open at the acquirer."""

    action: NextAction
    expires_at: datetime | None = None
    provider_data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """It has happened there."""


@dataclass(frozen=True)
class Pending:
    """Accepted; a later query gives the result."""


@dataclass(frozen=True)
class Rejected:
    """Refused by the acquirer, without effect."""

    code: str


@dataclass(frozen=True)
class Unknown:
    """No response, or an unclear one: the call may have had its effect. A later query gives the result."""

    reason: str


@dataclass(frozen=True)
class Found:
    """Current state of a payment at the acquirer."""

    facts: Facts


@dataclass(frozen=True)
class NotFound:
    """The acquirer has no such payment (or not yet: see `consistency_window`)."""


@dataclass(frozen=True)
class Unavailable:
    """The acquirer did not respond or refuses calls for now. `retry_after` in seconds, if it gave one."""

    reason: str
    retry_after: float | None = None


class PaymentProvider(ABC):
    """An acquirer. Class attributes describe it; `SETTINGS` are the settings it needs, read from the environment."""

    NAME: str
    LABEL: str
    MERCHANT: str = ""
    SETTINGS: tuple[Setting, ...] = ()
    capabilities: Capabilities

    def __init__(self, config: Mapping[str, Any], http: Callable[[], httpx.Client]) -> None:
        """`config` holds the shop's settings and `SETTINGS`; `http()` is this process's client."""
        self.config, self.http = config, http

    def page_origins(self) -> tuple[str, ...]:
        """Origins to which the customer is sent, besides ACQUIRER_PUBLIC_URL: the shop's pages must allow them, and a
        URL from the acquirer is accepted at no other origin.
        """
        return ()

    def page(self, address: object) -> str:
        """Check a URL from the acquirer that becomes a Location, a link, a form's action or a QR code. Raises Malformed
        unless it is a plain URL at one of the acquirer's origins.
        """
        try:
            return web_address.checked(address, (str(self.config["ACQUIRER_PUBLIC_URL"]), *self.page_origins()))
        except ValueError as error:
            raise Malformed(str(error)) from error

    def is_page(self, address: object) -> bool:
        """True if `page` accepts the URL."""
        try:
            return bool(self.page(address))
        except Malformed:
            return False

    def dispute_page(self, dispute_id: str) -> str:
        """URL of a dispute in the acquirer's dashboard, where staff answer it; empty if there is no such page."""
        return ""

    @abstractmethod
    def start(
        self, payment: PaymentRequest, return_url: str, webhook_url: str
    ) -> Started | Rejected | Unknown | Unavailable:
        """Initiate the payment at the acquirer. Called outside transactions, perhaps again after a crash, always with
        the same id.

        Must never create two payments for one id. Unavailable only when the request certainly did not leave; Unknown
        when it may have. Never raises for failures of the network or the acquirer.
        """

    @abstractmethod
    def query(self, payment: PaymentRequest) -> Found | NotFound | Unavailable:
        """Query the payment, by our id if the provider's id is unknown. Has no effect. Never raises."""

    @abstractmethod
    def cancel(self, payment: PaymentRequest) -> Done | Pending | Rejected | Unknown:
        """Close the payment so that it cannot be paid any more. Done when it is closed, whatever closed it.

        Rejected when it has captured money. The shop queries it afterwards in any case. Never raises.
        """

    def refund(
        self, payment: PaymentRequest, refund: RefundRequest
    ) -> Done | Pending | Rejected | Unknown | Unavailable:
        """Refund money of one capture. Called outside transactions, perhaps repeatedly, always with the same id. Must
        never refund twice for one id. Done when the refund is certain, Pending when a later query gives the result,
        Rejected when no money is refunded, Unavailable only when the request certainly did not leave. Never raises. An
        acquirer without refunds needs neither this nor `query_refund`: staff refund by bank transfer.
        """
        return Rejected("cannot_refund")

    def query_refund(
        self, payment: PaymentRequest, refund: RefundRequest
    ) -> Done | Pending | Rejected | NotFound | Unavailable:
        """Query a refund by our id. NotFound: the acquirer never had it. Has no effect. Never raises."""
        return NotFound()

    # --- settlement --------------------------------------------------------------------------------------------------

    def settlement_file(self, day: date) -> bytes | Unavailable | None:
        """The settlement file of one of the acquirer's business days; None when the acquirer has no API for it and
        staff download it.

        Called outside transactions. Changes nothing. Never raises.
        """
        return None

    def parse_settlement(self, raw: bytes) -> list[SettlementLine]:
        """The lines of a settlement file, in its order. Raises Malformed. Pure."""
        raise Malformed("settlement files of this acquirer are not read")

    def read_settlement(self, raw: bytes) -> list[SettlementLine]:
        """`parse_settlement` as a total function: any bytes give lines or Malformed; nothing else is raised."""
        try:
            return self.parse_settlement(raw)
        except Malformed:
            raise
        except Exception as error:  # noqa: BLE001 - bytes that break a parser are malformed
            raise Malformed(f"cannot be read: {type(error).__name__}") from error

    def contract_fee(self, kind: str, amount: int) -> int | None:
        """Agreed fee of a settlement line of `amount` minor units, by the setting `<NAME>_FEE_BPS`, half a unit rounded
        up.

        None when the contract is not known or does not cover such lines: then no fee is compared.
        """
        rate, unit = int(self.config.get(f"{self.NAME.upper()}_FEE_BPS", 0)), self.capabilities.fee_unit
        if not rate or kind == LineKind.REFUND_FAILED:
            return None
        if kind not in (LineKind.CAPTURE, LineKind.VOID):
            return 0
        share = 10_000 * unit
        fee = (abs(amount) * rate * 2 + share) // (2 * share) * unit
        return fee if kind == LineKind.CAPTURE else -fee

    # --- webhooks ----------------------------------------------------------------------------------------------------

    @abstractmethod
    def verify(self, headers: Mapping[str, str], raw: bytes) -> None:
        """Check that the acquirer sent these bytes. Raises BadSignature. A provider whose webhooks are unsigned passes
        all.
        """

    @abstractmethod
    def parse(self, headers: Mapping[str, str], raw: bytes) -> list[WebhookEvent]:
        """Parse a webhook without verifying it. Raises Malformed. Pure.

        An event of an unknown kind is a WebhookEvent whose facts are empty.
        """

    def read_webhook(self, headers: Mapping[str, str], raw: bytes) -> list[WebhookEvent]:
        """`verify`, then `parse`. Total: any bytes give events, BadSignature or Malformed; nothing else is raised.

        `headers` have lower-case names.
        """
        try:
            self.verify(headers, raw)
        except BadSignature:
            raise
        except Exception as error:  # noqa: BLE001 - signature libraries raise many kinds of errors on malformed input
            raise BadSignature(f"cannot be checked: {type(error).__name__}") from error
        return self.read_stored(headers, raw)

    def read_stored(self, headers: Mapping[str, str], raw: bytes) -> list[WebhookEvent]:
        """Parse a webhook that was verified before. Raises only Malformed."""
        try:
            return self.parse(headers, raw)
        except Malformed:
            raise
        except Exception as error:  # noqa: BLE001 - bytes that break a parser are malformed
            raise Malformed(f"cannot be read: {type(error).__name__}") from error

    @abstractmethod
    def ack(self, outcome: str) -> tuple[int, str]:
        """Status and body of the response that this acquirer expects; `outcome` is the outcome of the webhook."""
