"""Webhook secrets, Standard Webhooks signatures, and signature faults."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets as random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import or_, select, update

from mock_acquirer import clock
from mock_acquirer.db import db, unit
from mock_acquirer.models import Secret

WRONG = "whsec_" + base64.b64encode(b"another-merchants-webhook-secret").decode()
BEFORE = "whsec_" + base64.b64encode(b"the-secret-of-last-year-expired!").decode()
SKEW = timedelta(minutes=10)


@dataclass(frozen=True)
class Signed:
    """Headers and body of the request, and the string that was signed."""

    headers: dict[str, str]
    body: bytes
    signed_string: str


class Signer(Protocol):
    """A dialect's signature function: signs with all `keys`, newest first, at the wall time of the attempt."""

    def __call__(self, keys: list[str], event_id: str, at: datetime, body: bytes) -> Signed: ...


def standard_webhooks(keys: list[str], event_id: str, at: datetime, body: bytes) -> Signed:
    """`webhook-id`, `webhook-timestamp`, `webhook-signature: v1,… v1,…` over `id.timestamp.body`."""
    stamp = str(int(at.timestamp()))
    content = f"{event_id}.{stamp}.".encode() + body
    macs = (hmac.new(base64.b64decode(key.removeprefix("whsec_")), content, hashlib.sha256).digest() for key in keys)
    signature = " ".join("v1," + base64.b64encode(mac).decode() for mac in macs)
    headers = {"webhook-id": event_id, "webhook-timestamp": stamp, "webhook-signature": signature}
    return Signed(headers, body, content.decode("utf-8", "replace"))


def sign(
    signer: Signer, signature_header: str, keys: list[str], event_id: str, at: datetime, body: bytes, bend: str | None
) -> Signed:
    """Sign as the dialect does; `bend` is one of the `sign` faults, or None. `keys`: valid secrets, newest first."""
    if bend == "wrong_key":
        keys = [WRONG]
    elif bend == "old_key":
        keys = [keys[1] if len(keys) > 1 else BEFORE]
    moved = {"stale_time": -SKEW, "future_time": SKEW}.get(bend or "", timedelta())
    signed = signer(keys, event_id, at + moved, body)
    headers = dict(signed.headers)
    if bend == "missing":
        headers.pop(signature_header, None)
    elif bend == "malformed" and signature_header:
        headers[signature_header] = "v1 this-is-not-base64"
    elif bend == "tampered":
        return Signed(headers, body.replace(b'"amount":', b'"amount":1', 1) + b" ", signed.signed_string)
    return Signed(headers, signed.body, signed.signed_string)


def valid_keys(run: str, dialect: str, merchant: str, configured: str) -> list[str]:
    """The currently valid secrets, newest first."""
    now = clock.now(run)
    rows = list(
        db.session.scalars(
            select(Secret)
            .where(Secret.run == run, Secret.dialect == dialect, Secret.merchant == merchant)
            .order_by(Secret.id.desc())
        )
    )
    if not rows:
        return [configured]
    return [row.secret for row in rows if row.valid_until is None or row.valid_until > now]


@unit
def rotate(run: str, dialect: str, merchant: str, configured: str, overlap: timedelta) -> tuple[str, datetime]:
    """Create a secret. Both sign until the overlap ends: (new secret, end of the old one)."""
    now = clock.now(run)
    mine = (Secret.run == run, Secret.dialect == dialect, Secret.merchant == merchant)
    if db.session.scalar(select(Secret.id).where(*mine).limit(1)) is None:
        db.session.add(Secret(run=run, dialect=dialect, merchant=merchant, secret=configured, created_at=now))
        db.session.flush()
    open_ended = or_(Secret.valid_until.is_(None), Secret.valid_until > now + overlap)
    db.session.execute(update(Secret).where(*mine, open_ended).values(valid_until=now + overlap))
    fresh = "whsec_" + base64.b64encode(random.token_bytes(24)).decode()
    db.session.add(Secret(run=run, dialect=dialect, merchant=merchant, secret=fresh, created_at=now))
    db.session.flush()
    return fresh, now + overlap
