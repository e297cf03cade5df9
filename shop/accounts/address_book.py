"""Address book of an account: at most MOST delivery addresses, one of which may be the default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import delete, select, update

from shop.accounts.models import SavedAddress, User
from shop.core import clock
from shop.core.db import db, transactional
from shop.core.errors import Refusal
from shop.core.sentences import sentence

MOST = 20
FIELDS = ("name", "line1", "line2", "city", "region", "postcode", "country", "phone")


def of_user(user_id: int) -> Sequence[SavedAddress]:
    """The addresses of an account: the default first, then the last added."""
    newest_first = (SavedAddress.is_default.desc(), SavedAddress.id.desc())
    return list(db.session.scalars(select(SavedAddress).where(SavedAddress.user_id == user_id).order_by(*newest_first)))


def find(user_id: int, address_id: int) -> SavedAddress | None:
    """An address of this account; None for one that does not exist or belongs to another account."""
    return db.session.scalar(select(SavedAddress).where(SavedAddress.id == address_id, SavedAddress.user_id == user_id))


@transactional
def add(user_id: int, values: Mapping[str, str], *, as_default: bool = False) -> None:
    """Save an address; the first one becomes the default. An address that is saved already is not saved twice.

    Raises Refusal `too_many_addresses`.
    """
    _lock(user_id)
    there = of_user(user_id)
    same = next((one for one in there if all(getattr(one, name) == values[name] for name in FIELDS)), None)
    if same is not None:
        if as_default:
            _set_default(user_id, same.id)
        return
    if len(there) >= MOST:
        raise Refusal(
            "too_many_addresses",
            sentence("You can save at most %(most)d addresses. Delete one that you no longer need.", most=MOST),
        )
    address = SavedAddress(
        user_id=user_id, is_default=False, added_at=clock.now(), **{name: values[name] for name in FIELDS}
    )
    db.session.add(address)
    db.session.flush()
    if as_default or not there:
        _set_default(user_id, address.id)


@transactional
def change(user_id: int, address_id: int, values: Mapping[str, str], *, as_default: bool = False) -> None:
    """Replace an address. No effect on one that does not exist or belongs to another account."""
    _lock(user_id)
    own = (SavedAddress.id == address_id, SavedAddress.user_id == user_id)
    db.session.execute(update(SavedAddress).where(*own).values({name: values[name] for name in FIELDS}))
    if as_default:
        _set_default(user_id, address_id)


@transactional
def make_default(user_id: int, address_id: int) -> None:
    """Make an address the default of its account. Safe to repeat."""
    _lock(user_id)
    _set_default(user_id, address_id)


@transactional
def remove(user_id: int, address_id: int) -> None:
    """Delete an address. Without a default the last added address becomes it."""
    _lock(user_id)
    db.session.execute(delete(SavedAddress).where(SavedAddress.id == address_id, SavedAddress.user_id == user_id))
    rest = of_user(user_id)
    if rest and not rest[0].is_default:
        _set_default(user_id, rest[0].id)


def _lock(user_id: int) -> None:
    """Lock the account: changes of its address book wait for each other."""
    db.session.execute(select(User.id).where(User.id == user_id).with_for_update(key_share=True))


def _set_default(user_id: int, address_id: int) -> None:
    theirs = update(SavedAddress).where(SavedAddress.user_id == user_id)
    if find(user_id, address_id) is None:
        return
    db.session.execute(theirs.where(SavedAddress.is_default).values(is_default=False))
    db.session.execute(theirs.where(SavedAddress.id == address_id).values(is_default=True))
