"""Run the shop's migrations on the app's own engine."""

from alembic import context
from flask import current_app
from sqlalchemy import event

from shop.core.db import UtcDateTime, db
from shop.core.exclusive import exclusive
from shop.core.postgres import without_statement_timeout


def render_item(kind, item, _autogen_context):
    """Render custom types as plain columns, so that migrations do not depend on our types."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False


with current_app.app_context(), exclusive(db.engine, "migration"), db.engine.connect() as connection:
    event.listen(connection, "begin", without_statement_timeout)
    context.configure(
        connection=connection,
        target_metadata=db.metadata,
        render_item=render_item,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
