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

import httpx

from shop.core.money import Money
from shop.payments import sheet, states
from shop.payments.provider import (
    Capabilities,
    CaptureFact,
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
    Started,
    Unavailable,
    Unknown,
    keepable,
)
from shop.settings import Setting

_STATES = {
    "CREATED": states.OPEN,
    "AUTHORIZED": states.AUTHORIZED,
    "COMPLETED": states.CAPTURED,
    "REFUNDED": states.CAPTURED,
    "CANCELED": states.CANCELLED,
    "EXPIRED": states.EXPIRED,
    "FAILED": states.FAILED,
}
_REFUNDS: dict[str, Done | Pending | Rejected] = {
    "CREATED": Pending(),
    "REFUNDED": Done(),
    "FAILED": Rejected("refund_failed"),
}
_TOKYO = timezone(timedelta(hours=9))
_SETTLED = {
    "取引完了": "capture",
    "返金完了": "refund",
    "返金取消": "refund_failed",
    "異議申立": "dispute",
    "異議申立取消": "dispute_won",
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
_END_REASONS = {states.EXPIRED: "time"}
_ACKS = {"bad_signature": 401, "malformed": 400, "key_reused": 409, "unavailable": 503}
_UNKNOWN_TO_THEM = "DYNAMIC_QR_PAYMENT_NOT_FOUND"
_CONTENT_TYPE = "application/json;charset=UTF-8"
_REFERENCE = re.compile(r"[A-Za-z0-9]{1,64}")
_CODE_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_EMPTY = "empty"
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError, Malformed)
"""What an answer in another shape than theirs raises when it is read."""


def sign(key: str, secret: str, method: str, path: str, body: bytes, nonce: str, epoch: int, kind: str) -> str:
    """The Authorization header of one call; `path` begins with `/v2`, `kind` is the content type of a body."""
    digest = base64.b64encode(hashlib.md5(kind.encode() + body, usedforsecurity=False).digest()).decode()
    body_hash, kind = (digest, kind) if body else (_EMPTY, _EMPTY)
    signed = "\n".join((path, method, nonce, str(epoch), kind, body_hash))
    mac = base64.b64encode(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()).decode()
    return f"hmac OPA-Auth:{key}:{mac}:{nonce}:{epoch}:{body_hash}"


