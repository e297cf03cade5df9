"""Tpay: cards and convenience stores in Taiwan. The browser posts a signed form to the payment page; no call initiates
the payment.

Amounts are whole dollars, times are those of Taipei. Webhooks are signed but have no id and no time, so they only make
the payment due for a poll. Query results lag a few seconds behind.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlsplit

import httpx

from shop.core.money import Money
from shop.payments.providers import settlement_csv
from shop.payments.providers.answers import matches_amount, never_raises, refunds_in, retry_after
from shop.payments.providers.capabilities import Capabilities
from shop.payments.providers.interface import (
    BadSignature,
    CaptureFact,
    Decline,
    Done,
    Facts,
    Found,
    Malformed,
    NextAction,
    NotFound,
    PaymentProvider,
    PaymentRequest,
    Pending,
    RefundFact,
    RefundRequest,
    Rejected,
    SettlementLine,
    Show,
    Started,
    Unavailable,
    Unknown,
    WebhookEvent,
)
from shop.payments.providers.settlement_line import LineKind
from shop.payments.providers.storable import short_code
from shop.payments.providers.types import ActionKind, EndReason, PaymentState, RefundState, Trust, WebhookKind
from shop.settings import MOCKED, Setting, WebAddress, several

_TAIPEI = timezone(timedelta(hours=8))
_TIME = "%Y/%m/%d %H:%M:%S"
_MINOR_UNITS = {"TWD": 100, "USD": 100, "JPY": 1}
_REFERENCE = re.compile(r"[A-Za-z0-9]{1,20}")
_ANSWERS = ("application/x-www-form-urlencoded", "text/plain", "text/html")
"""Content types of Tpay's forms; ECPay labels its own text/html."""
_MAC = "CheckMacValue"
_MOST_FIELDS = 2000

_OK, _CODE_ISSUED, _UNKNOWN_TO_THEM = "1", "10100073", "10200047"
_PAID, _OVER = "10200080", "10200081"
_NO_REFUND = frozenset({"10200047", "10200052", "10200090", "10200091", "10200092"})
_ENDED = {
    "10100058": (PaymentState.FAILED, EndReason.DECLINES),
    "10100251": (PaymentState.CANCELLED, EndReason.CUSTOMER),
    "10100252": (PaymentState.CANCELLED, EndReason.MERCHANT),
    "10200141": (PaymentState.EXPIRED, EndReason.TIME),
}
_REFUNDS: dict[str, Done | Pending | Rejected] = {
    "Accepted": Pending(),
    "Done": Done(),
    "Failed": Rejected("refund_failed"),
}
_REFUND_STATES = {"Accepted": RefundState.PENDING, "Done": RefundState.DONE, "Failed": RefundState.REJECTED}
_SETTLED = {
    "Sale": LineKind.CAPTURE,
    "Refund": LineKind.REFUND,
    "Void": LineKind.VOID,
    "RefundFailed": LineKind.REFUND_FAILED,
    "Chargeback": LineKind.DISPUTE,
    "ChargebackReversed": LineKind.DISPUTE_WON,
}
_COLUMNS = ("TradeTime", "Type", "MerchantTradeNo", "ChargeNo", "RefundNo", "TradeAmt", "Fee", "NetAmt", "Currency")
_ACKS = {"bad_signature": 401, "malformed": 400, "key_reused": 409, "unavailable": 503}


def check_mac(fields: Mapping[str, str], key: str, iv: str) -> str:
    """CheckMacValue of a form: the signature of all its other fields."""
    names = sorted((name for name in fields if name != _MAC), key=str.lower)
    text = "&".join(["HashKey=" + key, *(f"{name}={fields[name]}" for name in names), "HashIV=" + iv])
    encoded = quote_plus(text, safe="-_.!*()").replace("~", "%7E")  # .NET encodes the tilde, Python never does
    return hashlib.sha256(encoded.lower().encode()).hexdigest().upper()


