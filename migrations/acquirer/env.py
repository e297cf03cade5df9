"""Run the acquirer's migrations against the database of the current app."""

from alembic import context
from sqlalchemy.types import TypeEngine

from mock_acquirer.db import Base, Moment, alone, db


def render(kind: str, thing: object, _: object) -> str | bool:
    """Render custom types as plain columns, so that migrations do not depend on our types."""
    return "sa.BigInteger()" if kind == "type" and isinstance(thing, Moment) else False


def same_type(_context: object, _inspected: object, _column: object, _found: object, wanted: TypeEngine) -> bool | None:
    return False if isinstance(wanted, Moment) else None


with alone(db.engine, "migration"), db.engine.connect().execution_options(writing=True) as connection:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        render_item=render,
        compare_type=same_type,
    )
    with context.begin_transaction():
        context.run_migrations()
