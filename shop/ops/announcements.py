"""Announcements above the pages of the shop: texts in each language, a link, and the time in which they are shown."""

from __future__ import annotations

from flask import Blueprint, abort, render_template, url_for
from flask.typing import ResponseReturnValue

from shop.accounts.permissions import Permission
from shop.announcements import announcements
from shop.announcements.announcements import LONGEST, LONGEST_LINK, AnnouncementState, Content
from shop.announcements.models import Announcement
from shop.core import clock
from shop.core.errors import Refusal
from shop.core.languages import ENGLISH, OFFERED
from shop.core.typed_fields import moment_text, of_languages, translated
from shop.core.versions import NEW
from shop.http_kit.access import requires
from shop.ops import acts, setting_forms
from shop.ops.formats import zone
from shop.ops.navigation import Group, Link
from shop.ops.setting_forms import Values

bp = Blueprint("announcements", __name__)
LINKS = (Link("Announcements", "ops.announcements.index", Permission.ANNOUNCEMENT_READ, Group.SHOP),)
TONES = {AnnouncementState.SHOWN: "good", AnnouncementState.SCHEDULED: "wait"}
_NAMES = (*of_languages("text"), "link", "starts_at", "ends_at")


@bp.get("/announcements")
@requires(Permission.ANNOUNCEMENT_READ)
def index() -> str:
    """All announcements, the newest first."""
    now = clock.now()
    rows = [(row, announcements.state(row, now)) for row in announcements.all_rows()]
    return render_template("ops/announcements.html", rows=rows, tones=TONES, missing=setting_forms.missing)


@bp.get("/announcements/new")
@requires(Permission.ANNOUNCEMENT_WRITE)
def new() -> str:
    """An empty form."""
    return _form(None)


@bp.post("/announcements/new")
@requires(Permission.ANNOUNCEMENT_WRITE)
def create() -> ResponseReturnValue:
    """Create an announcement."""
    return setting_forms.done(
        lambda: announcements.create(_content(), by=acts.reader()),
        "The announcement is saved.",
        _index,
        lambda refusal: _form(None, refusal),
    )


@bp.get("/announcements/<int:number>")
@requires(Permission.ANNOUNCEMENT_READ)
def show(number: int) -> str:
    """The form of an announcement."""
    return _form(_existing(number))


@bp.post("/announcements/<int:number>")
@requires(Permission.ANNOUNCEMENT_WRITE)
def save(number: int) -> ResponseReturnValue:
    """Save the form of an announcement."""
    _existing(number)
    return setting_forms.done(
        lambda: announcements.change(number, _content(), seen=setting_forms.seen(), by=acts.reader()),
        "Saved. Visitors who have dismissed it see it again.",
        _index,
        lambda refusal: _form(_existing(number), refusal),
    )


@bp.post("/announcements/<int:number>/delete")
@requires(Permission.ANNOUNCEMENT_WRITE)
def remove(number: int) -> ResponseReturnValue:
    """Delete an announcement."""
    _existing(number)
    return setting_forms.done(
        lambda: announcements.remove(number, seen=setting_forms.seen(), by=acts.reader()),
        "The announcement is deleted.",
        _index,
        lambda refusal: _form(_existing(number), refusal),
    )


def label(field: str) -> str:
    """Label of a field."""
    first, _, of = field.partition(".")
    words = {"starts_at": "From", "ends_at": "Until"}.get(first, first.capitalize())
    return f"{words} ({of})" if of else words


def _index() -> str:
    return url_for("ops.announcements.index")


def _existing(number: int) -> Announcement:
    """The announcement. Aborts with 404."""
    return announcements.find(number) or abort(404, "There is no such announcement.")


def _content() -> Content:
    """The submitted form. Raises InvalidFields."""
    form = setting_forms.typed(_NAMES)
    needed = "Enter a text in English. Other languages show it where they have none."
    english, others = form.translations("text", LONGEST, needed=needed)
    link = form.line("link", LONGEST_LINK)
    if link and not announcements.is_link(link):
        form.errors["link"] = "Enter a path of this shop, such as /returns, or an address that begins with https://."
    starts_at, ends_at = form.moment("starts_at", zone()), form.moment("ends_at", zone())
    if starts_at and ends_at and starts_at >= ends_at:
        form.errors["ends_at"] = "The end must be after the start."
    form.checked()
    return Content({ENGLISH: english, **others}, link, starts_at, ends_at)


def _form(row: Announcement | None, refusal: Refusal | None = None) -> str:
    return render_template(
        "ops/announcement.html",
        row=row,
        state=announcements.state(row, clock.now()) if row else None,
        tones=TONES,
        languages=setting_forms.languages(),
        longest=LONGEST,
        longest_link=LONGEST_LINK,
        zone=str(zone()),
        **setting_forms.shown(_as_typed(row), row.version if row else NEW, label, refusal),
    )


def _as_typed(row: Announcement | None) -> Values:
    """The fields of a stored announcement, or of a new one."""
    texts = row.texts if row else {}
    found = {translated("text", locale): texts.get(locale, "") for locale in OFFERED}
    found |= {"link": row.link if row else "", "starts_at": moment_text(row.starts_at if row else None, zone())}
    return found | {"ends_at": moment_text(row.ends_at if row else None, zone())}
