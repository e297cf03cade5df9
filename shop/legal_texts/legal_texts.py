"""Save versions of legal texts, and find the one that a page shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.core import audit, clock, kept_briefly, text
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import after_commit, db, insert, table, transactional
from shop.core.errors import BadInput
from shop.core.languages import ENGLISH, OFFERED, tag
from shop.core.versions import ChangedMeanwhile
from shop.legal_texts.models import LegalText

PAGES: Mapping[str, str] = {
    "imprint": "Imprint",
    "privacy": "Privacy",
    "terms": "Terms of sale",
    "returns": "Returns and refunds",
}
"""Name of each page, by the last part of its address."""
LONGEST = 15_000
"""Characters of a text."""
LISTED = 50
"""Versions that the history lists."""
_TEXTS = table(LegalText)
_KEPT = "legal texts"
_NEWEST = (
    select(_TEXTS.c.page, _TEXTS.c.locale, func.max(_TEXTS.c.version).label("version"))
    .group_by(_TEXTS.c.page, _TEXTS.c.locale)
    .subquery()
)
_PRESENT = select(_TEXTS).join(
    _NEWEST,
    (_TEXTS.c.page == _NEWEST.c.page) & (_TEXTS.c.locale == _NEWEST.c.locale) & (_TEXTS.c.version == _NEWEST.c.version),
)


@dataclass(frozen=True)
class Version:
    """A version of the text of a page in a language. An empty text is that which comes with the shop."""

    page: str
    locale: str
    version: int
    content: str
    saved_at: datetime
    saved_by: Actor


def present() -> dict[tuple[str, str], Version]:
    """The newest version of each page and locale that has one. One statement."""
    rows = db.session.execute(_PRESENT).mappings()
    return {(row["page"], row["locale"]): Version(**row) for row in rows}


def shown(page: str, locale: str) -> Version | None:
    """The merchant's text of a page, at most a second old: in this language, else in English; None if there is none."""
    there = kept_briefly.kept(_KEPT, present)
    found = (there.get((page, one)) for one in (locale, ENGLISH))
    return next((one for one in found if one is not None and one.content), None)


def versions(page: str, locale: str) -> list[Version]:
    """Versions of a text, the newest first. One statement."""
    of = select(_TEXTS).where(_TEXTS.c.page == page, _TEXTS.c.locale == locale)
    rows = db.session.execute(of.order_by(_TEXTS.c.version.desc()).limit(LISTED)).mappings()
    return [Version(**row) for row in rows]


def version(page: str, locale: str, number: int) -> Version | None:
    """One version of a text."""
    of = select(_TEXTS).where(_TEXTS.c.page == page, _TEXTS.c.locale == locale, _TEXTS.c.version == number)
    row = db.session.execute(of).mappings().first()
    return None if row is None else Version(**row)


@transactional
def save(page: str, locale: str, content: str, *, seen: int, by: Actor) -> int:
    """Save a text over its version `seen`, 0 if it had none, and return the number of the present version. A text that
    is the present one makes no version.

    Raises Forbidden, BadInput `bad_legal_text`, and ChangedMeanwhile. The primary key decides between two people.
    """
    rights.demand(by, Permission.LEGAL_TEXT_WRITE)
    if page not in PAGES or locale not in OFFERED:
        raise BadInput("bad_legal_text", "There is no such legal page.")
    if len(content) > LONGEST or any(text.is_unusable(line) for line in content.split("\n")):
        raise BadInput("bad_legal_text", f"A text has at most {LONGEST:,} characters, without control characters.")
    before = next(iter(versions(page, locale)), None)
    number, was = (before.version, before.content) if before else (0, "")
    if content == was:
        return number
    if number != seen:
        raise ChangedMeanwhile
    row = {"page": page, "locale": locale, "version": seen + 1, "content": content}
    row |= {"saved_at": clock.now(), "saved_by": by}
    made = insert(LegalText, plain=True).values(**row).on_conflict_do_nothing().returning(_TEXTS.c.version)
    if db.session.scalar(made) is None:
        raise ChangedMeanwhile
    subject = Subject(SubjectKind.LEGAL_TEXT, f"{page} {tag(locale)}")
    after = {"version": seen + 1, "content": content}
    audit.record(by, Act.LEGAL_TEXT_SAVED, subject, before={"version": number, "content": was}, after=after)
    after_commit(lambda: kept_briefly.clear(_KEPT))
    return seen + 1
