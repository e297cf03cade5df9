"""Read a text with little marks as blocks that a template renders: no HTML is made here or accepted. Pure.

    ## Heading                          blank lines separate paragraphs
    - an item of a list                 a line break in a paragraph stays one
    **bold** and [words](address)       an address is a path of the shop, https:// or mailto:

Anything else is text as it was typed. A page has a heading of its own, so the headings here are of the second and third
level.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from html import unescape

_HEADING = re.compile(r"(##|###) +(\S.*)")
_ITEM = re.compile(r"[-*] +(\S.*)")
_SPAN = re.compile(r"\*\*(?P<bold>[^*\n]{1,500})\*\*|\[(?P<words>[^\[\]\n]{1,200})\]\((?P<address>[^()\s]{1,500})\)")
_ADDRESS = re.compile(
    r"/(?![/\\])[A-Za-z0-9._~/?#&=%+-]*|https://[A-Za-z0-9.-]+(?:[:/?#][A-Za-z0-9._~:/?#\[\]@!$&*+,;=%-]*)?"
    r"|mailto:[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+"
)
_LINK, _ELEMENT = re.compile(r'<a href="([^"]*)">(.*?)</a>'), re.compile(r"<[^>]+>")
_MARKS = {"<h2>": "\n\n## ", "</h2>": "\n\n", "<p>": "\n\n", "<li>": "\n- ", "<strong>": "**", "</strong>": "**"}


class Kind(StrEnum):
    """Kind of a block."""

    HEADING = "heading"
    SUBHEADING = "subheading"
    PARAGRAPH = "paragraph"
    LIST = "list"


@dataclass(frozen=True)
class Span:
    """Words of a line; `address` is empty unless they are a link."""

    words: str
    address: str = ""
    is_bold: bool = False


Line = tuple[Span, ...]


@dataclass(frozen=True)
class Block:
    """A heading, a paragraph with its lines, or a list with its items."""

    kind: Kind
    lines: tuple[Line, ...]


def blocks(content: str) -> list[Block]:
    """The blocks of a text."""
    found: list[Block] = []
    before: Kind | None = None
    for typed in content.splitlines():
        kind, words = _read(typed.strip())
        if kind is None:
            before = None
            continue
        line = tuple(spans(words))
        if kind is before and kind in (Kind.PARAGRAPH, Kind.LIST):
            found[-1] = Block(kind, (*found[-1].lines, line))
        else:
            found.append(Block(kind, (line,)))
        before = kind
    return found


def of_page(html: str) -> str:
    """The HTML of a page that comes with the shop as a text with marks, to begin with."""
    text = _LINK.sub(r"[\2](\1)", " ".join(html.split()))
    for element, mark in _MARKS.items():
        text = text.replace(element, mark)
    lines = (line.strip() for line in unescape(_ELEMENT.sub("", text)).splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def spans(words: str) -> Iterator[Span]:
    """The parts of a line. A link with another address stays text."""
    done = 0
    for part in _SPAN.finditer(words):
        address = part["address"] or ""
        if part["bold"] is None and not _ADDRESS.fullmatch(address):
            continue
        if part.start() > done:
            yield Span(words[done : part.start()])
        yield Span(part["bold"] or part["words"], address, is_bold=part["bold"] is not None)
        done = part.end()
    if done < len(words):
        yield Span(words[done:])


def _read(line: str) -> tuple[Kind | None, str]:
    """Kind of a line, None for an empty one, and its words without the mark."""
    if not line:
        return None, ""
    if heading := _HEADING.fullmatch(line):
        return (Kind.HEADING if heading[1] == "##" else Kind.SUBHEADING), heading[2]
    if item := _ITEM.fullmatch(line):
        return Kind.LIST, item[1]
    return Kind.PARAGRAPH, line