class Tpay(PaymentProvider):
    """The tpay adapter. Our trade number identifies the payment, so it keeps no `provider_data`.

    Tpay does not know a payment before the customer's browser has posted the form, so queries may find nothing for
    long.
    """

    NAME = "tpay"
    LABEL = "Tpay"
    SETTINGS = (
        Setting("TPAY_MOCKED", "off", MOCKED, bool),
        Setting("TPAY_MERCHANT_ID", "3002607", "Our MerchantID at Tpay; webhooks about others are not booked."),
        Setting("TPAY_HASH_KEY", "pwFHCqoQZGmho4w6", "HashKey of the CheckMacValue.", secret=True),
        Setting("TPAY_HASH_IV", "EkRm7iFT261dpevs", "HashIV of the CheckMacValue.", secret=True),
        Setting(
            "TPAY_WEBHOOK_SECRET",
            "tpay_demo_secret",
            "Secrets of Tpay's X-Signature; several, separated by commas, during a rotation.",
            secret=True,
        ),
        Setting("TPAY_URL", "", "Base address of Tpay's API; empty: `/tpay` under ACQUIRER_URL.", WebAddress),
        Setting(
            "TPAY_FEE_BPS",
            "275",
            "Contract fee of Tpay per capture, in hundredths of a per cent; 0: not compared.",
            int,
        ),
        Setting(
            "TPAY_CASHIER_URL",
            "",
            "Base address of Tpay for browsers; empty: `/tpay` under ACQUIRER_PUBLIC_URL.",
            WebAddress,
        ),
    )
    capabilities = Capabilities(
        currencies=frozenset({"TWD"}),
        start_again=True,
        multi_refund=True,
        consistency_window=timedelta(seconds=5),
        pays_by="card or store",
        action=ActionKind.FORM_POST,
        settles_in=_TAIPEI,
        fee_unit=100,
        steps={"TWD": 100},
        least={"TWD": 100},
        most={"TWD": 99_999_999_900},
    )

    def __init__(self, config: Mapping[str, Any], http: Callable[[], httpx.Client]) -> None:
        super().__init__(config, http)
        self.MERCHANT = str(config["TPAY_MERCHANT_ID"])
        self._base = _address(config, "TPAY_URL", "ACQUIRER_URL")
        self._cashier = _address(config, "TPAY_CASHIER_URL", "ACQUIRER_PUBLIC_URL") + "/cashier/checkout"

    def page_origins(self) -> tuple[str, ...]:
        cashier = urlsplit(self._cashier)
        return (f"{cashier.scheme}://{cashier.netloc}",)

    # --- calls -------------------------------------------------------------------------------------------------------

    @never_raises(Unknown)
    def start(
        self, payment: PaymentRequest, return_url: str, webhook_url: str
    ) -> Started | Rejected | Unknown | Unavailable:
        """Makes no call: the same payment always gives the same form, and the same form opens the same payment page."""
        if payment.money.currency not in self.capabilities.currencies:
            return Rejected("currency")
        if not self.capabilities.takes(payment.money):
            return Rejected("amount")
        if not _REFERENCE.fullmatch(payment.id):
            return Rejected("reference")
        fields = {
            "MerchantID": self.MERCHANT,
            "MerchantTradeNo": payment.id,
            "MerchantTradeDate": _written(payment.created_at or payment.pay_by),
            "PaymentType": "aio",
            "TotalAmount": str(payment.money.amount // _MINOR_UNITS["TWD"]),
            "TradeDesc": payment.description[:200] or payment.id,
            "ReturnURL": webhook_url,
            "ClientBackURL": return_url,
            "ChoosePayment": "ALL",
            "ExpireDate": _written(payment.pay_by),
            "Language": payment.locale,
            "EncryptType": "1",
        }
        return Started(NextAction(ActionKind.FORM_POST, self._cashier, self._sealed(fields)), payment.pay_by)

    @never_raises(Unavailable)
    def query(self, payment: PaymentRequest) -> Found | NotFound | Unavailable:
        trade = self._trade(payment)
        if not isinstance(trade, dict):
            return trade
        return Found(_facts(trade, payment))

    @never_raises(Unknown)
    def cancel(self, payment: PaymentRequest) -> Done | Pending | Rejected | Unknown:
        """Tpay also cancels a trade before the browser has posted its form: the number is used up, and the form no
        longer works.
        """
        try:
            trade = self._call("cancel", MerchantTradeNo=payment.id)
        except httpx.HTTPError as error:
            return Unknown(type(error).__name__)
        code = trade.get("RtnCode", "")
        if code in (_OK, _OVER):
            return Done()
        return Rejected("already_paid") if code == _PAID else Unknown(short_code(code))

    @never_raises(Unknown)
    def refund(
        self, payment: PaymentRequest, refund: RefundRequest
    ) -> Done | Pending | Rejected | Unknown | Unavailable:
        dollars, rest = divmod(refund.money.amount, _MINOR_UNITS["TWD"])
        if rest or dollars < 1 or refund.money.currency != "TWD":
            return Rejected("amount")
        named = {"MerchantTradeNo": payment.id, "RefundNo": refund.id, "ChargeNo": refund.capture_id}
        try:
            trade = self._call("refund", RefundAmount=str(dollars), **named)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return Unavailable(type(error).__name__)
        except httpx.HTTPError as error:
            return _refused_unread(error) or Unknown(type(error).__name__)
        code = trade.get("RtnCode", "")
        if code == _OK:
            return Pending()  # accepted; a query gives the result
        return Rejected(code) if code in _NO_REFUND else Unknown(short_code(code))

    @never_raises(Unavailable)
    def query_refund(
        self, payment: PaymentRequest, refund: RefundRequest
    ) -> Done | Pending | Rejected | NotFound | Unavailable:
        trade = self._trade(payment)
        if not isinstance(trade, dict):
            return trade
        for number in _refund_numbers(trade):
            if trade.get(f"RefundNo{number}") == refund.id and _is_requested(trade, number, refund):
                return _REFUNDS[trade[f"RefundStatus{number}"]]
        return NotFound()

    def _trade(self, payment: PaymentRequest) -> dict[str, str] | NotFound | Unavailable:
        """Response of the query for the trade with our number."""
        try:
            trade = self._call("query", MerchantTradeNo=payment.id)
        except httpx.HTTPStatusError as error:
            return Unavailable(f"HTTP {error.response.status_code}", retry_after(error.response.headers))
        except httpx.HTTPError as error:
            return Unavailable(type(error).__name__)
        code = trade.get("RtnCode", "")
        if code == _UNKNOWN_TO_THEM:
            return NotFound()
        return trade if code == _OK else Unavailable(f"RtnCode {short_code(code)}")

    def _call(self, operation: str, **fields: str) -> dict[str, str]:
        """The fields of Tpay's response. Raises HTTPError for no response, another status than 200, or a wrong
        signature.
        """
        fields_sent = {"MerchantID": self.MERCHANT, "TimeStamp": str(int(time.time())), **fields}
        answer = self.http().post(f"{self._base}/{operation}", data=self._sealed(fields_sent))
        if answer.status_code != 200:
            raise httpx.HTTPStatusError("not 200", request=answer.request, response=answer)
        if answer.headers.get("content-type", "").partition(";")[0].strip() not in _ANSWERS:
            raise httpx.DecodingError("an answer of another content type", request=answer.request)
        try:
            trade = _read(answer.content)
        except ValueError as error:
            raise httpx.DecodingError("no form", request=answer.request) from error
        if not self._is_sealed(trade):  # a refusal ends payments and refunds, so it needs a valid signature as well
            raise httpx.DecodingError("not sealed by them", request=answer.request)
        if trade.get("MerchantTradeNo", fields["MerchantTradeNo"]) != fields["MerchantTradeNo"]:
            raise httpx.DecodingError("an answer about another trade", request=answer.request)
        return trade

    def _seal(self, fields: Mapping[str, str]) -> str:
        return check_mac(fields, str(self.config["TPAY_HASH_KEY"]), str(self.config["TPAY_HASH_IV"]))

    def _sealed(self, fields: Mapping[str, str]) -> dict[str, str]:
        return {**fields, _MAC: self._seal(fields)}

    def _is_sealed(self, fields: Mapping[str, str]) -> bool:
        return hmac.compare_digest(fields.get(_MAC, "").encode(), self._seal(fields).encode())

    def parse_settlement(self, raw: bytes) -> list[SettlementLine]:
        """Tpay's daily CSV. Staff download it: there is no API for it."""
        return settlement_csv.lines(raw, "utf-8", _COLUMNS, _settled)

    # --- webhooks ----------------------------------------------------------------------------------------------------

    def verify(self, headers: Mapping[str, str], raw: bytes) -> None:
        given = [mac.strip().encode() for mac in headers.get("x-signature", "").split(",")[:4]]
        for secret in several(self.config["TPAY_WEBHOOK_SECRET"]):
            right = hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest().encode()
            if any(hmac.compare_digest(mac, right) for mac in given):
                break
        else:
            raise BadSignature("no secret of ours signed this")
        if not self._is_sealed(_read(raw)):
            raise BadSignature("the CheckMacValue is not of these fields")

    def parse(self, headers: Mapping[str, str], raw: bytes) -> list[WebhookEvent]:
        """A hint: without event id and time it can be replayed. One with SimulatePaid=1 is ignored."""
        trade = _read(raw)
        reference, merchant = trade["MerchantTradeNo"], trade["MerchantID"]
        is_real = trade.get("SimulatePaid", "0") == "0" and trade["RtnCode"] in (_OK, _CODE_ISSUED)
        kind = WebhookKind.PAYMENT if is_real else WebhookKind.OTHER
        return [WebhookEvent(kind, hashlib.sha256(raw).hexdigest(), reference, Facts(), Trust.REPLAYABLE, merchant)]

    def ack(self, outcome: str) -> tuple[int, str]:
        status = _ACKS.get(outcome, 200)
        return status, "1|OK" if status == 200 else f"0|{outcome}"


# --- words -----------------------------------------------------------------------------------------------------------


def _address(config: Mapping[str, Any], name: str, otherwise: str) -> str:
    return str(config[name] or config[otherwise].rstrip("/") + "/tpay").rstrip("/")


def _read(raw: bytes) -> dict[str, str]:
    """The fields of a form. Raises ValueError."""
    options: Any = {"keep_blank_values": True, "strict_parsing": True, "errors": "strict"}
    pairs = parse_qsl(raw.decode("ascii"), max_num_fields=_MOST_FIELDS, **options)
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a field is there twice")
    return dict(pairs)


def _facts(trade: Mapping[str, str], payment: PaymentRequest) -> Facts:
    """Translate one of Tpay's trades. Raises Malformed for another one than `payment`."""
    if trade["MerchantTradeNo"] != payment.id:
        raise Malformed("the answer is about another payment")
    status = trade["TradeStatus"]
    captures = tuple(_capture(trade, number) for number in range(1, int(trade["ChargeCount"]) + 1))
    state, reason = _ENDED.get(status, (PaymentState.OPEN if status == "0" else None, None))
    expires_at = _time(trade["ExpireDate"])
    return Facts(
        state=PaymentState.CAPTURED if captures else state,
        captures=captures,
        refunds=_refunds(trade, captures, payment.id),
        decline=_decline(trade),
        instrument=_instrument(trade),
        show=_show(trade, expires_at),
        expires_at=expires_at,
        end_reason=reason,
    )


def _capture(trade: Mapping[str, str], number: int) -> CaptureFact:
    currency = trade[f"ChargeCurrency{number}"]
    money = Money(settlement_csv.in_minor_units(trade[f"ChargeAmt{number}"], _MINOR_UNITS[currency]), currency)
    return CaptureFact(trade[f"ChargeNo{number}"], money, _time(trade[f"ChargeDate{number}"]))


def _refund_numbers(trade: Mapping[str, str]) -> range:
    """The numbers of the refunds in the fields of a trade, at most as many as a form has fields."""
    return range(1, min(int(trade.get("RefundCount", "0")), _MOST_FIELDS) + 1)


def _refunds(trade: Mapping[str, str], captures: tuple[CaptureFact, ...], reference: str) -> tuple[RefundFact, ...]:
    """All refunds of a trade, in the currency of their charges. Its number was given by its requester."""

    def read(number: int) -> RefundFact:
        charge = trade.get(f"RefundChargeNo{number}", "")
        currency = next((one.money.currency for one in captures if charge in ("", one.id)), "TWD")
        money = Money(settlement_csv.in_minor_units(trade[f"RefundAmount{number}"], _MINOR_UNITS[currency]), currency)
        state, name = _REFUND_STATES[trade[f"RefundStatus{number}"]], trade[f"RefundNo{number}"]
        named = _refund_name(reference, name)
        return RefundFact(name, state, id=named, money=money, capture_id=charge, payment=reference)

    return refunds_in(_refund_numbers(trade), read, provider=Tpay.NAME)


def _is_requested(trade: Mapping[str, str], number: int, refund: RefundRequest) -> bool:
    """True if Tpay's refund with our number is the one that we requested."""
    dollars, charge = trade.get(f"RefundAmount{number}"), trade.get(f"RefundChargeNo{number}", "")
    amount = None if dollars is None else settlement_csv.in_minor_units(dollars, _MINOR_UNITS[refund.money.currency])
    return matches_amount(refund.money, amount, None) and charge in ("", refund.capture_id)


def _refund_name(trade: str, number: str) -> str:
    """Unique id of a refund: its number is unique within its trade only."""
    return f"{trade}:{number}" if number else ""


def _settled(row: Mapping[str, str]) -> SettlementLine:
    """Parse a row of the daily file. Rows have no number; subject and kind of the movement identify them."""
    kind, currency = _SETTLED[row["Type"]], row["Currency"]
    money, fee, net = (
        Money(settlement_csv.in_minor_units(row[name], _MINOR_UNITS[currency]), currency)
        for name in ("TradeAmt", "Fee", "NetAmt")
    )
    settlement_csv.adds_up(money, fee, net.amount)
    is_refund, trade = kind in (LineKind.REFUND, LineKind.VOID, LineKind.REFUND_FAILED), row["MerchantTradeNo"]
    return SettlementLine(
        id=":".join((row["Type"], row["ChargeNo"], row["RefundNo"])),
        kind=kind,
        about=row["RefundNo"] if is_refund else row["ChargeNo"],
        money=money,
        fee=fee,
        at=_time(row["TradeTime"]),
        reference=trade,
        capture_id=row["ChargeNo"],
        refund_id=_refund_name(trade, row["RefundNo"]) if is_refund else "",
    )


def _decline(trade: Mapping[str, str]) -> Decline | None:
    code = trade.get("DeclineCode", "")
    return Decline(code, trade.get("DeclineClass", "")) if code else None


def _show(trade: Mapping[str, str], deadline: datetime) -> Show | None:
    """The store payment code, while it can be paid."""
    code = trade.get("PaymentNo", "")
    return Show(ActionKind.STORE_CODE, code, trade.get("Barcode1", ""), deadline) if code else None


def _instrument(trade: Mapping[str, str]) -> dict[str, str] | None:
    if trade["PaymentType"] == "CVS_CVS":
        return {"method": "convenience store", "brand": "", "last4": ""}
    if not trade.get("Card4No"):
        return None
    return {"method": "card", "brand": trade.get("CardBrand", ""), "last4": trade["Card4No"]}


def _written(at: datetime) -> str:
    return at.astimezone(_TAIPEI).strftime(_TIME)


def _time(text: str) -> datetime:
    return datetime.strptime(text, _TIME).replace(tzinfo=_TAIPEI).astimezone(UTC)


def _refused_unread(error: httpx.HTTPError) -> Unavailable | None:
    """429 means that the call was not processed."""
    if isinstance(error, httpx.HTTPStatusError) and error.response.status_code == 429:
        return Unavailable("429", retry_after(error.response.headers))
    return None


PROVIDER = Tpay
