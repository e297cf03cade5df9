"""The interface to an acquirer, written as a manual. One file in `providers/` implements it; nothing else is edited.

A provider translates. It decides nothing about orders, knows no database, no session and no HTML, and keeps nothing
between calls: what it must remember goes into `provider_data`, which the shop stores and hands back. All its methods
may be called twice with the same arguments. Amounts are whole minor units in ISO 4217's sense; a provider that counts
differently converts inside its own file and refuses what does not convert exactly. Times are aware UTC datetimes.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

import httpx

from shop.core.money import Money
from shop.settings import Setting


@dataclass(frozen=True)
class PaymentRequest:
    """What a provider is told about a payment. `id` is our reference and the idempotency key of everything about it.

    `created_at` is when the shop decided to open it: no payment of theirs with our reference is older.
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
    """What the buyer does next: `redirect` (open url), `form_post` (post fields to url), `qr` (scan url),
    `store_code`.
    """

    kind: str
    url: str
    fields: Mapping[str, str] = field(default_factory=dict)


class BadSignature(Exception):
    """The webhook does not prove where it comes from."""


class Malformed(Exception):
    """What the acquirer says cannot be read, or not be kept."""


LONGEST = 500  # characters of any text of theirs that we keep as a name
LARGEST = 2**53  # minor units: what every database, JSON and JavaScript count exactly


def keepable(text: object, what: str, *, or_empty: bool = False) -> str:
    """`text`, if every database takes it as a name. Raises Malformed: a row that cannot be written is never done."""
    if not isinstance(text, str) or len(text) > LONGEST or not (text or or_empty):
        raise Malformed(f"{what} is not a text of sensible length")
    if re.search("[\0\ud800-\udfff]", text):
        raise Malformed(f"{what} has characters that are none")
    return text


def keepable_time(at: datetime | None, what: str) -> None:
    """Raises Malformed for a time without a zone, or one that no database and no subtraction can bear."""
    if at is not None and (at.tzinfo is None or not 1970 <= at.year <= 9000):
        raise Malformed(f"{what} is no time")


def keepable_money(money: Money) -> None:
    """Raises Malformed for more than every database and JSON count exactly, and for what is no currency."""
    if abs(money.amount) > LARGEST or not re.fullmatch("[A-Z]{3}", money.currency):
        raise Malformed("an amount that is no money")


@dataclass(frozen=True)
class CaptureFact:
    """Money taken, by the acquirer's own id of the taking; `at` is the acquirer's time. Raises Malformed."""

    id: str
    money: Money
    at: datetime

    def __post_init__(self) -> None:
        keepable(self.id, "the id of a capture")
        keepable_time(self.at, "when it was captured")
        keepable_money(self.money)


@dataclass(frozen=True)
class Decline:
    """Why the buyer's bank said no. `klass` is one of fix_input, other_method, authenticate, retry_later,
    never_retry.
    """

    code: str
    klass: str
    id: str = ""


@dataclass(frozen=True)
class Show:
    """A code that the buyer carries to a counter: `code` for people, `barcode` is what the bars say, `deadline` when it
    ends. Raises Malformed.
    """

    kind: str
    code: str
    barcode: str
    deadline: datetime

    def __post_init__(self) -> None:
        if self.kind != "store_code":
            raise Malformed("a code of a kind that we do not know")
        keepable(self.code, "the code")
        keepable(self.barcode, "the barcode", or_empty=True)
        keepable_time(self.deadline, "the deadline of the code")


