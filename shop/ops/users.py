"""Staff accounts: list, invitations, account page, disable and enable, roles, and requests for roles."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from shop.accounts import api_sessions, invitations, people, rights, role_requests, sign_in_help, staff, staff_list
from shop.accounts.models import User
from shop.accounts.permissions import Permission, Role
from shop.accounts.staff_list import StaffState
from shop.core import audit_search, clock, languages
from shop.core.actor import Actor
from shop.core.audit import SubjectKind
from shop.core.errors import BadInput, Refusal
from shop.core.filter_values import refuse_unknown
from shop.core.key_pages import Place
from shop.http_kit.access import requires
from shop.http_kit.translation import translated
from shop.ops import lists
from shop.ops.navigation import Group, Link

bp = Blueprint("users", __name__)
LINKS = (Link("Users and roles", "ops.users.show_all", Permission.USER_READ, Group.SYSTEM),)
_NEWEST_ACTS = 20


@bp.get("/users")
@requires(Permission.USER_READ)
def show_all() -> ResponseReturnValue:
    """Staff accounts by e-mail address, and requests for roles that wait for a second admin; `after`, `before` and
    `page=last` are positions of pages.
    """
    return _list()


def _list(refusal: Refusal | None = None) -> ResponseReturnValue:
    """The list; with `refusal` the form of the invitation has what was typed."""
    state = _state()
    page = staff_list.find(Place.parse(request.args), state=state)
    values: dict[str, Any] = {
        "page": page,
        "state": state,
        "states": list(StaffState),
        "links": lists.links("ops.users.show_all", [("state", state)] if state else [], page),
        "refusal": refusal,
    }
    roles = [(role, role in request.form.getlist("role"), people.needs_two_admins(role)) for role in Role]
    values |= {"roles": roles, "languages": languages.OFFERED, "typed": request.form if refusal else {}}
    values |= {"refusal": refusal}
    values |= {"waiting": role_requests.waiting(), "label": staff.label, "state_of": staff_list.state_of}
    return render_template("ops/users.html", **values), refusal.status if refusal else 200


@bp.post("/users/invite")
@requires(Permission.USER_WRITE, fresh=True)
def invite() -> ResponseReturnValue:
    """Mail an invitation: the person chooses name and password."""
    locale = request.form.get("language", "en")
    given = request.form.get("email", ""), request.form.getlist("role")
    try:
        if locale not in languages.OFFERED:
            raise BadInput("bad_language", "Choose a language from the list.")
        reason = request.form.get("reason", "")
        user_id = invitations.invite(*given, by=_me(), reason=reason, language=locale)
    except rights.Forbidden:
        raise
    except Refusal as refusal:
        return _list(refusal)
    flash("The invitation is sent. It is valid for 72 hours.")
    return redirect(url_for("ops.users.show", user_id=user_id), 303)


@bp.post("/users/<int:user_id>/invite")
@requires(Permission.USER_WRITE, fresh=True)
def invite_again(user_id: int) -> ResponseReturnValue:
    """Mail another link for an invitation that was not accepted yet."""
    user = _account(user_id)
    locale = user.language or "en"
    send = partial(invitations.send_again, user_id, by=_me(), language=locale)
    return _change(user_id, "invitation", send, "The invitation is sent again. It is valid for 72 hours.")


@bp.get("/users/<int:user_id>")
@requires(Permission.USER_READ)
def show(user_id: int) -> ResponseReturnValue:
    """Account of a person: roles, last sign-in, newest acts, and the forms that change its access."""
    return _page(_account(user_id))


@bp.post("/users/<int:user_id>/disable")
@requires(Permission.USER_WRITE, fresh=True)
def disable(user_id: int) -> ResponseReturnValue:
    """Disable an account: its sign-ins end, and its open requests lapse."""
    reason, version = request.form.get("reason", ""), _version()
    change = partial(people.disable, user_id, by=_me(), reason=reason, version=version)
    return _change(user_id, "access", change, "The account is disabled.")


@bp.post("/users/<int:user_id>/enable")
@requires(Permission.USER_WRITE, fresh=True)
def enable(user_id: int) -> ResponseReturnValue:
    """Let a disabled account sign in again."""
    reason, version = request.form.get("reason", ""), _version()
    change = partial(people.enable, user_id, by=_me(), reason=reason, version=version)
    return _change(user_id, "access", change, "The account is enabled.")


@bp.post("/users/<int:user_id>/second-factor/remove")
@requires(Permission.USER_WRITE, fresh=True)
def remove_second_factor(user_id: int) -> ResponseReturnValue:
    """Remove the second factor of a person who has lost it; all sign-ins of the account end."""
    reason = request.form.get("reason", "")
    change = partial(people.remove_second_factor, user_id, by=_me(), reason=reason)
    return _change(user_id, "factor", change, "The second factor is removed.")


@bp.post("/users/<int:user_id>/unlock")
@requires(Permission.USER_WRITE, fresh=True)
def unlock(user_id: int) -> ResponseReturnValue:
    """Clear the wrong passwords and codes that delay a sign-in."""
    change = partial(sign_in_help.unlock, user_id, by=_me(), reason=request.form.get("reason", ""))
    return _change(user_id, "unlock", change, "Nothing delays the next sign-in of this account.")


@bp.post("/users/<int:user_id>/roles")
@requires(Permission.USER_WRITE, fresh=True)
def set_roles(user_id: int) -> ResponseReturnValue:
    """Give an account exactly the ticked roles; finance and admin wait for a second admin."""
    roles, reason = request.form.getlist("role"), request.form.get("reason", "")
    change = partial(people.set_roles, user_id, roles, by=_me(), reason=reason, version=_version())
    return _change(user_id, "roles", change, "The roles are saved.")


@bp.post("/users/requests/<int:request_id>/approve")
@requires(Permission.USER_WRITE, fresh=True)
def approve(request_id: int) -> ResponseReturnValue:
    """Give the roles of a request, as the second admin."""
    role_requests.approve(request_id, by=_me())
    flash("The roles are given.")
    return redirect(url_for("ops.users.show_all"), 303)


@bp.post("/users/requests/<int:request_id>/decline")
@requires(Permission.USER_WRITE, fresh=True)
def decline(request_id: int) -> ResponseReturnValue:
    """Decline a request for roles."""
    role_requests.decline(request_id, by=_me())
    flash("The request is declined.")
    return redirect(url_for("ops.users.show_all"), 303)


def _change(user_id: int, form: str, change: Callable[[], object], done: str) -> ResponseReturnValue:
    """Make a change and show the account; a refused one shows the form again with the reason of the refusal."""
    user = _account(user_id)
    try:
        change()
    except rights.Forbidden:
        raise
    except Refusal as refusal:
        return _page(user, refusal, form)
    flash(done)
    return redirect(url_for("ops.users.show", user_id=user_id), 303)


def _page(user: User, refusal: Refusal | None = None, form: str = "") -> ResponseReturnValue:
    subject = audit_search.Filters(subject_kind=SubjectKind.ACCOUNT, subject_id=str(user.id))
    values = {
        "user": user,
        "state": staff_list.state_of(user),
        "delay": sign_in_help.delay(user),
        "now": clock.wall(),
        "is_self": user.id == current_user.id,
        "api_sessions": api_sessions.of_user(user.id),
        "roles": [(role, role in user.roles, people.needs_two_admins(role)) for role in Role],
        "waiting": role_requests.open_for(user.id),
        "acts": audit_search.find(subject, limit=_NEWEST_ACTS).rows,
        "label": staff.label,
        "actor": Actor.parse,
        "wrong": {form: translated(refusal.message)} if refusal else {},
        "typed": request.form.get("reason", "") if refusal else "",
    }
    return render_template("ops/user.html", **values), refusal.status if refusal else 200


def _account(user_id: int) -> User:
    user = staff_list.account(user_id)
    if user is None:
        abort(404)
    return user


def _state() -> StaffState | None:
    """The filter in the address. Raises BadInput with the known ones."""
    refuse_unknown(lists.given(), ("state",))
    state = request.args.get("state", "")
    if state and state not in tuple(StaffState):
        raise BadInput("unknown_filter", f"{state[:40]} is not a state. States are {', '.join(StaffState)}.")
    return StaffState(state) if state else None


def _version() -> int | None:
    """The version of the access that the form shows; -1, which no account has, for a changed field."""
    typed = request.form.get("version", "")
    return int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 10 else -1


def _me() -> Actor:
    return Actor.staff(current_user.id)
