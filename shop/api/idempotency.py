"""Idempotency-Key on API calls: a call with an effect happens once, and repetitions get its answer.

A view that creates a row passes `claim` to its use case, which calls it in the transaction that writes the row. A
repetition after a crash continues from that row: `resumed()` is then its id, and the view answers for it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

from flask import Response, g, make_response, request

from shop.api import root
from shop.api.access import CallerKind, caller
from shop.api.problems import problems
from shop.core import strict_json
from shop.core.errors import BadInput, Refusal
from shop.idempotency import keys
from shop.idempotency.decide import Conflict, Decision, InFlight, Replay, Resume
from shop.idempotency.keys import Key, Taken

V = TypeVar("V", bound=Callable[..., Any])
HEADER, REPLAYED = "Idempotency-Key", "Idempotency-Replayed"
SHORTEST_OF_GUESTS = 32
_TEXT = re.compile(r"[\x21-\x7e]{1,255}")


class InProgress(Refusal):
    """The first call with this key is at work; `retry_after` is in seconds."""

    def __init__(self, retry_after: int) -> None:
        message = "The first call with this Idempotency-Key is in progress. Try again later."
        super().__init__("idempotency_in_flight", message)
        self.retry_after = retry_after


@dataclass
class _Call:
    """The key of this request; `resumed` is the row that an ended call has created."""

    key: Key
    resumed: str = ""


def idempotent(*, required: bool = True) -> Callable[[V], V]:
    """Honour Idempotency-Key. Apply it below `api_access` and above `arguments`."""

    def decorator(view: V) -> V:
        documented = _documented(view, required)

        @wraps(documented)
        def once(*args: Any, **values: Any) -> Any:
            key = _key(required)
            if key is None:
                return documented(*args, **values)
            decision = keys.look_up(key)
            if (answer := _answer(decision)) is not None:
                return answer
            g.api_idempotency = _Call(key, decision.subject if isinstance(decision, Resume) else "")
            try:
                response = make_response(documented(*args, **values))
            except Taken:
                return _answer(keys.look_up(key)) or _again()
            if response.status_code < 400:
                keys.keep_answer(key, response.status_code, response.get_data(as_text=True))
            return response

        return once  # type: ignore[return-value]

    return decorator


def claim(subject: object) -> None:
    """Claim the key of this request for the row with this id, in the transaction that writes it. Raises Taken."""
    call: _Call | None = g.get("api_idempotency")
    if call is not None:
        keys.claim(call.key, str(subject))


def resumed() -> str:
    """The id of the row that an earlier call with this key has created without an answer; empty if there is none."""
    call: _Call | None = g.get("api_idempotency")
    return call.resumed if call else ""


def _key(required: bool) -> Key | None:
    """The key of this request. Raises Refusal `idempotency_key_required` and BadInput `idempotency_key_invalid`."""
    text, found = request.headers.get(HEADER), caller()
    if text is None:
        if required and not root.is_alias():
            raise Refusal("idempotency_key_required", f"This call needs the header {HEADER}, a new random value.")
        return None
    is_guest = found.kind is CallerKind.GUEST
    if not _TEXT.fullmatch(text) or (is_guest and len(text) < SHORTEST_OF_GUESTS):
        least = SHORTEST_OF_GUESTS if is_guest else 1
        message = f"An {HEADER} has {least} to 255 visible ASCII characters."
        errors = [{"parameter": HEADER, "code": "idempotency_key_invalid", "detail": message}]
        raise BadInput("idempotency_key_invalid", message, errors=errors)
    rule = request.url_rule.rule if request.url_rule else ""
    return Key(f"{found.id} {request.method} {rule}", text, _digest())


def _digest() -> str:
    """Digest of the address and the body, in which the order of fields does not count."""
    raw = request.get_data(cache=True)
    try:
        body = json.dumps(strict_json.loads(raw), sort_keys=True) if raw else ""
    except ValueError:
        body = raw.decode(errors="replace")
    return hashlib.sha256(f"{request.full_path}\n{body}".encode(errors="surrogatepass")).hexdigest()


def _answer(decision: Decision) -> Response | None:
    """The answer of a decision that does not carry the call out. Raises InProgress and `idempotency_key_reused`."""
    if isinstance(decision, Conflict):
        message = f"The {HEADER} was used with another body or address. Use a new key for a new call."
        raise BadInput("idempotency_key_reused", message)
    if isinstance(decision, InFlight):
        raise InProgress(min(decision.retry_after, 2))
    if isinstance(decision, Replay):
        response = Response(decision.answer, decision.status, mimetype="application/json")
        response.headers[REPLAYED] = "true"
        response.headers["Cache-Control"] = "no-store"
        return response
    return None


def _again() -> Response:
    raise InProgress(1)


def _documented(view: V, required: bool) -> V:
    codes = ["idempotency_key_invalid", "idempotency_key_reused", "idempotency_in_flight"]
    view = problems(*codes, *(["idempotency_key_required"] if required else []))(view)
    documentation = view._apidoc.setdefault("manual_doc", {})  # type: ignore[attr-defined]
    words = "A new random value for each call, such as a UUID; a repetition with it gets the first answer for 24 hours."
    parameter = {"name": HEADER, "in": "header", "required": required, "description": words}
    schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
    documentation["x-idempotency"] = parameter | {"schema": schema}
    return view
