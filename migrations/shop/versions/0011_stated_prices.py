"""prices stated by the checkout form, and the last use of "Order again"

Revision ID: 0011
Revises: 0010
Create Date: 2026-11-29 09:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("orders", sa.Column("form_digest", sa.Text(), nullable=True))
    op.add_column("carts", sa.Column("last_press", sa.Text(), nullable=True))


def downgrade():
    with op.batch_alter_table("carts") as carts:
        carts.drop_column("last_press")
    with op.batch_alter_table("orders") as orders:
        orders.drop_column("form_digest")
