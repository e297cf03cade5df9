"""Stripe: Checkout Sessions on Stripe's page, spoken through Stripe's own library.

A Checkout Session has no captures of its own. What was taken are the charges of its PaymentIntent: `charge.succeeded`
tells of them under a signature, and a query reads their list. What a session's own events say is no proof of a charge,
so they only make the payment due to be asked about.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, NoReturn

import httpx
import stripe

from shop.payments.provider import (
    BadSignature,
    Capabilities,
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
    Started,
    Unavailable,
    Unknown,
)
from shop.payments.providers import _stripe_words as words
from shop.settings import Setting

_ACKS = {"bad_signature": 401, "malformed": 400, "key_reused": 409, "unavailable": 503}
_TOLERANCE = 300  # seconds that a signature's time may be off the wall, both ways
_LOOK_BACK = timedelta(minutes=5)  # by how much Stripe's clock may be behind ours
_PAGE, _PAGES = 100, 20


class _OverOurClient(stripe.HTTPClient):
    """Stripe's library over this process's client: its timeouts, its connections, no redirects."""

    name = "httpx"

    def __init__(self, http: Callable[[], httpx.Client]) -> None:
        super().__init__()
        self._http = http

    def request(  # type: ignore[override]
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, **_: Any
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Raises stripe.APIConnectionError, caused by what went wrong."""
        try:
            answer = self._http().request(method, url, headers=dict(headers or {}), content=post_data)
        except httpx.HTTPError as error:
            raise stripe.APIConnectionError(type(error).__name__) from error
        return answer.content, answer.status_code, answer.headers

    def request_stream(self, *_: Any, **__: Any) -> NoReturn:
        raise NotImplementedError("nothing of ours is streamed")

    def close(self) -> None:
        """The connections belong to the process."""


