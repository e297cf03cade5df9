"""PayPay: a wallet that pays by scanning a QR code. Open Payment API v2: signed calls, unsigned webhooks, codes of five
minutes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote

import httpx

from shop.core.money import Money
from shop.payments.providers import settlement_csv
from shop.payments.providers.answers import (
    ID_TAKEN,
    json_body,
    matches_amount,
    never_raises,
    parse_json,
    refunds_in,
    retry_after,
)
from shop.payments.providers.capabilities import Capabilities
from shop.payments.providers.interface import (
    CaptureFact,
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
    Started,
    Unavailable,
    Unknown,
    WebhookEvent,
)
from shop.payments.providers.settlement_line import LineKind
from shop.payments.providers.storable import keepable_time, short_code, their_id
from shop.payments.providers.types import ActionKind, EndReason, PaymentState, RefundState, Trust, WebhookKind
from shop.settings import MOCKED, Setting, WebAddress

_STATES = {
    "CREATED": PaymentState.OPEN,
    "AUTHORIZED": PaymentState.AUTHORIZED,
    "COMPLETED": PaymentState.CAPTURED,
    "REFUNDED": PaymentState.CAPTURED,
    "CANCELED": PaymentState.CANCELLED,
    "EXPIRED": PaymentState.EXPIRED,
    "FAILED": PaymentState.FAILED,
}
_REFUNDS: dict[str, Done | Pending | Rejected] = {
    "CREATED": Pending(),
    "REFUNDED": Done(),
    "FAILED": Rejected("refund_failed"),
}
_REFUND_STATES = {"CREATED": RefundState.PENDING, "REFUNDED": RefundState.DONE, "FAILED": RefundState.REJECTED}
_TOKYO = timezone(timedelta(hours=9))
_SETTLED = {
    "取引完了": LineKind.CAPTURE,
    "返金完了": LineKind.REFUND,
    "返金取消": LineKind.REFUND_FAILED,
    "異議申立": LineKind.DISPUTE,
    "異議申立取消": LineKind.DISPUTE_WON,
}
_COLUMNS = (
    "決済番号",
    "取引ステータス",
    "取引日時",
    "取引金額",
    "手数料",
    "入金額",
    "通貨",
    "マーチャント決済ID",
    "マーチャント返金ID",
)
_END_REASONS = {PaymentState.EXPIRED: EndReason.TIME}
_ACKS = {"bad_signature": 401, "malformed": 400, "key_reused": 409, "unavailable": 503}
_UNKNOWN_TO_THEM = "DYNAMIC_QR_PAYMENT_NOT_FOUND"
_CONTENT_TYPE = "application/json;charset=UTF-8"
_APP = re.compile(r"paypay://[A-Za-z0-9._~/?&=%-]{1,1000}")
"""URL that opens PayPay's app on a phone."""
_EMPTY = "empty"
_UNREADABLE = (ValueError, LookupError, TypeError)
"""Exceptions of reading the code of a response in an unexpected format."""


def sign(key: str, secret: str, method: str, path: str, body: bytes, nonce: str, epoch: int, kind: str) -> str:
    """The Authorization header of one call; `path` begins with `/v2`, `kind` is the content type of a body."""
    digest = base64.b64encode(hashlib.md5(kind.encode() + body, usedforsecurity=False).digest()).decode()
    body_hash, kind = (digest, kind) if body else (_EMPTY, _EMPTY)
    signed = "\n".join((path, method, nonce, str(epoch), kind, body_hash))
    mac = base64.b64encode(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()).decode()
    return f"hmac OPA-Auth:{key}:{mac}:{nonce}:{epoch}:{body_hash}"


