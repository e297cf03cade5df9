"""Audit log: record acts of staff, of operators at the command line, and sign-ins of accounts with a role.

A use case calls `record` in its own transaction, so an act and its entry are committed together or not at all. Acts of
customers and of the system have no entry, except those of OF_ALL: their history are the events of orders. Entries
are inserted without a chain, because a shared row would serialise all transactions; `shop.core.audit_seals` seals them
afterwards.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import insert

from shop.core import client_address, clock, logs
from shop.core.actor import Actor, ActorKind
from shop.core.audit_models import AuditEntry, AuditPersonal
from shop.core.db import db, in_transaction, table
from shop.core.money import Money

RECORDED = frozenset({ActorKind.STAFF, ActorKind.OPERATOR, ActorKind.UNPROVEN})
"""Actors whose acts have an entry."""
Values = Mapping[str, Any]


class Act(StrEnum):
    """Kind of an act. The values are stored."""

    SIGN_IN_SUCCEEDED = "sign_in.succeeded"
    SIGN_IN_FAILED = "sign_in.failed"
    ACCOUNT_CREATED = "account.created"
    ACCOUNT_INVITED = "account.invited"
    INVITATION_SENT = "account.invitation_sent"
    INVITATION_ACCEPTED = "account.invitation_accepted"
    ACCOUNT_DISABLED = "account.disabled"
    ACCOUNT_ENABLED = "account.enabled"
    ACCOUNT_DELETED = "account.deleted"
    SIGNED_OUT = "account.signed_out_everywhere"
    SIGN_IN_UNLOCKED = "account.sign_in_unlocked"
    SECOND_FACTOR_SET = "account.second_factor_set"
    SECOND_FACTOR_REMOVED = "account.second_factor_removed"
    RECOVERY_CODES_MADE = "account.recovery_codes_made"
    APP_REMOVED = "account.app_removed"
    PASSKEY_ADDED = "account.passkey_added"
    PASSKEY_REMOVED = "account.passkey_removed"
    PASSKEY_USED = "account.passkey_used"
    PASSKEY_REFUSED = "account.passkey_refused"
    IDENTITY_ADDED = "account.identity_added"
    IDENTITY_REMOVED = "account.identity_removed"
    API_KEY_MADE = "api_key.made"  # noqa: S105 - a name
    API_KEY_REVOKED = "api_key.revoked"
    ROLES_CHANGED = "account.roles_changed"
    ROLES_REQUESTED = "account.roles_requested"
    ROLES_APPROVED = "account.roles_approved"
    ROLES_DECLINED = "account.roles_declined"
    REFUND_REQUESTED = "refund.requested"
    REFUND_APPROVED = "refund.approved"
    REFUND_DECLINED = "refund.declined"
    REFUND_RETURNED = "refund.returned"
    PAYMENT_QUERIED = "payment.queried"
    AMOUNT_ACCEPTED = "payment.amount_accepted"
    SHORTFALL_REQUESTED = "payment.shortfall_requested"
    SHORTFALL_DECLINED = "payment.shortfall_declined"
    ADDRESS_CHANGED = "order.address_changed"
    CANCELLATION_REQUESTED = "order.cancel_requested"
    SHIPMENT_PACKED = "shipment.packed"
    SHIPMENT_SHIPPED = "shipment.shipped"
    SHIPMENT_CANCELLED = "shipment.cancelled"
    TRACKING_CHANGED = "shipment.tracking_changed"
    LINES_WITHDRAWN = "shipment.lines_withdrawn"
    RETURN_REQUESTED = "return.requested"
    RETURN_ACCEPTED = "return.accepted"
    RETURN_DECLINED = "return.declined"
    RETURN_RECEIVED = "return.received"
    RETURN_REFUNDED = "return.refunded"
    RETURN_CLOSED = "return.closed"
    GIFT_REQUESTED = "credit_gift.requested"
    GIFT_APPROVED = "credit_gift.approved"
    GIFT_DECLINED = "credit_gift.declined"
    PAYOUT_REQUESTED = "payout.requested"
    PAYOUT_APPROVED = "payout.approved"
    PAYOUT_REJECTED = "payout.rejected"
    NOTE_WRITTEN = "note.written"
    NOTE_WITHDRAWN = "note.withdrawn"
    NOTE_DONE = "note.done"
    ALERT_ACKNOWLEDGED = "alert.acknowledged"
    ALERT_RESOLVED = "alert.resolved"
    CHAT_TESTED = "alert.chat_tested"
    CHAT_SENT_AGAIN = "alert.chat_sent_again"
    TO_DO_CLAIMED = "to_do.claimed"
    TO_DO_RELEASED = "to_do.released"
    MAILS_RETRIED = "mail.retried"
    MAIL_RESENT = "mail.resent"
    VIEW_SAVED = "saved_view.saved"
    VIEW_RENAMED = "saved_view.renamed"
    VIEW_DELETED = "saved_view.deleted"
    EXPORT_REQUESTED = "order_export.requested"
    EXPORT_RESTARTED = "order_export.restarted"
    EXPORT_DOWNLOADED = "order_export.downloaded"
    WEBHOOK_RETRIED = "webhook.retried"
    EDITED_WEBHOOK_APPLIED = "webhook.edited_applied"
    ENDPOINT_CREATED = "webhook_endpoint.created"
    ENDPOINT_CHANGED = "webhook_endpoint.changed"
    ENDPOINT_ENABLED = "webhook_endpoint.enabled"
    ENDPOINT_DISABLED = "webhook_endpoint.disabled"
    ENDPOINT_DELETED = "webhook_endpoint.deleted"
    ENDPOINT_SECRET_ROTATED = "webhook_endpoint.secret_rotated"  # noqa: S105 - a name
    ENDPOINT_TESTED = "webhook_endpoint.tested"
    DELIVERIES_RESENT = "webhook_endpoint.deliveries_resent"
    EVENTS_BACKFILLED = "webhook_endpoint.events_backfilled"
    FILE_GIVEN = "settlement.file_given"
    FILE_RECONCILED = "settlement.reconciled"
    DISCREPANCY_ACCEPTED = "settlement.discrepancy_accepted"
    QUEUE_RUN = "queue.run"
    CHECK_REQUESTED = "integrity.check_requested"
    PRODUCT_CREATED = "product.created"
    PRODUCT_CHANGED = "product.changed"
    PRODUCT_ARCHIVED = "product.archived"
    PRODUCT_RESTORED = "product.restored"
    PICTURE_ADDED = "product.picture_added"
    PICTURE_CHANGED = "product.picture_changed"
    PICTURE_REMOVED = "product.picture_removed"
    IMPORT_REQUESTED = "product_import.requested"
    CATEGORY_CREATED = "category.created"
    CATEGORY_RENAMED = "category.renamed"
    CATEGORY_MOVED = "category.moved"
    CATEGORY_REMOVED = "category.removed"
    SEARCH_REBUILT = "product_search.rebuilt"
    PRICE_SET = "product.price_set"
    STOCK_RECEIVED = "product.stock_received"
    STOCK_CORRECTED = "product.stock_corrected"
    STOCK_LIMIT_SET = "product.stock_limit_set"
    TAX_SET = "pricing.tax_set"
    TAX_REMOVED = "pricing.tax_removed"
    DELIVERY_SET = "pricing.delivery_set"
    DELIVERY_REMOVED = "pricing.delivery_removed"
    CODE_SET = "pricing.code_set"
    CODE_DISABLED = "pricing.code_disabled"
    SELLER_CHANGED = "seller.changed"
    LEGAL_TEXT_SAVED = "legal_text.saved"
    ANNOUNCEMENT_CREATED = "announcement.created"
    ANNOUNCEMENT_CHANGED = "announcement.changed"
    ANNOUNCEMENT_REMOVED = "announcement.removed"


OF_ALL = frozenset({Act.ENDPOINT_DISABLED, Act.ACCOUNT_DELETED})
"""Acts that have an entry also when no staff do them: staff undo the first, and explain the second."""


class SubjectKind(StrEnum):
    """Kind of the thing that an act is about. The values are stored."""

    ACCOUNT = "account"
    API_KEY = "api_key"
    ORDER = "order"
    NOTE = "note"
    REFUND = "refund"
    CREDIT_GIFT = "credit_gift"
    PAYOUT = "payout"
    ALERT = "alert"
    TO_DO = "to_do"
    CHAT = "chat"
    MAIL = "mail"
    SAVED_VIEW = "saved_view"
    ORDER_EXPORT = "order_export"
    WEBHOOK = "webhook"
    WEBHOOK_ENDPOINT = "webhook_endpoint"
    SETTLEMENT_FILE = "settlement_file"
    DISCREPANCY = "discrepancy"
    QUEUE = "queue"
    INTEGRITY_CHECK = "integrity_check"
    PRODUCT = "product"
    CATEGORY = "category"
    PRODUCT_IMPORT = "product_import"
    SEARCH_INDEX = "search_index"
    TAX = "tax"
    DELIVERY = "delivery"
    CODE = "code"
    SELLER = "seller"
    LEGAL_TEXT = "legal_text"
    ANNOUNCEMENT = "announcement"


@dataclass(frozen=True)
class Subject:
    """The thing that an act is about: its kind, and its id or number."""

    kind: SubjectKind
    id: str


@dataclass(frozen=True)
class Entry:
    """An act and what it changed, as `record` takes it."""

    act: Act
    subject: Subject
    before: Values | None = None
    after: Values | None = None
    reason: str = ""
    personal: Values | None = None


def record(
    actor: Actor,
    act: Act,
    subject: Subject,
    *,
    before: Values | None = None,
    after: Values | None = None,
    reason: str = "",
    personal: Values | None = None,
) -> None:
    """Insert an entry in the current transaction; no effect for actors without entries (see RECORDED, OF_ALL).

    `before` and `after` are what the act changed, without personal values: those are `personal`, which retention
    erases. The client address of the request, or else the login of the operating system, is added to them. Values are
    text, numbers, times, money, actors, and lists and mappings of these. Raises RuntimeError outside a transaction.
    """
    record_all(actor, [Entry(act, subject, before, after, reason, personal)])


def record_all(actor: Actor, entries: Sequence[Entry]) -> None:
    """Insert entries as `record` does, with two statements for all of them."""
    recorded = [one for one in entries if actor.kind in RECORDED or one.act in OF_ALL]
    if not recorded:
        return
    if not in_transaction():
        raise RuntimeError("an act is recorded in its own transaction")
    of_all = {"at": clock.now(), "actor": str(actor), "request_id": str(logs.ids().get("request", ""))}
    origin, rows, personal = _origin(), list[dict[str, Any]](), dict[str, dict[str, str]]()
    for one in recorded:
        salt, erasable = secrets.token_hex(16), _json(origin | dict(one.personal or {}))
        by_hash = hash_of_personal(salt, erasable)
        row = of_all | {
            "act": one.act,
            "subject_kind": one.subject.kind,
            "subject_id": one.subject.id,
            "before": None if one.before is None else _json(one.before),
            "after": None if one.after is None else _json(one.after),
            "reason": one.reason,
            "personal_hash": by_hash,
        }
        rows.append(row)
        personal[by_hash] = {"salt": salt, "personal": erasable}
    log = table(AuditEntry)
    found = db.session.execute(insert(log).returning(log.c.id, log.c.personal_hash), rows).all()
    of_entries = [{"entry_id": entry_id, **personal[of]} for entry_id, of in found]
    db.session.execute(insert(table(AuditPersonal)).inline(), of_entries)


def hash_of_personal(salt: str, personal: str) -> str:
    """The hash by which an entry vouches for its personal values."""
    return hashlib.sha256(f"{salt} {personal}".encode(errors="surrogatepass")).hexdigest()


def _origin() -> dict[str, str]:
    address = client_address.present()
    if address is not None:
        return {"address": address}
    try:
        return {"login": getpass.getuser()}
    except (KeyError, OSError):  # a container may run under a user without a name
        return {"login": ""}


def _json(values: Values) -> str:
    return json.dumps(values, default=_plain, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _plain(value: object) -> object:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Money):
        return {"amount": value.amount, "currency": value.currency}
    if isinstance(value, Actor):
        return str(value)
    raise TypeError(f"the audit log stores no {type(value).__name__}")
