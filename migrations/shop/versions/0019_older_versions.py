"""drop what only older versions used: the table of saga steps, and captures without an allocation

Every version since 0018 gives captures an allocation, and reads no saga steps.

Revision ID: 0019
Revises: 0018
Create Date: 2026-11-30 01:00:00

"""

import re

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

STEPS = {
    "stock_reserved_at": "reserve_stock",
    "credit_held_at": "hold_credit",
    "payment_opened_at": "open_payment",
}
CAPTURES = sa.text("SELECT sql FROM sqlite_master WHERE tbl_name = 'captures' AND sql IS NOT NULL ORDER BY type DESC")


def upgrade():
    for column, name in STEPS.items():  # of sagas that a version before 0014 began when 0014 was there already
        _copy_steps(column, "done_at", f"s.name = '{name}'")
    _copy_steps("undone_at", "undone_at", "s.undone_at IS NOT NULL")
    op.drop_table("saga_steps")
    # No version has committed one. As without an allocation, it pays for nothing and nothing refunds it automatically.
    op.execute("UPDATE captures SET allocation = 'mismatch' WHERE allocation IS NULL")
    _require_allocation(required=True)


def downgrade():
    _require_allocation(required=False)
    op.create_table(
        "saga_steps",
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["order_id"], ["sagas.order_id"], name=op.f("fk_saga_steps_order_id")),
        sa.PrimaryKeyConstraint("order_id", "name", name=op.f("pk_saga_steps")),
    )


def _copy_steps(column, value, which):
    op.execute(
        f"UPDATE sagas SET {column} = s.{value} FROM saga_steps s "  # noqa: S608 - names of ours
        f"WHERE s.order_id = sagas.order_id AND sagas.{column} IS NULL AND {which}"
    )


def _require_allocation(*, required):
    """SQLite cannot change a column: the table is made anew from its own definition, as in 0018."""
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        op.alter_column("captures", "allocation", existing_type=sa.Text(), nullable=not required)
        return
    connection.execute(sa.text("PRAGMA defer_foreign_keys = ON"))
    definitions = connection.scalars(CAPTURES).all()
    op.execute("CREATE TABLE kept_captures AS SELECT * FROM captures")
    op.drop_table("captures")
    column = "allocation TEXT NOT NULL" if required else "allocation TEXT"
    for definition in definitions:
        op.execute(re.sub(r"\ballocation TEXT( NOT NULL)?", column, definition))
    op.execute("INSERT INTO captures SELECT * FROM kept_captures")
    op.drop_table("kept_captures")
