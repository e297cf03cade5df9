"""Files of pictures: conversion of an uploaded one, and the folder where the results are (MEDIA_FOLDER).

A picture is named by a digest of its files, so that a browser may keep them for ever. Processes on several machines
share the folder, as a volume or a mounted object storage.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import current_app

from shop.core import logs
from shop.core.errors import Away, BadInput
from shop.media import containers, convert
from shop.settings import ROOT

log = logs.get()
WIDTHS = (320, 640, 1280)
LARGEST_UPLOAD = 10 * 2**20
"""Bytes of the body of an upload."""
_SECONDS = 30.0
"""For one conversion, with the start of its process."""
_PROGRAM = Path(convert.__file__)
_NAME = re.compile(r"([0-9a-f]{32})-([0-9]{3,4})\.webp")
_one_at_a_time = threading.Lock()
_REASONS = {
    "pixels": f"The picture has more than {convert.MOST_PIXELS // 10**6} million pixels.",
    "memory": "The picture needs too much memory. Save it in a smaller size.",
    "shape": f"A picture has at least {convert.LEAST} pixels on each side, and one side is at most "
    f"{convert.LARGEST_RATIO} times as long as the other.",
}
_UNREADABLE = "The picture is damaged and cannot be read. Save it again with an image editor."


@dataclass(frozen=True)
class Picture:
    """A converted picture: digest of its files, and pixels of the largest one."""

    digest: str
    width: int
    height: int
    files: dict[int, bytes]


def converted(content: bytes) -> Picture:
    """Convert an uploaded picture: the first frame, upright, in sRGB, without metadata. One at a time in a process.

    Raises BadInput `bad_picture` with the reason, and Away while others are converted.
    """
    kind = containers.kind(content)
    if kind is None:
        raise BadInput("bad_picture", "The file is no picture in one of the formats PNG, JPEG, WebP and AVIF.")
    if containers.has_more(content, kind):
        message = "The file is cut off, or has other data after the picture. Save it again with an image editor."
        raise BadInput("bad_picture", message)
    if not _one_at_a_time.acquire(timeout=_SECONDS):
        raise Away("pictures_busy", "Other pictures are being converted. Please try again in a minute.")
    try:
        return _run(content, kind)
    finally:
        _one_at_a_time.release()


def _run(content: bytes, kind: str) -> Picture:
    with tempfile.TemporaryDirectory(prefix="picture-") as name:
        folder = Path(name)
        (folder / "picture").write_bytes(content)
        command = [sys.executable, "-I", str(_PROGRAM), name, kind, *map(str, WIDTHS)]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, env={})  # noqa: S603
        except subprocess.TimeoutExpired as error:
            raise BadInput("bad_picture", _REASONS["memory"]) from error
        if done.returncode:
            log.warning(
                "media.not_converted", status=done.returncode, error=done.stderr[-300:].decode(errors="replace")
            )
        result: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {"refused": "unreadable"}
        if "refused" in result:
            raise BadInput("bad_picture", _REASONS.get(result["refused"], _UNREADABLE))
        files = {width: path.read_bytes() for width in WIDTHS if (path := folder / f"{width}.webp").exists()}
    digest = hashlib.sha256(b"".join(files.values())).hexdigest()[:32]
    return Picture(digest, result["width"], result["height"], files)


def store(picture: Picture) -> None:
    """Write the files of a picture. Each appears complete or not at all; safe to repeat."""
    for width, content in picture.files.items():
        path = _path(picture.digest, width)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(content)
        Path(file.name).chmod(0o644)
        Path(file.name).replace(path)


def remove(digest: str) -> None:
    """Remove the files of a picture, as far as they exist."""
    for width in WIDTHS:
        with suppress(FileNotFoundError):
            _path(digest, width).unlink()


def widths(width: int) -> dict[int, int]:
    """The width of each file of a picture whose largest one has this width, by the width in its name."""
    return {name: min(name, width) for before, name in zip((0, *WIDTHS), WIDTHS, strict=False) if width > before}


def named(name: str) -> Path | None:
    """The file with this name, as in its address; None if the name has another form."""
    found = _NAME.fullmatch(name)
    return _path(found[1], int(found[2])) if found else None


def _path(digest: str, width: int) -> Path:
    return ROOT / str(current_app.config["MEDIA_FOLDER"]) / digest[:2] / f"{digest}-{width}.webp"
