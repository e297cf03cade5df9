"""Problems that calls of the API answer: code, HTTP status and explanation, for the OpenAPI document and its page."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, TypeVar

from flask_smorest import Blueprint

from shop.api.schemas.problem import ProblemSchema
from shop.http_kit.problems import DOCS, OF_STATUS

V = TypeVar("V", bound=Callable[..., Any])
CONTENT_TYPE = "application/problem+json"

OWN: dict[str, tuple[int, str]] = {
    "invalid_credentials": (401, "E-mail or password is wrong."),
    "otp_required": (401, "The account has a second factor: send a code of the authenticator app as `otp`."),
    "invalid_otp": (401, "The code is wrong or was used before."),
    "account_disabled": (403, "The account has been disabled."),
    "second_factor_needed": (403, "Staff need a second factor here. Set it up in the console first."),
    "id_token_refused": (401, "The ID token is not one of a configured issuer for this shop, is too old or expired."),
    "id_token_used": (401, "The ID token was used before. Get a new one from the issuer."),
    "identity_email_unverified": (401, "The issuer has not verified the e-mail address of the person."),
    "identity_needs_confirmation": (409, "An account has this e-mail address. It was mailed a link that connects it."),
    "identity_of_staff": (403, "Staff sign in with their password, and can then connect an identity in the shop."),
    "identity_away": (503, "The issuer of the token cannot be reached."),
    "account_changed": (409, "The account was changed at the same time. Try again with a new token."),
    "too_many_mails": (429, "This address was sent several links already. Retry-After says when to try again."),
    "too_many_attempts": (429, "Too many sign-in attempts. Retry-After says when to try again."),
    "unreadable_json": (400, "The body is not valid JSON in UTF-8."),
    "idempotency_key_required": (400, "This call needs the header Idempotency-Key."),
    "idempotency_key_invalid": (
        422,
        "An Idempotency-Key has 1 to 255 visible ASCII characters; that of a guest at least 32, of which a random "
        "value of 128 bits or a UUID is made.",
    ),
    "idempotency_key_reused": (422, "The Idempotency-Key was used with another body or address."),
    "idempotency_in_flight": (409, "The first call with this Idempotency-Key is in progress. Try again later."),
    "bad_filter": (422, "A period, a currency or a provider is not known, or the days are not possible."),
    "bad_position": (422, "The cursor is not one that a list has given."),
    "unknown_order": (404, "There is no such order, or the caller has no access to it."),
    "unknown_product": (404, "There is no such product."),
    "unknown_sku": (422, "The shop does not sell this product."),
    "too_many": (422, "At most 99 units of a product can be ordered at a time."),
    "not_sold_in_currency": (409, "A product has no price in this currency."),
    "out_of_stock": (409, "Fewer units are available than were ordered. No order was placed."),
    "too_many_unpaid": (429, "The client has too many unpaid orders."),
    "unknown_payment": (404, "There is no such payment, or the caller has no access to it."),
    "unknown_method": (422, "The shop does not take payments by this provider."),
    "cannot_charge": (409, "The provider cannot charge this amount."),
    "not_payable": (409, "The order is paid, has ended, is ending or is under review."),
    "confirming": (409, "Another payment of this order may still bring money. Ask for its state until it has ended."),
    "too_late": (409, "There is not enough time left before `pay_by` for another payment."),
    "too_soon": (429, "The order has had several payments. Retry-After says when it may get the next one."),
    "too_many_payments": (409, "The order has had as many payments as it may have. Place a new one."),
    "unknown_refund": (404, "There is no such refund, or the caller has no access to it."),
    "not_refundable": (
        409,
        "Less can be refunded, or `expected_refundable` is not the present amount. Nothing was done; "
        "`details.refundable` is the present amount in minor units.",
    ),
    "choose_capture": (422, "The payment has several captures. Name one of `details.captures` as `capture_id`."),
    "bad_amount": (422, "The amount is not more than zero in the right currency, or the provider refunds only steps."),
    "no_account": (409, "The customer has no account, so there is no store credit to refund to."),
    "not_to_approve": (409, "It is decided, or the caller requested it: another person approves."),
    "not_to_decline": (409, "The refund does not wait for approval."),
    "disputed": (409, "The bank has taken the money back or has opened a dispute. The refund can only be declined."),
    "not_checked": (422, "A refund to a bank account is approved when the money was sent: `money_was_sent` is true."),
    "request_lapsed": (409, "The person who requested it may not do so any more. Decline it."),
    "version_changed": (412, "The resource has changed since the version in If-Match. Nothing was done."),
    "version_needed": (428, "This call needs If-Match with the ETag that was read, or `*` for any version."),
    "unknown_alert": (404, "There is no such alert."),
    "not_new": (409, "The alert has been acknowledged already."),
    "resolved": (409, "The alert has been resolved already."),
    "unknown_payout": (404, "There is no such payout."),
    "not_enough_funds": (409, "Less can be paid out: `details.available` in minor units."),
    "not_to_decide": (409, "The payout is decided, or the caller requested it: another person approves."),
    "amount_mismatch": (422, "The amount is not what is to be paid for the order: `details.expected`, major units."),
    "expected_refundable_needed": (400, "This call needs `expected_refundable`, or it could refund twice."),
    "bad_signature": (401, "No secret of the shop has signed this notification."),
    "malformed_notification": (400, "The notification could not be read."),
    "notification_changed": (409, "Another notification with the same id has been received before."),
    "already_paid": (409, "A paid order cannot be cancelled; it can be refunded."),
    "under_review": (409, "A payment of this order is being reviewed."),
    "order_changed": (409, "The order is not in the state that was expected. Nothing was changed."),
    "not_changeable": (409, "The address of this order can no longer be changed."),
    "country_is_fixed": (422, "The country decides tax and delivery, which were agreed with the order."),
    "unknown_return": (404, "There is no such return."),
    "not_returnable": (409, "The order is not paid, or all of its money was refunded."),
    "too_many_returns": (409, "The order has as many returns as it may have."),
    "nothing_to_return": (409, "All units of the order have been returned."),
    "return_too_late": (409, "The days for returns have passed. Staff can still request one."),
    "returned_before": (409, "Fewer units are left to return: `details.left` of `details.sku`."),
    "return_moved": (409, "Another member of staff has decided, or the return is not in a state that allows this."),
    "not_withdrawn": (409, "The return was received, declined or closed, and can no longer be withdrawn."),
    "refund_left": (409, "Money can be refunded for this return. Refund it, or a part of it."),
    "unknown_line": (422, "The order or the return has no such product."),
    "bad_quantity": (422, "More units than were requested are stated as arrived."),
    "nothing_arrived": (422, "No unit is stated as arrived. Decline a return that never came."),
    "reason_needed": (422, "Units that are not restocked need a `reason`."),
    "form_used": (409, "The Idempotency-Key was used for another return of this order."),
    "unknown_endpoint": (404, "There is no such endpoint."),
    "unknown_delivery": (404, "The endpoint has no such delivery."),
    "bad_url": (422, "The address is not https, not public, or has a port that is not called."),
    "bad_description": (422, "The description is too long, or has control characters."),
    "bad_event_types": (422, "No event type was chosen, or an unknown one."),
    "endpoint_exists": (409, "There is an endpoint with this address already."),
    "too_many_endpoints": (409, "The shop has as many endpoints as it may have."),
    "secret_changed": (409, "The secret was rotated meanwhile: `rotations` is not the present number."),
    "endpoint_disabled": (409, "The endpoint is disabled. Enable it first."),
    "delivery_queued": (409, "The delivery is queued, and will be sent anyway."),
    "too_long_ago": (422, "Events are kept for 30 days. Name a later time."),
    "tests_wait": (409, "Test events are queued for this endpoint already."),
    "database_away": (503, "The database is unavailable."),
    "redis_away": (503, "Redis is unavailable."),
    "passive_copy": (503, "This is a read-only copy of the shop."),
}
"""Problems with a cause of their own: code, status and explanation. `problems` documents those of a call."""
ALL: dict[str, tuple[int, str]] = {code: (status, text) for status, (code, text) in OF_STATUS.items()} | OWN
"""All codes, with status and explanation."""
EVERYWHERE = ("too_many_requests", "internal", "database_away", "passive_copy")
"""Problems that each call may answer."""


def problems(*codes: str) -> Callable[[V], V]:
    """Document that a view may answer these problems. Raises KeyError for a code without an explanation."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(ALL[code][0], []).append(code)

    def document(view: V) -> V:
        for status, of_status in by_status.items():
            view = _documented(view, status, of_status)
        return view

    return document