class PayPay(PaymentProvider):
    """The paypay adapter. `provider_data`: `code_id`, PayPay's id of the code, without which it can never be shown; and
    `payment_id`, PayPay's id of the payment once money was captured.

    PayPay's webhooks are not signed, so they only make the payment due for a poll.
    """

    NAME = "paypay"
    LABEL = "PayPay"
    SETTINGS = (
        Setting("PAYPAY_API_KEY", "pp_test_demo", "API key at PayPay.", secret=True),
        Setting("PAYPAY_SECRET", "pp_test_secret", "Secret that signs our calls to PayPay.", secret=True),
        Setting("PAYPAY_MOCKED", "off", MOCKED, bool),
        Setting("PAYPAY_MERCHANT", "demo", "Our merchant id at PayPay; webhooks about others are not booked."),
        Setting(
            "PAYPAY_FEE_BPS",
            "198",
            "Contract fee of PayPay per capture, in hundredths of a per cent; 0: not compared.",
            int,
        ),
        Setting("PAYPAY_URL", "", "Base address of PayPay's API; empty: `/paypay` under ACQUIRER_URL.", WebAddress),
    )
    capabilities = Capabilities(
        currencies=frozenset({"JPY"}),
        multi_refund=True,
        consistency_window=timedelta(seconds=5),
        # PayPay answers 429 above four a second. Two in each of our seconds are at most four in each of theirs.
        queries_per_second=2,
        action=ActionKind.QR,
        settles_in=_TOKYO,
        most={"JPY": 99_999_999_999},
    )

    def __init__(self, config: Mapping[str, Any], http: Callable[[], httpx.Client]) -> None:
        super().__init__(config, http)
        self.MERCHANT = str(config["PAYPAY_MERCHANT"])
        self._base = str(config["PAYPAY_URL"] or config["ACQUIRER_URL"].rstrip("/") + "/paypay").rstrip("/")

    def page_origins(self) -> tuple[str, ...]:
        """Origins of PayPay's codes; none with the mock acquirer, whose origin is allowed anyway."""
        return ("https://qr.paypay.ne.jp", "https://qr-stg.sandbox.paypay.ne.jp") if self.config["PAYPAY_URL"] else ()

    # --- calls -------------------------------------------------------------------------------------------------------

    @never_raises(Unknown)
    def start(
        self, payment: PaymentRequest, return_url: str, webhook_url: str
    ) -> Started | Rejected | Unknown | Unavailable:
        if payment.money.currency not in self.capabilities.currencies:
            return Rejected("currency")
        body = {
            "merchantPaymentId": payment.id,
            "amount": {"amount": payment.money.amount, "currency": payment.money.currency},
            "orderDescription": payment.description,
            "codeType": "ORDER_QR",
            "redirectUrl": return_url,
            "redirectType": "WEB_LINK",
            "requestedAt": int(time.time()),
        }
        try:
            answer = self._call("POST", "/v2/codes", body)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return Unavailable(type(error).__name__)
        except httpx.HTTPError as error:
            return Unknown(type(error).__name__)
        code = _code(answer)
        if answer.status_code == 429:
            return Unavailable("429", retry_after(answer.headers))
        if answer.is_client_error and code != "DUPLICATE_DYNAMIC_QR_REQUEST":
            return Rejected(code)
        if not answer.is_success:
            return Unknown(code)  # a code may exist, but PayPay never returns it again
        return self._started(json_body(answer)["data"])

    @never_raises(Unavailable)
    def query(self, payment: PaymentRequest) -> Found | NotFound | Unavailable:
        try:
            answer = self._call("GET", f"/v2/codes/payments/{payment.id}")
        except httpx.HTTPError as error:
            return Unavailable(type(error).__name__)
        if answer.status_code in (400, 404) and _code(answer) == _UNKNOWN_TO_THEM:
            return NotFound()
        if answer.status_code != 200:
            return Unavailable(_code(answer), retry_after(answer.headers))
        return Found(_facts(json_body(answer)["data"], payment))

    @never_raises(Unknown)
    def cancel(self, payment: PaymentRequest) -> Done | Pending | Rejected | Unknown:
        try:
            if payment.provider_data.get("code_id"):
                return self._delete_code(str(payment.provider_data["code_id"]))
            return self._cancel_unseen(payment)
        except httpx.HTTPError as error:
            return Unknown(type(error).__name__)

    @never_raises(Unknown)
    def refund(
        self, payment: PaymentRequest, refund: RefundRequest
    ) -> Done | Pending | Rejected | Unknown | Unavailable:
        """PayPay refunds a payment, not a capture; our id makes a repeated request one refund."""
        theirs = payment.provider_data.get("payment_id") or refund.capture_id  # settlement files have no other id
        body = {
            "merchantRefundId": refund.id,
            "paymentId": str(theirs),
            "amount": {"amount": refund.money.amount, "currency": refund.money.currency},
            "requestedAt": int(time.time()),
            "reason": refund.reason,
        }
        try:
            answer = self._call("POST", "/v2/refunds", body)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return Unavailable(type(error).__name__)
        except httpx.HTTPError as error:
            return Unknown(type(error).__name__)
        if answer.status_code == 429:
            return Unavailable("429", retry_after(answer.headers))
        if answer.status_code in (400, 404):
            return Rejected(_code(answer))
        found = _refunded(answer, str(theirs), refund) if answer.status_code in (200, 201) else None
        if isinstance(found, NotFound):
            return Rejected(ID_TAKEN)
        return Unknown(_code(answer)) if found is None else found

    @never_raises(Unavailable)
    def query_refund(
        self, payment: PaymentRequest, refund: RefundRequest
    ) -> Done | Pending | Rejected | NotFound | Unavailable:
        try:
            answer = self._call("GET", f"/v2/refunds/{refund.id}")
        except httpx.HTTPError as error:
            return Unavailable(type(error).__name__)
        if answer.status_code == 404 and _code(answer) == "NO_SUCH_REFUND_ORDER":
            return NotFound()
        theirs = str(payment.provider_data.get("payment_id") or "")
        found = _refunded(answer, theirs, refund) if answer.status_code == 200 else None
        return Unavailable(_code(answer), retry_after(answer.headers)) if found is None else found

    def _delete_code(self, code_id: str) -> Done | Rejected | Unknown:
        answer = self._call("DELETE", f"/v2/codes/{quote(code_id, safe='')}", {})
        code = _code(answer)
        if answer.status_code == 200 or code == "DYNAMIC_QR_NOT_FOUND":
            return Done()
        return Rejected(code) if code == "DYNAMIC_QR_ALREADY_PAID" else Unknown(code)

    def _cancel_unseen(self, payment: PaymentRequest) -> Done | Pending | Rejected | Unknown:
        """Close a code whose creation was never confirmed to us. PayPay's cancellation could also refund money, and is
        not used here.
        """
        found = self.query(payment)
        if isinstance(found, NotFound):
            return Done()
        if isinstance(found, Unavailable):
            return Unknown(found.reason)
        if found.facts.captures:
            return Rejected("already_paid")
        answer = self._call("DELETE", f"/v2/payments/{payment.id}")
        code = _code(answer)
        if answer.status_code == 202:
            return Pending()
        if code == "RESOURCE_NOT_FOUND":
            return Done()
        return Rejected(code) if code == "ORDER_NOT_REVERSIBLE" else Unknown(code)

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        raw = b"" if body is None else json.dumps(body).encode()
        key, secret = str(self.config["PAYPAY_API_KEY"]), str(self.config["PAYPAY_SECRET"])
        nonce, epoch = secrets.token_hex(8), int(time.time())
        headers = {
            "Authorization": sign(key, secret, method, path, raw, nonce, epoch, _CONTENT_TYPE),
            "Content-Type": _CONTENT_TYPE,
            "X-ASSUME-MERCHANT": self.MERCHANT,
        }
        return self.http().request(method, self._base + path, content=raw or None, headers=headers)

    def _started(self, data: Mapping[str, Any]) -> Started:
        """Parse a QR code that can be shown. Raises Malformed."""
        link = data.get("deeplink")
        fields = {"deeplink": self._deeplink(link)} if link else {}
        expires_at = _time(data["expiryDate"])
        keepable_time(expires_at, "when the code ends")
        remembered = {"code_id": their_id(data["codeId"], "the id of a code")}
        return Started(NextAction(ActionKind.QR, self.page(data["url"]), fields), expires_at, remembered)

    def _deeplink(self, link: object) -> str:
        """The URL that opens PayPay's app. Raises Malformed."""
        return link if isinstance(link, str) and _APP.fullmatch(link) else self.page(link)

    def parse_settlement(self, raw: bytes) -> list[SettlementLine]:
        """The transaction file from PayPay's site, CSV in Windows' Shift_JIS; there is no API for it."""
        return settlement_csv.lines(raw, "cp932", _COLUMNS, _settled)

    # --- webhooks ----------------------------------------------------------------------------------------------------

    def verify(self, headers: Mapping[str, str], raw: bytes) -> None:
        """PayPay does not sign webhooks; `parse` returns them as unsigned."""

    def parse(self, headers: Mapping[str, str], raw: bytes) -> list[WebhookEvent]:
        body = parse_json(raw)
        name, reference, merchant = hashlib.sha256(raw).hexdigest(), body["merchant_order_id"], body["merchant_id"]
        if not isinstance(reference, str) or not isinstance(merchant, str):
            raise Malformed("no payment is named")
        kind = WebhookKind.PAYMENT if body.get("notification_type") == "Transaction" else WebhookKind.OTHER
        return [WebhookEvent(kind, name, reference, Facts(), Trust.UNSIGNED, merchant)]

    def ack(self, outcome: str) -> tuple[int, str]:
        return _ACKS.get(outcome, 200), outcome


