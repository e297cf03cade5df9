"""webhooks of other merchants

Revision ID: 0010
Revises: 0009
Create Date: 2026-11-29 09:10:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("inbox", sa.Column("not_ours", sa.Text(), nullable=True))


def downgrade():
    op.drop_column("inbox", "not_ours")
