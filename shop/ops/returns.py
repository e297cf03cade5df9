"""Returns: the list, the page of one with its acts, and the form by which staff request one for a customer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from shop.accounts import staff
from shop.accounts.permissions import Permission
from shop.core import ids, keyset, text
from shop.core.db import db
from shop.core.errors import BadInput, Refusal
from shop.core.languages import OFFERED
from shop.core.money import Money
from shop.http_kit.access import requires
from shop.ops import acts, lists, order_forms, requested, waiting
from shop.ops.formats import words
from shop.ops.navigation import Link
from shop.orders.models import Order
from shop.payments.order_money import load as order_money
from shop.payments.records.types import RefundDestination
from shop.returns import decide, handling, load, pages, refunding, requests
from shop.returns.decide import Wanted
from shop.returns.models import Return
from shop.returns.states import ReturnReason, ReturnState

bp = Blueprint("returns", __name__)
LINKS = (Link("Returns", "ops.returns.index", Permission.RETURN_READ),)
HERE = "ops.returns.index"
_MOST_DIGITS = 18


@bp.get("/returns")
@requires(Permission.RETURN_READ)
def index() -> ResponseReturnValue:
    """Returns, the newest first, with filters."""
    given = lists.given()
    filters = pages.parse(given)
    pairs = pages.pairs(filters)
    if any(value == "" for values in given.values() for value in values):
        return redirect(lists.address(HERE, pairs), 303)  # a form sends its empty fields; addresses are without them
    page = pages.find(filters, keyset.Place.parse(request.args))
    return render_template(
        "ops/returns.html",
        page=page,
        total=lists.total(pages.count(filters), pages.COUNTED, "return"),
        filters=filters,
        states=list(ReturnState),
        reasons=list(ReturnReason),
        links=lists.links(HERE, pairs, page),
        dropped=[(_label(*pair), lists.address(HERE, [one for one in pairs if one != pair])) for pair in pairs],
    )


@bp.get("/returns/<int:return_id>")
@requires(Permission.RETURN_READ)
def show(return_id: int) -> str:
    """A return: its lines, who did what, and the next step."""
    return _page(return_id)


@bp.post("/returns/<int:return_id>/accept")
@requires(Permission.RETURN_DECIDE)
def accept(return_id: int) -> ResponseReturnValue:
    """Accept a requested return."""
    message = request.form.get("reason", "")
    return _done(
        return_id,
        lambda: handling.accept(return_id, by=acts.reader(), message=message),
        "The return is accepted. The customer gets a mail with the address.",
    )


@bp.post("/returns/<int:return_id>/decline")
@requires(Permission.RETURN_DECIDE)
def decline(return_id: int) -> ResponseReturnValue:
    """Decline a return; the customer reads the reason."""
    return _done(
        return_id,
        lambda: handling.decline(return_id, by=acts.reader(), message=request.form.get("reason", "")),
        "The return is declined. The customer gets a mail with the reason.",
    )


@bp.post("/returns/<int:return_id>/receive")
@requires(Permission.RETURN_RECEIVE)
def receive(return_id: int) -> ResponseReturnValue:
    """Receive the units of an accepted return."""

    def act() -> None:
        restocked, not_restocked = _units("restocked-"), _units("not-restocked-")
        arrived = {sku: (restocked.get(sku, 0), not_restocked.get(sku, 0)) for sku in {*restocked, *not_restocked}}
        handling.receive(return_id, arrived, by=acts.reader(), reason=request.form.get("reason", ""))

    return _done(return_id, act, "The return is received. Support or finance refunds it.")


@bp.post("/returns/<int:return_id>/refund")
@requires(Permission.REFUND_REQUEST, fresh=True)
def refund(return_id: int) -> ResponseReturnValue:
    """Request the refund of a received return."""
    one, _ = _existing(return_id)

    def act() -> None:
        to, seen = request.form.get("to", ""), request.form.get("seen", "")
        if to not in tuple(RefundDestination):
            raise BadInput("bad_destination", f"Choose a destination: {', '.join(RefundDestination)}.")
        if not (seen.isascii() and seen.isdigit() and len(seen) <= _MOST_DIGITS):
            raise BadInput("bad_form", "The form is not complete. Check the numbers and confirm again.")
        try:
            granted = Money.parse(request.form.get("amount", "").strip(), one.currency)
        except ValueError as error:
            raise BadInput("bad_amount", f"Enter the amount to refund: {error}.") from error
        chosen = RefundDestination(to)
        refunding.refund(return_id, granted, expected=int(seen), to=chosen, by=acts.reader(), reason=acts.reason())

    return _done(return_id, act, lambda _: _requested(return_id))


@bp.post("/returns/<int:return_id>/close")
@requires(Permission.REFUND_REQUEST, fresh=True)
def close(return_id: int) -> ResponseReturnValue:
    """Close a received return of which nothing can be refunded."""
    return _done(
        return_id,
        lambda: refunding.close(return_id, by=acts.reader(), reason=acts.reason()),
        "The return is closed.",
    )


@bp.get("/orders/<number>/return")
@requires(Permission.RETURN_REQUEST)
def request_form(number: str) -> str:
    """Form that requests a return for the customer of an order."""
    return _form(requested.order(number))


@bp.post("/orders/<number>/return")
@requires(Permission.RETURN_REQUEST)
def request_for_customer(number: str) -> ResponseReturnValue:
    """Request a return for a customer, also after the deadline."""
    order = requested.order(number)

    def act() -> None:
        wanted = Wanted.of(_units("units-"), request.form.get("why", ""), acts.reason())
        requests.request(order.id, wanted, by=acts.reader(), form_key=request.form.get("form_key", ""))

    done = "The return is requested. The customer gets a mail."
    return acts.done(act, done, url_for("ops.order.show", number=order.number), lambda refusal: _form(order, refusal))


def _requested(return_id: int) -> str:
    waits = any(refund.awaits_approval for refund in refunding.refunds_of(return_id))
    return f"The refund was requested.{' It waits under Approvals for a second person.' if waits else ''}"


def _done(return_id: int, act: Callable[[], Any], message: str | Callable[[Any], str]) -> ResponseReturnValue:
    _existing(return_id)
    to = url_for("ops.returns.show", return_id=return_id)
    return acts.done(act, message, to, lambda refusal: _page(return_id, refusal))


def _existing(return_id: int) -> tuple[Return, str]:
    """The return and the number of its order. Aborts with 404."""
    found = pages.get(return_id)
    if found is None:
        abort(404, f"There is no return {return_id}.")
    return found


def _page(return_id: int, refusal: Refusal | None = None) -> str:
    """The page with the present state; after a refusal with what was typed."""
    db.session.rollback()
    one, number = _existing(return_id)
    refunds = refunding.refunds_of(return_id)
    order = db.session.get_one(Order, one.order_id)
    return render_template(
        "ops/return.html",
        one=one,
        number=number,
        lines=pages.lines(return_id),
        people=staff.labels({*pages.people(one), *(refund.requested_by for refund in refunds)}),
        refunds=refunds,
        request_page=waiting.address,
        possible=refunding.refundable(one),
        ways=order_forms.ways("the acquirer", order_money.snapshot(order.id, lock=False)),
        language=OFFERED.get(order.locale, order.locale),
        refusal=refusal,
        act=request.endpoint.rpartition(".")[2] if refusal and request.endpoint else "",
        typed=request.form if refusal else {},
    )


def _form(order: Order, refusal: Refusal | None = None) -> str:
    db.session.rollback()
    seen = load.snapshot(order.id, lock=False)
    return render_template(
        "ops/return_request.html",
        order=order,
        left=seen.left() if seen.state in decide.RETURNABLE else {},
        names=seen.names,
        reasons=list(ReturnReason),
        form_key=ids.token(),
        refusal=refusal,
        typed=request.form if refusal else {},
    )


def _units(prefix: str) -> dict[str, int]:
    """The units by SKU in the fields whose names begin with `prefix`. Raises BadInput `bad_quantity`."""
    found = {}
    for name, value in request.form.items():
        if name.startswith(prefix):
            number = text.plain(value) or "0"
            if not (number.isascii() and number.isdigit() and len(number) < 7):
                raise BadInput("bad_quantity", "Enter whole numbers of units.")
            found[name.removeprefix(prefix)] = int(number)
    return found


def _label(name: str, value: str) -> str:
    return f"{name.capitalize()}: {words(value) if name != 'order' else value}"
