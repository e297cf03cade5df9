"""Seals of the audit log: the clock seals entries that have no seal, and logs the newest seal every hour.

A seal lists the hash of each of its entries and the hash of the seal before it, under an HMAC whose key the database
does not have. So a change, removal or insertion of sealed entries by writes to the database alone is found; a seal that
was logged also shows when the newest seals are cut off. Entries are chosen by having no seal: one with a lower number
may be committed later.

No seal is put on one that does not prove itself by a key of the key ring. After a change of SECRET_KEY the clock makes
an empty seal with the new key, which proves all earlier ones; then the former key is no longer needed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from flask import current_app
from sqlalchemy import insert, select, update

from shop.core import clock, keys, logs
from shop.core.audit_models import AuditEntry, AuditSeal
from shop.core.db import OutdatedSnapshot, changed, db, table, transactional
from shop.core.exclusive import alone_until_commit

log = logs.get()
PURPOSE = "audit seal"
"""Purpose of the keys (see `keys.mac_keys`)."""
BATCH = 200
"""Entries of one seal, at most."""
LOG_EVERY = timedelta(hours=1)
_ENTRIES, _SEALS = table(AuditEntry), table(AuditSeal)
HASHED = [column for column in _ENTRIES.columns if column.name != "seal"]
"""The columns of an entry that are sealed."""
SIGNED = ("number", "at", "previous", "key_id", "entries")
"""The columns of a seal that its HMAC covers."""


class UnprovenSeal(RuntimeError):
    """The newest seal is forged, or its key is not in the key ring. Nothing is sealed until that is settled."""


def due() -> list[int]:
    """A single row when entries have no seal, the key has changed, or the newest seal is to be logged."""
    return [0] if any_unsealed() or _has_key_changed() or _is_log_due() else []


def any_unsealed() -> bool:
    """True if an entry has no seal."""
    found = db.session.scalar(select(_ENTRIES.c.id).where(_ENTRIES.c.seal.is_(None)).limit(1))
    db.session.rollback()
    return found is not None


def seal_due(_number: int = 0) -> None:
    """Seal all entries that have no seal, and log the newest seal if that is due. Raises UnprovenSeal."""
    while _seal_batch() == BATCH:
        pass
    if _is_log_due():
        current_app.extensions["settled_audit_logged_at"] = clock.now()
        if (name := newest()) is not None:
            log.info("audit.newest_seal", seal=name)


def _has_key_changed() -> bool:
    key_id = db.session.scalar(select(_SEALS.c.key_id).order_by(_SEALS.c.number.desc()).limit(1))
    db.session.rollback()
    return key_id is not None and key_id != _signing_key()[0]


def _signing_key() -> tuple[str, bytes]:
    """The id and the key of SECRET_KEY."""
    return list(keys.mac_keys(PURPOSE).items())[-1]


def newest() -> str | None:
    """Number and HMAC of the newest seal, as `12:9f…`; None without seals."""
    row = db.session.execute(select(_SEALS.c.number, _SEALS.c.mac).order_by(_SEALS.c.number.desc()).limit(1)).first()
    db.session.rollback()
    return None if row is None else f"{row.number}:{row.mac}"


def _is_log_due() -> bool:
    logged_at: datetime | None = current_app.extensions.get("settled_audit_logged_at")
    return logged_at is None or clock.now() - logged_at >= LOG_EVERY


@transactional
def _seal_batch() -> int:
    """Make the next seal; returns the number of its entries. With two clocks one waits for the other here."""
    alone_until_commit(db.session, "audit seal")
    query = select(*HASHED).where(_ENTRIES.c.seal.is_(None)).order_by(_ENTRIES.c.id).limit(BATCH)
    rows = db.session.execute(query).mappings().all()
    last = db.session.execute(select(_SEALS).order_by(_SEALS.c.number.desc()).limit(1)).mappings().first()
    key_id, key = _signing_key()
    if not rows and (last is None or last["key_id"] == key_id):
        return 0
    if last and not proves_itself(last, keys.mac_keys(PURPOSE)):
        raise UnprovenSeal(f"seal {last['number']} is forged, or its key is not in the key ring")
    values = {
        "number": last["number"] + 1 if last else 1,
        "at": clock.now(),
        "previous": hash_of_seal(last) if last else "",
        "key_id": key_id,
        "entries": canonical([row["id"], hash_of_entry(row)] for row in rows),
    }
    db.session.execute(insert(_SEALS).inline(), values | {"mac": mac_of(values, key)})
    sealed = update(_ENTRIES).where(_ENTRIES.c.id.in_([row["id"] for row in rows]), _ENTRIES.c.seal.is_(None))
    if changed(sealed.values(seal=values["number"])) != len(rows):
        raise OutdatedSnapshot("another clock has sealed these entries")
    return len(rows)


def proves_itself(seal: Any, ring: Mapping[str, bytes]) -> bool:
    """True if the HMAC of a seal is right, by a key of `ring`."""
    key = ring.get(seal["key_id"])
    return key is not None and hmac.compare_digest(
        str(seal["mac"]).encode(errors="replace"), mac_of(seal, key).encode()
    )


def hash_of_entry(row: Any) -> str:
    """The hash of an entry with the columns HASHED."""
    return _hash(canonical(row[column.name] for column in HASHED))


def hash_of_seal(row: Any) -> str:
    """The hash of a whole seal, which the next one states as `previous`."""
    return _hash(canonical(row[name] for name in (*SIGNED, "mac")))


def mac_of(row: Any, key: bytes) -> str:
    """The HMAC of a seal."""
    return hmac.digest(key, canonical(row[name] for name in SIGNED).encode(errors="surrogatepass"), "sha256").hex()


def canonical(values: Iterable[Any]) -> str:
    """JSON that is the same for the same values: times in UTC, no blanks, and the text form of anything that a changed
    row may contain.
    """
    return json.dumps(list(values), default=_plain, ensure_ascii=False, separators=(",", ":"))


def _plain(value: object) -> str:
    return value.isoformat(timespec="microseconds") if isinstance(value, datetime) else repr(value)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
