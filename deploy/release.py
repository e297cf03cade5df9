"""Release step: migrate the database, then insert missing parts of the initial catalogue.

`python -m deploy.release` in the project's folder. It writes to the database alone, and never changes an existing
product, price or stock.

Both steps run in one process, because importing the shop twice takes most of the time. Safe to repeat, and twice at the
same time: one waits for the other (migrations/*/env.py, `flask seed`). Safe while an older version serves, except for
versions before migrations 0018 and 0022, which rename tables: end them first (deploy/README.md, Rollback).
"""

from __future__ import annotations

from flask import Flask
from flask.cli import ScriptInfo

from wsgi import app

STEPS = (("db", "upgrade"), ("seed",))
MOUNTED_STEPS = (("db", "upgrade"),)


def run(app: Flask, *arguments: str) -> None:
    """Run `flask --app … arguments` in this process. Raises what the command raises."""
    app.cli.main(args=list(arguments), prog_name="flask", standalone_mode=False, obj=ScriptInfo(create_app=lambda: app))


def main() -> None:
    """Release the shop, and the acquirer too where the shop's process serves it."""
    for step in STEPS[:1] if app.config.get("SETTLED_PASSIVE") else STEPS:
        run(app, *step)
    if app.config.get("ACQUIRER_MOUNT"):
        import mock_acquirer

        acquirer = mock_acquirer.create_app()
        for step in MOUNTED_STEPS:
            run(acquirer, *step)


if __name__ == "__main__":
    main()
