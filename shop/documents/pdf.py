"""PDF of a document: tagged, made by Typst once and kept. Each process reads fonts from DOCUMENT_FONTS_DIR once."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import typst
from babel import Locale
from flask import current_app
from sqlalchemy import select

from shop.core import clock, greenlets, logs
from shop.core.db import db, insert, transactional
from shop.documents import find, words
from shop.documents.models import Document, DocumentFile
from shop.documents.words import Words
from shop.orders.models import Order

log = logs.get()
TEMPLATE = Path(__file__).resolve().parents[2] / "templates" / "documents" / "document.typ"
_FAMILIES = {"zh_Hant": "TC", "zh_TW": "TC", "zh_HK": "TC", "zh": "SC", "ja": "JP"}
"""Variants of Noto Sans CJK by language: a character may look different in Taiwan, China and Japan."""
_OTHERS = ("TC", "JP", "SC")
_BUILT_IN = "Libertinus Serif"
"""Comes with Typst; it has no Chinese or Japanese characters."""
STANDARD: Literal["ua-1"] = "ua-1"
"""PDF/UA-1, which demands that a font has every character."""


@dataclass
class _Typesetter:
    """The fonts of this process and its compilers by template, used by one thread at a time; greenlets that wait for
    the lock let others run.
    """

    fonts: typst.Fonts
    families: frozenset[str]
    compilers: dict[Path, typst.Compiler] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def compiler(self, template: Path) -> typst.Compiler:
        if template not in self.compilers:
            self.compilers[template] = typst.Compiler(str(template), font_paths=self.fonts, ignore_system_fonts=True)
        return self.compilers[template]


def of(document: Document) -> bytes:
    """The PDF of a document: the stored one, or else it is made and stored."""
    found = stored(document.number)
    if found is None:
        number, customer = document.number, document.customer
        found = _make(document)
        if not current_app.config["SETTLED_PASSIVE"]:
            found = _store(number, customer, found)
    return found


def stored(number: str) -> bytes | None:
    """The stored PDF of a document."""
    return db.session.scalar(select(DocumentFile.pdf).where(DocumentFile.number == number))


def file_name(document: Document) -> str:
    """Name of the file for downloads and mails."""
    return f"{document.kind.value.replace('_', '-')}-{document.number}.pdf"


def typeset(shown: Words) -> bytes:
    """Make the PDF of a document."""
    return compiled(TEMPLATE, shown.as_json() | in_language(shown.locale))


def in_language(locale: str) -> dict[str, Any]:
    """Language, region and fonts of a text, as templates take them."""
    parsed, families = Locale.parse(locale), _typesetter().families
    return {
        "lang": parsed.language,
        "region": parsed.territory or {"Hant": "TW", "Hans": "CN"}.get(parsed.script or ""),
        "fonts": [name for name in _fonts(locale) if name in families],
    }


def compiled(template: Path, data: dict[str, Any]) -> bytes:
    """Make a PDF from a template of Typst. Texts are data for it, never markup."""
    setter = _typesetter()
    inputs, at = {"data": json.dumps(data)}, _timestamp()
    with setter.lock:
        compiler = setter.compiler(template)
        compile_pdf = partial(compiler.compile, sys_inputs=inputs, format="pdf", timestamp=at)
        try:
            made = greenlets.in_thread(partial(compile_pdf, pdf_standards=[STANDARD]))
        except typst.TypstError as error:
            log.warning("document.not_accessible", standard=STANDARD, hints=error.hints)
            made = greenlets.in_thread(compile_pdf)
    return cast("bytes", made)


def _make(document: Document) -> bytes:
    number = db.session.scalars(select(Order.number).where(Order.id == document.order_id)).one()
    shown = words.of(document, find.lines(document.number), number)
    db.session.rollback()  # no transaction while the PDF is made
    return typeset(shown)


@transactional
def _store(number: str, customer: dict[str, Any], made: bytes) -> bytes:
    """Store a PDF unless another process has stored one; returns the stored one. It is not stored if `customer`, whom
    it names, has been erased meanwhile.
    """
    current = select(Document.customer).where(Document.number == number).with_for_update()
    if db.session.scalar(current) != customer:
        return made
    new = insert(DocumentFile, plain=True).values(number=number, pdf=made, made_at=clock.now())
    db.session.execute(new.on_conflict_do_nothing(index_elements=["number"]))
    return stored(number) or made


def _timestamp() -> int:
    return int(clock.now().timestamp())


def _fonts(locale: str) -> list[str]:
    """Families in the order in which a character is looked up."""
    parsed = Locale.parse(locale)
    names = (f"{parsed.language}_{parsed.script}", locale, parsed.language)
    first = next((_FAMILIES[name] for name in names if name in _FAMILIES), _OTHERS[0])
    return [f"Noto Sans CJK {each}" for each in dict.fromkeys((first, *_OTHERS))] + [_BUILT_IN]


def _typesetter() -> _Typesetter:
    made: dict[str, _Typesetter] = current_app.extensions.setdefault("settled_typesetters", {})
    folder = current_app.config["DOCUMENT_FONTS_DIR"]
    if folder not in made:
        paths = [folder] if Path(folder).is_dir() else []
        fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=True, font_paths=paths)
        families = frozenset(fonts.families())
        missing = [name for name in _fonts("ja") if name not in families]
        if missing:
            log.warning("document.fonts_missing", fonts=missing, folder=folder)
        made[folder] = _Typesetter(fonts, families)
    return made[folder]
