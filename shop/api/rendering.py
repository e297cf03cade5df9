"""Text of the OpenAPI document as HTML: paragraphs, bold words and code. Pure."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_BOLD, _CODE = re.compile(r"\*\*([^*]+)\*\*"), re.compile(r"`([^`]+)`")


def described(text: str) -> Markup:
    """Paragraphs of a description."""
    paragraphs = [part.replace("\n", " ") for part in text.split("\n\n") if part.strip()]
    return Markup("").join(Markup("<p>{}</p>").format(_line(part)) for part in paragraphs)  # noqa: S704


def _line(text: str) -> Markup:
    line = _CODE.sub(r"<code>\1</code>", str(escape(text)))
    return Markup(_BOLD.sub(r"<strong>\1</strong>", line))  # noqa: S704 - it is escaped