def _documented(view: V, status: int, codes: Iterable[str]) -> V:
    headers = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
    document = Blueprint("unused", __name__).alt_response(
        status,
        schema=ProblemSchema,
        content_type=CONTENT_TYPE,
        description=HTTPStatus(status).phrase,
        examples={code: {"value": example(code)} for code in codes},
        headers=headers if status in (429, 503) or "idempotency_in_flight" in codes else _challenge(status),
    )
    own = document(lambda: None)._apidoc["response"]["responses"]
    before: dict[str, Any] = getattr(view, "_apidoc", {})
    responses = before.get("response", {}).get("responses", {})
    joined = responses | {status: [*responses.get(status, []), *own[status]]}
    # Added here, because the decorator copies all that is documented so far, schemas too: a fifth of a start.
    view._apidoc = before | {"response": before.get("response", {}) | {"responses": joined}}  # type: ignore[attr-defined]
    return view


def _challenge(status: int) -> dict[str, Any] | None:
    header = {"description": "The scheme by which to authenticate.", "schema": {"type": "string"}}
    return {"WWW-Authenticate": header} if status == 401 else None


def example(code: str) -> dict[str, Any]:
    """An answer with this problem."""
    status, text = ALL[code]
    fields = {"errors": [{"pointer": "/items/0/sku", "code": "missing", "detail": "This field is required."}]}
    return {
        "type": f"https://shop.example{DOCS}#{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": text,
        "request_id": "b0a1c2d3e4f50617",
        **(fields if code == "invalid" else {}),
    }