@dataclass(frozen=True)
class Facts:
    """What one answer or notice says about a payment. Empty fields say nothing; they do not say "none".

    `state` is one of `shop.payments.states`; `end_reason` is customer, merchant, declines, time, refused,
    unavailable or never_arrived. Raises Malformed for what cannot be kept.
    """

    state: str | None = None
    captures: tuple[CaptureFact, ...] = ()
    decline: Decline | None = None
    instrument: Mapping[str, str] | None = None
    show: Show | None = None
    action: NextAction | None = None
    expires_at: datetime | None = None
    occurred_at: datetime | None = None
    end_reason: str | None = None
    provider_data: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.end_reason is not None:
            keepable(self.end_reason, "why it ended")
        keepable_time(self.expires_at, "when it expires")
        keepable_time(self.occurred_at, "when it happened")

    def as_json(self) -> dict[str, Any]:
        """What decides anything, for the record of what was heard."""
        captures = [
            {"id": c.id, "amount": c.money.amount, "currency": c.money.currency, "at": c.at.isoformat()}
            for c in self.captures
        ]
        decline = {"code": self.decline.code, "class": self.decline.klass} if self.decline else None
        return {"state": self.state, "captures": captures, "decline": decline, "end_reason": self.end_reason}


@dataclass(frozen=True)
class RefundRequest:
    """Money of one capture that goes back. `id` is our reference and the idempotency key; `capture_id` is theirs."""

    id: str
    money: Money
    capture_id: str
    reason: str = ""


@dataclass(frozen=True)
class RefundFact:
    """What is said about a refund: `reference` is our id of it, `state` PENDING, DONE or REJECTED. Raises Malformed."""

    reference: str
    state: str

    def __post_init__(self) -> None:
        keepable(self.reference, "the reference of a refund")
        if self.state not in ("PENDING", "DONE", "REJECTED"):
            raise Malformed("a refund in no state that we know")


@dataclass(frozen=True)
class DisputeFact:
    """What is said about a dispute: a customer's bank wants a capture back. `id` and `capture_id` are theirs.

    `kind` is chargeback (the money is gone until it is won) or inquiry (the bank only asks), `state` OPEN, WON or LOST.
    Raises Malformed.
    """

    id: str
    capture_id: str
    kind: str
    state: str
    money: Money
    at: datetime
    reason: str = ""
    respond_by: datetime | None = None

    def __post_init__(self) -> None:
        keepable(self.id, "the id of a dispute")
        keepable(self.capture_id, "the capture of a dispute", or_empty=True)
        keepable(self.reason, "the reason of a dispute", or_empty=True)
        keepable_time(self.at, "when it was disputed")
        keepable_time(self.respond_by, "until when it can be answered")
        if self.kind not in ("chargeback", "inquiry") or self.state not in ("OPEN", "WON", "LOST"):
            raise Malformed("a dispute of a kind or in a state that we do not know")
        keepable_money(self.money)
        if self.money.amount <= 0:
            raise Malformed("a dispute about no money")


SETTLED = ("capture", "refund_failed", "refund", "void", "dispute", "dispute_won", "other")
"""Kinds of settlement lines, in the order in which they are heard: money before what goes back of it, and that a refund
failed in the end before that it had been done. A void is a refund that gives the fee back, refund_failed the money of a
refund that came back, dispute_won that of a dispute. What is other is about no payment, and people look at it.
"""


@dataclass(frozen=True)
class SettlementLine:
    """One movement in a settlement file. `id` names the line for ever, `kind` is one of SETTLED.

    `about` names what moved: their id of a capture or a dispute, our id of a refund; empty when the file does not say.
    `reference` is our payment id, if it says so. `money` is signed: what goes back is negative. `fee` is what they keep
    of it; negative when they give it back. Raises Malformed.
    """

    id: str
    kind: str
    about: str
    money: Money
    fee: Money
    at: datetime
    reference: str = ""
    capture_id: str = ""

    def __post_init__(self) -> None:
        keepable(self.id, "the id of a line")
        for name in (self.about, self.reference, self.capture_id):
            keepable(name, "what the line is about", or_empty=True)
        keepable_time(self.at, "when the money moved")
        keepable_money(self.money)
        keepable_money(self.fee)
        if self.kind not in SETTLED or self.fee.currency != self.money.currency:
            raise Malformed("a line of a kind or in a currency that does not fit")


