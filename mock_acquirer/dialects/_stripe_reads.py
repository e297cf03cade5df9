"""Read-only calls of Stripe's API: charges, lists of sessions, and events."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from flask import Blueprint, Response, request
from sqlalchemy import Select, or_, select, tuple_

from mock_acquirer import calls, engine, settlement
from mock_acquirer.db import EPOCH, db
from mock_acquirer.dialects import _stripe_objects as objects
from mock_acquirer.dialects._stripe_calls import NAME, Caller, asked_for, caller_of, mine, no_such, ok, read, respond
from mock_acquirer.dialects._stripe_form import Fields
from mock_acquirer.dialects._stripe_settlement import SETTLEMENT, balance_transaction
from mock_acquirer.models import Capture, Event, Payment

bp = Blueprint("reads", __name__)
MOST_SECONDS = 10**11


@bp.get("/checkout/sessions")
def list_sessions() -> Response:
    caller, asked = caller_of(), asked_for()
    expand = [path.removeprefix("data.") for path in asked.words("expand")]
    wanted = _payments(caller, asked)
    if "payment_intent" in asked:
        wanted = wanted.where(Payment.id == f"pay_{objects.digits(asked.text('payment_intent', 80))}")
    status = asked.choice("status", ("open", "complete", "expired"), "open") if "status" in asked else ""
    return _list(
        caller,
        asked,
        lambda limit: _page_of_payments(caller, asked, wanted, limit, status),
        lambda payment: objects.session(payment, expand),
    )


@bp.get("/charges/<shown>")
def show_charge(shown: str) -> Response:
    caller = caller_of()
    capture = (
        db.session.get(Capture, f"cap_{objects.digits(shown)}") if re.fullmatch("ch_[0-9a-f]{30}", shown) else None
    )
    if capture is None:
        raise no_such("charge", shown)
    payment = mine(caller, "charge", "pay", capture.payment_id)
    return read(payment, caller, "charge", lambda _: objects.charge(payment, capture))


@bp.get("/charges")
def list_charges() -> Response:
    """Charges of one PaymentIntent, newest first."""
    caller, asked = caller_of(), asked_for()
    payment = mine(caller, "payment_intent", "pi", asked.text("payment_intent", 80))
    charges = [objects.charge(payment, capture) for capture in reversed(payment.captures)]
    limit = asked.whole("limit", 1, 100, 10)

    def shown(stale: bool) -> objects.Object:
        return objects.listed([] if stale else charges[:limit], "/v1/charges", len(charges) > limit and not stale)

    return read(payment, caller, "payment_intent", shown)


def _payments(caller: Caller, asked: Fields) -> Select[Payment]:
    mine = select(Payment).where(Payment.run == caller.run, Payment.dialect == NAME)
    return _created(mine.where(Payment.merchant == caller.merchant), asked, Payment.created_at)


def _created(found: Select[Any], asked: Fields, column: Any) -> Select[Any]:
    """Filter by creation time: `created[gte]` and so on, in whole epoch seconds."""
    within = asked.inside("created")
    after = {"gte": timedelta(0), "gt": timedelta(seconds=1)}
    before = {"lt": timedelta(0), "lte": timedelta(seconds=1)}
    for name, more in after.items():
        if name in within:
            found = found.where(column >= EPOCH + timedelta(seconds=within.whole(name, 0, MOST_SECONDS)) + more)
    for name, more in before.items():
        if name in within:
            found = found.where(column < EPOCH + timedelta(seconds=within.whole(name, 0, MOST_SECONDS)) + more)
    return found


def _page_of_payments(
    caller: Caller, asked: Fields, wanted: Select[Payment], limit: int, status: str
) -> Iterable[Payment]:
    """Newest first, after `starting_after`; the status is derived, so payments are checked one by one."""
    if "starting_after" in asked:
        cursor = mine(caller, "checkout.session", "cs_test", asked.text("starting_after", 80))
        wanted = wanted.where(Payment.number < cursor.number)
    wanted = wanted.order_by(Payment.number.desc())
    found = db.session.scalars(wanted if status else wanted.limit(limit)).all()
    for payment in found:
        engine.expire_if_due(payment)
    return (payment for payment in found if not status or objects.session_status(payment)[0] == status)


def _list(
    caller: Caller, asked: Fields, find: Callable[[int], Iterable[Any]], render: Callable[[Any], objects.Object]
) -> Response:
    limit = asked.whole("limit", 1, 100, 10)

    def doing(shows: str) -> calls.Effect:
        found = (
            [] if shows != "now" else [render(one) for one, _ in zip(find(limit + 1), range(limit + 1), strict=False)]
        )
        return ok(objects.listed(found[:limit], request.path.removeprefix("/stripe"), len(found) > limit))

    return respond(calls.Call(NAME, "query", caller.run), doing)


@bp.get("/balance_transactions")
def list_movements() -> Response:
    """Balance transactions, newest first; `expand[]=data.source` includes the source object."""
    caller, asked = caller_of(), asked_for()
    within, expand = asked.inside("created"), asked.words("expand")
    begin, end = (
        EPOCH + timedelta(seconds=within.whole(name, 0, MOST_SECONDS, otherwise))
        for name, otherwise in (("gte", 0), ("lt", MOST_SECONDS))
    )
    found = settlement.between(caller.run, NAME, SETTLEMENT, begin, end)[::-1]
    shown = [balance_transaction(line, expanded="data.source" in expand) for line in found]
    if "starting_after" in asked:
        names = [one["id"] for one in shown]
        last = asked.text("starting_after", 80)
        if last not in names:
            raise no_such("balance_transaction", last)
        shown = shown[names.index(last) + 1 :]
    return _list(caller, asked, lambda limit: shown[:limit], lambda one: one)


@bp.get("/events")
def list_events() -> Response:
    caller, asked = caller_of(), asked_for()
    wanted = _created(_mine(caller), asked, Event.created_at)
    kinds = [asked.text("type", 80)] if "type" in asked else asked.words("types")
    if kinds:
        wanted = wanted.where(or_(*(Event.body.contains(f'"type":"{kind}"', autoescape=True) for kind in kinds)))
    if "starting_after" in asked:
        cursor = _event(caller, asked.text("starting_after", 80))
        wanted = wanted.where(tuple_(Event.created_at, Event.id) < (cursor.created_at, cursor.id))
    wanted = wanted.order_by(Event.created_at.desc(), Event.id.desc())
    return _list(caller, asked, lambda limit: db.session.scalars(wanted.limit(limit)), lambda one: json.loads(one.body))


@bp.get("/events/<shown>")
def show_event(shown: str) -> Response:
    caller = caller_of()
    found = _event(caller, shown)
    return respond(calls.Call(NAME, "query", caller.run), lambda _: ok(json.loads(found.body)))


def _mine(caller: Caller) -> Select[Event]:
    ours = (Payment.dialect == NAME, Payment.merchant == caller.merchant)
    return select(Event).join(Payment, Payment.id == Event.payment_id).where(Event.run == caller.run, *ours)


def _event(caller: Caller, shown: str) -> Event:
    known = re.fullmatch(r"evt_[0-9a-f]{30}", shown)
    found = db.session.scalar(_mine(caller).where(Event.id == shown)) if known else None
    if found is None:
        raise no_such("event", shown)
    return found
