"""saga steps as columns of the saga's row; the old table stays for the version before

Revision ID: 0014
Revises: 0013
Create Date: 2026-11-29 15:45:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

COLUMNS = {
    "stock_reserved_at": "reserve_stock",
    "credit_held_at": "hold_credit",
    "payment_opened_at": "open_payment",
}


SAGAS = sa.table("sagas", sa.column("order_id"), sa.column("undone_at"), *map(sa.column, COLUMNS))
STEPS = sa.table("saga_steps", *map(sa.column, ("order_id", "name", "done_at", "undone_at")))


def upgrade():
    time = sa.DateTime(timezone=True)
    for column in (*COLUMNS, "undone_at"):
        op.add_column("sagas", sa.Column(column, time, nullable=True))
    for column, name in COLUMNS.items():
        done = sa.select(STEPS.c.done_at).where(STEPS.c.order_id == SAGAS.c.order_id, STEPS.c.name == name)
        op.execute(sa.update(SAGAS).values({column: done.scalar_subquery()}))
    op.execute(
        "UPDATE sagas SET undone_at = (SELECT max(undone_at) FROM saga_steps s WHERE s.order_id = sagas.order_id)"
    )


def downgrade():
    for column, name in COLUMNS.items():
        known = sa.exists().where(STEPS.c.order_id == SAGAS.c.order_id, STEPS.c.name == name)
        done = sa.select(SAGAS.c.order_id, sa.literal(name), SAGAS.c[column], SAGAS.c.undone_at)
        op.execute(STEPS.insert().from_select(list(STEPS.c), done.where(SAGAS.c[column].is_not(None), ~known)))
    undone = sa.select(SAGAS.c.undone_at).where(SAGAS.c.order_id == STEPS.c.order_id)
    op.execute(sa.update(STEPS).where(STEPS.c.undone_at.is_(None)).values(undone_at=undone.scalar_subquery()))
    for column in (
        "undone_at",
        *reversed(COLUMNS),
    ):  # not in a batch: steps refer to the table
        op.drop_column("sagas", column)
