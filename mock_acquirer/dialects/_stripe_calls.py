"""Shared parts of all Stripe calls: caller, form, Idempotency-Key, answer, and errors for unknown objects."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass

from flask import Response, g, request

from mock_acquirer import calls, clock, deliveries, engine
from mock_acquirer.dialect_interface import setting
from mock_acquirer.dialects import _stripe_objects as objects
from mock_acquirer.dialects._stripe_form import Fields, parse, wrong
from mock_acquirer.dialects._stripe_parameters import require_known
from mock_acquirer.errors import Refused
from mock_acquirer.idempotency import Key
from mock_acquirer.models import Payment

NAME = "stripe"
MERCHANT = "demo"
Doing = Callable[[str], calls.Effect]


@dataclass(frozen=True)
class Caller:
    merchant: str
    run: str


def caller_of() -> Caller:
    """The caller, authenticated by `Authorization: Bearer sk_test_demo` (or Basic, as curl's `-u key:`). Refuses with
    401.

    Then refuses (400) query string parameters that the call does not have.
    """
    given = request.authorization
    written = (given.token if given.type == "bearer" else given.username) if given else None
    key, _, run = (written or "").strip().partition(".")
    if not hmac.compare_digest(key.encode("utf-8", "replace"), setting("ACQUIRER_STRIPE_API_KEY").encode()):
        raise Refused(
            401,
            "authentication",
            "",
            "Invalid API Key provided. Send the secret key as `Authorization: Bearer …`.",
            headers={"WWW-Authenticate": 'Bearer realm="Stripe"'},
        )
    require_known(str(request.endpoint), parse(request.query_string))
    return Caller(MERCHANT, clock.enter_run(run))


def sent_form() -> Fields:
    """The request's form. Refuses with 400."""
    if request.mimetype == "application/json":
        raise wrong("parameter_invalid", None, "Send form fields (application/x-www-form-urlencoded), not JSON.")
    found = parse(request.get_data())
    require_known(str(request.endpoint), found)
    return Fields(found)


def asked_for() -> Fields:
    """The query string."""
    return Fields(parse(request.query_string))


def key_of(caller: Caller) -> Key | None:
    written = request.headers.get("Idempotency-Key")
    if written is None:
        return None
    if not 1 <= len(written) <= 255 or not written.isprintable():
        raise wrong("", None, "An Idempotency-Key has 1 to 255 characters.")
    content = f"{request.method} {request.path}\n".encode() + request.get_data()
    return Key(caller.run, NAME, caller.merchant, written, hashlib.sha256(content).hexdigest())


def respond(call: calls.Call, doing: Doing) -> Response:
    answer = calls.perform(call, doing)
    headers = answer.headers | {"Request-Id": objects.request_id(g.request_id)}
    if answer.body is None:
        return Response("", answer.status, headers, content_type="text/plain")
    headers["Stripe-Version"] = objects.API_VERSION
    return Response(answer.body, answer.status, headers, content_type="application/json")


def read(payment: Payment, caller: Caller, kind: str, render: Callable[[bool], objects.Object]) -> Response:
    """Answer a query about one payment; `render(as_created)` makes its document."""

    def doing(shows: str) -> calls.Effect:
        if shows == "nothing":
            raise no_such(kind, request.path.rpartition("/")[2])
        return ok(render(shows == "created"))

    return respond(calls.Call(NAME, "query", caller.run, payment), doing)


def ok(shown: objects.Object) -> calls.Effect:
    return calls.Effect(200, deliveries.compact(shown))


def no_such(kind: str, shown: str) -> Refused:
    params = {"checkout.session": "session", "payment_intent": "intent"}
    return Refused(404, "not_found", "resource_missing", f"No such {kind}: {shown!r:.80}", param=params.get(kind, "id"))


def mine(caller: Caller, kind: str, prefix: str, shown: str) -> Payment:
    """The caller's payment with this displayed id. Refuses with 404."""
    known = re.fullmatch(rf"{prefix}_([0-9a-f]{{30}})", shown)
    found = engine.find(caller.run, f"pay_{known[1]}") if known else None
    if found is None or (found.dialect, found.merchant) != (NAME, caller.merchant):
        raise no_such(kind, shown)
    return found


def change(caller: Caller, op: str, payment: Payment, act: Callable[[], objects.Object]) -> Response:
    return respond(calls.Call(NAME, op, caller.run, payment, key_of(caller)), lambda _: ok(act()))
