"""Sentences of the shop, and the catalogues of their translations.

English is the source and needs no catalogue. A catalogue is kept as `messages.po`, which people edit, and as
`messages.mo`, which the shop reads.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po, write_po

from shop.core.languages import ENGLISH, OFFERED
from tools.docs.code import ROOT

_WRITTEN = datetime(2026, 11, 30, tzinfo=UTC)
"""The time in the header, always the same: the history of the files is that of the repository."""
TRANSLATIONS = ROOT / "translations"
_SOURCES = (
    ("shop", "**.py", "python"),
    ("templates/shop", "**.html", "jinja2"),
    ("templates/mail", "**.html", "jinja2"),
)
_KEYWORDS: dict[str, tuple[int, ...] | None] = {
    "_": None,
    "gettext": None,
    "lazy_gettext": None,
    "ngettext": (1, 2),
    "sentence": None,
    "sentences": (1, 2),
}
_PLACEHOLDER = re.compile(r"%(?:\((\w+)\))?([sd%])")
_NAMED = re.compile(r"%\(")


def sentences() -> Catalog:
    """Every sentence that the code of the shop marks for translation."""
    found = Catalog(charset="utf-8")
    for folder, pattern, method in _SOURCES:
        extracted = extract_from_dir(ROOT / folder, [(pattern, method)], keywords=_KEYWORDS)
        for name, _line, message, _comments, _context in extracted:
            flags = ["python-format"] if _NAMED.search(message if isinstance(message, str) else message[0]) else []
            found.add(message, locations=[(f"{folder}/{name}", None)], flags=flags)
    return found


def po(locale: str) -> Path:
    """The file that translators edit."""
    return TRANSLATIONS / locale / "LC_MESSAGES" / "messages.po"


def mo(locale: str) -> Path:
    """The file that the shop reads."""
    return po(locale).with_suffix(".mo")


def read(locale: str) -> Catalog:
    """The catalogue of a language; an empty one if there is none."""
    if not po(locale).is_file():
        return Catalog(locale=locale)
    with po(locale).open("rb") as file:
        return read_po(file, locale=locale)


def updated(locale: str) -> Catalog:
    """The catalogue of a language with the sentences of the code: new ones untranslated, removed ones left out."""
    catalogue, source = read(locale), sentences()
    fresh = Catalog(locale=locale, charset="utf-8", fuzzy=False, header_comment=f"# {OFFERED.get(locale, locale)}")
    for message in source:
        if message.id:
            known = catalogue.get(message.id)
            text = known.string if known is not None else ""
            kept = {"fuzzy"} & set(known.flags if known is not None else ())
            fresh.add(message.id, text, locations=message.locations, flags={*message.flags, *kept})
    return fresh


def po_text(catalogue: Catalog) -> bytes:
    """The catalogue as a .po file, always the same for the same sentences."""
    catalogue.creation_date = catalogue.revision_date = _WRITTEN
    file = io.BytesIO()
    write_po(file, catalogue, width=120, sort_output=True, include_lineno=False, ignore_obsolete=True)
    return file.getvalue()


def mo_bytes(catalogue: Catalog) -> bytes:
    """The catalogue as a .mo file. Fuzzy translations are left out."""
    file = io.BytesIO()
    write_mo(file, catalogue)
    return file.getvalue()


def incomplete(locale: str) -> list[str]:
    """Reasons not to offer a language: missing and fuzzy sentences, other placeholders, stale files."""
    catalogue, source = read(locale), sentences()
    known = {_key(message): message for message in catalogue if message.id}
    wanted = {_key(message): message for message in source if message.id}
    found = [f"{locale}: not translated: {key}" for key in wanted.keys() - known.keys()]
    found += [f"{locale}: no longer used: {key}" for key in known.keys() - wanted.keys()]
    for key in wanted.keys() & known.keys():
        found += [f"{locale}: {problem}: {key}" for problem in _problems(known[key], catalogue.num_plurals)]
    if not mo(locale).is_file() or _texts(mo(locale).read_bytes()) != _texts(mo_bytes(catalogue)):
        found.append(f"{locale}: messages.mo is not the compiled messages.po")
    return sorted(found)


def with_catalogue() -> list[str]:
    """The locales that are offered and need a catalogue."""
    return [locale for locale in OFFERED if locale != ENGLISH]


def _texts(compiled: bytes) -> dict[Any, Any]:
    """The sentences of a .mo file. Its header is left out: it names the version of Babel."""
    return {_key(message): message.string for message in read_mo(io.BytesIO(compiled)) if message.id}


def _key(message: Message) -> str:
    """The English sentence, the singular of one with a number."""
    return str(message.id if isinstance(message.id, str) else message.id[0])


def _problems(message: Message, plurals: int) -> Iterator[str]:
    texts = [message.string] if isinstance(message.string, str) else list(message.string)
    if message.fuzzy:
        yield "fuzzy"
    if not all(texts):
        yield "not translated"
        return
    if not isinstance(message.id, str) and len(texts) != plurals:
        yield f"{len(texts)} plural forms instead of {plurals}"
    sources = [message.id] if isinstance(message.id, str) else list(message.id)
    wanted = [placeholders(source) for source in sources]
    if any(placeholders(text) not in wanted for text in texts):
        yield "other placeholders than the English sentence"


def placeholders(text: str) -> frozenset[tuple[str, str]]:
    """Names and kinds of the placeholders of a sentence; a stray per cent sign is one that the sentence cannot have."""
    stray = _PLACEHOLDER.sub("", text).count("%") if _NAMED.search(text) else 0
    named = {(found[1], found[2]) for found in _PLACEHOLDER.finditer(text) if found[1]}
    return frozenset(named | ({("", "%")} if stray else set()))
