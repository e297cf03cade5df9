"""Runs the shop's migrations on the app's own engine."""

from alembic import context
from flask import current_app

from shop.core.db import UtcDateTime, db


def render_item(kind, item, _autogen_context):
    """Migrations stand for themselves: they name no type of ours."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False


with current_app.app_context(), db.engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=db.metadata,
        render_item=render_item,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
