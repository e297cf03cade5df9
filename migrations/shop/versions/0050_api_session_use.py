"""device and time of the last use of sessions of the API

Revision ID: 0050
Revises: 0049
Create Date: 2026-12-01 03:30:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0050"
down_revision = "0049"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("api_sessions", sa.Column("device", sa.Text(), nullable=False, server_default=""))
    op.add_column("api_sessions", sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True))


def downgrade():
    op.drop_column("api_sessions", "last_used_at")
    op.drop_column("api_sessions", "device")
