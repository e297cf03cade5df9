"""Requests for roles that need two admins: approved or declined by the second one. One conditional UPDATE decides
each request.
"""

from __future__ import annotations

from sqlalchemy import select, update

from shop.accounts import people, rights, staff
from shop.accounts.models import RoleRequest, RoleRequestState, User
from shop.accounts.permissions import Permission
from shop.core import audit, clock
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import changed, db, transactional
from shop.core.errors import Refusal

_ACTS = {RoleRequestState.APPROVED: Act.ROLES_APPROVED, RoleRequestState.DECLINED: Act.ROLES_DECLINED}
_DECIDED = {RoleRequestState.APPROVED: "approved", RoleRequestState.DECLINED: "declined"}


def waiting() -> list[tuple[RoleRequest, User]]:
    """Open requests with their accounts, oldest first."""
    still_open = select(RoleRequest, User).join(User, User.id == RoleRequest.user_id)
    still_open = still_open.where(RoleRequest.state == RoleRequestState.REQUESTED).order_by(RoleRequest.id)
    return [(request, user) for request, user in db.session.execute(still_open)]


def open_for(user_id: int) -> RoleRequest | None:
    """The open request for an account."""
    still_open = (RoleRequest.user_id == user_id, RoleRequest.state == RoleRequestState.REQUESTED)
    return db.session.scalars(select(RoleRequest).where(*still_open)).one_or_none()


@transactional
def approve(request_id: int, *, by: Actor) -> None:
    """Give the requested roles, as the second admin.

    Raises Forbidden, Lapsed when the requester may not change roles any more, and Refusal: `unknown_request`,
    `own_account` for one's own roles, `same_person` for the requester, `request_decided` when it is decided or has
    lapsed.
    """
    request, user = _locked(request_id, by)
    if not by.may_approve(request.requested_by):
        message = "Another admin than the one who requested these roles has to approve them."
        raise Refusal("same_person", message)
    rights.demand_of_requester(request.requested_by, Permission.USER_WRITE)
    _decide(request, RoleRequestState.APPROVED, by)
    before = sorted(user.roles)
    after = sorted({*before, *request.roles})
    people.write_access(user, None, roles=after)
    _record(request, RoleRequestState.APPROVED, by, before, after)


@transactional
def decline(request_id: int, *, by: Actor) -> None:
    """Decline a request; the requester may do so, too. Raises as `approve` does."""
    request, user = _locked(request_id, by)
    _decide(request, RoleRequestState.DECLINED, by)
    _record(request, RoleRequestState.DECLINED, by, sorted(user.roles), sorted(user.roles))


def _locked(request_id: int, by: Actor) -> tuple[RoleRequest, User]:
    """The request and its account, whose row is locked. Raises Refusal and Forbidden."""
    user_id = db.session.scalar(select(RoleRequest.user_id).where(RoleRequest.id == request_id))
    if user_id is None:
        raise Refusal("unknown_request", "There is no such request.")
    user = people.locked(user_id, by)
    rights.demand(by, Permission.USER_WRITE)
    return db.session.get_one(RoleRequest, request_id, populate_existing=True), user


def _decide(request: RoleRequest, target: RoleRequestState, by: Actor) -> None:
    """Of several decisions at a time the first one counts."""
    still_open = (RoleRequest.id == request.id, RoleRequest.state == RoleRequestState.REQUESTED)
    decided = update(RoleRequest).where(*still_open).values(state=target, decided_by=by, decided_at=clock.now())
    if not changed(decided):
        raise Refusal("request_decided", _outcome(db.session.get_one(RoleRequest, request.id, populate_existing=True)))


def _outcome(request: RoleRequest) -> str:
    """Sentence about a request that is not open any more."""
    at = f"{request.decided_at:%Y-%m-%d %H:%M:%S} UTC"
    if request.state == RoleRequestState.LAPSED or request.decided_by is None:
        return f"The account was changed at {at}, so this request has lapsed. Nothing was changed now."
    person, did = staff.label(request.decided_by), _DECIDED[request.state]
    return f"{person} {did} this request at {at}. Nothing was changed now."


def _record(request: RoleRequest, target: RoleRequestState, by: Actor, before: list[str], after: list[str]) -> None:
    values = {"request": request.id, "roles": after}
    subject = Subject(SubjectKind.ACCOUNT, str(request.user_id))
    audit.record(by, _ACTS[target], subject, before={"roles": before}, after=values, reason=request.reason)
