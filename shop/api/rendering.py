"""Text of the OpenAPI document for its page: paragraphs of plain text, bold text and code. Pure."""

from __future__ import annotations

import re

_MARKED = re.compile(r"\*\*([^*]+)\*\*|`([^`]+)`")


def paragraphs(text: str) -> list[list[tuple[str, str]]]:
    """The paragraphs of a description, each as (kind, text); the kinds are text, bold and code."""
    return [inline(part.replace("\n", " ")) for part in text.split("\n\n") if part.strip()]


def inline(line: str) -> list[tuple[str, str]]:
    """The parts of one paragraph."""
    found: list[tuple[str, str]] = []
    end = 0
    for match in _MARKED.finditer(line):
        found += [("text", line[end : match.start()]), ("bold", match[1]) if match[1] else ("code", match[2])]
        end = match.end()
    return [part for part in [*found, ("text", line[end:])] if part[1]]