class Stripe(PaymentProvider):
    """The stripe adapter. `provider_data`: `id`, the Checkout Session; `intent`, its PaymentIntent once there."""

    NAME = "stripe"
    LABEL = "Stripe"
    SETTINGS = (
        Setting("STRIPE_API_KEY", "sk_test_demo", "Secret key at Stripe.", secret=True),
        Setting(
            "STRIPE_WEBHOOK_SECRET",
            "whsec_stripe_demo",
            "Secrets that sign Stripe's webhooks; several, separated by commas, while one replaces another.",
            secret=True,
        ),
        Setting(
            "STRIPE_API_BASE",
            "",
            "Base address of Stripe's API, `https://api.stripe.com`; empty: `/stripe` under ACQUIRER_URL.",
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
        base = str(config["STRIPE_API_BASE"] or config["ACQUIRER_URL"].rstrip("/") + "/stripe").rstrip("/")
        self._api = stripe.StripeClient(
            str(config["STRIPE_API_KEY"]),
            base_addresses={"api": base},
            max_network_retries=0,
            http_client=_OverOurClient(http),
        ).v1

    def page_origins(self) -> tuple[str, ...]:
        """Stripe's own pages; while its API is the mock one its pages are the acquirer's."""
        return ("https://checkout.stripe.com",) if self.config["STRIPE_API_BASE"] else ()

    # --- calls -------------------------------------------------------------------------------------------------------

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
        wish: dict[str, Any] = {
            "mode": "payment",
            "client_reference_id": payment.id,
            "line_items": [item],
            "success_url": return_url,
            "cancel_url": return_url,
            "locale": words.locale(payment.locale),
            "metadata": {"reference": payment.id},
            "payment_intent_data": {"description": payment.description, "metadata": {"reference": payment.id}},
            **words.session_end(payment),
        }
        try:
            options: Any = {"idempotency_key": payment.id}
            opened = self._api.checkout.sessions.create(wish, options).to_dict()  # type: ignore[arg-type]
            action = NextAction("redirect", str(opened["url"]))
            return Started(action, words.at(opened["expires_at"]), {"id": str(opened["id"])})
        except stripe.StripeError as error:
            return words.not_started(error)
        except (KeyError, TypeError, ValueError) as error:
            return Unknown(f"an answer that cannot be read: {type(error).__name__}")

    def query(self, payment: PaymentRequest) -> Found | NotFound | Unavailable:
        try:
            session = self._session(payment)
            return NotFound() if session is None else Found(self._facts(session, payment.id))
        except stripe.StripeError as error:
            return words.unavailable(error)
        except (KeyError, TypeError, ValueError, AttributeError, Malformed) as error:
            return Unavailable(f"an answer that cannot be read: {type(error).__name__}")

    def cancel(self, payment: PaymentRequest) -> Done | Pending | Rejected | Unknown:
        """Expires the session. Stripe refuses that for one that has ended, so the session is looked at then."""
        try:
            session_id = payment.provider_data.get("id") or words.id_of(self._session(payment))
            if session_id is None:
                return Done()
            try:
                self._api.checkout.sessions.expire(str(session_id))
                return Done()
            except stripe.InvalidRequestError:
                session = self._api.checkout.sessions.retrieve(str(session_id)).to_dict()
            return Done() if session["status"] == "expired" else Rejected(f"session_{session['status']}")
        except stripe.StripeError as error:
            return Rejected(words.code(error)) if words.is_refusal(error) else Unknown(words.why(error))
        except (KeyError, TypeError, ValueError) as error:
            return Unknown(f"an answer that cannot be read: {type(error).__name__}")

    def refund(
        self, payment: PaymentRequest, refund: RefundRequest
    ) -> Done | Pending | Rejected | Unknown | Unavailable:
        """Of one charge. Our ids travel in its metadata, by which a query and the webhooks find it."""
        wish: dict[str, Any] = {
            "charge": refund.capture_id,
            "amount": refund.money.amount,
            "metadata": {"refund": refund.id, "reference": payment.id},
        }
        if refund.reason in words.REFUND_REASONS:
            wish["reason"] = refund.reason
        try:
            options: Any = {"idempotency_key": refund.id}
            made = self._api.refunds.create(wish, options).to_dict()  # type: ignore[arg-type]
            return words.REFUND_ANSWERS[str(made["status"])]
        except stripe.StripeError as error:
            return words.not_started(error)
        except (KeyError, TypeError, ValueError) as error:
            return Unknown(f"an answer that cannot be read: {type(error).__name__}")

    def query_refund(
        self, payment: PaymentRequest, refund: RefundRequest
    ) -> Done | Pending | Rejected | NotFound | Unavailable:
        query: dict[str, Any] = {"charge": refund.capture_id, "limit": _PAGE}
        try:
            for _ in range(_PAGES):
                page = self._api.refunds.list(query).to_dict()  # type: ignore[arg-type]
                for found in page["data"]:
                    if (found["metadata"] or {}).get("refund") == refund.id:
                        return words.REFUND_ANSWERS[str(found["status"])]
                if not page["has_more"]:
                    return NotFound()
                query["starting_after"] = page["data"][-1]["id"]
            return Unavailable("more refunds than we look through")
        except stripe.StripeError as error:
            return words.unavailable(error)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return Unavailable(f"an answer that cannot be read: {type(error).__name__}")

    def _session(self, payment: PaymentRequest) -> Mapping[str, Any] | None:
        """The payment's session with its PaymentIntent; None when Stripe has none with our reference.

        Without its id the sessions since the payment's creation are gone through, because Stripe cannot be asked by a
        reference. Raises StripeError.
        """
        sessions, session_id = self._api.checkout.sessions, payment.provider_data.get("id")
        if session_id:
            try:
                return sessions.retrieve(str(session_id), {"expand": ["payment_intent"]}).to_dict()
            except stripe.InvalidRequestError as error:
                if error.http_status == 404:
                    return None
                raise
        query: dict[str, Any] = {"limit": _PAGE, "expand": ["data.payment_intent"]}
        if payment.created_at:
            query["created"] = {"gte": int((payment.created_at - _LOOK_BACK).timestamp())}
        for _ in range(_PAGES):
            page = sessions.list(query).to_dict()  # type: ignore[arg-type]
            for session in page["data"]:
                if session["client_reference_id"] == payment.id:
                    return session
            if not page["has_more"]:
                return None
            query["starting_after"] = page["data"][-1]["id"]
        raise stripe.APIConnectionError("more sessions than we look through")

    # --- webhooks ----------------------------------------------------------------------------------------------------

    def verify(self, headers: Mapping[str, str], raw: bytes) -> None:
        """The library's check, and its missing half: it takes times that lie ahead."""
        written = headers.get("stripe-signature", "")
        stamps = [part[2:] for part in written.split(",") if part.startswith("t=")]
        if len(stamps) != 1 or abs(time.time() - int(stamps[0])) > _TOLERANCE:
            raise BadSignature("signed at another time, or at none")
        for secret in str(self.config["STRIPE_WEBHOOK_SECRET"]).split(","):
            try:
                stripe.WebhookSignature.verify_header(raw, written, secret.strip(), _TOLERANCE)
            except Exception:  # noqa: BLE001, S112 - garbage raises many kinds; the next secret may still fit
                continue
            return
        raise BadSignature("no secret of ours signed this")

    def parse(self, headers: Mapping[str, str], raw: bytes) -> list[Notice]:
        event = json.loads(raw)
        event_id, kind, about = words.word(event["id"]), words.word(event["type"]), event["data"]["object"]
        if event["object"] != "event" or not isinstance(about, dict):
            raise Malformed("not an event")
        told = words.refund_fact(about)
        if told:
            return [Notice("refund", event_id, "", Facts(), "signed", refund=told)]
        reference = words.reference(about)
        facts = words.FACTS_OF[kind](about) if kind in words.FACTS_OF else None
        if facts is None or not reference:
            return [Notice("payment" if reference else "other", event_id, reference, Facts(), "hint")]
        return [Notice("payment", event_id, reference, facts, "signed")]

    def ack(self, outcome: str) -> tuple[int, str]:
        return _ACKS.get(outcome, 200), outcome

    # --- words -------------------------------------------------------------------------------------------------------

    def _facts(self, session: Mapping[str, Any], reference: str) -> Facts:
        """A session of theirs, and the charges behind it, in our words. Raises StripeError, Malformed."""
        if session["client_reference_id"] != reference:
            raise Malformed("the reference is another payment's")
        intent = session["payment_intent"]
        charges: list[Mapping[str, Any]] = []
        if intent is not None and intent["latest_charge"]:
            charges = self._api.charges.list({"payment_intent": intent["id"], "limit": 100}).to_dict()["data"]
        taken = [charge for charge in reversed(charges) if charge["status"] == "succeeded" and charge["captured"]]
        early = session["expires_at"] > time.time()  # only a real session can lack the reason; it lives in real time
        state, because = words.state(session["status"], intent, bool(taken), early)
        return Facts(
            state=state,
            captures=tuple(words.capture(charge) for charge in taken),
            decline=words.decline(intent) if intent is not None else None,
            instrument=words.instrument(taken[-1]) if taken else None,
            action=NextAction("redirect", str(session["url"])) if session["url"] else None,
            expires_at=words.at(session["expires_at"]),
            end_reason=because,
            provider_data={"id": str(session["id"]), **({"intent": str(intent["id"])} if intent is not None else {})},
        )


PROVIDER = Stripe
