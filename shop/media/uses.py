"""Count of the products that show a picture, in the caller's transaction. Every file has a row, from before it is
written until retention has removed it.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import case, update

from shop.core import clock
from shop.core.db import db, insert, transactional
from shop.media import files
from shop.media.models import MediaFile


@transactional
def reserve(digest: str) -> None:
    """Keep retention from removing the files of a picture for a day, in which a product will show it."""
    row = insert(MediaFile).values(digest=digest, uses=0, unused_since=clock.now())
    since = {"unused_since": clock.now()}
    db.session.execute(row.on_conflict_do_update(index_elements=["digest"], set_=since, where=MediaFile.uses == 0))


def add(digest: str) -> None:
    """Count one more product that shows a picture."""
    row = insert(MediaFile).values(digest=digest, uses=1)
    more = {"uses": MediaFile.uses + 1, "unused_since": None}
    db.session.execute(row.on_conflict_do_update(index_elements=["digest"], set_=more))


def drop(digest: str) -> None:
    """Count one product less."""
    of = update(MediaFile).where(MediaFile.digest == digest, MediaFile.uses > 0)
    since = case((MediaFile.uses == 1, clock.now()))
    db.session.execute(of.values(uses=MediaFile.uses - 1, unused_since=since))


def remove_files(digests: Iterable[str]) -> None:
    """Remove files whose rows the current transaction deletes: no product can use them again before it has ended."""
    for digest in digests:
        files.remove(digest)
