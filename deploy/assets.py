"""Compress the static files while an image is built: `python -m deploy.assets`.

Writes `.br` and `.gz` beside each file; WhiteNoise serves them to browsers that accept them. Safe to repeat. It needs a
writable folder, so it is a step of the build (Dockerfile, bin/post_compile on Heroku) and not of the release.
"""

from __future__ import annotations

from pathlib import Path

from whitenoise.compress import Compressor

STATIC = Path(__file__).resolve().parent.parent / "static"
COMPRESSED = frozenset({".css", ".js", ".svg"})


def compress(folder: Path) -> None:
    """Compress files whose compressed copy is missing or older. Raises OSError."""
    compressor = Compressor(quiet=True)
    for path in folder.rglob("*"):
        neighbour = path.with_name(path.name + ".br")
        if path.is_file() and path.suffix in COMPRESSED and not (neighbour.exists() and _same_age(neighbour, path)):
            compressor.compress(str(path))


def _same_age(one: Path, other: Path) -> bool:
    return one.stat().st_mtime_ns // 1000 == other.stat().st_mtime_ns // 1000


if __name__ == "__main__":
    compress(STATIC)
