"""Before a version takes over: newest schema, shelves filled once, static files compressed.

`python -m deploy.release` in the project's folder.

Both steps in one process, because importing the shop twice is most of the time they take. Safe to repeat, and while an
older version serves.
"""

from __future__ import annotations

from pathlib import Path

from flask import Flask
from flask.cli import ScriptInfo
from whitenoise.compress import Compressor

from wsgi import app

STEPS = (("db", "upgrade"), ("seed",))
PACKED = frozenset({".css", ".js", ".svg"})
MOUNTED_STEPS = (("db", "upgrade"),)


def run(app: Flask, *arguments: str) -> None:
    """What `flask --app … arguments` does. Raises what the command raises."""
    app.cli.main(args=list(arguments), prog_name="flask", standalone_mode=False, obj=ScriptInfo(create_app=lambda: app))


def compress(folder: Path) -> None:
    """Put `.br` and `.gz` beside static files that have none of their own age; WhiteNoise serves them as they are."""
    compressor = Compressor(quiet=True)
    for path in folder.rglob("*"):
        packed = path.with_name(path.name + ".br")
        if path.is_file() and path.suffix in PACKED and not (packed.exists() and _same_age(packed, path)):
            compressor.compress(str(path))


def _same_age(one: Path, other: Path) -> bool:
    return one.stat().st_mtime_ns // 1000 == other.stat().st_mtime_ns // 1000


def main() -> None:
    """Releases the shop, and the acquirer too where the shop's process serves it."""
    for step in STEPS:
        run(app, *step)
    compress(Path(str(app.static_folder)))
    if app.config.get("ACQUIRER_MOUNT"):
        import mock_acquirer

        acquirer = mock_acquirer.create_app()
        for step in MOUNTED_STEPS:
            run(acquirer, *step)


if __name__ == "__main__":
    main()
