"""Read and change the data of the seller. Receipts keep those with which they were issued."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import current_app

from shop import seller
from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.core import audit, clock, email_address, kept_briefly, text, versions
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import after_commit, db, transactional
from shop.core.errors import BadInput
from shop.core.exclusive import alone_until_commit
from shop.core.versions import NEW
from shop.seller import Seller
from shop.seller_data.models import SellerData

LONGEST = {"name": 120, "address": 200, "tax_id": 40, "email": email_address.LONGEST}
"""Characters."""
_ID = 1
_KEY = {"id": _ID}
_KEPT = "seller"


def row() -> SellerData | None:
    """The saved data as the database has them; None while the settings count."""
    return db.session.get(SellerData, _ID, populate_existing=True)


def present() -> Seller:
    """The seller of a receipt that is issued now. One statement."""
    found = row()
    return seller.of(current_app.config) if found is None else _of(found)


def shown() -> Seller:
    """The seller on pages, at most a second old."""
    return kept_briefly.kept(_KEPT, present)


@transactional
def save(new: Seller, *, seen: int, by: Actor, reason: str) -> bool:
    """Replace the data of the version `seen`, NEW for those of the settings; False if they are the same.

    Raises Forbidden, BadInput `bad_seller`, and ChangedMeanwhile.
    """
    rights.demand(by, Permission.SELLER_WRITE)
    values = _checked(new)
    alone_until_commit(db.session, "seller")
    before = versions.locked(SellerData, _KEY)
    was = asdict(seller.of(current_app.config)) if before is None else {name: before[name] for name in LONGEST}
    if was == values:
        return False
    if before is not None and seen == NEW:
        raise versions.ChangedMeanwhile
    changed: dict[str, Any] = values | {"changed_at": clock.now(), "changed_by": by}
    versions.save(SellerData, _KEY, before, changed, seen=seen, name="The seller")
    subject = Subject(SubjectKind.SELLER, str(_ID))
    audit.record(by, Act.SELLER_CHANGED, subject, before=was, after=values, reason=reason)
    after_commit(lambda: kept_briefly.clear(_KEPT))
    return True


def _of(row: SellerData) -> Seller:
    return Seller(row.name, row.address, row.tax_id, row.email)


def _checked(new: Seller) -> dict[str, str]:
    values = {name: text.tidy(typed) for name, typed in asdict(new).items()}
    if not values["name"] or not values["address"]:
        raise BadInput("bad_seller", "A receipt needs the legal name and the address of the seller.")
    if any(text.is_unusable(value) or len(value) > LONGEST[name] for name, value in values.items()):
        raise BadInput("bad_seller", "The data of the seller are too long, or contain control characters.")
    if values["email"]:
        try:
            email_address.normal(values["email"])
        except email_address.NotAnAddress as error:
            raise BadInput("bad_seller", "This is not an e-mail address.") from error
    return values
