"""time until which the page of a payment's order counts as open

Revision ID: 0012
Revises: 0011
Create Date: 2026-11-29 09:35:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("payments", sa.Column("watched_until", sa.DateTime(timezone=True), nullable=True))


def downgrade():
    with op.batch_alter_table("payments") as payments:
        payments.drop_column("watched_until")