@dataclass(frozen=True)
class Notice:
    """One thing that a webhook says. `dedupe_key` names it for ever; `reference` is our payment id, as the acquirer has
    it.

    `trust` decides what it may do: `signed` (id and time under the signature) settles; `replayable` and `unsigned` only
    make the payment due to be asked about, and so does `hint` (proven, but it says too little to settle).
    """

    kind: str
    dedupe_key: str
    reference: str
    facts: Facts
    trust: str
    merchant: str = ""
    refund: RefundFact | None = None
    dispute: DisputeFact | None = None

    def __post_init__(self) -> None:
        keepable(self.dedupe_key, "the name of the event")
        keepable(self.reference, "the reference", or_empty=True)
        keepable(self.merchant, "the merchant", or_empty=True)


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
    """It was accepted and will happen; a query will tell."""


@dataclass(frozen=True)
class Rejected:
    """The acquirer said no, and nothing happened there."""

    code: str


@dataclass(frozen=True)
class Unknown:
    """No answer, or none that tells: it may have happened. A query will tell."""

    reason: str


@dataclass(frozen=True)
class Found:
    """What the acquirer says about a payment now."""

    facts: Facts


@dataclass(frozen=True)
class NotFound:
    """The acquirer answered, and knows no such payment (yet: see `consistency_window`)."""


@dataclass(frozen=True)
class Unavailable:
    """The acquirer did not answer or refused to for now. `retry_after` in seconds, when it said so."""

    reason: str
    retry_after: float | None = None


@dataclass(frozen=True)
class Capabilities:
    """What a provider can do. `start_again`: the same start with the same id finds the first one's result.

    `consistency_window`: after a change, a query may miss it for this long. `queries_per_second`: how many of them they
    answer, where that is less than the shop allows itself; None: no limit of theirs is known. `action` is the kind of
    the NextAction that a buyer gets. `settles_in` is the zone whose midnight ends their business day; fees are rounded
    to whole `fee_unit`s (minor units).
    """

    currencies: frozenset[str]
    start_again: bool = False
    manual_capture: bool = False
    multi_refund: bool = False
    refund_notifies: bool = False
    consistency_window: timedelta = timedelta(0)
    queries_per_second: int | None = None
    action: str = "redirect"
    settles_in: tzinfo = UTC
    fee_unit: int = 1


