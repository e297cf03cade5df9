"""indexes of the list of orders

Revision ID: 0029
Revises: 0028
Create Date: 2026-11-30 20:10:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

INDEXES = (
    ("ix_orders_placed", "orders", ["placed_at", "id"], None),
    ("ix_orders_in_review", "orders", ["review_since"], "review_since IS NOT NULL"),
    ("ix_captures_not_paying", "captures", ["allocation"], "allocation <> 'pays_order'"),
    ("ix_refunds_under_way", "refunds", ["order_id"], "state IN ('PENDING', 'REQUESTED', 'UNKNOWN')"),
)


def upgrade():
    for name, table, columns, which in INDEXES:
        where = sa.text(which) if which else None
        op.create_index(name, table, columns, postgresql_where=where, sqlite_where=where)


def downgrade():
    for name, table, _columns, _which in INDEXES:
        op.drop_index(name, table_name=table)
