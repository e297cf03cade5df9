"""Fulfilment of one order: its units and packages, with the forms that pack, ship, cancel and correct."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import exists, select

from shop.accounts.permissions import Permission
from shop.core import ids
from shop.core.db import db
from shop.core.errors import Refusal
from shop.fulfilment import find, to_ship, write
from shop.fulfilment.carriers import CARRIERS
from shop.fulfilment.decide import SHIPPABLE
from shop.http_kit.access import requires
from shop.ops import acts, fulfilment_forms, requested
from shop.ops.formats import zone
from shop.orders.fulfilment_states import DONE
from shop.orders.models import Order
from shop.payments.providers.types import DisputeState
from shop.payments.records.models import REFUND_UNDER_WAY, Refund
from shop.payments.records.settlement_models import Dispute

bp = Blueprint("fulfilment_order", __name__)


@bp.get("/fulfilment/find")
@requires(Permission.FULFILMENT_READ)
def find_order() -> ResponseReturnValue:
    """Open the page of an order by its number; the list has only those that have not left."""
    number = request.args.get("number", "").strip()
    if not number:
        return redirect(url_for("ops.fulfilment.index"), 303)
    return redirect(url_for("ops.fulfilment_order.show", number=requested.order(number).number), 303)


@bp.get("/fulfilment/<number>")
@requires(Permission.FULFILMENT_READ)
def show(number: str) -> str:
    """The units and packages of an order, and what can be done with them now."""
    return _page(requested.order(number))


@bp.post("/fulfilment/<number>/pack")
@requires(Permission.FULFILMENT_WRITE)
def pack(number: str) -> ResponseReturnValue:
    """Pack the chosen units into a new package."""

    def act(order: Order) -> int:
        key = request.form.get("key", "")
        return write.pack(order.id, fulfilment_forms.units("units"), by=acts.reader(), form_key=key)

    return _done(number, "pack", act, lambda package: f"Package {package} is packed. Ship it below.")


@bp.post("/fulfilment/<number>/packages/<int:package>/ship")
@requires(Permission.FULFILMENT_WRITE)
def ship(number: str, package: int) -> ResponseReturnValue:
    """Mark a package as handed to its carrier."""

    def act(order: Order) -> None:
        write.ship(order.id, package, fulfilment_forms.tracking(), by=acts.reader())

    return _done(number, f"ship-{package}", act, f"Package {package} is shipped. The customer gets a mail.")


@bp.post("/fulfilment/<number>/packages/<int:package>/cancel")
@requires(Permission.FULFILMENT_WRITE)
def cancel(number: str, package: int) -> ResponseReturnValue:
    """Cancel the packing of a package that has not left."""

    def act(order: Order) -> None:
        write.cancel(order.id, package, by=acts.reader())

    return _done(number, "pack", act, f"Package {package} is cancelled. Its units can be packed again.")


@bp.post("/fulfilment/<number>/packages/<int:package>/tracking")
@requires(Permission.FULFILMENT_WRITE)
def tracking(number: str, package: int) -> ResponseReturnValue:
    """Correct the carrier and the tracking number of a package that has left."""

    def act(order: Order) -> None:
        typed = fulfilment_forms.tracking()
        write.change_tracking(order.id, package, typed, by=acts.reader(), reason=acts.reason())

    return _done(number, f"tracking-{package}", act, "The tracking is corrected. No mail is sent.")


@bp.post("/fulfilment/<number>/withdraw")
@requires(Permission.FULFILMENT_WRITE)
def withdraw(number: str) -> ResponseReturnValue:
    """Set how many units of each line are not shipped."""

    def act(order: Order) -> None:
        units, seen = fulfilment_forms.units("units"), fulfilment_forms.units("seen")
        write.withdraw(order.id, units, seen=seen, by=acts.reader(), reason=acts.reason())

    return _done(number, "withdraw", act, "Saved. These units are not shipped.")


def _done(
    number: str, form: str, act: Callable[[Order], Any], message: str | Callable[[Any], str]
) -> ResponseReturnValue:
    order = requested.order(number)
    fulfilment_forms.filters()
    to = url_for("ops.fulfilment_order.show", number=order.number, **fulfilment_forms.kept())
    return acts.done(lambda: act(order), message, to, lambda refusal: _again(order, form, refusal))


def _again(order: Order, form: str, refusal: Refusal) -> str:
    """The page with the present numbers, and what was typed."""
    db.session.rollback()
    return _page(order, form, refusal)


def _page(order: Order, form: str = "", refusal: Refusal | None = None) -> str:
    lines = find.lines([order.id])[order.id]
    packages = find.packages([order.id], cancelled=True).get(order.id, [])
    refunding = exists(select(Refund.id).where(Refund.order_id == order.id, REFUND_UNDER_WAY))
    disputed = exists().where(Dispute.order_id == order.id, Dispute.state != DisputeState.WON)
    is_refunding, is_disputed = db.session.execute(select(refunding, disputed)).one()
    is_shippable = order.state in SHIPPABLE
    packed = [one for one in packages if one.state == "PACKED"]
    return render_template(
        "ops/fulfilment_order.html",
        order=order,
        number=order.number,
        lines=lines,
        packages=packages,
        is_shippable=is_shippable,
        is_refunding=is_refunding,
        is_disputed=is_disputed,
        kept=fulfilment_forms.kept(),
        next_order=to_ship.next_after(order, fulfilment_forms.filters(), zone()),
        is_done=order.fulfilment in DONE,
        left=sum(line.left for line in lines),
        all_at_once=is_shippable and not packed and any(line.left for line in lines),
        carriers=CARRIERS,
        refused=form if refusal else "",
        refusal=refusal,
        typed=request.form if refusal else {},
        key=ids.token(),
    )
