"""Resend of one mail by staff, for a recipient who did not get it.

The resent mail has a new Message-ID, because receivers drop a second mail with the same one. The Message-ID is also the
version of the mail: a form that was sent twice names the former one, and changes nothing the second time.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select, update

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.core import audit, clock
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.audit_models import AuditEntry
from shop.core.db import changed, db, transactional
from shop.core.errors import Refusal
from shop.mail import outgoing
from shop.mail.models import Mail
from shop.mail.states import MailState

WITHIN = timedelta(days=1)
MOST = 3
"""Times that one mail is resent within a day."""


def reason_not_resent(mail: Mail) -> str:
    """Sentence that says why this mail cannot be resent; empty if it can."""
    if mail.state == MailState.QUEUED:
        return "The mail is queued: it will be sent anyway."
    if mail.error == outgoing.BAD_ADDRESS:
        return "The recipient is not an e-mail address, so the mail cannot be sent."
    if mail.state == MailState.SENT and mail.order_id is None:
        return (
            "A sent mail about an account is not resent: its link may be used already. Its owner can request another."
        )
    return ""


@transactional
def resend(mail_id: str, *, by: Actor, reason: str, seen: str | None = None) -> None:
    """Make a sent or failed mail due again; `seen` is the Message-ID that the page showed.

    Raises Forbidden, and Refusal for an unknown mail, one that cannot be resent, one that was resent meanwhile, and
    one that was resent MOST times within a day.
    """
    rights.demand(by, Permission.MAIL_RESEND)
    mail = db.session.get(Mail, mail_id, populate_existing=True)
    if mail is None:
        raise Refusal("unknown_mail", f"There is no mail {mail_id[:40]}.")
    if why_not := reason_not_resent(mail):
        raise Refusal("not_resent", why_not)
    before, new_id = mail.message_id, outgoing.new_message_id(mail_id)
    same = (Mail.id == mail_id, Mail.state == mail.state, Mail.message_id == (before if seen is None else seen))
    due = {"state": MailState.QUEUED, "attempts": 0, "next_attempt_at": clock.now(), "message_id": new_id}
    if not changed(update(Mail).where(*same).values(**due)):
        raise Refusal("mail_changed", "The mail was resent meanwhile. This page shows its present state.")
    if _resent(mail_id) >= MOST:  # counted under the lock of the row
        raise Refusal(
            "resent_often", f"This mail was resent {MOST} times within a day. Contact the customer otherwise."
        )
    subject = Subject(SubjectKind.MAIL, mail_id)
    after = {"message_id": new_id, "order": mail.subject or None}
    audit.record(by, Act.MAIL_RESENT, subject, before={"message_id": before}, after=after, reason=reason)


def _resent(mail_id: str) -> int:
    """The number of times that a mail was resent within a day. Uses the index on subjects."""
    about = (AuditEntry.subject_kind == SubjectKind.MAIL, AuditEntry.subject_id == mail_id)
    recent = (AuditEntry.act == Act.MAIL_RESENT, AuditEntry.at > clock.now() - WITHIN)
    return db.session.scalar(select(func.count()).select_from(AuditEntry).where(*about, *recent)) or 0
