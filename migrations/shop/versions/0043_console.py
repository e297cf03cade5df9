"""index on the amounts of orders, for the search of an amount that few have; integrity checks without versions

Revision ID: 0043
Revises: 0042
Create Date: 2026-12-01 02:30:00

"""

from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None


def upgrade():
    op.create_index("ix_orders_amount", "orders", ["currency", "total_amount"])


def downgrade():
    op.drop_index("ix_orders_amount", table_name="orders")
