"""scenario of a fault plan

Revision ID: 0004
Revises: 0003
Create Date: 2026-11-29 09:20:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("fault_plans", sa.Column("scenario", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("fault_plans", "scenario")
