"""Sentences of the shop and of the acquirer's payment pages, and the catalogues of their translations.

English is the source and needs no catalogue. A catalogue is kept as `messages.po`, which people edit, and as
`messages.mo`, which the programs read.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
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
_KEYWORDS: dict[str, Any] = {
    "_": None,
    "gettext": None,
    "lazy_gettext": None,
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
}
_PLACEHOLDER = re.compile(r"%(?:\((\w+)\))?([sd%])")
_NAMED = re.compile(r"%\(")
_LETTERS = re.compile(r"[^\W\d_]")
SAME = frozenset({"HTML"})
"""Texts that are the same in every language."""
_CJK = r"[\u3040-\u30ff\u3400-\u9fff]"
_HALF_WIDTH = re.compile(rf"{_CJK}[,.:;!?()]|[,:;!?(]{_CJK}| [，。、：；！？（）「」【】]|[，。、；！？（）「」【】] ")
"""Punctuation of another script beside Chinese and Japanese characters."""


@dataclass(frozen=True)
class Program:
    """A program with translations: the folder of its catalogues, where its sentences are (folder, file names, kind of
    source), and its own functions that mark sentences.
    """

    folder: Path
    sources: tuple[tuple[str, str, str], ...]
    markers: dict[str, tuple[int, ...] | None]

    @cached_property
    def sentences(self) -> Catalog:
        """Every sentence that the code of the program marks for translation; reading the code takes seconds."""
        found = Catalog(charset="utf-8")
        for folder, pattern, method in self.sources:
            extracted = extract_from_dir(ROOT / folder, [(pattern, method)], keywords=_KEYWORDS | self.markers)
            for name, _line, message, _comments, context in extracted:
                flags = ["python-format"] if _NAMED.search(message if isinstance(message, str) else message[0]) else []
                found.add(message, locations=[(f"{folder}/{name}", None)], flags=flags, context=context)
        return found

    def po(self, locale: str) -> Path:
        """The file that translators edit."""
        return self.folder / locale / "LC_MESSAGES" / "messages.po"

    def mo(self, locale: str) -> Path:
        """The file that the program reads."""
        return self.po(locale).with_suffix(".mo")

    def read(self, locale: str) -> Catalog:
        """The catalogue of a language; an empty one if there is none."""
        if not self.po(locale).is_file():
            return Catalog(locale=locale)
        with self.po(locale).open("rb") as file:
            return read_po(file, locale=locale)

    def updated(self, locale: str) -> Catalog:
        """The catalogue of a language with the sentences of the code: new ones untranslated, removed ones left out."""
        catalogue, source = self.read(locale), self.sentences
        fresh = Catalog(locale=locale, charset="utf-8", fuzzy=False, header_comment=f"# {OFFERED.get(locale, locale)}")
        for message in source:
            if message.id:
                known = catalogue.get(message.id, message.context)
                text = known.string if known is not None else ""
                kept = {"fuzzy"} & set(known.flags if known is not None else ())
                flags, context = {*message.flags, *kept}, message.context
                fresh.add(message.id, text, locations=message.locations, flags=flags, context=context)
        return fresh

    def write(self, locale: str) -> None:
        """Update and compile the catalogue of a language."""
        self.po(locale).parent.mkdir(parents=True, exist_ok=True)
        self.po(locale).write_bytes(po_text(self.updated(locale)))
        self.mo(locale).write_bytes(mo_bytes(self.read(locale)))

    def incomplete(self, locale: str) -> list[str]:
        """Reasons not to offer a language: missing, fuzzy and untranslated sentences, other placeholders, stale
        files.
        """
        catalogue, source = self.read(locale), self.sentences
        known = {_key(message): message for message in catalogue if message.id}
        wanted = {_key(message): message for message in source if message.id}
        found = [f"not translated: {key}" for key in wanted.keys() - known.keys()]
        found += [f"no longer used: {key}" for key in known.keys() - wanted.keys()]
        for key in wanted.keys() & known.keys():
            found += [f"{problem}: {key}" for problem in _problems(known[key], catalogue.num_plurals)]
        if not self.mo(locale).is_file() or _texts(self.mo(locale).read_bytes()) != _texts(mo_bytes(catalogue)):
            found.append("messages.mo is not the compiled messages.po")
        return sorted(f"{locale}: {problem}" for problem in found)


SHOP = Program(
    ROOT / "translations",
    (
        ("shop", "**.py", "python"),
        ("templates/shop", "**.html", "jinja2"),
        ("templates/mail", "**.html", "jinja2"),
    ),
    {"sentence": None, "sentences": (1, 2)},
)
ACQUIRER = Program(
    ROOT / "mock_acquirer" / "translations",
    (
        ("mock_acquirer", "**.py", "python"),
        ("templates/mock_acquirer", "**.html", "jinja2"),
    ),
    {"marked": None},
)
PROGRAMS = (SHOP, ACQUIRER)


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


def with_catalogue() -> list[str]:
    """The locales that are offered and need a catalogue."""
    return [locale for locale in OFFERED if locale != ENGLISH]


def _texts(compiled: bytes) -> dict[Any, Any]:
    """The sentences of a .mo file. Its header is left out: it names the version of Babel."""
    return {_key(message): message.string for message in read_mo(io.BytesIO(compiled)) if message.id}


def _key(message: Message) -> str:
    """The English sentence, the singular of one with a number, after its context if it has one."""
    sentence = str(message.id if isinstance(message.id, str) else message.id[0])
    return f"{message.context}: {sentence}" if message.context else sentence


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
    if any(text in sources and _LETTERS.search(_PLACEHOLDER.sub("", text)) for text in set(texts) - SAME):
        yield "the English sentence"
    if any(map(is_half_width, texts)):
        yield "half-width punctuation, or a space at full-width punctuation"


def is_half_width(text: str) -> bool:
    """True if a Chinese or Japanese text has half-width punctuation, or a space at full-width punctuation."""
    return bool(_HALF_WIDTH.search(text))


def placeholders(text: str) -> frozenset[tuple[str, str]]:
    """Names and kinds of the placeholders of a sentence; a stray per cent sign is one that the sentence cannot have."""
    stray = _PLACEHOLDER.sub("", text).count("%") if _NAMED.search(text) else 0
    named = {(found[1], found[2]) for found in _PLACEHOLDER.finditer(text) if found[1]}
    return frozenset(named | ({("", "%")} if stray else set()))
