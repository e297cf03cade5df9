"""Mails as pages and JSON, in development only, where no mail leaves the machine without MAIL_URL."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, abort, jsonify, make_response, render_template

from shop.http_kit.access import access
from shop.mail import compose, outgoing

MOST = 200
"""Mails on the list."""
blueprint = Blueprint("dev_mail", __name__)


@blueprint.after_request
def never_stored(response: Response) -> Response:
    """Mails contain links that grant access to orders."""
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.get("/dev/mail")
@access("public")
def index() -> Response:
    """The newest mails first. Development only; 404 in production."""
    mails = [(mail, compose.content(mail)) for mail in outgoing.newest(MOST)]
    return make_response(render_template("shop/dev_mails.html", mails=mails))


@blueprint.get("/dev/mail/<mail_id>")
@access("public")
def show(mail_id: str) -> Response:
    """One mail: its text, and its HTML in a sandboxed frame. Development only."""
    mail = outgoing.find(mail_id) or abort(404)
    values = {"content": compose.content(mail), "attachments": compose.attachments(mail)}
    return make_response(render_template("shop/dev_mail.html", mail=mail, **values))


@blueprint.get("/dev/mail.json")
@access("public")
def as_json() -> Response:
    """The newest mails first, with `to`, `subject`, `kind`, `order`, `language`, `attachments`. Development only."""
    return jsonify([_summary(mail) for mail in outgoing.newest(MOST)])


def _summary(mail: Any) -> dict[str, Any]:
    content = compose.content(mail)
    return {
        "id": mail.id,
        "to": mail.recipient,
        "subject": content.subject,
        "kind": mail.kind,
        "order": mail.subject or None,
        "language": mail.language,
        "attachments": compose.attachments(mail),
        "state": mail.state,
        "message_id": mail.message_id,
        "text": content.text,
        "html": content.html,
    }
