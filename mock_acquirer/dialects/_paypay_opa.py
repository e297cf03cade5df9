"""PayPay's Open Payment API: its `hmac OPA-Auth` header, its result codes, and its cancel window."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections import deque
from datetime import datetime, timedelta, timezone
from typing import Any

from flask import Response, request

from mock_acquirer import calls, deliveries
from mock_acquirer.engine import REFERENCE
from mock_acquirer.errors import Refused
from mock_acquirer.money import LARGEST

SCHEME = "hmac OPA-Auth:"
EMPTY = "empty"
TOLERANCE = timedelta(minutes=2)
JST = timezone(timedelta(hours=9), "JST")
REVERSIBLE_UNTIL = timedelta(days=1, minutes=15)
"""After the midnight (Japan) that began the day of the payment: 00:14:59 of the next day is the last second."""

RESULTS: dict[str, tuple[int, str, str]] = {
    # code: (HTTP status, codeId, message)
    "SUCCESS": (200, "08100001", "Success"),
    "REQUEST_ACCEPTED": (202, "08100001", "Request accepted"),
    "INVALID_REQUEST_PARAMS": (400, "08100006", "Invalid request params"),
    "MISSING_REQUEST_PARAMS": (400, "08100024", "Missing request params"),
    "UNAUTHORIZED": (401, "08100016", "Unauthorized request"),
    "OP_OUT_OF_SCOPE": (401, "08100023", "The operation is not permitted"),
    "OPA_CLIENT_NOT_FOUND": (404, "08100007", "OPA Client not found"),
    "RATE_LIMIT": (429, "08100998", "Too many requests"),
    "SERVICE_ERROR": (500, "08100026", "Service error"),
    "INTERNAL_SERVER_ERROR": (500, "08101000", "Something went wrong on PayPay service side"),
    "MAINTENANCE_MODE": (503, "08100999", "Sorry, we are down for scheduled maintenance"),
    "DYNAMIC_QR_BAD_REQUEST": (400, "01650000", "Dynamic QR bad request error"),
    "DUPLICATE_DYNAMIC_QR_REQUEST": (400, "01652073", "Duplicate Dynamic QR request error"),
    "DYNAMIC_QR_PAYMENT_NOT_FOUND": (400, "01652075", "Dynamic QR payment not found"),
    "DYNAMIC_QR_ALREADY_PAID": (400, "01652074", "Dynamic QR already paid"),
    "DYNAMIC_QR_NOT_FOUND": (404, "01652072", "Dynamic qr code not found"),
    "ORDER_NOT_REVERSIBLE": (400, "00200044", "Order cannot be reversed"),
    "RESOURCE_NOT_FOUND": (404, "00200001", "Order not found"),
    "ALREADY_CAPTURED": (400, "00200039", "Cannot capture already captured acquiring order"),
    "HIGHER_CAPTURE_NOT_PERMITTED": (400, "00400062", "Merchant not allowed to capture higher amount"),
    "ORDER_NOT_CAPTURABLE": (400, "00200035", "Order is not capturable"),
    "ORDER_NOT_CANCELABLE": (400, "00200042", "Order is not cancelable"),
    "INVALID_PARAMS": (400, "00200015", "Invalid refund amount"),
    "UNACCEPTABLE_OP": (400, "00200013", "Order cannot be refunded"),
    "NO_SUCH_REFUND_ORDER": (404, "00200018", "Refund not found"),
}
OURS: dict[str, str] = {
    # the acquirer's common code: PayPay's code
    "too_many_requests": "RATE_LIMIT",
    "internal_error": "INTERNAL_SERVER_ERROR",
    "database_away": "SERVICE_ERROR",
    "invalid_run": "UNAUTHORIZED",
}


def result(code: str, message: str = "") -> Refused:
    """An error with PayPay's code; `message` may add to PayPay's own."""
    status, code_id, says = RESULTS[code]
    return Refused(status, code_id, code, message or says)


def info(refused: Refused) -> tuple[int, dict[str, str]]:
    """(HTTP status, resultInfo) of any refusal."""
    code = OURS.get(refused.code, refused.code)
    if code in RESULTS:
        status, code_id, says = RESULTS[code]
        return status, {"code": code, "message": refused.message or says, "codeId": code_id}
    code = {404: "OPA_CLIENT_NOT_FOUND", 503: "SERVICE_ERROR"}.get(refused.status, "INVALID_REQUEST_PARAMS")
    return refused.status, {"code": code, "message": refused.message, "codeId": RESULTS[code][1]}


def body_hash(content_type: str, body: bytes) -> str:
    """Base64 MD5 of content type and body; `empty` without a body. PayPay prescribes the algorithm."""
    if not body:
        return EMPTY
    digest = hashlib.md5(content_type.encode() + body, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def mac(secret: str, method: str, path: str, nonce: str, epoch: str, content_type: str, body: bytes) -> str:
    """Base64 HMAC-SHA256 over path, method, nonce, epoch, content type and body hash, one on each line."""
    kind = content_type if body else EMPTY
    signed = "\n".join((path, method, nonce, epoch, kind, body_hash(content_type, body)))
    return base64.b64encode(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()).decode()


def verify(
    header: str, key: str, secret: str, *, method: str, path: str, content_type: str, body: bytes, now: datetime
) -> str:
    """Verify the signature (made with our secret within two minutes). Returns the run named by the API key
    (`key.run42`).

    Refuses with 401. `path` is without the prefix under which the API is served.
    """
    fields = header.removeprefix(SCHEME).split(":")
    if not header.startswith(SCHEME) or len(fields) != 5:
        raise result("UNAUTHORIZED", "Send `Authorization: hmac OPA-Auth:key:mac:nonce:epoch:bodyHash`.")
    sent_key, sent_mac, nonce, epoch, sent_hash = fields
    named, _, run = sent_key.partition(".")
    right = mac(secret, method, path, nonce, epoch, content_type, body)
    pairs = ((named, key), (sent_hash, body_hash(content_type, body)), (sent_mac, right))
    if not all(hmac.compare_digest(one.encode(), other.encode()) for one, other in pairs):
        raise result("UNAUTHORIZED")
    if not (nonce and epoch.isascii() and epoch.isdigit() and len(epoch) < 12):
        raise result("UNAUTHORIZED", "The nonce or the time is missing.")
    if abs(now.timestamp() - int(epoch)) > TOLERANCE.total_seconds():
        raise result("UNAUTHORIZED", "The time in the header is more than two minutes off.")
    return run


def is_reversible(taken_at: datetime, now: datetime) -> bool:
    """True while a payment captured at `taken_at` can still be cancelled."""
    midnight = taken_at.astimezone(JST).replace(hour=0, minute=0, second=0, microsecond=0)
    return now < midnight + REVERSIBLE_UNTIL


class Paces:
    """Queries of each run within the last second, counted per process."""

    def __init__(self) -> None:
        self._lock, self._made = threading.Lock(), dict[str, deque[float]]()

    def allow(self, run: str, most: float) -> bool:
        now = time.monotonic()
        with self._lock:
            if len(self._made) > 1000:
                self._made = {name: made for name, made in self._made.items() if made[-1] > now - 1}
            made = self._made.setdefault(run, deque())
            while made and made[0] <= now - 1:
                made.popleft()
            if len(made) >= most:
                return False
            made.append(now)
            return True


# --- requests and answers ---------------------------------------------------------------------------------------------


def body() -> dict[str, Any]:
    """The JSON object in the body; an empty body is `{}`. Refuses with 400."""
    raw = request.get_data()
    try:
        found = json.loads(raw) if raw.strip() else {}
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()  # stored values must be encodable in a response
    except (ValueError, RecursionError) as broken:
        raise result("INVALID_REQUEST_PARAMS", "The body is not valid JSON in UTF-8.") from broken
    if not isinstance(found, dict):
        raise result("INVALID_REQUEST_PARAMS", "The body must be a JSON object.")
    return found


def words(sent: dict[str, Any], name: str, longest: int, default: str | None = None) -> str:
    """A text field. Refuses (400) an invalid value, or a missing one without a default."""
    value = sent.get(name)
    if value is None and default is not None:
        return default
    if value is None:
        raise result("MISSING_REQUEST_PARAMS", f"{name} is missing.")
    fine = isinstance(value, str) and (value or default == "") and len(value) <= longest
    if not fine or any(ord(letter) < 32 or 0xD800 <= ord(letter) <= 0xDFFF for letter in value):
        raise result("INVALID_REQUEST_PARAMS", f"{name} must be text of 1 to {longest} characters.")
    return str(value)


def yen(sent: dict[str, Any], currency: str = "JPY") -> int:
    """The amount in minor units; whole yen, except for captures that a fault made in another currency. Refuses with
    400.
    """
    given = sent.get("amount")
    if not isinstance(given, dict) or given.get("amount") is None or given.get("currency") is None:
        raise result("MISSING_REQUEST_PARAMS", 'Send `"amount": {"amount": 1200, "currency": "JPY"}`.')
    amount = given["amount"]
    if isinstance(amount, bool) or not isinstance(amount, int) or not 1 <= amount <= LARGEST:
        raise result("INVALID_REQUEST_PARAMS", f"The amount must be a whole number of yen from 1 to {LARGEST}.")
    if given["currency"] != currency:
        raise result("INVALID_REQUEST_PARAMS", f"The currency must be {currency}.")
    return amount


def own_id(sent: dict[str, Any], name: str) -> str:
    """An id chosen by the merchant. Refuses with 400."""
    found = words(sent, name, 64)
    if not REFERENCE.fullmatch(found):
        raise result("INVALID_REQUEST_PARAMS", f"{name} has 1 to 64 letters, digits or _ . : @ / + = -.")
    return found


def respond(answer: calls.Answer) -> Response:
    """The HTTP response for a call's answer."""
    if answer.body is None:
        return Response("", answer.status, content_type="text/plain")
    return Response(answer.body, answer.status, answer.headers, content_type="application/json;charset=UTF-8")


def success(status: int, data: dict[str, Any] | None, code: str = "SUCCESS") -> calls.Effect:
    """A call's result in PayPay's envelope."""
    _, number, message = RESULTS[code]
    payload = {"resultInfo": {"code": code, "message": message, "codeId": number}, "data": data}
    return calls.Effect(status, deliveries.compact(payload))


def seconds(moment: datetime | None) -> int | None:
    """Epoch seconds."""
    return None if moment is None else int(moment.timestamp())
