"""Wait until the release has migrated the database to this version's schema: `python -m deploy.ready --wait 300`.

For platforms that start a version at the same time as its release (an init container on Kubernetes). Ends with 0 when
the schema is there or newer than this version, as after a rollback; with 1 when it is not there in time.
"""

from __future__ import annotations

import argparse
import sys
import time

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.exc import SQLAlchemyError

from wsgi import app

PAUSE = 1.0  # seconds between two attempts


def missing(app: Flask) -> str:
    """The reason why this version cannot start on the database of `app`; empty when it can."""
    database: SQLAlchemy = app.extensions["sqlalchemy"]
    migrate: Migrate = app.extensions["migrate"].migrate
    with app.app_context():
        scripts = ScriptDirectory.from_config(migrate.get_config())
        try:
            with database.engine.connect() as connection:
                found = set(MigrationContext.configure(connection).get_current_heads())
        except SQLAlchemyError as error:
            return f"{app.name}: the database cannot be queried ({type(error).__name__})"
    wanted = set(scripts.get_heads())
    known = {revision.revision for revision in scripts.walk_revisions()}
    if wanted <= found or found - known:  # an unknown revision belongs to a newer version
        return ""
    at, needed = ", ".join(sorted(found)) or "nothing", ", ".join(sorted(wanted))
    return f"{app.name}: the schema is at {at}, this version needs {needed}"


def main() -> None:
    """Check once, or until the schema is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="how long to wait for the release")
    options = parser.parse_args()
    apps = [app]
    if app.config.get("ACQUIRER_MOUNT"):
        import mock_acquirer

        apps.append(mock_acquirer.create_app())
    deadline = time.monotonic() + options.wait
    while lacks := [text for text in map(missing, apps) if text]:
        if time.monotonic() > deadline:
            sys.exit("\n".join(lacks))
        time.sleep(PAUSE)


if __name__ == "__main__":
    main()
