"""Mails: their states, the text of those about orders, and another attempt for failed ones."""

from __future__ import annotations

from flask import Blueprint, abort, render_template, request, url_for
from flask.typing import ResponseReturnValue

from shop.accounts.permissions import Permission
from shop.core.errors import BadInput, Refusal
from shop.core.filter_values import refuse_unknown
from shop.http_kit.access import requires
from shop.mail import compose, missing, outgoing
from shop.mail.models import Mail
from shop.mail.states import MailState
from shop.ops import acts
from shop.ops.navigation import Link

bp = Blueprint("mails", __name__)
LINKS = (Link("Mails", "ops.mails.index", Permission.MAIL_READ),)
SHOWN = 100
COUNTED = 10_000
"""Mails of each state are counted up to this number."""


@bp.get("/mails")
@requires(Permission.MAIL_READ)
def index() -> str:
    """The newest mails; of one state with `state`."""
    refuse_unknown(request.args, ("state",))
    state = request.args.get("state")
    if state is not None and state not in tuple(MailState):
        raise BadInput("unknown_state", f"{state} is not a state. States are {', '.join(MailState)}.")
    found = outgoing.newest(SHOWN, state=MailState(state) if state else None)
    counts = {name: _number(number) for name, number in outgoing.counted(COUNTED + 1).items()}
    return render_template("ops/mails.html", mails=found, counts=counts, state=state, shown=SHOWN)


def _number(counted: int) -> str:
    return f"{COUNTED:,}+" if counted > COUNTED else f"{counted:,}"


@bp.get("/mails/<mail_id>")
@requires(Permission.MAIL_READ)
def show(mail_id: str) -> str:
    """A mail as it is sent. The text of one without an order is not shown: its link would open the account."""
    return _page(mail_id)


@bp.post("/mails/<mail_id>/retry")
@requires(Permission.MAIL_RESEND)
def retry(mail_id: str) -> ResponseReturnValue:
    """Make a failed mail due again, with the same Message-ID."""
    return acts.done(
        lambda: _retry(mail_id),
        "The mail will be sent again.",
        url_for("ops.mails.show", mail_id=mail_id),
        lambda refusal: _page(mail_id, refusal),
    )


def _retry(mail_id: str) -> None:
    retried, _ = missing.retry([mail_id], by=acts.reader(), reason=acts.reason())
    if not retried:
        raise Refusal("not_failed", "Only a failed mail with a valid address can be sent again.")


def _page(mail_id: str, refusal: Refusal | None = None) -> str:
    mail = outgoing.find(mail_id)
    if mail is None:
        abort(404, "There is no such mail.")
    return render_template("ops/mail.html", mail=mail, content=_content(mail), refusal=refusal)


def _content(mail: Mail) -> compose.Content | None:
    if mail.order_id is None:
        return None
    try:
        return compose.content(mail)
    except compose.CannotCompose:  # what it was about has been erased
        return None
