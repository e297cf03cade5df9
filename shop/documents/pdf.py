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
    """The compiler of this process, used by one thread at a time; greenlets that wait for the lock let others run."""

    compiler: typst.Compiler
    families: frozenset[str]
    lock: threading.Lock = field(default_factory=threading.Lock)


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
    """Make a PDF. Texts are data for the template, never markup."""
    setter = _typesetter()
    locale = Locale.parse(shown.locale)
    wanted = _fonts(shown.locale)
    data = shown.as_json() | {
        "lang": locale.language,
        "region": locale.territory or {"Hant": "TW", "Hans": "CN"}.get(locale.script or ""),
        "fonts": [name for name in wanted if name in setter.families],
    }
    inputs = {"data": json.dumps(data)}
    compile_pdf = partial(setter.compiler.compile, sys_inputs=inputs, format="pdf", timestamp=_timestamp())
    with setter.lock:
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
        compiler = typst.Compiler(str(TEMPLATE), font_paths=fonts, ignore_system_fonts=True)
        made[folder] = _Typesetter(compiler, families)
    return made[folder]
