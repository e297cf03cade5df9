"""Request a return, for a customer or by staff for one, and withdraw it. The lock of the order decides races: of two
requests for the last unit one is refused.
"""

from __future__ import annotations

from flask import current_app

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.core import audit, clock, text
from shop.core.actor import Actor, ActorKind
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import transactional
from shop.core.errors import BadInput, Refusal
from shop.core.event_types import ReturnWithdrawn
from shop.core.sentences import sentence
from shop.orders import events
from shop.returns import decide, load, write
from shop.returns.decide import LONGEST_KEY, Wanted
from shop.returns.states import ReturnState


def days() -> int:
    """Days for which customers can request a return."""
    return int(current_app.config["RETURN_DAYS"])


@transactional
def request(order_id: int, wanted: Wanted, *, by: Actor, form_key: str) -> str:
    """Request a return and give its reference; `form_key` makes it safe to repeat. Staff may do it after the deadline.

    Raises Forbidden for staff without RETURN_REQUEST, what `decide.request` raises, BadInput `bad_form`, and Refusal
    `form_used` when the key was used with other content.
    """
    rights.demand_of_staff(by, Permission.RETURN_REQUEST)
    if not 0 < len(form_key) <= LONGEST_KEY or text.is_unusable(form_key):
        raise BadInput("bad_form", sentence("The form is not complete. Please fill it in again."))
    seen = load.snapshot(order_id, lock=True)
    earlier = next((one for one in seen.returns if one.form_key == form_key), None)
    if earlier is not None:
        if decide.is_same(earlier, wanted):
            return earlier.reference
        raise Refusal("form_used", sentence("This form was sent before. Open it again to request another return."))
    is_staff = by.kind is not ActorKind.CUSTOMER
    decide.request(seen, wanted, clock.now(), days(), for_customer=is_staff)
    reference = write.add(seen, wanted, form_key, by)
    after = {"return": reference, "units": dict(wanted.units), "reason": str(wanted.reason)}
    subject = Subject(SubjectKind.ORDER, seen.number)
    personal = {"comment": wanted.comment} if wanted.comment else None  # may be the customer's own words
    audit.record(by, Act.RETURN_REQUESTED, subject, after=after, personal=personal)
    return reference


@transactional
def withdraw(order_id: int, reference: str, *, by: Actor) -> None:
    """Withdraw a return of the customer's order before it is received. Safe to repeat.

    Raises Refusal `unknown_return` and `not_withdrawn`.
    """
    seen = load.snapshot(order_id, lock=True)
    one = next((found for found in seen.returns if found.reference == reference), None)
    if one is None:
        raise load.unknown()
    if decide.withdraw(one):
        write.move(one, ReturnState.WITHDRAWN, by)
        events.record(order_id, ReturnWithdrawn(one.reference), actor=by)