# --- words -----------------------------------------------------------------------------------------------------------


def _facts(data: Mapping[str, Any], payment: PaymentRequest) -> Facts:
    """Translate one of PayPay's payments. Raises Malformed for another one than `payment`."""
    if data["merchantPaymentId"] != payment.id:
        raise Malformed("the answer is about another payment")
    state = _STATES.get(str(data["status"]))
    reversed_after_payment = state == PaymentState.CANCELLED and data.get("acceptedAt") is not None  # it had been paid
    state = PaymentState.CAPTURED if reversed_after_payment else state
    captures = _captures(data) if state == PaymentState.CAPTURED else ()
    reason = _END_REASONS.get(state) if state else None
    if state in (PaymentState.CANCELLED, PaymentState.EXPIRED) and not payment.provider_data.get("code_id"):
        state, reason = PaymentState.FAILED, EndReason.NEVER_ARRIVED  # its code was never shown to a customer
    theirs = {"payment_id": their_id(data["paymentId"], "the id of a payment")} if captures else {}
    refunds = _refunds(data, payment.id) + (_reversals(captures, payment.id) if reversed_after_payment else ())
    return Facts(state=state, captures=captures, refunds=refunds, end_reason=reason, provider_data=theirs)


def _refunds(data: Mapping[str, Any], reference: str) -> tuple[RefundFact, ...]:
    """All refunds of a payment, by the ids given by their requester; the capture is not stated."""
    listed = (data.get("refunds") or {}).get("data") or ()

    def read(one: Mapping[str, Any]) -> RefundFact:
        name, state = one["merchantRefundId"], _REFUND_STATES[one["status"]]
        return RefundFact(name, state, id=name, money=_money(one["amount"]), payment=reference)

    return refunds_in(listed, read, provider=PayPay.NAME)