class PayPay(PaymentProvider):
    """The paypay adapter. `provider_data`: `code_id`, their id of the code, without which it can never be shown; and
    `payment_id`, their id of the payment once money was taken.

    Their webhooks prove nothing, so they only make us ask.
    """

    NAME = "paypay"
    LABEL = "PayPay"
    SETTINGS = (
        Setting("PAYPAY_API_KEY", "pp_test_demo", "API key at PayPay.", secret=True),
        Setting("PAYPAY_SECRET", "pp_test_secret", "Secret that signs our calls to PayPay.", secret=True),
        Setting("PAYPAY_MERCHANT", "demo", "Our merchant id at PayPay; notices about others are not ours."),
        Setting(
            "PAYPAY_FEE_BPS",
            "198",
            "What PayPay may keep of a capture, in hundredths of a per cent; 0: not compared.",
            int,
        ),
        Setting("PAYPAY_URL", "", "Base address of PayPay's API; empty: `/paypay` under ACQUIRER_URL."),
    )
    capabilities = Capabilities(
        currencies=frozenset({"JPY"}),
        multi_refund=True,
        consistency_window=timedelta(seconds=5),
        # Above four a second they answer 429; two in each of ours are never more than four in any of theirs.
        queries_per_second=2,
        action="qr",
        settles_in=_TOKYO,
    )

    def __init__(self, config: Mapping[str, Any], http: Callable[[], httpx.Client]) -> None:
        super().__init__(config, http)
        self.MERCHANT = str(config["PAYPAY_MERCHANT"])
        self._base = str(config["PAYPAY_URL"] or config["ACQUIRER_URL"].rstrip("/") + "/paypay").rstrip("/")

    # --- calls -------------------------------------------------------------------------------------------------------

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
            return Unavailable("429", _retry_after(answer))
        if answer.status_code >= 500 or code == "DUPLICATE_DYNAMIC_QR_REQUEST":
            return Unknown(code)  # there may be a code, and it is never shown again
        if answer.status_code >= 400:
            return Rejected(code)
        try:
            return _started(answer.json()["data"])
        except _UNREADABLE as error:
            return Unknown(f"an answer that cannot be read: {type(error).__name__}")

    def query(self, payment: PaymentRequest) -> Found | NotFound | Unavailable:
        try:
            answer = self._call("GET", f"/v2/codes/payments/{payment.id}")
        except httpx.HTTPError as error:
            return Unavailable(type(error).__name__)
        if answer.status_code in (400, 404) and _code(answer) == _UNKNOWN_TO_THEM:
            return NotFound()
        if answer.status_code != 200:
            return Unavailable(_code(answer), _retry_after(answer))
        try:
            return Found(_facts(answer.json()["data"], payment))
        except _UNREADABLE as error:
            return Unavailable(f"an answer that cannot be read: {type(error).__name__}")

    def cancel(self, payment: PaymentRequest) -> Done | Pending | Rejected | Unknown:
        try:
            if payment.provider_data.get("code_id"):
                return self._delete_code(str(payment.provider_data["code_id"]))
            return self._cancel_unseen(payment)
        except httpx.HTTPError as error:
            return Unknown(type(error).__name__)

    def refund(
        self, payment: PaymentRequest, refund: RefundRequest
    ) -> Done | Pending | Rejected | Unknown | Unavailable:
        """PayPay gives back by payment and not by capture; our id makes it one refund, however often it is sent."""
        theirs = payment.provider_data.get("payment_id") or refund.capture_id  # a file tells of no other id
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
            return Unavailable("429", _retry_after(answer))
        if answer.status_code in (400, 404):
            return Rejected(_code(answer))
        found = _refunded(answer) if answer.status_code in (200, 201) else None
        return Unknown(_code(answer)) if found is None else found

    def query_refund(
        self, payment: PaymentRequest, refund: RefundRequest
    ) -> Done | Pending | Rejected | NotFound | Unavailable:
        try:
            answer = self._call("GET", f"/v2/refunds/{refund.id}")
        except httpx.HTTPError as error:
            return Unavailable(type(error).__name__)
        if answer.status_code == 404 and _code(answer) == "NO_SUCH_REFUND_ORDER":
            return NotFound()
        found = _refunded(answer) if answer.status_code == 200 else None
        return Unavailable(_code(answer), _retry_after(answer)) if found is None else found

    def _delete_code(self, code_id: str) -> Done | Rejected | Unknown:
        answer = self._call("DELETE", f"/v2/codes/{code_id}", {})
        code = _code(answer)
        if answer.status_code == 200 or code == "DYNAMIC_QR_NOT_FOUND":
            return Done()
        return Rejected(code) if code == "DYNAMIC_QR_ALREADY_PAID" else Unknown(code)

    def _cancel_unseen(self, payment: PaymentRequest) -> Done | Pending | Rejected | Unknown:
        """Close a code that we were never told of. Theirs would give money back too: that is not asked for here."""
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

    def parse_settlement(self, raw: bytes) -> list[SettlementLine]:
        """The file of transactions from their site, CSV in Shift_JIS as Windows has it; there is no call for it."""
        return sheet.lines(raw, "cp932", _COLUMNS, _settled)

    # --- webhooks ----------------------------------------------------------------------------------------------------

    def verify(self, headers: Mapping[str, str], raw: bytes) -> None:
        """PayPay signs nothing; `parse` says so with its trust."""

    def parse(self, headers: Mapping[str, str], raw: bytes) -> list[Notice]:
        body = json.loads(raw)
        name, reference, merchant = hashlib.sha256(raw).hexdigest(), body["merchant_order_id"], body["merchant_id"]
        if not isinstance(reference, str) or not _REFERENCE.fullmatch(reference) or not isinstance(merchant, str):
            raise Malformed("no payment of ours is called so")
        kind = "payment" if body.get("notification_type") == "Transaction" else "other"
        return [Notice(kind, name, reference, Facts(), "unsigned", merchant)]

    def ack(self, outcome: str) -> tuple[int, str]:
        return _ACKS.get(outcome, 200), outcome


