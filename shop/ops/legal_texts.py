"""Legal texts: imprint, privacy, terms and returns in each language, with a preview and all versions."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, abort, current_app, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import force_locale

from shop.accounts import staff
from shop.accounts.permissions import Permission
from shop.core.errors import Refusal
from shop.core.filter_values import refuse_unknown
from shop.core.languages import ENGLISH, OFFERED, offered, tag
from shop.core.versions import NEW, ChangedMeanwhile
from shop.http_kit.access import requires
from shop.http_kit.request_guard import LARGEST_BODY, takes_files
from shop.http_kit.template_helpers import seller
from shop.legal_texts import legal_texts, markup
from shop.legal_texts.legal_texts import LONGEST, PAGES, Version
from shop.ops import acts, setting_forms
from shop.ops.navigation import Group, Link

bp = Blueprint("legal_texts", __name__)
LINKS = (Link("Legal texts", "ops.legal_texts.index", Permission.LEGAL_TEXT_READ, Group.SHOP),)


@bp.get("/legal")
@requires(Permission.LEGAL_TEXT_READ)
def index() -> str:
    """Each page with the present version in each language."""
    present = legal_texts.present()
    people = staff.labels({one.saved_by for one in present.values()})
    values = {"pages": PAGES, "languages": setting_forms.languages(), "english": ENGLISH}
    return render_template("ops/legal_texts.html", present=present, people=people, **values)


@bp.get("/legal/<page>/<language>")
@requires(Permission.LEGAL_TEXT_READ)
def show(page: str, language: str) -> str:
    """The form of a text, and its versions; `start=shop` fills it with the text that comes with the shop."""
    refuse_unknown(request.args, ("start",), "parameter")
    locale = _locale(page, language)
    return _form(page, locale, start=_of_shop(page, locale) if request.args.get("start") == "shop" else "")


@bp.post("/legal/<page>/<language>")
@requires(Permission.LEGAL_TEXT_WRITE)
@takes_files(2 * LARGEST_BODY)
def save(page: str, language: str) -> ResponseReturnValue:
    """Save a text as the next version."""
    locale = _locale(page, language)
    return setting_forms.done(
        lambda: legal_texts.save(page, locale, _content(), seen=setting_forms.seen(), by=acts.reader()),
        "Saved. The shop shows it now.",
        lambda: url_for("ops.legal_texts.show", page=page, language=tag(locale)),
        lambda refusal: _form(page, locale, refusal),
    )


@bp.post("/legal/<page>/<language>/preview")
@requires(Permission.LEGAL_TEXT_WRITE)
@takes_files(2 * LARGEST_BODY)
def preview(page: str, language: str) -> ResponseReturnValue:
    """Show how a text would look. Saves nothing."""
    locale = _locale(page, language)
    try:
        content = _content()
    except Refusal as refusal:
        return _form(page, locale, refusal), refusal.status
    return _form(page, locale, preview=content)


@bp.get("/legal/<page>/<language>/<int:number>")
@requires(Permission.LEGAL_TEXT_READ)
def version(page: str, language: str, number: int) -> str:
    """A version of a text, to read or to save again."""
    locale = _locale(page, language)
    found = legal_texts.version(page, locale, number) or abort(404, "There is no such version.")
    return _form(page, locale, old=found)


def _locale(page: str, language: str) -> str:
    """The locale of the address. Aborts with 404."""
    locale = offered(language)
    if page not in PAGES or locale is None or language != tag(locale):
        abort(404, "There is no such legal page.")
    return locale


def _content() -> str:
    """The text in the form. Raises InvalidFields."""
    form = setting_forms.typed(["content"])
    content = form.lines("content", LONGEST)
    form.checked()
    return content


def _of_shop(page: str, locale: str) -> str:
    """The text that comes with the shop, with the present seller and periods; empty for the imprint, which has none."""
    template = current_app.jinja_env.get_template(f"shop/legal/{page}.html")
    text, email, imprint = template.blocks.get("text"), seller().email, url_for("legal.imprint")
    if text is None:
        return ""
    write_to = f"[{email}](mailto:{email})" if email else f"[{imprint}]({imprint})"
    days = current_app.config["GUEST_DATA_DAYS" if page == "privacy" else "RETURN_DAYS"]
    with force_locale(locale):
        return markup.of_page("".join(text(template.new_context({"days": days, "write_to": write_to}))))


def _form(
    page: str,
    locale: str,
    refusal: Refusal | None = None,
    *,
    preview: str | None = None,
    old: Version | None = None,
    start: str = "",
) -> str:
    versions = legal_texts.versions(page, locale)
    newest = versions[0] if versions else None
    stored = {"content": newest.content if newest else ""}
    values: dict[str, Any] = setting_forms.shown(stored, newest.version if newest else NEW, lambda _: "Text", refusal)
    if preview is not None:
        values |= {"typed": {"content": request.form.get("content", "")}, "version": request.form.get("version", "")}
    if old is not None:
        values["typed"] = {"content": old.content}
    if start:
        values["typed"] = {"content": start}
    return render_template(
        "ops/legal_text.html",
        page=page,
        name=PAGES[page],
        locale=locale,
        tag=tag(locale),
        language=OFFERED[locale],
        versions=versions,
        old=old,
        people=staff.labels({one.saved_by for one in versions}),
        preview=None if preview is None else markup.blocks(preview),
        stale=newest if isinstance(refusal, ChangedMeanwhile) else None,
        longest=LONGEST,
        **values,
    )
