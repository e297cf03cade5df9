"""Compose a mail: subject, text and HTML from the one template of its kind, as an RFC 5322 message.

A template fills the blocks `subject` and `body` with the macros that it gets as `parts`, once as text and once as HTML.
Texts of customers, such as names, appear in no mail: any visitor may order for an address of another person. The PDF of
a receipt has them, and is attached only if the order costs something.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Any

from babel.dates import format_datetime as in_words
from email_validator import EmailNotValidError, validate_email
from flask import current_app
from flask_babel import force_locale
from jinja2 import Environment

from shop.accounts import links
from shop.accounts.oidc import issuers
from shop.core.db import db
from shop.core.money import Money
from shop.documents import attached, decide, find, pdf
from shop.fulfilment import find as shipments
from shop.fulfilment.find import Package
from shop.mail.models import Mail
from shop.mail.outgoing import sender
from shop.mail.states import MailKind
from shop.orders import links as order_links
from shop.orders.models import Order
from shop.payments.calls.request import shop_url

_LONGEST_SUBJECT = 200
_SMTP = policy.SMTP.clone(cte_type="7bit")  # not every server accepts eight bits


@dataclass(frozen=True)
class Content:
    """The readable parts of a mail."""

    subject: str
    text: str
    html: str


class CannotCompose(ValueError):
    """The mail cannot be sent to its recipient at all."""


def content(mail: Mail) -> Content:
    """Render a mail in its language."""
    order = db.session.get(Order, mail.order_id) if mail.order_id is not None else None
    links = {"account_link": _account_link(mail), "history_link": _history_link(mail)}
    return rendered(mail, order, package=_package(mail), **links)


def rendered(
    mail: Mail, order: Order | None, *, account_link: str, history_link: str, package: Package | None = None
) -> Content:
    """Render a mail about `order` and one of its packages, with these links, in its language."""
    language = mail.language

    def moment(iso: str) -> str:
        """A time in UTC, which events may have in another zone."""
        return f"{in_words(datetime.fromisoformat(iso), 'medium', tzinfo=UTC, locale=language)} UTC"

    values: dict[str, Any] = {
        "order": order,
        "has_receipt": order is not None and _has_receipt(order),
        "data": mail.data,
        "package": package,
        "link": f"{shop_url()}/orders/{order.token}" if order else "",
        "account_link": account_link,
        "history_link": history_link,
        "shop_url": shop_url(),
        "issuer_name": issuers.name_of,
        "language": language.replace("_", "-"),
        "money": lambda amount: amount.format(language),
        "amount": lambda: Money(mail.data["amount"], mail.data["currency"]).format(language),
        "moment": moment,
    }
    with force_locale(language):
        text = _render(mail.kind, "txt", values)
        html = _render(mail.kind, "html", values)
    subject, _, body = text.partition("\n")
    paragraphs = re.sub(r"\n{3,}", "\n\n", body.strip())
    return Content(" ".join(subject.split())[:_LONGEST_SUBJECT], f"{paragraphs}\n", html)


def message(mail: Mail) -> EmailMessage:
    """The message of a mail: the same bytes but for the MIME boundary and a link to orders. Raises CannotCompose.

    Issues the document that it attaches if it was not issued yet, and makes its PDF.
    """
    found, files = content(mail), _files(mail)
    recipient, is_ascii = _recipient(mail.recipient)
    sent = EmailMessage(policy=_SMTP if is_ascii else policy.SMTPUTF8)
    name, address = parseaddr(sender())
    sent["From"] = Address(name, addr_spec=address)
    sent["To"] = recipient
    sent["Subject"] = found.subject
    sent["Date"] = format_datetime(mail.created_at)
    sent["Message-ID"] = mail.message_id
    sent["Auto-Submitted"] = "auto-generated"
    sent.set_content(found.text)
    sent.add_alternative(found.html, subtype="html")
    sent["Content-Language"] = mail.language.replace("_", "-")
    for name, made in files:
        sent.add_attachment(made, maintype="application", subtype="pdf", filename=name)
    return sent


def attachments(mail: Mail) -> list[str]:
    """File names of the documents that a mail attaches, as far as they are issued."""
    cause = _cause(mail)
    document = find.by_cause(mail.order_id, cause) if cause and mail.order_id else None
    return [pdf.file_name(document)] if document else []


def _files(mail: Mail) -> list[tuple[str, bytes]]:
    """Name and content of the documents that a mail attaches."""
    cause = _cause(mail)
    document = attached.issued(mail.order_id, cause) if cause and mail.order_id else None
    return [(pdf.file_name(document), pdf.of(document))] if document else []


def _cause(mail: Mail) -> str:
    """Cause of the document that a mail attaches; empty for none."""
    if mail.kind == MailKind.PAYMENT_RECEIVED:
        order = db.session.get(Order, mail.order_id)
        return decide.PAID if order is not None and _has_receipt(order) else ""
    if mail.kind == MailKind.REFUND_SENT:
        return decide.credit_cause(mail.data["refund"])
    return decide.cancel_cause(mail.data["refund"]) if mail.kind == MailKind.REFUND_FAILED else ""


def _has_receipt(order: Order) -> bool:
    """False for an order that costs nothing: a discount code alone must not send texts of a customer to any address."""
    return order.accepted.amount > 0


def _package(mail: Mail) -> Package | None:
    """The package that a mail is about, with its tracking as it is now."""
    if mail.kind != MailKind.ORDER_SHIPPED or mail.order_id is None:
        return None
    return shipments.package(mail.order_id, mail.data.get("shipment", 0))


def _account_link(mail: Mail) -> str:
    """The address of the link that a mail about an account contains; empty once the link is deleted."""
    found = links.token(mail.data["link"]) if "link" in mail.data else None
    return f"{shop_url()}/account/{found[0].replace('_', '-')}/{found[1]}" if found else ""


def _history_link(mail: Mail) -> str:
    """The address of the link in a mail about the orders of an address; it is valid from the moment of sending."""
    if mail.kind != MailKind.ORDER_LINK:
        return ""
    return f"{shop_url()}/orders/of/{order_links.history_link(mail.recipient)}"


def _recipient(written: str) -> tuple[Address, bool]:
    """The address with its domain in ASCII, and False if the local part needs SMTPUTF8."""
    try:
        found = validate_email(written, check_deliverability=False, test_environment=True)
        user = found.local_part
        address = Address(username=user, domain=found.ascii_domain)
    except (EmailNotValidError, ValueError) as error:
        raise CannotCompose("the recipient is not an e-mail address") from error
    return address, user.isascii()


def _render(kind: str, form: str, values: dict[str, Any]) -> str:
    template = _environment(form).get_template(f"mail/{kind}.html")
    return template.render(layout=f"mail/_layout.{form}", parts=f"mail/_parts.{form}", **values)


def _environment(form: str) -> Environment:
    """The app's templates, escaped for HTML only."""
    environments: dict[str, Environment] = current_app.extensions.setdefault("settled_mail_templates", {})
    if form not in environments:
        # A function, as the app's own: the translation functions ask it which kind of string to return.
        environments[form] = current_app.jinja_env.overlay(
            autoescape=lambda name: form == "html", trim_blocks=True, lstrip_blocks=True
        )
    return environments[form]
