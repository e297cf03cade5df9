"""KPay: cards on a hosted page. JSON API with idempotency keys; webhooks signed as Standard Webhooks."""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
from standardwebhooks import Webhook

from shop.core.money import Money
from shop.payments.providers import settlement_csv
from shop.payments.providers.answers import (
    FILE,
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
    BadSignature,
    CaptureFact,
    Decline,
    DisputeFact,
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
from shop.payments.providers.storable import is_our_payment, keepable_time, short_code, their_id
from shop.payments.providers.types import (
    ActionKind,
    DisputeKind,
    DisputeState,
    PaymentState,
    RefundState,
    Trust,
    WebhookKind,
)
from shop.settings import MOCKED, Setting, WebAddress, several

_STATES = {
    "requires_payment": PaymentState.OPEN,
    "requires_action": PaymentState.OPEN,
    "authorized": PaymentState.AUTHORIZED,
    "captured": PaymentState.CAPTURED,
    "voided": PaymentState.CANCELLED,
    "failed": PaymentState.FAILED,
    "expired": PaymentState.EXPIRED,
}
_ACKS = {"bad_signature": 401, "malformed": 400, "key_reused": 409, "unavailable": 503}
_REFUND_STATES = {"pending": RefundState.PENDING, "succeeded": RefundState.DONE, "failed": RefundState.REJECTED}
_REFUND_ANSWERS: dict[str, Done | Pending | Rejected] = {
    "pending": Pending(),
    "succeeded": Done(),
    "failed": Rejected("refund_failed"),
}
_NO_REFUND = frozenset({"already_refunded", "disputed", "not_captured", "refund_reference_reused"})
_NAMED_BY = {LineKind.REFUND: "refund_reference", LineKind.REFUND_FAILED: "refund_reference"} | dict.fromkeys(
    (LineKind.DISPUTE, LineKind.DISPUTE_WON), "dispute"
)
"""The field that names the subject of a settlement line, by kind; `capture` for all other kinds."""
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
_FILES = ("application/json", "text/csv", "application/octet-stream")
_TOLERANCE = 300  # seconds that a signature's time may differ from the wall clock, in both directions


class KPay(PaymentProvider):
    """The kpay adapter. `provider_data`: `id`, KPay's id of the payment."""

    NAME = "kpay"
    LABEL = "KPay"
    SETTINGS = (
        Setting("KPAY_API_KEY", "kp_test_demo", "API key at KPay.", secret=True),
        Setting(
            "KPAY_WEBHOOK_SECRET",
            "whsec_a3BheS1kZW1vLXdlYmhvb2stc2VjcmV0LTAwMDE=",
            "Secrets that sign KPay's webhooks; several, separated by commas, during a rotation.",
            secret=True,
        ),
        Setting("KPAY_MOCKED", "off", MOCKED, bool),
        Setting("KPAY_MERCHANT", "demo", "Our merchant name at KPay; webhooks about others are not booked."),
        Setting("KPAY_URL", "", "Base address of KPay's API; empty: `/kpay` under ACQUIRER_URL.", WebAddress),
        Setting(
            "KPAY_FEE_BPS",
            "280",
            "Contract fee of KPay per capture, in hundredths of a per cent; 0: not compared.",
            int,
        ),
    )
    capabilities = Capabilities(
        currencies=frozenset({"TWD", "JPY", "USD"}),
        start_again=True,
        manual_capture=True,
        multi_refund=True,
        refund_notifies=True,
        consistency_window=timedelta(0),
        pays_by="card",
        most={"TWD": 99_999_999_999, "JPY": 99_999_999_999, "USD": 99_999_999_999},
    )

    def __init__(self, config: Mapping[str, Any], http: Callable[[], httpx.Client]) -> None:
        super().__init__(config, http)
        self.MERCHANT = str(config["KPAY_MERCHANT"])
        self._api = str(config["KPAY_URL"] or config["ACQUIRER_URL"].rstrip("/") + "/kpay").rstrip("/") + "/v1"
        self._base = f"{self._api}/payments"

    # --- calls -------------------------------------------------------------------------------------------------------

    @never_raises(Unknown)
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
            return Unavailable("429", retry_after(answer.headers))
        if answer.is_client_error and answer.status_code != 409:
            return Rejected(_error_code(answer))
        if not answer.is_success:
            return Unknown(f"HTTP {answer.status_code}")
        opened = json_body(answer)
        action = NextAction(ActionKind.REDIRECT, self.page(opened["checkout_url"]))
        expires_at = _time(opened.get("expires_at"))
        keepable_time(expires_at, "when it expires")
        return Started(action, expires_at, {"id": their_id(opened["id"], "the id of a payment")})

    @never_raises(Unavailable)
    def query(self, payment: PaymentRequest) -> Found | NotFound | Unavailable:
        known = payment.provider_data.get("id")
        try:
            if known:
                answer = self._call("GET", self._of(known))
            else:
                answer = self._call("GET", self._base, params={"reference": payment.id})
        except httpx.HTTPError as error:
            return Unavailable(type(error).__name__)
        if answer.status_code == 404:
            return NotFound()
        if answer.status_code != 200:
            return Unavailable(f"HTTP {answer.status_code}", retry_after(answer.headers))
        body = json_body(answer)
        found = body if known else next(iter(body["data"]), None)
        return NotFound() if found is None else Found(self._facts(found, payment.id))

    @never_raises(Unknown)
    def cancel(self, payment: PaymentRequest) -> Done | Pending | Rejected | Unknown:
        known = payment.provider_data.get("id")
        if not known:
            found = self.query(payment)
            if isinstance(found, NotFound):
                return Done()
            if isinstance(found, Unavailable):
                return Unknown(found.reason)
            known = found.facts.provider_data["id"]
        try:
            key = {"Idempotency-Key": f"{payment.id}-cancel"}
            answer = self._call("POST", self._of(known) + "/cancel", headers=key)
        except httpx.HTTPError as error:
            return Unknown(type(error).__name__)
        if answer.status_code == 200:
            return Done()
        if answer.status_code in (400, 404, 409, 422):
            return Rejected(_error_code(answer))
        return Unknown(f"HTTP {answer.status_code}")

    @never_raises(Unknown)
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
            return Unavailable("429", retry_after(answer.headers))
        if answer.status_code in (400, 404, 422) or (answer.status_code == 409 and _error_code(answer) in _NO_REFUND):
            return Rejected(_error_code(answer))
        if answer.status_code not in (200, 201):
            return Unknown(f"HTTP {answer.status_code}")
        made = json_body(answer)
        return _REFUND_ANSWERS[made["status"]] if _is_requested(made, refund) else Rejected(ID_TAKEN)

    @never_raises(Unavailable)
    def query_refund(
        self, payment: PaymentRequest, refund: RefundRequest
    ) -> Done | Pending | Rejected | NotFound | Unavailable:
        try:
            answer = self._call("GET", self._refunds(payment), params={"reference": refund.id})
        except httpx.HTTPError as error:
            return Unavailable(type(error).__name__)
        if answer.status_code != 200:
            return Unavailable(f"HTTP {answer.status_code}", retry_after(answer.headers))
        found = next((one for one in json_body(answer)["data"] if _is_requested(one, refund)), None)
        return NotFound() if found is None else _REFUND_ANSWERS[found["status"]]

    def _refunds(self, payment: PaymentRequest) -> str:
        return self._of(payment.provider_data.get("id", payment.id)) + "/refunds"

    def _of(self, payment: object) -> str:
        """The URL of a payment at KPay, by an id of either side."""
        return f"{self._base}/{quote(str(payment), safe='')}"

    def _call(self, method: str, url: str, headers: Mapping[str, str] | None = None, **more: Any) -> httpx.Response:
        authorization = {"Authorization": f"Bearer {self.config['KPAY_API_KEY']}"}
        return self.http().request(method, url, headers={**authorization, **(headers or {})}, **more)

    # --- settlement --------------------------------------------------------------------------------------------------

    @never_raises(Unavailable)
    def settlement_file(self, day: date) -> bytes | Unavailable | None:
        try:
            answer = self._call("GET", f"{self._api}/settlements/{day}", extensions=FILE)
        except httpx.HTTPError as error:
            return Unavailable(type(error).__name__)
        if answer.status_code != 200:
            return Unavailable(f"HTTP {answer.status_code}", retry_after(answer.headers))
        kind = answer.headers.get("content-type", "").partition(";")[0]
        return answer.content if kind in _FILES else Unavailable("a file of another content type")

    def parse_settlement(self, raw: bytes) -> list[SettlementLine]:
        """KPay's JSON list, or the same as CSV in UTF-8."""
        if raw.removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"[":
            return settlement_csv.read_each(enumerate(parse_json(raw), start=1), _settled)
        return settlement_csv.lines(raw, "utf-8", _COLUMNS, _settled)

    # --- webhooks ----------------------------------------------------------------------------------------------------

    def verify(self, headers: Mapping[str, str], raw: bytes) -> None:
        needed = {name: headers.get(name, "") for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
        if not all(needed.values()):
            raise BadSignature("a signature header is missing")
        if abs(time.time() - int(needed["webhook-timestamp"])) > _TOLERANCE:
            raise BadSignature("signed at another time")
        for secret in several(self.config["KPAY_WEBHOOK_SECRET"]):
            try:
                Webhook(secret).verify(raw, needed, json_parse=False)
            except Exception:  # noqa: BLE001, S112 - the library raises many kinds; the next secret may still fit
                continue
            return
        raise BadSignature("no secret of ours signed this")

    def parse(self, headers: Mapping[str, str], raw: bytes) -> list[WebhookEvent]:
        body = parse_json(raw)
        event_id, kind, payment = str(body["id"]), str(body["type"]), body["data"].get("payment")
        if headers.get("webhook-id") != event_id:
            raise Malformed("the id under the signature is not the id in the body")
        about = _about(body["data"])
        if about is not None and not is_our_payment(about):  # from another system: nothing else of it is read
            return [WebhookEvent(WebhookKind.OTHER, event_id, about, Facts(), Trust.SIGNED, str(body["merchant"]))]
        if kind.startswith("refund."):
            refund, at = _refund(body["data"]["refund"], about or ""), str(body["merchant"])
            return [WebhookEvent(WebhookKind.REFUND, event_id, "", Facts(), Trust.SIGNED, at, refund=refund)]
        if kind.startswith("dispute."):
            fact, at = _dispute(body["data"]["dispute"]), str(body["merchant"])
            return [WebhookEvent(WebhookKind.DISPUTE, event_id, about or "", Facts(), Trust.SIGNED, at, dispute=fact)]
        if not kind.startswith("payment.") or payment is None:
            return [WebhookEvent(WebhookKind.OTHER, event_id, "", Facts(), Trust.SIGNED, str(body.get("merchant", "")))]
        reference = str(payment["reference"])
        facts = self._facts(payment, reference, occurred_at=_time(body.get("created_at")))
        return [WebhookEvent(WebhookKind.PAYMENT, event_id, reference, facts, Trust.SIGNED, str(body["merchant"]))]

    def ack(self, outcome: str) -> tuple[int, str]:
        return _ACKS.get(outcome, 200), outcome

    # --- words -------------------------------------------------------------------------------------------------------

    def _facts(self, payment: Mapping[str, Any], reference: str, occurred_at: datetime | None = None) -> Facts:
        """Translate one of KPay's payment objects. Raises Malformed for another payment than `reference`."""
        if payment["reference"] != reference:
            raise Malformed("the reference is another payment's")
        decline = payment.get("last_decline")
        instrument, page = payment.get("payment_method"), payment.get("checkout_url")
        return Facts(
            state=_STATES.get(str(payment["status"])),
            captures=tuple(_capture(c) for c in payment.get("captures") or ()),
            refunds=refunds_in(payment.get("refunds") or (), lambda one: _refund(one, reference), provider=self.NAME),
            decline=Decline(str(decline["code"]), str(decline.get("class", ""))) if decline else None,
            instrument=_instrument(instrument) if instrument else None,
            show=_show(instrument) if instrument and payment["status"] == "requires_action" else None,
            action=NextAction(ActionKind.REDIRECT, str(page)) if self.is_page(page) else None,
            expires_at=_time(payment.get("expires_at")),
            occurred_at=occurred_at,
            end_reason=payment.get("ended_by"),
            provider_data={"id": their_id(payment["id"], "the id of a payment")},
        )


def _about(data: Mapping[str, Any]) -> str | None:
    """The reference of an event's payment; None if the event has none."""
    for name, field in (("refund", "payment_reference"), ("dispute", "payment_reference"), ("payment", "reference")):
        if data.get(name):
            about = data[name][field]
            if not isinstance(about, str):
                raise Malformed("a reference that is no text")
            return about
    return None


def _capture(capture: Mapping[str, Any]) -> CaptureFact:
    at = _time(capture["captured_at"])
    if at is None or not isinstance(capture["amount"], int) or isinstance(capture["amount"], bool):
        raise Malformed("a capture without a time or a whole amount")
    return CaptureFact(capture["id"], Money(capture["amount"], str(capture["currency"])), at)


def _dispute(reported: Mapping[str, Any]) -> DisputeFact:
    at = _time(reported["opened_at"])
    if at is None:
        raise Malformed("a dispute without a time")
    return DisputeFact(
        id=str(reported["id"]),
        capture_id=str(reported["capture"]),
        kind=DisputeKind(reported["kind"]),
        state=DisputeState(str(reported["status"]).upper()),
        money=Money(settlement_csv.whole(reported["amount"]), str(reported["currency"])),
        at=at,
        reason=str(reported.get("reason") or ""),
        respond_by=_time(reported.get("respond_by")),
    )


def _refund(reported: Mapping[str, Any], reference: str) -> RefundFact:
    """Translate one of KPay's refunds of the payment `reference`; a refund made at KPay has a reference that is not one
    of our ids.
    """
    return RefundFact(
        str(reported["reference"]),
        _REFUND_STATES[reported["status"]],
        id=their_id(reported["id"], "the id of a refund"),
        money=Money(settlement_csv.whole(reported["amount"]), str(reported["currency"])),
        capture_id=str(reported.get("capture") or ""),
        payment=reference,
    )


def _is_requested(reported: Mapping[str, Any], refund: RefundRequest) -> bool:
    """True if a refund at KPay with our reference is the one that we requested."""
    same = matches_amount(refund.money, reported.get("amount"), reported.get("currency"))
    return same and reported.get("capture") in (None, refund.capture_id)


def _settled(line: Mapping[str, Any]) -> SettlementLine:
    kind, at, currency = LineKind(line["type"]), _time(line["at"]), str(line["currency"])
    money, fee = (
        Money(settlement_csv.whole(line["amount"]), currency),
        Money(settlement_csv.whole(line["fee"]), currency),
    )
    settlement_csv.adds_up(money, fee, settlement_csv.whole(line["net"]))
    if at is None:
        raise Malformed("a line without a time")
    about = line[_NAMED_BY.get(kind, "capture")] or ""
    reference, capture, refund = (line.get(name) or "" for name in ("reference", "capture", "refund"))
    return SettlementLine(line["id"], kind, about, money, fee, at, reference, capture, refund)


def _show(method: Mapping[str, Any]) -> Show | None:
    """The store payment code, which is also the content of its barcode."""
    deadline = _time(method.get("expires_at"))
    if method.get("type") != "store" or deadline is None:
        return None
    return Show(ActionKind.STORE_CODE, str(method["code"]), str(method["code"]), deadline)


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
    return at.astimezone(UTC)


def _error_code(answer: httpx.Response) -> str:
    try:
        return short_code(json_body(answer)["error"]["code"])
    except (ValueError, LookupError, TypeError):
        return f"http_{answer.status_code}"


PROVIDER = KPay