def _reversals(captures: tuple[CaptureFact, ...], reference: str) -> tuple[RefundFact, ...]:
    """The refund of a cancelled paid payment: the full amount. PayPay gives it no id, in the settlement file
    neither.
    """
    return tuple(
        RefundFact("", RefundState.DONE, id=_reversal(one.id), money=one.money, capture_id=one.id, payment=reference)
        for one in captures
    )


def _reversal(capture_id: str) -> str:
    return f"cancel-{capture_id}"


def _refunded(
    answer: httpx.Response, payment_id: str, refund: RefundRequest
) -> Done | Pending | Rejected | NotFound | None:
    """State of a refund at PayPay: None when the response has none, NotFound when it is another refund with our id, of
    another PayPay payment than `payment_id` (empty: not known) or in another amount.
    """
    try:
        reported = dict(json_body(answer)["data"])
        amount = dict(reported.get("amount") or {})
        same = matches_amount(refund.money, amount.get("amount"), amount.get("currency"))
        if not same or (payment_id and reported.get("paymentId") not in (None, payment_id)):
            return NotFound()
        return _REFUNDS.get(reported["status"])
    except _UNREADABLE:
        return None


def _captures(data: Mapping[str, Any]) -> tuple[CaptureFact, ...]:
    """The captures, each by its own id; without a list the payment itself is the only one."""
    listed = (data.get("captures") or {}).get("data") or ()
    if not listed:
        return (CaptureFact(data["paymentId"], _money(data["amount"]), _time(data["acceptedAt"])),)
    return tuple(
        CaptureFact(one["merchantCaptureId"], _money(one["amount"]), _time(one["acceptedAt"]))
        for one in listed
        if one["status"] == "COMPLETED"
    )


def _settled(row: Mapping[str, str]) -> SettlementLine:
    """Parse a row of the transaction file. Rows have no number; subject and kind of the movement identify them."""
    kind, currency, number = _SETTLED[row["取引ステータス"]], row["通貨"], row["決済番号"]
    refund = row["マーチャント返金ID"]
    money, fee = (
        Money(settlement_csv.whole(row["取引金額"]), currency),
        Money(settlement_csv.whole(row["手数料"]), currency),
    )
    settlement_csv.adds_up(money, fee, settlement_csv.whole(row["入金額"]))
    return SettlementLine(
        id=":".join((kind, number, refund)),
        kind=kind,
        about=(refund or _reversal(number)) if kind in (LineKind.REFUND, LineKind.REFUND_FAILED) else number,
        money=money,
        fee=fee,
        at=datetime.strptime(row["取引日時"], "%Y/%m/%d %H:%M:%S").replace(tzinfo=_TOKYO).astimezone(UTC),
        reference=row["マーチャント決済ID"],
        capture_id="" if refund else number,  # PayPay refunds by payment: a refund with an id names no capture
    )


def _money(amount: Mapping[str, Any]) -> Money:
    """Yen have no minor unit: a whole yen is one of ours."""
    return Money(amount["amount"], str(amount["currency"]))


def _time(epoch: Any) -> datetime:
    if not isinstance(epoch, int) or isinstance(epoch, bool) or not 0 < epoch < 2**36:
        raise Malformed("a time that is none")
    return datetime.fromtimestamp(epoch, UTC)


def _code(answer: httpx.Response) -> str:
    """PayPay's result code; `http_504` when the response has none."""
    try:
        return short_code(json_body(answer)["resultInfo"]["code"])
    except _UNREADABLE:
        return f"http_{answer.status_code}"


PROVIDER = PayPay
