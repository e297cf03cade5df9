"""Mails: their states and recipients, the text of those about orders, and the act that resends one."""

from __future__ import annotations

from flask import Blueprint, abort, render_template, request, url_for
from flask.typing import ResponseReturnValue

from shop.accounts.permissions import Permission
from shop.core import ids
from shop.core.errors import BadInput, Refusal
from shop.core.filter_values import refuse_unknown
from shop.core.key_pages import Place
from shop.http_kit.access import requires
from shop.mail import compose, outgoing, resend
from shop.mail.models import Mail
from shop.mail.states import MailState
from shop.ops import acts, lists
from shop.ops.navigation import Link

bp = Blueprint("mails", __name__)
LINKS = (Link("Mails", "ops.mails.index", Permission.MAIL_READ),)
COUNTED = 10_000
"""Mails of each state are counted up to this number."""


@bp.get("/mails")
@requires(Permission.MAIL_READ)
def index() -> str:
    """The newest mails; of one state with `state`, about one order with `order`, its number. `after`, `before` and
    `page=last` are positions of pages.
    """
    refuse_unknown(lists.given(), ("state", "order"))
    state, typed = request.args.get("state"), request.args.get("order", "").strip()
    if state is not None and state not in tuple(MailState):
        raise BadInput("unknown_state", f"{state} is not a state. States are {', '.join(MailState)}.")
    order = ids.read_order_number(typed) if typed else ""
    page = outgoing.page(Place.parse(request.args), state=MailState(state) if state else None, order=order)
    pairs = [(name, value) for name, value in (("state", state), ("order", order)) if value]
    counts = {name: _number(number) for name, number in outgoing.counted(COUNTED + 1).items()}
    links = lists.links("ops.mails.index", pairs, page)
    return render_template("ops/mails.html", mails=page.rows, counts=counts, state=state, order=order, links=links)


def _number(counted: int) -> str:
    return f"{COUNTED:,}+" if counted > COUNTED else f"{counted:,}"


@bp.get("/mails/<mail_id>")
@requires(Permission.MAIL_READ)
def show(mail_id: str) -> str:
    """A mail as it is sent. The text of one without an order is not shown: its link would open the account."""
    return _page(mail_id)


@bp.post("/mails/<mail_id>/resend")
@requires(Permission.MAIL_RESEND)
def send_again(mail_id: str) -> ResponseReturnValue:
    """Make a sent or failed mail due again. The form names the Message-ID that it showed."""
    seen = request.form.get("seen", "")
    return acts.done(
        lambda: resend.resend(mail_id, by=acts.reader(), reason=acts.reason(), seen=seen),
        "The mail will be sent again.",
        url_for("ops.mails.show", mail_id=mail_id),
        lambda refusal: _page(mail_id, refusal),
    )


def _page(mail_id: str, refusal: Refusal | None = None) -> str:
    mail = outgoing.find(mail_id)
    if mail is None:
        abort(404, "There is no such mail.")
    why_not = resend.reason_not_resent(mail)
    return render_template("ops/mail.html", mail=mail, content=_content(mail), refusal=refusal, why_not=why_not)


def _content(mail: Mail) -> compose.Content | None:
    if mail.order_id is None:
        return None
    try:
        return compose.content(mail)
    except compose.CannotCompose:  # what it was about has been erased
        return None
