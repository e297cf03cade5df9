"""Before a version takes over: newest schema, shelves filled once. `python -m deploy.release` in the project's folder.

Both steps in one process, because importing the shop twice is most of the time they take. Safe to repeat, and while an
older version serves.
"""

from __future__ import annotations

from flask import Flask
from flask.cli import ScriptInfo

from shop import settings
from wsgi import app

STEPS = (("db", "upgrade"), ("seed",))
MOUNTED_STEPS = (("db", "upgrade"),)


def run(app: Flask, *arguments: str) -> None:
    """What `flask --app … arguments` does. Raises what the command raises."""
    app.cli.main(args=list(arguments), prog_name="flask", standalone_mode=False, obj=ScriptInfo(create_app=lambda: app))


def main() -> None:
    """Releases the shop, and the acquirer too where the shop's process serves it."""
    for step in STEPS:
        run(app, *step)
    if settings.environment().get("ACQUIRER_MOUNT", "").lower() in ("1", "on", "true", "yes"):
        import mock_acquirer

        acquirer = mock_acquirer.create_app()
        for step in MOUNTED_STEPS:
            run(acquirer, *step)


if __name__ == "__main__":
    main()
