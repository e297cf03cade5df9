"""Stripe: Checkout Sessions on Stripe's page, through Stripe's own library.

A Checkout Session has no captures of its own. Its captures are the charges of its PaymentIntent: `charge.succeeded`
reports them under a signature, and a query reads their list. A session's own events do not prove a charge, so they only
make the payment due for a poll.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from datetime import time as midnight
from typing import Any
from urllib.parse import quote

import httpx
import stripe

from shop.payments.providers._stripe_client import (
    OverOurClient,
    code,
    connection_error,
    is_refusal,
    not_started,
    reason,
    unavailable,
)
from shop.payments.providers._stripe_words import (
    LEAST,
    PAYMENT,
    REFUND,
    REFUND_ANSWERS,
    amount,
    cancelled,
    decline_of,
    dispute,
    instrument,
    locale,
    our_refund,
    reference_of,
    refund_fact,
    settled_lines,
    word,
)
from shop.payments.providers._stripe_words import at as moment
from shop.payments.providers.answers import never_raises, parse_json, refunds_in
from shop.payments.providers.capabilities import Capabilities
from shop.payments.providers.interface import (
    BadSignature,
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
from shop.payments.providers.storable import is_our_payment, keepable_time, short_code, their_id
from shop.payments.providers.types import ActionKind, EndReason, PaymentState, Trust, WebhookKind
from shop.settings import MOCKED, Setting, WebAddress, several

_SHORTEST = timedelta(minutes=40)  # Stripe's 30, with a margin for a repeated initiation
_LONGEST = timedelta(hours=23)
_REFUND_REASONS = frozenset({"duplicate", "fraudulent", "requested_by_customer"})
_ACKS = {"bad_signature": 401, "malformed": 400, "key_reused": 409, "unavailable": 503}
_TOLERANCE = 300  # seconds that a signature's time may differ from the wall clock, in both directions
_CLOCK_TOLERANCE = timedelta(minutes=5)  # how far Stripe's clock may be behind ours
_PAGE, _PAGES = 100, 20


class Stripe(PaymentProvider):
    """The stripe adapter. `provider_data`: `id`, the Checkout Session; `intent`, its PaymentIntent once there."""

    NAME = "stripe"
    LABEL = "Stripe"
    SETTINGS = (
        Setting("STRIPE_MOCKED", "off", MOCKED, bool),
        Setting("STRIPE_API_KEY", "sk_test_demo", "Secret key at Stripe.", secret=True),
        Setting(
            "STRIPE_WEBHOOK_SECRET",
            "whsec_stripe_demo",
            "Secrets that sign Stripe's webhooks; several, separated by commas, during a rotation.",
            secret=True,
        ),
        Setting(
            "STRIPE_FEE_BPS",
            "290",
            "Contract fee of Stripe per charge, in hundredths of a per cent; 0: not compared.",
            int,
        ),
        Setting(
            "STRIPE_API_BASE",
            "",
            "Base address of Stripe's API, `https://api.stripe.com`; empty: `/stripe` under ACQUIRER_URL.",
            WebAddress,
        ),
    )
    capabilities = Capabilities(
        currencies=frozenset({"TWD", "JPY", "USD"}),
        start_again=True,
        manual_capture=True,
        multi_refund=True,
        refund_notifies=True,
        pays_by="card",
        least=LEAST,
        most={"TWD": 99_999_999, "JPY": 99_999_999, "USD": 99_999_999},  # eight digits
    )

    def __init__(self, config: Mapping[str, Any], http: Callable[[], httpx.Client]) -> None:
        super().__init__(config, http)
        base = str(config["STRIPE_API_BASE"] or config["ACQUIRER_URL"].rstrip("/") + "/stripe").rstrip("/")
        self._api = stripe.StripeClient(
            str(config["STRIPE_API_KEY"]),
            base_addresses={"api": base},
            max_network_retries=0,
            http_client=OverOurClient(http),
        ).v1

    def page_origins(self) -> tuple[str, ...]:
        """Origin of Stripe's pages; none with the mock acquirer, whose origin is allowed anyway."""
        return ("https://checkout.stripe.com",) if self.config["STRIPE_API_BASE"] else ()

    def dispute_page(self, dispute_id: str) -> str:
        """The dispute in Stripe's dashboard; none with the mock acquirer."""
        if not self.config["STRIPE_API_BASE"]:
            return ""
        test_mode = "test/" if "_test_" in str(self.config["STRIPE_API_KEY"]) else ""
        return f"https://dashboard.stripe.com/{test_mode}disputes/{quote(dispute_id, safe='')}"

    # --- calls -------------------------------------------------------------------------------------------------------

    @never_raises(Unknown)
    def start(
        self, payment: PaymentRequest, return_url: str, webhook_url: str
    ) -> Started | Rejected | Unknown | Unavailable:
        """`webhook_url` is not sent: at Stripe the endpoint belongs to the account."""
        item = {
            "quantity": 1,
            "price_data": {
                "currency": payment.money.currency.lower(),
                "unit_amount": payment.money.amount,
                "product_data": {"name": payment.description},
            },
        }
        parameters: dict[str, Any] = {
            "mode": "payment",
            "client_reference_id": payment.id,
            "line_items": [item],
            "success_url": return_url,
            "cancel_url": return_url,
            "locale": locale(payment.locale),
            "metadata": {PAYMENT: payment.id},
            "payment_intent_data": {"description": payment.description, "metadata": {PAYMENT: payment.id}},
            **_session_end(payment),
        }
        try:
            options: Any = {"idempotency_key": payment.id}
            opened = self._api.checkout.sessions.create(parameters, options).to_dict()  # type: ignore[arg-type]
            action, expires_at = NextAction(ActionKind.REDIRECT, self.page(opened["url"])), moment(opened["expires_at"])
            keepable_time(expires_at, "when it expires")
            return Started(action, expires_at, {"id": their_id(opened["id"], "the id of a session")})
        except stripe.StripeError as error:
            return not_started(error)

    @never_raises(Unavailable)
    def query(self, payment: PaymentRequest) -> Found | NotFound | Unavailable:
        try:
            session = self._session(payment)
            return NotFound() if session is None else Found(self._facts(session, payment.id))
        except stripe.StripeError as error:
            return unavailable(error)

    @never_raises(Unknown)
    def cancel(self, payment: PaymentRequest) -> Done | Pending | Rejected | Unknown:
        """Expire the session. Stripe refuses that for a session that has ended, which is then retrieved."""
        try:
            session_id = payment.provider_data.get("id") or (self._session(payment) or {}).get("id")
            if session_id is None:
                return Done()
            try:
                self._api.checkout.sessions.expire(str(session_id))
                return Done()
            except stripe.InvalidRequestError:
                session = self._api.checkout.sessions.retrieve(str(session_id)).to_dict()
            return Done() if session["status"] == "expired" else Rejected(short_code(f"session_{session['status']}"))
        except stripe.StripeError as error:
            return Rejected(code(error)) if is_refusal(error) else Unknown(reason(error))

    @never_raises(Unknown)
    def refund(
        self, payment: PaymentRequest, refund: RefundRequest
    ) -> Done | Pending | Rejected | Unknown | Unavailable:
        """Refund one charge. Our ids are in the refund's metadata, by which queries and webhooks find it."""
        parameters: dict[str, Any] = {
            "charge": refund.capture_id,
            "amount": refund.money.amount,
            "metadata": {REFUND: refund.id, PAYMENT: payment.id},
        }
        if refund.reason in _REFUND_REASONS:
            parameters["reason"] = refund.reason
        try:
            options: Any = {"idempotency_key": refund.id}
            made = self._api.refunds.create(parameters, options).to_dict()  # type: ignore[arg-type]
            return REFUND_ANSWERS[made["status"]]
        except stripe.StripeError as error:
            return not_started(error)

    @never_raises(Unavailable)
    def query_refund(
        self, payment: PaymentRequest, refund: RefundRequest
    ) -> Done | Pending | Rejected | NotFound | Unavailable:
        try:
            made = self._each(self._api.refunds.list, {"charge": refund.capture_id})
            ours = next((one for one in made if our_refund(one) == refund.id and _is_requested(one, refund)), None)
            return NotFound() if ours is None else REFUND_ANSWERS[ours["status"]]
        except stripe.StripeError as error:
            return unavailable(error)

    def _session(self, payment: PaymentRequest) -> Mapping[str, Any] | None:
        """The payment's session with its PaymentIntent; None when Stripe has none with our reference.

        Without its id the sessions since the payment's creation are searched, because Stripe cannot query by reference.
        Raises StripeError.
        """
        sessions, session_id = self._api.checkout.sessions, payment.provider_data.get("id")
        if session_id:
            try:
                return sessions.retrieve(str(session_id), {"expand": ["payment_intent"]}).to_dict()
            except stripe.InvalidRequestError as error:
                if error.http_status == 404:
                    return None
                raise
        query: dict[str, Any] = {"expand": ["data.payment_intent"]}
        if payment.created_at:
            query["created"] = {"gte": int((payment.created_at - _CLOCK_TOLERANCE).timestamp())}
        return next((one for one in self._each(sessions.list, query) if one["client_reference_id"] == payment.id), None)

    def _each(self, page_of: Callable[[Any], Any], query: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Items of one of Stripe's lists. Raises StripeError, also when the list is longer than the limit."""
        for _ in range(_PAGES):
            page = page_of({"limit": _PAGE, **query}).to_dict()
            yield from page["data"]
            if not page["has_more"]:
                return
            query = query | {"starting_after": page["data"][-1]["id"]}
        raise connection_error("a list longer than we look through")

    # --- settlement --------------------------------------------------------------------------------------------------

    @never_raises(Unavailable)
    def settlement_file(self, day: date) -> bytes | Unavailable | None:
        """The balance transactions of the day, with their source objects, whose metadata has our ids."""
        begin = int(datetime.combine(day, midnight(), UTC).timestamp())
        query = {"created": {"gte": begin, "lt": begin + 86_400}, "expand": ["data.source"]}
        try:
            return json.dumps({"data": list(self._each(self._api.balance_transactions.list, query))}).encode()
        except stripe.StripeError as error:
            return unavailable(error)

    def parse_settlement(self, raw: bytes) -> list[SettlementLine]:
        """A list of balance transactions, newest or oldest first."""
        reported = parse_json(raw)
        if reported.get("has_more"):
            raise Malformed("only one page of a longer list")
        return settled_lines(reported["data"])

    # --- webhooks ----------------------------------------------------------------------------------------------------

    def verify(self, headers: Mapping[str, str], raw: bytes) -> None:
        """Verify with the library, which accepts any time in the future, and refuse times that are too far ahead."""
        written = headers.get("stripe-signature", "")
        stamps = [part[2:] for part in written.split(",") if part.startswith("t=")]
        if len(stamps) != 1 or abs(time.time() - int(stamps[0])) > _TOLERANCE:
            raise BadSignature("signed at another time, or at none")
        for secret in several(self.config["STRIPE_WEBHOOK_SECRET"]):
            try:
                stripe.WebhookSignature.verify_header(raw, written, secret, _TOLERANCE)
            except Exception:  # noqa: BLE001, S112 - malformed input raises many kinds; the next secret may still fit
                continue
            return
        raise BadSignature("no secret of ours signed this")

    def parse(self, headers: Mapping[str, str], raw: bytes) -> list[WebhookEvent]:
        event = parse_json(raw)
        event_id, kind, about = word(event["id"]), word(event["type"]), event["data"]["object"]
        if event["object"] != "event" or not isinstance(about, dict):
            raise Malformed("not an event")
        if reported := refund_fact(about):
            return [WebhookEvent(WebhookKind.REFUND, event_id, "", Facts(), Trust.SIGNED, refund=reported)]
        if disputed := dispute(about):
            return [WebhookEvent(WebhookKind.DISPUTE, event_id, "", Facts(), Trust.SIGNED, dispute=disputed)]
        reference = reference_of(about)
        if reference and not is_our_payment(reference):  # from another system: nothing else of it is read
            return [WebhookEvent(WebhookKind.OTHER, event_id, reference, Facts(), Trust.SIGNED)]
        facts = _FACTS_OF[kind](about) if kind in _FACTS_OF else None
        if facts is None or not reference:
            about_one = WebhookKind.PAYMENT if reference else WebhookKind.OTHER
            return [WebhookEvent(about_one, event_id, reference, Facts(), Trust.HINT)]
        return [WebhookEvent(WebhookKind.PAYMENT, event_id, reference, facts, Trust.SIGNED)]

    def ack(self, outcome: str) -> tuple[int, str]:
        return _ACKS.get(outcome, 200), outcome

    def _facts(self, session: Mapping[str, Any], reference: str) -> Facts:
        """Translate a session and its charges. Raises StripeError, Malformed."""
        if session["client_reference_id"] != reference:
            raise Malformed("the reference is another payment's")
        intent = session["payment_intent"]
        charges: list[Mapping[str, Any]] = []
        if intent is not None and intent["latest_charge"]:
            charges = self._api.charges.list({"payment_intent": intent["id"], "limit": 100}).to_dict()["data"]
        paid = [charge for charge in reversed(charges) if charge["status"] == "succeeded" and charge["captured"]]
        early = session["expires_at"] > time.time()  # only real sessions, with real times, can lack the reason
        state, because = _state(session["status"], intent, bool(paid), early)
        return Facts(
            state=state,
            captures=tuple(_capture(charge) for charge in paid),
            refunds=self._refunds(paid, reference),
            decline=decline_of(intent) if intent is not None else None,
            instrument=instrument(paid[-1]) if paid else None,
            action=NextAction(ActionKind.REDIRECT, session["url"]) if self.is_page(session["url"]) else None,
            expires_at=moment(session["expires_at"]),
            end_reason=because,
            provider_data={"id": their_id(session["id"], "the id of a session")}
            | ({"intent": their_id(intent["id"], "the id of an intent")} if intent is not None else {}),
        )

    def _refunds(self, paid: Iterable[Mapping[str, Any]], reference: str) -> tuple[RefundFact, ...]:
        """The refunds of these charges. Raises StripeError, Malformed."""

        def read(made: Mapping[str, Any]) -> RefundFact:
            fact = refund_fact(made)
            if fact is None:
                raise Malformed("a list of refunds with something else in it")
            return replace(fact, payment=reference)

        refunded = (charge["id"] for charge in paid if charge.get("amount_refunded"))
        made = (one for charge in refunded for one in self._each(self._api.refunds.list, {"charge": charge}))
        return refunds_in(made, read, provider=self.NAME)


def _is_requested(reported: Mapping[str, Any], refund: RefundRequest) -> bool:
    """True if a refund at Stripe of the same charge is the one that we requested: metadata can be copied."""
    return reported.get("amount") == refund.money.amount and reported.get("currency") == refund.money.currency.lower()


def _session_end(payment: PaymentRequest) -> dict[str, int]:
    """End of the session: `pay_by`, or as soon after it as Stripe allows; the shop closes it in time. It depends on the
    payment only: Stripe refuses an idempotency key with other parameters.
    """
    if payment.created_at is None:
        return {}
    end = max(payment.pay_by, payment.created_at + _SHORTEST)
    return {"expires_at": int(min(end, payment.created_at + _LONGEST).timestamp())}


def _state(status: str, intent: Mapping[str, Any] | None, paid: bool, early: bool) -> tuple[PaymentState, str | None]:
    """(our state, end reason) of a session with this status."""
    if paid:
        return PaymentState.CAPTURED, None
    if status == "expired":
        if intent is not None and intent["status"] == "canceled":
            return cancelled(intent)
        return (PaymentState.CANCELLED, EndReason.MERCHANT) if early else (PaymentState.EXPIRED, EndReason.TIME)
    if status == "open" or intent is None:
        return PaymentState.OPEN, None
    if intent["status"] in ("requires_payment_method", "canceled"):  # a failed asynchronous payment
        return PaymentState.FAILED, EndReason.DECLINES
    return PaymentState.AUTHORIZED, None  # money may still arrive: the customer must not pay again


def _capture(charge: Mapping[str, Any]) -> CaptureFact:
    money = amount(charge["amount_captured"], charge["currency"])
    return CaptureFact(word(charge["id"]), money, moment(charge["created"]))


def _charge_facts(charge: Mapping[str, Any]) -> Facts:
    more = {"intent": word(charge["payment_intent"])} if charge.get("payment_intent") else {}
    if not charge["captured"]:
        return Facts(state=PaymentState.AUTHORIZED, instrument=instrument(charge), provider_data=more)
    capture = _capture(charge)
    return Facts(
        state=PaymentState.CAPTURED,
        captures=(capture,),
        instrument=instrument(charge),
        occurred_at=capture.at,
        provider_data=more,
    )


def _cancelled_facts(intent: Mapping[str, Any]) -> Facts:
    state, because = cancelled(intent)
    return Facts(state=state, end_reason=because, provider_data={"intent": word(intent["id"])})


_FACTS_OF: dict[str, Callable[[Mapping[str, Any]], Facts]] = {
    # events that are applied; all others make the payment due for a poll
    "charge.succeeded": _charge_facts,
    "charge.captured": _charge_facts,
    "payment_intent.canceled": _cancelled_facts,
    "payment_intent.payment_failed": lambda intent: Facts(decline=decline_of(intent)),
    "payment_intent.requires_action": lambda intent: Facts(),
    "payment_intent.amount_capturable_updated": lambda intent: Facts(state=PaymentState.AUTHORIZED),
}


PROVIDER = Stripe
