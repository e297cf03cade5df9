"""`flask legal-texts …`: texts of the legal pages, and their versions."""

from __future__ import annotations

from typing import TextIO

import click
from flask.cli import with_appcontext

from shop.commands import Group, by_staff
from shop.core.actor import Actor
from shop.core.errors import BadInput
from shop.core.languages import OFFERED, offered, tag
from shop.core.typed_fields import Typed
from shop.legal_texts import legal_texts as texts
from shop.legal_texts.legal_texts import LONGEST, PAGES

_page = click.argument("page", type=click.Choice(list(PAGES)))
_language = click.argument("language", type=click.Choice([tag(locale) for locale in OFFERED]))


@click.group("legal-texts", cls=Group)
def legal_texts() -> None:
    """Imprint, privacy, terms and returns."""


@legal_texts.command("list")
@with_appcontext
def list_all() -> None:
    """List the present version of each page and language that has one."""
    for (page, locale), one in sorted(texts.present().items()):
        size = f"{len(one.content):,} characters" if one.content else "the text that comes with the shop"
        click.echo(f"{page:<8} {tag(locale):<8} version {one.version}, {one.saved_at.isoformat()}: {size}")


@legal_texts.command("show")
@_page
@_language
@click.option("--version", "number", type=click.IntRange(1, 10**9), help="Default: the present one.")
@with_appcontext
def show(page: str, language: str, number: int | None) -> None:
    """Print the text of PAGE in LANGUAGE."""
    locale = _locale(language)
    found = texts.present().get((page, locale)) if number is None else texts.version(page, locale, number)
    if found is None:
        raise BadInput("unknown_version", "There is no such text.")
    click.echo(found.content)


@legal_texts.command("save")
@_page
@_language
@click.argument("file", type=click.File())
@with_appcontext
@by_staff
def save(page: str, language: str, file: TextIO, by: Actor) -> None:
    """Save FILE (`-`: standard input) as the text of PAGE in LANGUAGE; an empty one brings the shop's own text back."""
    form = Typed({"content": [file.read(10 * LONGEST)]}, ["content"])
    content = form.lines("content", LONGEST)
    form.checked()
    locale = _locale(language)
    before = texts.present().get((page, locale))
    number = texts.save(page, locale, content, seen=before.version if before else 0, by=by)
    click.echo(f"{page} in {language}: version {number} is shown.")


def _locale(language: str) -> str:
    return offered(language) or language