# --- words -----------------------------------------------------------------------------------------------------------


def _started(data: Mapping[str, Any]) -> Started:
    url, link = str(data["url"]), str(data.get("deeplink") or "")
    if not url.startswith(("https://", "http://")) or not _CODE_ID.fullmatch(str(data["codeId"])):
        raise Malformed("no code that can be shown")
    action = NextAction("qr", keepable(url, "the code"), {"deeplink": keepable(link, "the link")} if link else {})
    return Started(action, _time(data["expiryDate"]), {"code_id": str(data["codeId"])})


def _facts(data: Mapping[str, Any], payment: PaymentRequest) -> Facts:
    """A payment of theirs in our words. Raises Malformed for another one than `payment`."""
    if data["merchantPaymentId"] != payment.id:
        raise Malformed("the answer is about another payment")
    state = _STATES.get(str(data["status"]))
    captures = _captures(data) if state == states.CAPTURED else ()
    reason = _END_REASONS.get(state or "")
    if state in (states.CANCELLED, states.EXPIRED) and not payment.provider_data.get("code_id"):
        state, reason = states.FAILED, "never_arrived"  # its code was never seen by anybody
    theirs = {"payment_id": str(data["paymentId"])} if captures else {}
    return Facts(state=state, captures=captures, end_reason=reason, provider_data=theirs)


def _refunded(answer: httpx.Response) -> Done | Pending | Rejected | None:
    """How a refund stands there; None when the answer does not tell."""
    try:
        return _REFUNDS.get(str(answer.json()["data"]["status"]))
    except _UNREADABLE:
        return None


def _captures(data: Mapping[str, Any]) -> tuple[CaptureFact, ...]:
    """The takings, each by its own id; without a list the payment itself is the only one."""
    listed = (data.get("captures") or {}).get("data") or ()
    if not listed:
        return (CaptureFact(str(data["paymentId"]), _money(data["amount"]), _time(data["acceptedAt"])),)
    return tuple(
        CaptureFact(str(one["merchantCaptureId"]), _money(one["amount"]), _time(one["acceptedAt"]))
        for one in listed
        if one["status"] == "COMPLETED"
    )


def _settled(row: Mapping[str, str]) -> SettlementLine:
    """A row of the file of transactions. Rows have no number; what moved, and how, names them."""
    kind, currency, number = _SETTLED[row["取引ステータス"]], row["通貨"], row["決済番号"]
    refund = row["マーチャント返金ID"]
    money, fee = Money(sheet.whole(row["取引金額"]), currency), Money(sheet.whole(row["手数料"]), currency)
    sheet.adds_up(money, fee, sheet.whole(row["入金額"]))
    return SettlementLine(
        id=":".join((kind, number, refund)),
        kind=kind,
        about=refund if kind in ("refund", "refund_failed") else number,
        money=money,
        fee=fee,
        at=datetime.strptime(row["取引日時"], "%Y/%m/%d %H:%M:%S").replace(tzinfo=_TOKYO).astimezone(UTC),
        reference=row["マーチャント決済ID"],
        capture_id=number,
    )


def _money(amount: Mapping[str, Any]) -> Money:
    """Yen have no minor unit: a whole yen is one of ours."""
    return Money(amount["amount"], str(amount["currency"]))


def _time(epoch: Any) -> datetime:
    if not isinstance(epoch, int) or isinstance(epoch, bool) or not 0 < epoch < 2**36:
        raise Malformed("a time that is none")
    return datetime.fromtimestamp(epoch, UTC)


def _code(answer: httpx.Response) -> str:
    """Their word for what happened; `http_504` when the answer has none."""
    try:
        return str(answer.json()["resultInfo"]["code"])
    except _UNREADABLE:
        return f"http_{answer.status_code}"


def _retry_after(answer: httpx.Response) -> float | None:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None


PROVIDER = PayPay
