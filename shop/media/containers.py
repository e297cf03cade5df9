"""Formats of uploaded pictures by their content, and the check that a file ends with its picture. Pure.

A file that is two things at once, such as a picture followed by an archive or a page, is refused. The picture itself is
checked by decoding it (`shop.media.convert`); uploaded bytes are never stored or sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

_PNG = b"\x89PNG\r\n\x1a\n"
_STANDALONE = frozenset((0x01, *range(0xD0, 0xD8)))
"""JPEG markers without a segment."""
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA


def kind(content: bytes) -> str | None:
    """PNG, JPEG, WEBP or AVIF, by the first bytes; None for anything else."""
    if content.startswith(_PNG):
        return "PNG"
    if content.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    if content[4:8] == b"ftyp" and content[8:12] in (b"avif", b"avis"):
        return "AVIF"
    return None


def has_more(content: bytes, kind: str) -> bool:
    """True if the file goes on after its picture, or ends before it. Padding by zeros is allowed, and so are the
    further JPEG pictures that cameras append.
    """
    end = _ENDS[kind](content)
    rest = content[end:] if end is not None else b"?"
    while kind == "JPEG" and rest.startswith(b"\xff\xd8\xff"):
        end = _end_of_jpeg(rest)
        rest = rest[end:] if end is not None else b"?"
    return bool(rest.strip(b"\0"))


def _end_of_png(content: bytes) -> int | None:
    at = len(_PNG)
    while at + 12 <= len(content):
        length, name = int.from_bytes(content[at : at + 4]), content[at + 4 : at + 8]
        at += 12 + length
        if name == b"IEND":
            return at if at <= len(content) else None
    return None


def _end_of_jpeg(content: bytes) -> int | None:
    at = 2
    while at + 4 <= len(content):
        if content[at] != 0xFF:
            return None
        marker = content[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker == _END:
            return at + 2
        elif marker in _STANDALONE:
            at += 2
        else:
            at += 2 + int.from_bytes(content[at + 2 : at + 4])
            if marker == _SCAN:
                at = _next_marker(content, at)
    return at + 2 if content[at : at + 2] == bytes((0xFF, _END)) else None


def _next_marker(content: bytes, at: int) -> int:
    """The position of the marker after compressed data, in which FF is followed by 00 or a restart marker."""
    while True:
        at = content.find(b"\xff", at)
        if at < 0 or at + 1 >= len(content):
            return len(content)
        if content[at + 1] != 0 and content[at + 1] not in _STANDALONE:
            return at
        at += 2


def _end_of_webp(content: bytes) -> int | None:
    size = int.from_bytes(content[4:8], "little")
    end = 8 + size + size % 2
    return end if 12 <= end <= len(content) else None


def _end_of_avif(content: bytes) -> int | None:
    at = 0
    while at < len(content):
        size = int.from_bytes(content[at : at + 4])
        if size == 1:
            size = int.from_bytes(content[at + 8 : at + 16])
        if size < 8 or not content[at + 4 : at + 8].isalnum():
            break
        at += size
    return at if 0 < at <= len(content) else None


_ENDS: Mapping[str, Callable[[bytes], int | None]] = {
    "PNG": _end_of_png,
    "JPEG": _end_of_jpeg,
    "WEBP": _end_of_webp,
    "AVIF": _end_of_avif,
}
