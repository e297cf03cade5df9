"""Tpay: cards and convenience stores in Taiwan. The browser carries a signed form to their cashier; no call opens it.

They write whole dollars and times of Taipei. Their webhooks are signed but have no id and no time, so they only make us
ask, and what they answer is a few seconds old.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlsplit

import httpx

from shop.core.money import Money
from shop.payments import sheet, states
from shop.payments.provider import (
    BadSignature,
    Capabilities,
    CaptureFact,
    Decline,
    Done,
    Facts,
    Found,
    Malformed,
    NextAction,
    NotFound,
    Notice,
    PaymentProvider,
    PaymentRequest,
    Pending,
    RefundRequest,
    Rejected,
    SettlementLine,
    Show,
    Started,
    Unavailable,
    Unknown,
)
from shop.settings import Setting

_TAIPEI = timezone(timedelta(hours=8))
_TIME = "%Y/%m/%d %H:%M:%S"
_MINOR_UNITS = {"TWD": 100, "USD": 100, "JPY": 1}
_REFERENCE = re.compile(r"[A-Za-z0-9]{1,20}")
_FORM = "application/x-www-form-urlencoded"
_MAC = "CheckMacValue"

_OK, _UNKNOWN_TO_THEM = "1", "10200047"
_PAID, _OVER = "10200080", "10200081"
_NO_REFUND = frozenset({"10200047", "10200052", "10200090", "10200091", "10200092"})
_ENDED = {
    "10100058": (states.FAILED, "declines"),
    "10100251": (states.CANCELLED, "customer"),
    "10100252": (states.CANCELLED, "merchant"),
    "10200141": (states.EXPIRED, "time"),
}
_REFUNDS: dict[str, Done | Pending | Rejected] = {
    "Accepted": Pending(),
    "Done": Done(),
    "Failed": Rejected("refund_failed"),
}
_SETTLED = {
    "Sale": "capture",
    "Refund": "refund",
    "Void": "void",
    "RefundFailed": "refund_failed",
    "Chargeback": "dispute",
    "ChargebackReversed": "dispute_won",
}
_COLUMNS = ("TradeTime", "Type", "MerchantTradeNo", "ChargeNo", "RefundNo", "TradeAmt", "Fee", "NetAmt", "Currency")
_ACKS = {"bad_signature": 401, "malformed": 400, "key_reused": 409, "unavailable": 503}


def check_mac(fields: Mapping[str, str], key: str, iv: str) -> str:
    """Their seal over the fields of a form, but for the seal itself."""
    names = sorted((name for name in fields if name != _MAC), key=str.lower)
    text = "&".join(["HashKey=" + key, *(f"{name}={fields[name]}" for name in names), "HashIV=" + iv])
    return hashlib.sha256(quote_plus(text, safe="-_.!*()").lower().encode()).hexdigest().upper()


class Tpay(PaymentProvider):
    """The tpay adapter. Our number is all it needs, so it keeps no `provider_data`.

    They know nothing of a payment before the buyer's browser has been there, so a question may find nothing for long.
    """

    NAME = "tpay"
    LABEL = "Tpay"
    SETTINGS = (
        Setting("TPAY_MERCHANT_ID", "3002607", "Our MerchantID at Tpay; notices about others are not ours."),
        Setting("TPAY_HASH_KEY", "pwFHCqoQZGmho4w6", "HashKey of the CheckMacValue.", secret=True),
        Setting("TPAY_HASH_IV", "EkRm7iFT261dpevs", "HashIV of the CheckMacValue.", secret=True),
        Setting(
            "TPAY_WEBHOOK_SECRET",
            "tpay_demo_secret",
            "Secrets of Tpay's X-Signature; several, separated by commas, while one replaces another.",
            secret=True,
        ),
        Setting("TPAY_URL", "", "Base address of Tpay's API; empty: `/tpay` under ACQUIRER_URL."),
        Setting(
            "TPAY_FEE_BPS", "275", "What Tpay may keep of a capture, in hundredths of a per cent; 0: not compared.", int
        ),
        Setting("TPAY_CASHIER_URL", "", "Base address of Tpay for browsers; empty: `/tpay` under ACQUIRER_PUBLIC_URL."),
    )
    capabilities = Capabilities(
        currencies=frozenset({"TWD"}),
        start_again=True,
        multi_refund=True,
        consistency_window=timedelta(seconds=5),
        action="form_post",
        settles_in=_TAIPEI,
        fee_unit=100,
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

    def start(
        self, payment: PaymentRequest, return_url: str, webhook_url: str
    ) -> Started | Rejected | Unknown | Unavailable:
        """Asks nobody: the same payment always gives the same form, and the same form the same cashier."""
        dollars, rest = divmod(payment.money.amount, _MINOR_UNITS["TWD"])
        if payment.money.currency not in self.capabilities.currencies:
            return Rejected("currency")
        if rest or dollars < 1:
            return Rejected("amount")
        if not _REFERENCE.fullmatch(payment.id):
            return Rejected("reference")
        fields = {
            "MerchantID": self.MERCHANT,
            "MerchantTradeNo": payment.id,
            "MerchantTradeDate": _written(payment.created_at or payment.pay_by),
            "PaymentType": "aio",
            "TotalAmount": str(dollars),
            "TradeDesc": payment.description[:200] or payment.id,
            "ReturnURL": webhook_url,
            "ClientBackURL": return_url,
            "ChoosePayment": "ALL",
            "ExpireDate": _written(payment.pay_by),
            "Language": payment.locale,
            "EncryptType": "1",
        }
        return Started(NextAction("form_post", self._cashier, self._sealed(fields)), payment.pay_by)

    def query(self, payment: PaymentRequest) -> Found | NotFound | Unavailable:
        told = self._trade(payment)
        if not isinstance(told, dict):
            return told
        try:
            return Found(_facts(told, payment))
        except (ValueError, KeyError, ArithmeticError, Malformed) as error:
            return Unavailable(f"an answer that cannot be read: {type(error).__name__}")

    def cancel(self, payment: PaymentRequest) -> Done | Pending | Rejected | Unknown:
        """Theirs works before the browser was there too: then the number is burnt, and its form leads nowhere."""
        try:
            told = self._call("cancel", MerchantTradeNo=payment.id)
        except httpx.HTTPError as error:
            return Unknown(type(error).__name__)
        code = told.get("RtnCode", "")
        if code in (_OK, _OVER):
            return Done()
        return Rejected("already_paid") if code == _PAID else Unknown(code)

    def refund(
        self, payment: PaymentRequest, refund: RefundRequest
    ) -> Done | Pending | Rejected | Unknown | Unavailable:
        dollars, rest = divmod(refund.money.amount, _MINOR_UNITS["TWD"])
        if rest or dollars < 1 or refund.money.currency != "TWD":
            return Rejected("amount")
        named = {"MerchantTradeNo": payment.id, "RefundNo": refund.id, "ChargeNo": refund.capture_id}
        try:
            told = self._call("refund", RefundAmount=str(dollars), **named)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return Unavailable(type(error).__name__)
        except httpx.HTTPError as error:
            return _not_taken(error) or Unknown(type(error).__name__)
        code = told.get("RtnCode", "")
        if code == _OK:
            return Pending()  # accepted; the truth is in the query
        return Rejected(code) if code in _NO_REFUND else Unknown(code)

    def query_refund(
        self, payment: PaymentRequest, refund: RefundRequest
    ) -> Done | Pending | Rejected | NotFound | Unavailable:
        told = self._trade(payment)
        if not isinstance(told, dict):
            return told
        try:
            for number in range(1, int(told.get("RefundCount", "0")) + 1):
                if told[f"RefundNo{number}"] == refund.id:
                    return _REFUNDS[told[f"RefundStatus{number}"]]
        except (ValueError, KeyError) as error:
            return Unavailable(f"an answer that cannot be read: {type(error).__name__}")
        return NotFound()

    def _trade(self, payment: PaymentRequest) -> dict[str, str] | NotFound | Unavailable:
        """What their query says about the trade with our number."""
        try:
            told = self._call("query", MerchantTradeNo=payment.id)
        except httpx.HTTPStatusError as error:
            return Unavailable(f"HTTP {error.response.status_code}", _retry_after(error.response))
        except httpx.HTTPError as error:
            return Unavailable(type(error).__name__)
        code = told.get("RtnCode", "")
        if code == _UNKNOWN_TO_THEM:
            return NotFound()
        return told if code == _OK else Unavailable(f"RtnCode {code:.20}")

    def _call(self, operation: str, **fields: str) -> dict[str, str]:
        """The fields of their answer. Raises HTTPError for no answer, another status than 200, or a wrong seal."""
        asked = {"MerchantID": self.MERCHANT, "TimeStamp": str(int(time.time())), **fields}
        answer = self.http().post(f"{self._base}/{operation}", data=self._sealed(asked))
        if answer.status_code != 200:
            raise httpx.HTTPStatusError("not 200", request=answer.request, response=answer)
        try:
            told = _read(answer.content)
        except ValueError as error:
            raise httpx.DecodingError("no form", request=answer.request) from error
        if told.get("RtnCode") == _OK and not self._is_sealed(told):
            raise httpx.DecodingError("not sealed by them", request=answer.request)
        return told

    def _seal(self, fields: Mapping[str, str]) -> str:
        return check_mac(fields, str(self.config["TPAY_HASH_KEY"]), str(self.config["TPAY_HASH_IV"]))

    def _sealed(self, fields: Mapping[str, str]) -> dict[str, str]:
        return {**fields, _MAC: self._seal(fields)}

    def _is_sealed(self, fields: Mapping[str, str]) -> bool:
        return hmac.compare_digest(fields.get(_MAC, "").encode(), self._seal(fields).encode())

    def parse_settlement(self, raw: bytes) -> list[SettlementLine]:
        """Their daily CSV. It is fetched by people: they have no call for it."""
        return sheet.lines(raw, "utf-8", _COLUMNS, _settled)

    # --- webhooks ----------------------------------------------------------------------------------------------------

    def verify(self, headers: Mapping[str, str], raw: bytes) -> None:
        given = [mac.strip().encode() for mac in headers.get("x-signature", "").split(",")[:4]]
        for secret in str(self.config["TPAY_WEBHOOK_SECRET"]).split(","):
            right = hmac.new(secret.strip().encode(), raw, hashlib.sha256).hexdigest().encode()
            if any(hmac.compare_digest(mac, right) for mac in given):
                break
        else:
            raise BadSignature("no secret of ours signed this")
        if not self._is_sealed(_read(raw)):
            raise BadSignature("the CheckMacValue is not of these fields")

    def parse(self, headers: Mapping[str, str], raw: bytes) -> list[Notice]:
        """A hint. Without an id and a time anybody may send it again; one that says SimulatePaid=1 means nothing."""
        told = _read(raw)
        reference, merchant = told["MerchantTradeNo"], told["MerchantID"]
        if not _REFERENCE.fullmatch(reference):
            raise Malformed("no payment of ours is called so")
        is_real = told.get("SimulatePaid", "0") == "0" and told["RtnCode"] == _OK
        kind = "payment" if is_real else "other"
        return [Notice(kind, hashlib.sha256(raw).hexdigest(), reference, Facts(), "replayable", merchant)]

    def ack(self, outcome: str) -> tuple[int, str]:
        status = _ACKS.get(outcome, 200)
        return status, "1|OK" if status == 200 else f"0|{outcome}"


# --- words -----------------------------------------------------------------------------------------------------------


def _address(config: Mapping[str, Any], name: str, otherwise: str) -> str:
    return str(config[name] or config[otherwise].rstrip("/") + "/tpay").rstrip("/")


def _read(raw: bytes) -> dict[str, str]:
    """The fields of a form. Raises ValueError."""
    pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict")
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a field is there twice")
    return dict(pairs)


def _facts(told: Mapping[str, str], payment: PaymentRequest) -> Facts:
    """A trade of theirs in our words. Raises Malformed for another one than `payment`."""
    if told["MerchantTradeNo"] != payment.id:
        raise Malformed("the answer is about another payment")
    status = told["TradeStatus"]
    captures = tuple(_capture(told, number) for number in range(1, int(told["ChargeCount"]) + 1))
    state, reason = _ENDED.get(status, (states.OPEN if status == "0" else None, None))
    expires_at = _time(told["ExpireDate"])
    return Facts(
        state=states.CAPTURED if captures else state,
        captures=captures,
        decline=_decline(told),
        instrument=_instrument(told),
        show=_show(told, expires_at),
        expires_at=expires_at,
        end_reason=reason,
    )


def _capture(told: Mapping[str, str], number: int) -> CaptureFact:
    currency = told[f"ChargeCurrency{number}"]
    minor = Decimal(told[f"ChargeAmt{number}"]) * _MINOR_UNITS[currency]
    if minor != int(minor):
        raise Malformed("an amount that is not whole minor units")
    return CaptureFact(told[f"ChargeNo{number}"], Money(int(minor), currency), _time(told[f"ChargeDate{number}"]))


def _settled(row: Mapping[str, str]) -> SettlementLine:
    """A row of the daily file. Rows have no number; what moved, and how, names them."""
    kind, currency = _SETTLED[row["Type"]], row["Currency"]
    money, fee, net = (
        Money(sheet.in_minor_units(row[name], _MINOR_UNITS[currency]), currency)
        for name in ("TradeAmt", "Fee", "NetAmt")
    )
    sheet.adds_up(money, fee, net.amount)
    about = row["RefundNo"] if kind in ("refund", "void", "refund_failed") else row["ChargeNo"]
    return SettlementLine(
        id=":".join((row["Type"], row["ChargeNo"], row["RefundNo"])),
        kind=kind,
        about=about,
        money=money,
        fee=fee,
        at=_time(row["TradeTime"]),
        reference=row["MerchantTradeNo"],
        capture_id=row["ChargeNo"],
    )


def _decline(told: Mapping[str, str]) -> Decline | None:
    code = told.get("DeclineCode", "")
    return Decline(code, told.get("DeclineClass", "")) if code else None


def _show(told: Mapping[str, str], deadline: datetime) -> Show | None:
    """The code for the counter, while it can be paid."""
    code = told.get("PaymentNo", "")
    return Show("store_code", code, told.get("Barcode1", ""), deadline) if code else None


def _instrument(told: Mapping[str, str]) -> dict[str, str] | None:
    if told["PaymentType"] == "CVS_CVS":
        return {"method": "convenience store", "brand": "", "last4": ""}
    if not told.get("Card4No"):
        return None
    return {"method": "card", "brand": told.get("CardBrand", ""), "last4": told["Card4No"]}


def _written(at: datetime) -> str:
    return at.astimezone(_TAIPEI).strftime(_TIME)


def _time(text: str) -> datetime:
    return datetime.strptime(text, _TIME).replace(tzinfo=_TAIPEI).astimezone(UTC)


def _not_taken(error: httpx.HTTPError) -> Unavailable | None:
    """429 means that the call was not even looked at."""
    if isinstance(error, httpx.HTTPStatusError) and error.response.status_code == 429:
        return Unavailable("429", _retry_after(error.response))
    return None


def _retry_after(answer: httpx.Response) -> float | None:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None


PROVIDER = Tpay
