"""Create, change and delete announcements, and find those that pages show now."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import func, or_, select

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.announcements.models import Announcement
from shop.core import audit, clock, kept_briefly, text, versions
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import after_commit, db, insert, table, transactional
from shop.core.errors import BadInput, Refusal
from shop.core.exclusive import alone_until_commit
from shop.core.languages import ENGLISH, OFFERED

LONGEST = 300
"""Characters of a text."""
LONGEST_LINK = 500
MOST = 50
"""Announcements of the shop, ended ones included."""
MOST_SHOWN = 3
"""Announcements that a page shows at a time: those that began last."""
_LINK = re.compile(r"(/(?!/)|https://[A-Za-z0-9.-]+(?:[:/?#]|$))[A-Za-z0-9._~:/?#\[\]@!$&()*+,;=%-]*")
_ROWS = table(Announcement)
_KEPT = "announcements"


class AnnouncementState(StrEnum):
    """State of an announcement at a time."""

    SHOWN = "shown"
    SCHEDULED = "scheduled"
    ENDED = "ended"


@dataclass(frozen=True)
class Content:
    """Values of an announcement: texts by locale, a link, and the time in which it is shown."""

    texts: Mapping[str, str]
    link: str = ""
    starts_at: datetime | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True)
class Shown:
    """An announcement in the language of a page. `mark` names it in the cookie of a browser that has dismissed it; a
    changed one has another mark. `locale` is the language of the text.
    """

    id: int
    version: int
    text: str
    locale: str
    link: str

    @property
    def mark(self) -> str:
        return f"{self.id}.{self.version}"


def state(row: Announcement, now: datetime) -> AnnouncementState:
    """The state of an announcement."""
    if row.ends_at is not None and row.ends_at <= now:
        return AnnouncementState.ENDED
    is_ahead = row.starts_at is not None and row.starts_at > now
    return AnnouncementState.SCHEDULED if is_ahead else AnnouncementState.SHOWN


def all_rows() -> list[Announcement]:
    """All announcements, the newest first. One statement."""
    return list(db.session.scalars(select(Announcement).order_by(Announcement.id.desc()).limit(MOST)))


def find(number: int) -> Announcement | None:
    """The announcement as the database has it now."""
    return db.session.get(Announcement, number, populate_existing=True)


def shown(locale: str, dismissed: Collection[str]) -> list[Shown]:
    """The announcements that a page in a language shows now, without those of the marks in `dismissed`."""
    now = clock.now()
    found = []
    for row in kept_briefly.kept(_KEPT, lambda: _not_ended(now)):
        has_begun = row["starts_at"] is None or row["starts_at"] <= now
        if has_begun and (row["ends_at"] is None or row["ends_at"] > now):
            of = locale if row["texts"].get(locale) else ENGLISH
            found.append(Shown(row["id"], row["version"], row["texts"][of], of, row["link"]))
    return [one for one in found if one.mark not in dismissed][:MOST_SHOWN]


@transactional
def create(content: Content, *, by: Actor) -> int:
    """Create an announcement and return its id.

    Raises Forbidden, BadInput `bad_announcement`, and Refusal `too_many_announcements`.
    """
    rights.demand(by, Permission.ANNOUNCEMENT_WRITE)
    values = _checked(content)
    alone_until_commit(db.session, "announcements")
    if (db.session.scalar(select(func.count()).select_from(Announcement)) or 0) >= MOST:
        raise Refusal("too_many_announcements", f"There are {MOST} announcements. Delete an ended one first.")
    row = insert(Announcement, plain=True).values(**values, version=1).returning(_ROWS.c.id)
    number = int(db.session.execute(row).scalar_one())
    audit.record(by, Act.ANNOUNCEMENT_CREATED, _subject(number), after=values)
    after_commit(lambda: kept_briefly.clear(_KEPT))
    return number


@transactional
def change(number: int, content: Content, *, seen: int, by: Actor) -> bool:
    """Change an announcement that had the version `seen`; False if it has these values already. Browsers that have
    dismissed it show it again.

    Raises Forbidden, BadInput `bad_announcement`, and ChangedMeanwhile.
    """
    rights.demand(by, Permission.ANNOUNCEMENT_WRITE)
    values, key = _checked(content), {"id": number}
    before = versions.locked(Announcement, key)
    if before is None:
        raise _deleted()
    if not versions.save(Announcement, key, before, values, seen=seen, name="The announcement"):
        return False
    was = {name: before[name] for name in values}
    audit.record(by, Act.ANNOUNCEMENT_CHANGED, _subject(number), before=was, after=values)
    after_commit(lambda: kept_briefly.clear(_KEPT))
    return True


@transactional
def remove(number: int, *, seen: int, by: Actor) -> None:
    """Delete an announcement that had the version `seen`. Raises Forbidden, and ChangedMeanwhile."""
    rights.demand(by, Permission.ANNOUNCEMENT_WRITE)
    key = {"id": number}
    before = versions.locked(Announcement, key)
    if before is None:
        raise _deleted()
    versions.remove(Announcement, key, before, seen=seen, name="The announcement")
    was = {name: before[name] for name in asdict(Content({}))}
    audit.record(by, Act.ANNOUNCEMENT_REMOVED, _subject(number), before=was)
    after_commit(lambda: kept_briefly.clear(_KEPT))


def is_link(typed: str) -> bool:
    """True for a path of the shop, or an https address."""
    return len(typed) <= LONGEST_LINK and _LINK.fullmatch(typed) is not None


def _not_ended(now: datetime) -> list[Mapping[str, Any]]:
    query = select(_ROWS).where(or_(_ROWS.c.ends_at.is_(None), _ROWS.c.ends_at > now))
    query = query.order_by(_ROWS.c.starts_at.desc().nulls_last(), _ROWS.c.id.desc()).limit(MOST)
    return [dict(row) for row in db.session.execute(query).mappings()]


def _checked(content: Content) -> dict[str, Any]:
    texts = {locale: text.tidy(typed) for locale, typed in content.texts.items() if locale in OFFERED}
    if not texts.get(ENGLISH):
        raise BadInput("bad_announcement", "Enter a text in English. Other languages show it where they have none.")
    if any(text.is_unusable(one) or len(one) > LONGEST for one in texts.values()):
        raise BadInput("bad_announcement", f"A text has at most {LONGEST} characters, without control characters.")
    if content.link and not is_link(content.link):
        raise BadInput("bad_announcement", "A link is a path of this shop, such as /returns, or begins with https://.")
    starts_at, ends_at = content.starts_at, content.ends_at
    if starts_at and ends_at and starts_at >= ends_at:
        raise BadInput("bad_announcement", "The end must be after the start.")
    there = {locale: one for locale, one in texts.items() if one}
    return {"texts": there, "link": content.link, "starts_at": starts_at, "ends_at": ends_at}


def _deleted() -> versions.ChangedMeanwhile:
    return versions.ChangedMeanwhile("The announcement was deleted after you opened it. Nothing was saved.")


def _subject(number: int) -> Subject:
    return Subject(SubjectKind.ANNOUNCEMENT, str(number))
