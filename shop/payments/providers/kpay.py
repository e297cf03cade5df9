"""KPay: cards on a hosted page. A modern JSON API, idempotency keys, webhooks signed the Standard Webhooks way."""

from __future__ import annotations

import codecs
import json
import time
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

import httpx
from standardwebhooks import Webhook

from shop.core.money import Money
from shop.payments import sheet, states
from shop.payments.provider import (
    BadSignature,
    Capabilities,
    CaptureFact,
    Decline,
    DisputeFact,
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
    RefundFact,
    RefundRequest,
    Rejected,
    SettlementLine,
    Show,
    Started,
    Unavailable,
    Unknown,
)
from shop.settings import Setting

_STATES = {
    "requires_payment": states.OPEN,
    "requires_action": states.OPEN,
    "authorized": states.AUTHORIZED,
    "captured": states.CAPTURED,
    "voided": states.CANCELLED,
    "failed": states.FAILED,
    "expired": states.EXPIRED,
}
_ACKS = {"bad_signature": 401, "malformed": 400, "key_reused": 409, "unavailable": 503}
_REFUND_STATES = {"pending": "PENDING", "succeeded": "DONE", "failed": "REJECTED"}
_REFUND_ANSWERS: dict[str, Done | Pending | Rejected] = {
    "pending": Pending(),
    "succeeded": Done(),
    "failed": Rejected("refund_failed"),
}
_NO_REFUND = frozenset({"already_refunded", "disputed", "not_captured", "refund_reference_reused"})
_NAMED_BY = {"refund": "refund_reference", "refund_failed": "refund_reference"} | dict.fromkeys(
    ("dispute", "dispute_won"), "dispute"
)
"""The field that says what a settlement line is about; `capture` for all others."""
_COLUMNS = (
    "id",
    "type",
    "reference",
    "capture",
    "refund_reference",
    "dispute",
    "amount",
    "fee",
    "net",
    "currency",
    "at",
)
_TOLERANCE = 300  # seconds that a signature's time may be off the wall, both ways


