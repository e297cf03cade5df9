"""The page of a customer: orders, store credit, sign-ins, and the acts on the account. Guests have no page: the search
by their address finds their orders. Readers of staff accounts find these here too; to all others they do not exist.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from flask import Blueprint, abort, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from shop.accounts import api_sessions, people, sessions, sign_in_help, staff, staff_list
from shop.accounts.models import User
from shop.accounts.permissions import Permission, permissions_of
from shop.core import audit_search, clock, keyset
from shop.core.actor import Actor
from shop.core.audit import SubjectKind
from shop.core.db import db
from shop.core.errors import Away, Refusal
from shop.core.filter_values import refuse_unknown
from shop.core.keyset import Place
from shop.http_kit.access import requires
from shop.ledger import store_credit
from shop.ops import acts
from shop.order_search import of_customer
from shop.orders import find

bp = Blueprint("customers", __name__)
_NEWEST_ACTS = 20
_MOST_DIGITS = 9


@bp.get("/customers/<int:user_id>")
@requires(Permission.CUSTOMER_READ)
def show(user_id: int) -> str:
    """Account of a customer: orders, store credit with its entries, sign-ins, acts of staff."""
    return _page(_account(user_id))


@bp.post("/customers/<int:user_id>/sign-out")
@requires(Permission.CUSTOMER_SIGN_OUT, fresh=True)
def sign_out(user_id: int) -> ResponseReturnValue:
    """End all sign-ins of the customer."""
    return _done(user_id, "sign-out", sign_in_help.sign_out, "The customer is signed out everywhere.")


@bp.post("/customers/<int:user_id>/unlock")
@requires(Permission.CUSTOMER_UNLOCK, fresh=True)
def unlock(user_id: int) -> ResponseReturnValue:
    """Clear the wrong passwords that delay a sign-in."""
    return _done(user_id, "unlock", sign_in_help.unlock, "Nothing delays the next sign-in of the customer.")


@bp.post("/customers/<int:user_id>/disable")
@requires(Permission.CUSTOMER_DISABLE, fresh=True)
def disable(user_id: int) -> ResponseReturnValue:
    """Disable the account of the customer: its sign-ins end, and it cannot sign in."""
    return _done(user_id, "access", people.disable, "The account is disabled.", version=_version())


@bp.post("/customers/<int:user_id>/enable")
@requires(Permission.CUSTOMER_DISABLE, fresh=True)
def enable(user_id: int) -> ResponseReturnValue:
    """Let the customer sign in again."""
    return _done(user_id, "access", people.enable, "The account is enabled.", version=_version())


def _done(user_id: int, form: str, act: Callable[..., object], done: str, **more: int) -> ResponseReturnValue:
    user = _account(user_id)
    to = url_for("ops.customers.show", user_id=user.id)
    carry_out = partial(act, user_id, by=acts.reader(), reason=request.form.get("reason", ""), **more)
    return acts.done(carry_out, done, to, lambda refusal: _page(_account(user_id), refusal, form))


def _page(user: User, refusal: Refusal | None = None, form: str = "") -> str:
    page = of_customer.find(user.id, Place.parse(_parameters()))
    movements = store_credit.movements(user.id)
    return render_template(
        "ops/customer.html",
        user=user,
        now=clock.wall(),
        orders=page.rows,
        links=_links(user.id, page),
        credit=store_credit.balances(user.id),
        movements=movements,
        by_id=find.of_user_by_ids(user.id, (one.order_id for one in movements if one.order_id)),
        sign_ins=_sign_ins(user.id),
        api_sessions=api_sessions.of_user(user.id),
        delay=sign_in_help.delay(user),
        acts=_acts(user.id) if _may(Permission.AUDIT_READ) else None,
        refusal=refusal,
        wrong={form: refusal.message} if refusal and refusal.code == "reason_needed" else {},
        typed=request.form.get("reason", "") if refusal else "",
    )


def _acts(user_id: int) -> list[tuple[audit_search.Entry, str]]:
    """The newest entries of the audit log about the account, with the names of the actors."""
    subject = audit_search.Filters(subject_kind=SubjectKind.ACCOUNT, subject_id=str(user_id))
    entries = audit_search.find(subject, limit=_NEWEST_ACTS).rows
    actors = {entry.actor: Actor.parse(entry.actor) for entry in entries}
    names = staff.labels(actors.values())
    return [(entry, names[actors[entry.actor]]) for entry in entries]


def _may(permission: Permission) -> bool:
    return permission in permissions_of(current_user.roles)


def _parameters() -> dict[str, str]:
    """The parameters of the address. Raises BadInput for an unknown one."""
    refuse_unknown(request.args, keyset.PARAMETERS, "parameter")
    return request.args.to_dict()


def _links(user_id: int, page: keyset.Page[of_customer.Row]) -> dict[str, str]:
    """Addresses of the neighbouring pages of orders."""
    here = url_for("ops.customers.show", user_id=user_id)
    places = {"previous": ("before", page.newer), "next": ("after", page.older)}
    return {name: f"{here}?{parameter}={position}" for name, (parameter, position) in places.items() if position}


def _sign_ins(user_id: int) -> list[sessions.SignIn] | None:
    """The sign-ins of the account; None while Redis is away."""
    try:
        return sessions.of_user(user_id)
    except Away:
        return None


def _account(user_id: int) -> User:
    db.session.rollback()
    user = staff_list.account(user_id)
    if user is None or (user.roles and not _may(Permission.USER_READ)):
        abort(404, f"There is no customer {user_id}. Search by the e-mail address of the account, or by an order.")
    return user


def _version() -> int:
    """The version of the access that the form shows; -1, which no account has, for a changed field."""
    typed = request.form.get("version", "")
    return int(typed) if typed.isascii() and typed.isdigit() and len(typed) <= _MOST_DIGITS else -1