class PaymentProvider(ABC):
    """One acquirer. Class attributes describe it; `SETTINGS` are the rows it needs, read from the environment."""

    NAME: str
    LABEL: str
    MERCHANT: str = ""
    SETTINGS: tuple[Setting, ...] = ()
    capabilities: Capabilities

    def __init__(self, config: Mapping[str, Any], http: Callable[[], httpx.Client]) -> None:
        """`config` holds the shop's settings and `SETTINGS`; `http()` is this process's client with the right
        timeouts.
        """
        self.config, self.http = config, http

    def page_origins(self) -> tuple[str, ...]:
        """Origins to which the buyer is sent, besides ACQUIRER_PUBLIC_URL: the shop's pages must allow them."""
        return ()

    @abstractmethod
    def start(
        self, payment: PaymentRequest, return_url: str, webhook_url: str
    ) -> Started | Rejected | Unknown | Unavailable:
        """Open the payment there. Called outside transactions, perhaps again after a crash, always with the same id.

        Must never open two payments for one id. Unavailable only when the request certainly did not leave; Unknown when
        it may have. Never raises for what the network or the acquirer does.
        """

    @abstractmethod
    def query(self, payment: PaymentRequest) -> Found | NotFound | Unavailable:
        """Ask for the truth about the payment, by our id if theirs is not known. Changes nothing anywhere. Never
        raises.
        """

    @abstractmethod
    def cancel(self, payment: PaymentRequest) -> Done | Pending | Rejected | Unknown:
        """Close the payment so that it takes no money any more. Done when it is closed, however it came to be.

        Rejected when it has taken money. The shop asks afterwards in any case. Never raises.
        """

    def refund(
        self, payment: PaymentRequest, refund: RefundRequest
    ) -> Done | Pending | Rejected | Unknown | Unavailable:
        """Send money of one capture back. Called outside transactions, perhaps again, always with the same id.

        Must never send it twice for one id. Done when the money is on its way for certain, Pending when a query will
        tell, Rejected when it stays where it is, Unavailable only when the request certainly did not leave. Never
        raises. An acquirer that cannot send money back needs neither this nor `query_refund`: people return it.
        """
        return Rejected("cannot_refund")

    def query_refund(
        self, payment: PaymentRequest, refund: RefundRequest
    ) -> Done | Pending | Rejected | NotFound | Unavailable:
        """Ask what became of a refund, by our id. NotFound: they never had it. Changes nothing. Never raises."""
        return NotFound()

    # --- settlement --------------------------------------------------------------------------------------------------

    def settlement_file(self, day: date) -> bytes | Unavailable | None:
        """The settlement file of one of their business days; None when they have no call for it and people fetch it.

        Called outside transactions. Changes nothing. Never raises.
        """
        return None

    def parse_settlement(self, raw: bytes) -> list[SettlementLine]:
        """The lines of a settlement file, in its order. Raises Malformed. Pure."""
        raise Malformed("settlement files of this acquirer are not read")

    def read_settlement(self, raw: bytes) -> list[SettlementLine]:
        """`parse_settlement`, made total: any bytes give lines or Malformed; nothing else is raised."""
        try:
            return self.parse_settlement(raw)
        except Malformed:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the bytes do to a parser, they are malformed
            raise Malformed(f"cannot be read: {type(error).__name__}") from error

    def contract_fee(self, kind: str, amount: int) -> int | None:
        """What they may keep of a line about `amount` minor units, by the setting `<NAME>_FEE_BPS`, half a unit rounded
        up.

        None when the contract is not known, or says nothing about such lines: then no fee is compared.
        """
        rate, unit = int(self.config.get(f"{self.NAME.upper()}_FEE_BPS", 0)), self.capabilities.fee_unit
        if not rate or kind == "refund_failed":
            return None
        if kind not in ("capture", "void"):
            return 0
        share = 10_000 * unit
        fee = (abs(amount) * rate * 2 + share) // (2 * share) * unit
        return fee if kind == "capture" else -fee

    # --- webhooks ----------------------------------------------------------------------------------------------------

    @abstractmethod
    def verify(self, headers: Mapping[str, str], raw: bytes) -> None:
        """Check that the acquirer sent these bytes. Raises BadSignature. A provider whose webhooks are unsigned passes
        all.
        """

    @abstractmethod
    def parse(self, headers: Mapping[str, str], raw: bytes) -> list[Notice]:
        """What a webhook says, without asking whether it is true. Raises Malformed. Pure.

        A kind that is not known is a Notice whose facts are empty.
        """

    def read_webhook(self, headers: Mapping[str, str], raw: bytes) -> list[Notice]:
        """`verify`, then `parse`. Total: any bytes give notices, BadSignature or Malformed; nothing else is raised.

        `headers` have lower-case names.
        """
        try:
            self.verify(headers, raw)
        except BadSignature:
            raise
        except Exception as error:  # noqa: BLE001 - signature libraries let all sorts of errors out on garbage
            raise BadSignature(f"cannot be checked: {type(error).__name__}") from error
        return self.read_stored(headers, raw)

    def read_stored(self, headers: Mapping[str, str], raw: bytes) -> list[Notice]:
        """What a webhook says that has been verified before. Raises Malformed, and nothing else."""
        try:
            return self.parse(headers, raw)
        except Malformed:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the bytes do to a parser, they are malformed
            raise Malformed(f"cannot be read: {type(error).__name__}") from error

    @abstractmethod
    def ack(self, outcome: str) -> tuple[int, str]:
        """Status and body that this acquirer wants to read; `outcome` is a verdict of the inbox, or `unavailable`."""
