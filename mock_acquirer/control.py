"""Control API `/_sim`: faults, clock, customer actions, and records of what happened. JSON in, JSON out."""

from __future__ import annotations

import hmac
import json
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from flask import Blueprint, Response, current_app, g, jsonify, request

from mock_acquirer import (
    acts,
    armed,
    clock,
    deliveries,
    dialect_interface,
    engine,
    faults,
    loop,
    records,
    schemas,
    settlement,
    signing,
    timeline,
)
from mock_acquirer.db import release
from mock_acquirer.errors import Refused, conflict, invalid, not_found
from mock_acquirer.expectations import Expectation
from mock_acquirer.models import DEFAULT_RUN, Delivery, Payment
from mock_acquirer.shop_clock import ShopClock
from mock_acquirer.times import parse_duration, parse_moment, rfc3339
from mock_acquirer.validation import nearest

bp = Blueprint("control", __name__, url_prefix="/_sim")


@bp.before_request
def enter() -> None:
    """Check the bearer token, then enter the run of `X-Sim-Run`. Answers 404 while the control API is off."""
    if not current_app.config["ACQUIRER_CONTROL"]:
        raise not_found("The control API is switched off (ACQUIRER_CONTROL).")
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    wanted = current_app.config["ACQUIRER_CONTROL_TOKEN"]
    if scheme.lower() != "bearer" or not wanted or not hmac.compare_digest(token.strip().encode(), wanted.encode()):
        raise Refused(
            401,
            "authentication",
            "invalid_token",
            "Send the control token as `Authorization: Bearer …`.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    if request.url_rule is not None:
        schemas.require_known_query(request.endpoint, list(request.args))
    g.run = clock.enter_run(request.headers.get("X-Sim-Run"))


def sent_object() -> dict[str, Any]:
    """The JSON object in the request body; a missing body is `{}`. Refuses malformed JSON (400) and duplicate keys
    (422).
    """
    raw = request.get_data()
    try:
        found = json.loads(raw, object_pairs_hook=_without_doubles) if raw.strip() else {}
    except (ValueError, RecursionError) as broken:
        raise Refused(400, "invalid_request", "malformed_json", "The body is not valid JSON in UTF-8.") from broken
    if not isinstance(found, dict):
        raise Refused(400, "invalid_request", "malformed_json", "The body must be a JSON object.")
    return found


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refused(422, "invalid_request", "duplicate_key", "A key of the body is repeated.")
    return found


def payment_of(ref: str) -> Payment:
    found = engine.find(g.run, ref)
    if found is None:
        raise not_found(f"There is no payment {ref!r:.80} in the run {g.run}.")
    engine.expire_if_due(found)
    return found


@bp.put("/faults")
def put_faults() -> Response:
    return jsonify(faults.arm(g.run, "global", "", sent_object()))


@bp.get("/faults")
def get_faults() -> Response:
    """All armed rules of the run: global, per endpoint, per payment, or for the next payment."""
    payment = payment_of(request.args["payment"]) if request.args.get("payment") else None
    return jsonify(armed.listed(g.run, payment))


@bp.delete("/faults/<rule_id>")
def disarm(rule_id: str) -> Response:
    """Disarm one rule by its id; answers the remaining rules."""
    if not (rule_id.isascii() and rule_id.isprintable() and armed.disarm(g.run, rule_id)):
        raise not_found(f"There is no armed rule {rule_id!r:.80}. GET /_sim/faults lists them.")
    return jsonify(armed.listed(g.run))


@bp.put("/endpoints/<endpoint>/faults")
def put_endpoint_faults(endpoint: str) -> Response:
    """Arm a plan for one endpoint: an `op` of the API, `card` or `webhook`."""
    if endpoint not in faults.ENDPOINTS:
        near = nearest(endpoint, faults.ENDPOINTS)
        raise not_found(f"There is no endpoint {endpoint!r:.60}.{near} They are {', '.join(faults.ENDPOINTS)}.")
    return jsonify(faults.arm(g.run, "endpoint", endpoint, sent_object()))


@bp.put("/payments/<ref>/faults")
def put_payment_faults(ref: str) -> Response:
    payment = payment_of(ref)
    tells = dialect_interface.named(payment.dialect).tells
    plan = faults.arm(payment.run, "payment", payment.id, sent_object(), tells)
    timeline.note(payment, "control", "Faults armed" if plan else "Faults cleared")
    return jsonify(plan)


@bp.get("/payments/<ref>")
def get_payment(ref: str) -> Response:
    return jsonify(records.payment_record(payment_of(ref)))


@bp.post("/payments/<ref>/<act>")
def act(ref: str, act: str) -> Response:
    """Perform a customer action: approve, or pay and answer the challenge; decline, fail, cancel; choose_store,
    pay_at_counter and dispute where applicable. simulate_paid notifies the merchant of a simulated payment without
    money;
    refund is the merchant's refund in the dashboard.
    """
    if act not in acts.ACTS:
        near = nearest(act, acts.ACTS)
        raise not_found(f"There is no action {act!r:.60}.{near} They are {', '.join(acts.ACTS)}.")
    payment, sent = payment_of(ref), schemas.read(act, sent_object())
    acts.ACTS[act](payment, sent)
    return jsonify(records.payment_record(payment))


@bp.get("/clock")
def get_clock() -> Response:
    return jsonify(now=rfc3339(clock.now(g.run)), run=g.run)


@bp.post("/clock/advance")
def advance() -> Response:
    """Advance the clock `by` or `to`, performing everything that falls due. On the default run the shop's clock
    follows.
    """
    sent = schemas.read("clock/advance", sent_object())
    now = clock.now(g.run)
    to = parse_moment(sent["to"]) if "to" in sent else now + parse_duration(sent["by"])
    if to < now:
        raise conflict("clock_goes_back", f"The clock never goes back; it is {rfc3339(now)}.")
    if to - now > timedelta(days=3660):
        raise Refused(422, "invalid_request", "invalid_time", "More than ten years at once is too far.")
    shop = ShopClock(g.run)
    done = loop.advance(g.run, to, shop.turn)
    return jsonify(now=rfc3339(clock.now(g.run)), **done, shop_clock=shop.state)


@bp.get("/deliveries")
def list_deliveries() -> Response:
    ref = request.args.get("payment", "")
    if not ref:
        raise invalid("payment", "Name the payment, as in ?payment=pay_1.")
    return jsonify(deliveries=[records.delivery_record(one) for one in deliveries.of(payment_of(ref))])


@bp.post("/deliveries/<delivery_id>/resend")
def resend(delivery_id: str) -> Response:
    """Resend now; `{"hook":{"sign":"wrong_key"}}` applies a fault to this attempt only."""
    found = _delivery(delivery_id)
    bent = schemas.read("resend", sent_object()).get("hook")
    deliveries.resend(found, bent or None)
    return jsonify(records.delivery_record(_delivery(delivery_id)))


def _delivery(delivery_id: str) -> Delivery:
    known = engine.REFERENCE.fullmatch(delivery_id)
    found = deliveries.find(g.run, delivery_id) if known else None
    if found is None:
        raise not_found(f"There is no delivery {delivery_id!r:.80} in the run {g.run}.")
    return found


@bp.post("/expect")
def expect() -> Response:
    """200 when the event was delivered as described (waiting `within`), else 409 with what happened instead."""
    sent = schemas.read("expect", sent_object())
    payment = payment_of(sent["payment"])
    expectation = Expectation.read(sent, dialect_interface.named(payment.dialect).tells)
    release()
    met, happened = expectation.wait(payment)
    response = jsonify(happened)
    response.status_code = 200 if met else 409
    return response


@bp.get("/totals")
def totals() -> Response:
    return jsonify(records.totals(g.run))


@bp.get("/settlement/<name>/<day>")
def settle(name: str, day: str) -> Response:
    """Settlement file of a dialect's day. `?discrepancies=3` seeds discrepancies, from `?seed=` or the seed of the
    run's plan;
    the header X-Sim-Discrepancies lists them.
    """
    dialect = dialect_interface.every().get(name)
    if dialect is None or dialect.settlement is None:
        raise not_found("Files are settled in " + ", ".join(dialect_interface.every()) + ".")
    count = _number("discrepancies", settlement.MOST_DISCREPANCIES, 0)
    seed = _number("seed", 2**31 - 1, faults.plan_at(g.run, "global").get("seed", 0))
    form = request.args.get("format", "")
    found, made = settlement.file_of(g.run, name, dialect.settlement, day, form, count, seed)
    response = Response(found.body, content_type=found.content_type)
    if made:
        response.headers["X-Sim-Discrepancies"] = json.dumps([asdict(one) for one in made])
    return response


def _number(name: str, most: int, default: int) -> int:
    """A whole number from the query string. Refuses with 422."""
    written = request.args.get(name, str(default))
    if not (written.isascii() and written.isdigit() and len(written) < 12 and int(written) <= most):
        raise invalid(name, f"{name} must be a whole number from 0 to {most}.")
    return int(written)


@bp.post("/keys/rotate")
def rotate_keys() -> Response:
    """Create a webhook secret; deliveries carry signatures by the old one too until the overlap ends."""
    sent = schemas.read("keys/rotate", sent_object())
    name, merchant = sent.get("dialect", "kpay"), sent.get("merchant", "demo")
    dialect = dialect_interface.every().get(name)
    if dialect is None or merchant != "demo":
        known = f"The demo merchant is `demo`, in {', '.join(dialect_interface.every())}."
        raise not_found(f"There is no such merchant.{nearest(name, dialect_interface.every())} {known}")
    overlap = parse_duration(sent.get("overlap", "PT24H"))
    secret, until = signing.rotate(g.run, dialect.name, merchant, dialect.merchant(merchant).secret, overlap)
    return jsonify(merchant=merchant, dialect=dialect.name, secret=secret, old_valid_until=rfc3339(until))


@bp.post("/reset")
def reset() -> Response:
    """Delete the run's data. The clock returns to wall time, except where the shop's clock was advanced with it."""
    schemas.read("reset", sent_object())
    follows = g.run == DEFAULT_RUN and bool(current_app.config["SHOP_CLOCK_URL"])
    records.clear(g.run, keep_clock=follows)
    return jsonify(run=g.run, now=rfc3339(clock.now(g.run)))