class KPay(PaymentProvider):
    """The kpay adapter. `provider_data`: `id`, their id of the payment."""

    NAME = "kpay"
    LABEL = "KPay"
    SETTINGS = (
        Setting("KPAY_API_KEY", "kp_test_demo", "API key at KPay.", secret=True),
        Setting(
            "KPAY_WEBHOOK_SECRET",
            "whsec_a3BheS1kZW1vLXdlYmhvb2stc2VjcmV0LTAwMDE=",
            "Secrets that sign KPay's webhooks; several, separated by commas, while one replaces another.",
            secret=True,
        ),
        Setting("KPAY_MERCHANT", "demo", "Our merchant name at KPay; notices about others are not ours."),
        Setting("KPAY_URL", "", "Base address of KPay's API; empty: `/kpay` under ACQUIRER_URL."),
        Setting(
            "KPAY_FEE_BPS", "280", "What KPay may keep of a capture, in hundredths of a per cent; 0: not compared.", int
        ),
    )
    capabilities = Capabilities(
        currencies=frozenset({"TWD", "JPY", "USD"}),
        start_again=True,
        manual_capture=True,
        multi_refund=True,
        refund_notifies=True,
        consistency_window=timedelta(0),
    )

    def __init__(self, config: Mapping[str, Any], http: Callable[[], httpx.Client]) -> None:
        super().__init__(config, http)
        self.MERCHANT = str(config["KPAY_MERCHANT"])
        self._api = str(config["KPAY_URL"] or config["ACQUIRER_URL"].rstrip("/") + "/kpay").rstrip("/") + "/v1"
        self._base = f"{self._api}/payments"

    # --- calls -------------------------------------------------------------------------------------------------------

    def start(
        self, payment: PaymentRequest, return_url: str, webhook_url: str
    ) -> Started | Rejected | Unknown | Unavailable:
        body = {
            "reference": payment.id,
            "amount": payment.money.amount,
            "currency": payment.money.currency,
            "return_url": return_url,
            "webhook_url": webhook_url,
            "expires_at": payment.pay_by.isoformat().replace("+00:00", "Z"),
            "locale": payment.locale,
            "description": payment.description,
            "capture_method": "automatic",
        }
        try:
            answer = self._call("POST", self._base, json=body, headers={"Idempotency-Key": payment.id})
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return Unavailable(type(error).__name__)
        except httpx.HTTPError as error:
            return Unknown(type(error).__name__)
        if answer.status_code == 429:
            return Unavailable("429", _retry_after(answer))
        if answer.status_code >= 500 or answer.status_code == 409:
            return Unknown(f"HTTP {answer.status_code}")
        if answer.status_code >= 400:
            return Rejected(_error_code(answer))
        try:
            opened = answer.json()
            action = NextAction("redirect", str(opened["checkout_url"]))
            return Started(action, _time(opened.get("expires_at")), {"id": str(opened["id"])})
        except (ValueError, KeyError, TypeError) as error:
            return Unknown(f"an answer that cannot be read: {type(error).__name__}")

    def query(self, payment: PaymentRequest) -> Found | NotFound | Unavailable:
        their_id = payment.provider_data.get("id")
        try:
            if their_id:
                answer = self._call("GET", f"{self._base}/{their_id}")
            else:
                answer = self._call("GET", self._base, params={"reference": payment.id})
        except httpx.HTTPError as error:
            return Unavailable(type(error).__name__)
        if answer.status_code == 404:
            return NotFound()
        if answer.status_code != 200:
            return Unavailable(f"HTTP {answer.status_code}", _retry_after(answer))
        try:
            body = answer.json()
            found = body if their_id else next(iter(body["data"]), None)
            return NotFound() if found is None else Found(self._facts(found, payment.id))
        except (ValueError, KeyError, TypeError, Malformed) as error:
            return Unavailable(f"an answer that cannot be read: {type(error).__name__}")

    def cancel(self, payment: PaymentRequest) -> Done | Pending | Rejected | Unknown:
        their_id = payment.provider_data.get("id")
        if not their_id:
            found = self.query(payment)
            if isinstance(found, NotFound):
                return Done()
            if isinstance(found, Unavailable):
                return Unknown(found.reason)
            their_id = found.facts.provider_data["id"]
        try:
            answer = self._call(
                "POST", f"{self._base}/{their_id}/cancel", headers={"Idempotency-Key": f"{payment.id}-cancel"}
            )
        except httpx.HTTPError as error:
            return Unknown(type(error).__name__)
        if answer.status_code == 200:
            return Done()
        if answer.status_code in (400, 404, 409, 422):
            return Rejected(_error_code(answer))
        return Unknown(f"HTTP {answer.status_code}")

    def refund(
        self, payment: PaymentRequest, refund: RefundRequest
    ) -> Done | Pending | Rejected | Unknown | Unavailable:
        body = {
            "reference": refund.id,
            "amount": refund.money.amount,
            "capture": refund.capture_id,
            "reason": refund.reason,
        }
        try:
            answer = self._call("POST", self._refunds(payment), json=body, headers={"Idempotency-Key": refund.id})
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return Unavailable(type(error).__name__)
        except httpx.HTTPError as error:
            return Unknown(type(error).__name__)
        if answer.status_code == 429:
            return Unavailable("429", _retry_after(answer))
        if answer.status_code in (400, 404, 422) or (answer.status_code == 409 and _error_code(answer) in _NO_REFUND):
            return Rejected(_error_code(answer))
        if answer.status_code not in (200, 201):
            return Unknown(f"HTTP {answer.status_code}")
        try:
            return _REFUND_ANSWERS[str(answer.json()["status"])]
        except (ValueError, KeyError, TypeError) as error:
            return Unknown(f"an answer that cannot be read: {type(error).__name__}")

    def query_refund(
        self, payment: PaymentRequest, refund: RefundRequest
    ) -> Done | Pending | Rejected | NotFound | Unavailable:
        try:
            answer = self._call("GET", self._refunds(payment), params={"reference": refund.id})
        except httpx.HTTPError as error:
            return Unavailable(type(error).__name__)
        if answer.status_code != 200:
            return Unavailable(f"HTTP {answer.status_code}", _retry_after(answer))
        try:
            found = next(iter(answer.json()["data"]), None)
            return NotFound() if found is None else _REFUND_ANSWERS[str(found["status"])]
        except (ValueError, KeyError, TypeError) as error:
            return Unavailable(f"an answer that cannot be read: {type(error).__name__}")

    def _refunds(self, payment: PaymentRequest) -> str:
        return f"{self._base}/{payment.provider_data.get('id', payment.id)}/refunds"

    def _call(self, method: str, url: str, headers: Mapping[str, str] | None = None, **more: Any) -> httpx.Response:
        authorization = {"Authorization": f"Bearer {self.config['KPAY_API_KEY']}"}
        return self.http().request(method, url, headers={**authorization, **(headers or {})}, **more)

    # --- settlement --------------------------------------------------------------------------------------------------

    def settlement_file(self, day: date) -> bytes | Unavailable | None:
        try:
            answer = self._call("GET", f"{self._api}/settlements/{day}")
        except httpx.HTTPError as error:
            return Unavailable(type(error).__name__)
        if answer.status_code != 200:
            return Unavailable(f"HTTP {answer.status_code}", _retry_after(answer))
        return answer.content

    def parse_settlement(self, raw: bytes) -> list[SettlementLine]:
        """Their JSON list, or the same as CSV in UTF-8."""
        if raw.removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"[":
            return [_settled(line) for line in json.loads(raw)]
        return sheet.lines(raw, "utf-8", _COLUMNS, _settled)

    # --- webhooks ----------------------------------------------------------------------------------------------------

    def verify(self, headers: Mapping[str, str], raw: bytes) -> None:
        needed = {name: headers.get(name, "") for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
        if not all(needed.values()):
            raise BadSignature("a signature header is missing")
        if abs(time.time() - int(needed["webhook-timestamp"])) > _TOLERANCE:
            raise BadSignature("signed at another time")
        for secret in str(self.config["KPAY_WEBHOOK_SECRET"]).split(","):
            try:
                Webhook(secret.strip()).verify(raw, needed, json_parse=False)
            except Exception:  # noqa: BLE001, S112 - the library raises many kinds; the next secret may still fit
                continue
            return
        raise BadSignature("no secret of ours signed this")

    def parse(self, headers: Mapping[str, str], raw: bytes) -> list[Notice]:
        body = json.loads(raw)
        event_id, kind, payment = str(body["id"]), str(body["type"]), body["data"].get("payment")
        if headers.get("webhook-id") != event_id:
            raise Malformed("the id under the signature is not the id in the body")
        if kind.startswith("refund."):
            told = body["data"]["refund"]
            fact = RefundFact(str(told["reference"]), _REFUND_STATES[str(told["status"])])
            return [Notice("refund", event_id, "", Facts(), "signed", str(body["merchant"]), refund=fact)]
        if kind.startswith("dispute."):
            told = body["data"]["dispute"]
            about = str(told["payment_reference"])
            return [
                Notice("dispute", event_id, about, Facts(), "signed", str(body["merchant"]), dispute=_dispute(told))
            ]
        if not kind.startswith("payment.") or payment is None:
            return [Notice("other", event_id, "", Facts(), "signed", str(body.get("merchant", "")))]
        reference = str(payment["reference"])
        facts = self._facts(payment, reference, occurred_at=_time(body.get("created_at")))
        return [Notice("payment", event_id, reference, facts, "signed", str(body["merchant"]))]

    def ack(self, outcome: str) -> tuple[int, str]:
        return _ACKS.get(outcome, 200), outcome

    # --- words -------------------------------------------------------------------------------------------------------

    def _facts(self, payment: Mapping[str, Any], reference: str, occurred_at: datetime | None = None) -> Facts:
        """A payment object of theirs in our words. Raises Malformed for another payment than `reference`."""
        if payment["reference"] != reference:
            raise Malformed("the reference is another payment's")
        decline = payment.get("last_decline")
        instrument = payment.get("payment_method")
        return Facts(
            state=_STATES.get(str(payment["status"])),
            captures=tuple(_capture(c) for c in payment.get("captures") or ()),
            decline=Decline(str(decline["code"]), str(decline.get("class", ""))) if decline else None,
            instrument=_instrument(instrument) if instrument else None,
            show=_show(instrument) if instrument and payment["status"] == "requires_action" else None,
            action=NextAction("redirect", str(payment["checkout_url"])) if payment.get("checkout_url") else None,
            expires_at=_time(payment.get("expires_at")),
            occurred_at=occurred_at,
            end_reason=payment.get("ended_by"),
            provider_data={"id": str(payment["id"])},
        )


def _capture(capture: Mapping[str, Any]) -> CaptureFact:
    at = _time(capture["captured_at"])
    if at is None or not isinstance(capture["amount"], int) or isinstance(capture["amount"], bool):
        raise Malformed("a capture without a time or a whole amount")
    return CaptureFact(capture["id"], Money(capture["amount"], str(capture["currency"])), at)


def _dispute(told: Mapping[str, Any]) -> DisputeFact:
    at = _time(told["opened_at"])
    if at is None:
        raise Malformed("a dispute without a time")
    return DisputeFact(
        id=str(told["id"]),
        capture_id=str(told["capture"]),
        kind=str(told["kind"]),
        state=str(told["status"]).upper(),
        money=Money(sheet.whole(told["amount"]), str(told["currency"])),
        at=at,
        reason=str(told.get("reason") or ""),
        respond_by=_time(told.get("respond_by")),
    )


def _settled(line: Mapping[str, Any]) -> SettlementLine:
    kind, at, currency = str(line["type"]), _time(line["at"]), str(line["currency"])
    money, fee = Money(sheet.whole(line["amount"]), currency), Money(sheet.whole(line["fee"]), currency)
    sheet.adds_up(money, fee, sheet.whole(line["net"]))
    if at is None:
        raise Malformed("a line without a time")
    about = line[_NAMED_BY.get(kind, "capture")] or ""
    return SettlementLine(line["id"], kind, about, money, fee, at, line["reference"] or "", line["capture"] or "")


def _show(method: Mapping[str, Any]) -> Show | None:
    """The code for the counter, which is what its bars say too."""
    deadline = _time(method.get("expires_at"))
    if method.get("type") != "store" or deadline is None:
        return None
    return Show("store_code", str(method["code"]), str(method["code"]), deadline)


def _instrument(method: Mapping[str, Any]) -> dict[str, str]:
    if method.get("type") == "store":
        return {"method": "convenience store", "brand": "", "last4": ""}
    return {
        "method": str(method.get("type", "")),
        "brand": str(method.get("brand", "")),
        "last4": str(method.get("last4", "")),
    }


def _time(text: str | None) -> datetime | None:
    if not text:
        return None
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise Malformed("a time without a zone")
    return at


def _error_code(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return f"http_{answer.status_code}"


def _retry_after(answer: httpx.Response) -> float | None:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isdigit() else None


PROVIDER = KPay
